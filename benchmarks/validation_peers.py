"""Radiomics beside pyradiomics, and exact neighbours beside faiss: equal values first, then processor time.

pyradiomics 3.1.0 does not build; 3.0.1 does, without build isolation. faiss is a wheel. In an environment of their own:

    pip install setuptools versioneer "cython<4" numpy && pip install --no-build-isolation --no-deps pyradiomics==3.0.1
    pip install pykwalify docopt PyWavelets SimpleITK faiss-cpu
    OMP_NUM_THREADS=1 SYNTHDATA_REALDATA=... python benchmarks/validation_peers.py [--volumes N] [--cases N]

Both radiomics get the same grey levels and the same regions. pyradiomics merges the matrices of all directions
(`weightingNorm: no_weighting`), as IBSI's "3D, merged" does; features of both are all that each has by default. Turns
alternate in one process on one thread; a table gives the median over the volumes. `--processes 2` also spreads the
volumes over so many processes, of both alike, and takes the time by the clock.
"""

import argparse
import logging
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from synthdata.intake import take_in
from synthdata.preparation import prepare
from synthdata.privacy.neighbours import nearest_patients
from synthdata.records.parquet import read_cases
from synthdata.spec import load_spec
from synthdata.storage.folder import FolderStore
from synthdata.validation.features.cooccurrence import cooccurrence_features
from synthdata.validation.features.first_order import first_order, histogram
from synthdata.validation.features.neighbourhood import neighbourhood_features
from synthdata.validation.features.radiomics import LEVELS, regions
from synthdata.validation.features.runs_zones import run_length_features, size_zone_features
from synthdata.validation.features.shape import shape_features

SPEC = Path(__file__).parents[1] / "pipelines" / "datasets" / "hippocampus-mr.yaml"
SAME = {  # ours: what pyradiomics calls it
    "first_order/mean": "firstorder_Mean",
    "first_order/variance": "firstorder_Variance",
    "first_order/skewness": "firstorder_Skewness",
    "first_order/median": "firstorder_Median",
    "first_order/minimum": "firstorder_Minimum",
    "first_order/maximum": "firstorder_Maximum",
    "first_order/p10": "firstorder_10Percentile",
    "first_order/p90": "firstorder_90Percentile",
    "first_order/interquartile_range": "firstorder_InterquartileRange",
    "first_order/mean_absolute_deviation": "firstorder_MeanAbsoluteDeviation",
    "first_order/robust_mean_absolute_deviation": "firstorder_RobustMeanAbsoluteDeviation",
    "first_order/energy": "firstorder_Energy",
    "first_order/root_mean_square": "firstorder_RootMeanSquared",
    "histogram/entropy": "firstorder_Entropy",
    "histogram/uniformity": "firstorder_Uniformity",
    "glcm/joint_maximum": "glcm_MaximumProbability",
    "glcm/joint_average": "glcm_JointAverage",
    "glcm/joint_variance": "glcm_SumSquares",
    "glcm/joint_entropy": "glcm_JointEntropy",
    "glcm/difference_average": "glcm_DifferenceAverage",
    "glcm/difference_variance": "glcm_DifferenceVariance",
    "glcm/difference_entropy": "glcm_DifferenceEntropy",
    "glcm/sum_entropy": "glcm_SumEntropy",
    "glcm/angular_second_moment": "glcm_JointEnergy",
    "glcm/contrast": "glcm_Contrast",
    "glcm/inverse_difference": "glcm_Id",
    "glcm/inverse_difference_moment": "glcm_Idm",
    "glcm/inverse_variance": "glcm_InverseVariance",
    "glcm/correlation": "glcm_Correlation",
    "glcm/autocorrelation": "glcm_Autocorrelation",
    "glcm/cluster_tendency": "glcm_ClusterTendency",
    "glcm/cluster_shade": "glcm_ClusterShade",
    "glcm/cluster_prominence": "glcm_ClusterProminence",
    "glcm/information_correlation_1": "glcm_Imc1",
    "glcm/information_correlation_2": "glcm_Imc2",
    "shape/major_axis_mm": "shape_MajorAxisLength",
    "shape/minor_axis_mm": "shape_MinorAxisLength",
    "shape/least_axis_mm": "shape_LeastAxisLength",
    "shape/elongation": "shape_Elongation",
    "shape/flatness": "shape_Flatness",
    "shape/volume_mm3": "shape_VoxelVolume",
    "ngtdm/coarseness": "ngtdm_Coarseness",
    "ngtdm/contrast": "ngtdm_Contrast",
    "ngtdm/busyness": "ngtdm_Busyness",
    "ngtdm/complexity": "ngtdm_Complexity",
    "ngtdm/strength": "ngtdm_Strength",
}
for _family, _letters in (("glrlm", "Run"), ("glszm", "Zone")):
    _length = "Length" if _family == "glrlm" else ""
    _kind = f"{_letters}{_length}"
    _size = "Run" if _family == "glrlm" else "Area"
    _short, _long = ("ShortRun", "LongRun") if _family == "glrlm" else ("SmallArea", "LargeArea")
    SAME |= {
        f"{_family}/small_emphasis": f"{_family}_{_short}Emphasis",
        f"{_family}/large_emphasis": f"{_family}_{_long}Emphasis",
        f"{_family}/low_level_emphasis": f"{_family}_LowGrayLevel{_letters}Emphasis",
        f"{_family}/high_level_emphasis": f"{_family}_HighGrayLevel{_letters}Emphasis",
        f"{_family}/small_low_emphasis": f"{_family}_{_short}LowGrayLevelEmphasis",
        f"{_family}/small_high_emphasis": f"{_family}_{_short}HighGrayLevelEmphasis",
        f"{_family}/large_low_emphasis": f"{_family}_{_long}LowGrayLevelEmphasis",
        f"{_family}/large_high_emphasis": f"{_family}_{_long}HighGrayLevelEmphasis",
        f"{_family}/level_non_uniformity": f"{_family}_GrayLevelNonUniformity",
        f"{_family}/level_non_uniformity_normalised": f"{_family}_GrayLevelNonUniformityNormalized",
        f"{_family}/percentage": f"{_family}_{_letters}Percentage",
        f"{_family}/level_variance": f"{_family}_GrayLevelVariance",
        f"{_family}/size_variance": f"{_family}_{_letters}Variance",
        f"{_family}/entropy": f"{_family}_{_letters}Entropy",
    }
SAME |= {
    "glrlm/size_non_uniformity": "glrlm_RunLengthNonUniformity",
    "glrlm/size_non_uniformity_normalised": "glrlm_RunLengthNonUniformityNormalized",
    "glszm/size_non_uniformity": "glszm_SizeZoneNonUniformity",
    "glszm/size_non_uniformity_normalised": "glszm_SizeZoneNonUniformityNormalized",
}
Region = tuple[np.ndarray, np.ndarray]  # levels 1.. inside and 0 outside, and the region, both (z, y, x)


def real_regions(folder: Path, volumes: int) -> list[list[Region]]:
    """Grey levels and regions of real volumes, as validation has them; levels begin at 1 in each region."""
    spec, store = load_spec(SPEC), FolderStore(folder)
    report = take_in(spec, spec.source.folder(), store, pseudonym_key=bytes(32))
    training_set = prepare(spec, report, store, split_key=bytes(range(32)))
    found = []
    for case in read_cases(store, training_set.train):
        if len(found) == volumes:
            break
        network = np.stack(
            [scale.to_network(case.image[index]) for index, scale in enumerate(training_set.scales)]
        )
        levels = np.clip(np.floor((network[0] + 1) / 2 * LEVELS).astype(np.int32), 0, LEVELS - 1)
        masks = [mask for mask in regions(case, network, training_set.labels).values() if mask.any()]
        found.append([(np.where(mask, levels - levels[mask].min() + 1, 0), mask) for mask in masks])
    return found


def ours(levels: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """All families of one region."""
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(mask))
    inside, cut = mask[box], levels[box]
    count = int(cut.max())
    families = {
        "first_order": first_order(cut[inside]),
        "histogram": histogram(cut[inside], count),
        "glcm": cooccurrence_features(cut, count),
        "glrlm": run_length_features(cut, count),
        "glszm": size_zone_features(cut),
        "ngtdm": neighbourhood_features(cut, count),
        "shape": shape_features(inside, (1.0, 1.0, 1.0)),
    }
    return {f"{family}/{name}": value for family, part in families.items() for name, value in part.items()}


def theirs() -> Callable[[np.ndarray, np.ndarray], dict[str, float]]:
    """The same regions by pyradiomics."""
    import radiomics
    import SimpleITK
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    logging.disable(logging.CRITICAL)
    radiomics.setVerbosity(60)
    extractor = RadiomicsFeatureExtractor(binWidth=1, weightingNorm="no_weighting", minimumROISize=1)
    extractor.disableAllFeatures()
    for family in ("firstorder", "glcm", "glrlm", "glszm", "ngtdm", "shape"):
        extractor.enableFeatureClassByName(family)

    def measure(levels: np.ndarray, mask: np.ndarray) -> dict[str, float]:
        image = SimpleITK.GetImageFromArray(levels.astype(np.float64))
        region = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
        found = extractor.execute(image, region)
        return {
            key.removeprefix("original_"): float(value)
            for key, value in found.items()
            if key.startswith("original_")
        }

    return measure


def show_radiomics(volumes: list[list[Region]]) -> None:
    """Differences by feature, then seconds per volume."""
    peer = theirs()
    worst: dict[str, float] = dict.fromkeys(SAME, 0.0)
    seconds: dict[str, list[float]] = {"ours": [], "pyradiomics": []}
    counts = (0, 0)
    for parts in [volumes[0], *volumes]:  # the first turn warms both up
        took = {}
        results = {}
        for name, measure in (("ours", ours), ("pyradiomics", peer)):
            start = time.process_time()
            results[name] = [measure(*part) for part in parts]
            took[name] = time.process_time() - start
        for mine, other in zip(results["ours"], results["pyradiomics"], strict=True):
            counts = len(mine), len(other)
            for name, key in SAME.items():
                gap = abs(mine[name] - other[key]) / max(abs(other[key]), 1e-9)
                worst[name] = max(worst[name], gap)
        for name, value in took.items():
            seconds[name].append(value)
    equal = {name: gap for name, gap in worst.items() if gap < 1e-6}
    print(f"{len(volumes)} volumes, {sum(map(len, volumes))} regions; features of a region: {counts}")
    print(
        f"{len(equal)} of {len(SAME)} features that both have are equal, largest relative gap {max(equal.values()):.1g}"
    )
    for name, gap in worst.items():
        if name not in equal:
            print(f"  {name}: relative gap up to {gap:.3g}")
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    ratios = [
        theirs_ / ours_
        for ours_, theirs_ in zip(seconds["ours"][1:], seconds["pyradiomics"][1:], strict=True)
    ]
    for name, value in medians.items():
        print(f"{name}: {1000 * value:.1f} ms of processor per volume, {1 / value:.1f} volumes/s")
    print(
        f"ratio {medians['pyradiomics'] / medians['ours']:.2f} (by volume {min(ratios):.2f} to {max(ratios):.2f})"
    )


_measure: dict[str, Callable[[np.ndarray, np.ndarray], dict[str, float]]] = {}  # of a process


def _start(name: str) -> None:
    _measure["it"] = ours if name == "ours" else theirs()


def _measure_volume(parts: list[Region]) -> int:
    return sum(len(_measure["it"](*part)) for part in parts)


def show_processes(volumes: list[list[Region]], processes: int, turns: int) -> None:
    """Volumes per second of so many processes each, in alternate turns; starting them is not counted."""
    with (
        multiprocessing.Pool(processes, _start, ("ours",)) as mine,
        multiprocessing.Pool(processes, _start, ("pyradiomics",)) as other,
    ):
        seconds: dict[str, list[float]] = {"ours": [], "pyradiomics": []}
        for _ in range(turns + 1):  # the first turn warms both up
            for pool, took in zip((mine, other), seconds.values(), strict=True):
                start = time.perf_counter()
                pool.map(_measure_volume, volumes, chunksize=1)
                took.append((time.perf_counter() - start) / len(volumes))
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    for name, value in medians.items():
        print(
            f"{name}, {processes} processes: {1000 * value:.1f} ms per volume by the clock, {1 / value:.1f} volumes/s"
        )
    print(f"ratio {medians['pyradiomics'] / medians['ours']:.2f}")


def show_neighbours(cases: int, width: int, turns: int) -> None:
    """Nearest two of as many cases, beside faiss flat with and without measuring its candidates again in float64."""
    import faiss

    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(cases, width)) * np.linspace(2, 0.2, width)
    queries = rng.normal(size=(cases, width)) * np.linspace(2, 0.2, width)
    queries[:50] = pool[:50] + 1e-5 * rng.normal(size=(50, width))  # copies, where float32 is wrong

    def exact() -> np.ndarray:
        return nearest_patients(queries, pool, np.arange(cases), k=2).distance

    def flat() -> np.ndarray:
        index = faiss.IndexFlatL2(width)
        index.add(pool.astype(np.float32))
        squares, _ = index.search(queries.astype(np.float32), 2)
        return np.sqrt(np.maximum(squares, 0))

    def reranked() -> np.ndarray:
        index = faiss.IndexFlatL2(width)
        index.add(pool.astype(np.float32))
        _, rows = index.search(queries.astype(np.float32), 10)
        squares = np.square(queries[:, None] - pool[rows]).sum(axis=2)
        return np.sqrt(np.sort(squares, axis=1)[:, :2])

    seconds: dict[str, list[float]] = {"ours": [], "faiss flat": [], "faiss flat, float64 again": []}
    for _ in range(turns + 1):
        found = {}
        for (name, took), search in zip(seconds.items(), (exact, flat, reranked), strict=True):
            start = time.process_time()
            found[name] = search()
            took.append(time.process_time() - start)
    print(f"\n{cases} queries in {cases} cases of width {width}, two nearest, one thread, median of {turns}")
    for name, took in seconds.items():
        gap = np.abs(found[name] - found["ours"]) / found["ours"]
        print(f"{name}: {statistics.median(took[1:]):.2f} s, largest relative gap to ours {gap.max():.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--volumes", type=int, default=20)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=["radiomics", "neighbours"])
    asked = parser.parse_args()
    parts = asked.parts or ["radiomics", "neighbours"]
    if "radiomics" in parts:
        with tempfile.TemporaryDirectory() as folder:
            volumes = real_regions(Path(folder), asked.volumes)
        show_radiomics(volumes)
        if asked.processes > 1:
            show_processes(volumes, asked.processes, asked.turns)
    if "neighbours" in parts:
        show_neighbours(asked.cases, asked.width, asked.turns)


if __name__ == "__main__":
    main()
