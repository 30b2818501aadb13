"""A dataset spec: one YAML file says all about one dataset; parsed once, refused with the line."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from synthdata.errors import ConfigError, GateError, SpecError
from synthdata.records.case_set import ColumnSpec
from synthdata.spec_generator import GeneratorSpec, Translation
from synthdata.spec_yaml import bind_file

SPEC_NAME = re.compile(r"[a-z][a-z0-9-]{1,62}")
DEFAULT_FOLDERS = {"SYNTHDATA_REALDATA": "../shared/data"}  # where a variable is not set
PRIVATE_ELEMENT = re.compile(r"[^|]{1,64}\|[0-9A-F]{3}[13579BDF],[0-9A-F]{2}")
MOST_COPY_SHARE = 0.01
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")


def expanded(text: str, key: str) -> Path:
    """A path of the spec with its variables and `~` expanded. Raises ConfigError for an unset variable."""
    return Path(with_variables(text, key)).expanduser()


def with_variables(text: str, key: str) -> str:
    """A text of the spec with its variables expanded. Raises ConfigError for an unset variable."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        found = os.environ.get(name) or DEFAULT_FOLDERS.get(name)
        if found is None:
            raise ConfigError(f"{key} needs the variable {name}, which is not set: export it")
        return found

    return VARIABLE.sub(value, text)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomSource:
    """The built-in cohort of `kind: phantom`."""

    patients: int = 160
    seed: int = 20261122


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where the scans come from."""

    kind: Literal["phantom", "folder", "dicomweb", "s3"]
    format: Literal["dicom", "nifti", "npz", "table", "bids", "folders"] = "dicom"
    uri: str = ""  # folder, https:// or s3://; `${VARIABLE}` is expanded when it is read, not at load
    patients: str = ""  # CSV with columns file, subject; relative to uri (nifti)
    clinical: str = ""  # CSV with a row per patient or case; relative to uri
    images: str = "images"  # subfolder (nifti)
    masks: str = "labels"  # subfolder (nifti)
    arrays: Mapping[str, str] = field(
        default_factory=dict
    )  # `images`, `masks` or a column to array names (npz)
    fhir: Mapping[str, str] = field(
        default_factory=dict
    )  # column to `Observation CODE`, `Condition CODE` ...
    columns: Mapping[str, str] = field(
        default_factory=dict
    )  # channel, `mask` or `patient` to a column (table), a suffix (bids) or a file's name (folders)
    phantom: PhantomSource = field(default_factory=PhantomSource)

    def __post_init__(self) -> None:
        if self.kind != "phantom" and not self.uri:
            raise ConfigError(
                "source.uri is empty: name the folder, the DICOMweb server or the S3 prefix of the scans"
            )
        if self.kind == "dicomweb" and self.format != "dicom":
            raise ConfigError(f"source.format is {self.format} of kind dicomweb, expected dicom")

    @property
    def is_remote(self) -> bool:
        """True where scans are fetched to this machine first."""
        return self.kind in {"dicomweb", "s3"}

    def folder(self) -> Path:
        """Folder of the scans, with variables expanded. Raises ConfigError for an unset variable."""
        return Path(self.address()).expanduser()

    def address(self) -> str:
        """The uri with variables expanded. Raises ConfigError for an unset variable."""
        return with_variables(self.uri, "source.uri")


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouching:
    """What intake looks for beyond the standard, and what the operator allows; each is in the record of the spec."""

    deny_list: str = ""  # file of names and numbers, one a line; `${VARIABLE}` is expanded when it is read
    private_elements: tuple[str, ...] = ()  # `CREATOR|gggg,ee`, allowed under 113111 beside those of PS3.15
    attestation: str = ""  # signed file of the data controller; `${VARIABLE}` as above; empty asks for none
    burned_in_text: Literal["check", "off"] = "check"
    faces: Literal["hold", "deface", "allow"] = "hold"

    def __post_init__(self) -> None:
        for name in self.private_elements:
            if not PRIVATE_ELEMENT.fullmatch(name):
                raise ConfigError(
                    f"vouching.private_elements has {name!r}, expected such as 'SIEMENS MR HEADER|0019,0C'"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One image channel."""

    name: str  # such as T1w, CT
    modality: Literal["MR", "CT", "CR", "DX"]
    unit: str = "1"  # UCUM; `[hnsf'U]` for HU
    window: tuple[float, float] | None = (
        None  # lower and upper bound in the unit; None: percentiles per volume
    )
    percentiles: tuple[float, float] = (0.5, 99.5)
    series: str = ""  # regular expression for DICOM Series Description; empty: any series of the modality

    def __post_init__(self) -> None:
        low, high = self.percentiles
        if self.modality == "CT" and self.unit not in {"[hnsf'U]", "1"}:
            raise ConfigError(
                f'channel {self.name} is CT in unit {self.unit!r}, expected "[hnsf\'U]" (HU), or "1" where the source '
                "has lost its Hounsfield units"
            )
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ConfigError(f"channel {self.name} has window {self.window}: expected low < high")
        if not 0 <= low < high <= 100:
            raise ConfigError(
                f"channel {self.name} has percentiles {self.percentiles}: expected 0 <= low < high <= 100"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class GridSpec:
    """The one grid of training and synthetic cases."""

    shape_zyx: tuple[int, int, int]  # one slice: 2D
    spacing_mm: tuple[float, float, float]
    padding: Literal["lowest", "edge"] = (
        "lowest"  # outside the field of view: air, or the nearest measured voxel
    )

    def __post_init__(self) -> None:
        if min(self.shape_zyx) < 1 or min(self.spacing_mm) <= 0:
            raise ConfigError(f"grid is {self.shape_zyx} of {self.spacing_mm} mm: expected positive numbers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Shares of patients; train and control are of equal size, so that the privacy test is exact.

    Without a control group (0), where nothing is drawn from patients and so nothing is tested for privacy.
    """

    train: float = 0.4
    control: float = 0.4
    test: float = 0.2

    def __post_init__(self) -> None:
        shares = (self.train, self.control, self.test)
        if min(self.train, self.test) <= 0 or self.control < 0 or abs(sum(shares) - 1) > 1e-9:
            raise ConfigError(f"split is {shares}: expected three positive shares which add up to 1")
        if self.control and self.train != self.control:
            raise ConfigError(
                f"split has train {self.train} and control {self.control}: expected equal shares"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RareCombinations:
    """What becomes of patients whose age, sex and the like fewer than k share: generalised, else held back."""

    k: int = 5
    columns: tuple[str, ...] = ()  # empty: ages, sex, gender, race, ethnicity
    least_patients: int = 100  # smaller tables are noted and left as they are

    def __post_init__(self) -> None:
        if self.k < 1 or self.least_patients < 1:
            raise ConfigError(
                f"rare has k {self.k} and least_patients {self.least_patients}: expected numbers of at least 1"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """What is drawn."""

    cases: int
    steps: int = 8
    guidance: float = 1.0
    shard_size: int = 64
    seed: int = 1
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # column to value to cases

    def __post_init__(self) -> None:
        if min(self.cases, self.steps, self.shard_size) < 1:
            raise ConfigError("sampling has a count below 1: expected positive cases, steps and shard_size")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gates:
    """Thresholds; a change of a shipped one is an ADR."""

    fidelity_score: float = 0.5  # upper bound for each feature family's median score (0 real, 1 degraded)
    utility_ratio: float = 0.8  # lower bound for TSTR / TRTR
    privacy_alpha: float = 0.01  # level of the primary privacy test
    copies: float = 0.05  # share of copies which the privacy test must be able to see ...
    power: float = 0.8  # ... with this probability, else INCONCLUSIVE
    canary_recall: float = 0.95
    copy_share: float = 0.0001  # of cases of nobody which the copy filter may draw again; 0: no filter
    checkpoint_auc: float = 0.75  # upper bound for telling members by the weights; 0.5 is guessing
    utility_steps: int = 300
    utility_seeds: int = 5
    utility_arms: tuple[Literal["trts", "augmented", "pretrained", "gain"], ...] = ()  # reported beside

    def __post_init__(self) -> None:
        if not 0 <= self.copy_share <= MOST_COPY_SHARE:
            raise ConfigError(
                f"gates.copy_share is {self.copy_share}, expected 0 (no copy filter) to {MOST_COPY_SHARE}: a filter "
                "that removes more would shape the cases"
            )
        if not 0.5 <= self.checkpoint_auc < 1:
            raise ConfigError(f"gates.checkpoint_auc is {self.checkpoint_auc}, expected 0.5 to below 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureEncoder:
    """Weights of a feature encoder of your own; without them one is trained on the training patients."""

    weights: str  # safetensors file of a `validation.features.encoder.Encoder`, its config in the metadata
    sha256: str

    def __post_init__(self) -> None:
        if not SHA256.fullmatch(self.sha256):
            raise ConfigError(
                f"encoder.sha256 is {self.sha256!r}, expected the 64 hex digits of the file's SHA-256"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomOutput:
    """How cases are written as DICOM, where `formats` has it."""

    enhanced: tuple[Literal["MR", "CT"], ...] = ()  # modalities written as one multi-frame object per series
    measurements: bool = False  # a structured report with the volumes of the segments


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """What is published."""

    licence: str  # SPDX
    version: str = "1.0.0"
    formats: tuple[Literal["parquet", "dicom", "nifti", "fhir"], ...] = ("parquet", "dicom")
    attribution: str = ""  # of the source, as its licence asks for
    source_licence: str = ""  # SPDX
    dicom: DicomOutput = field(default_factory=DicomOutput)


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetSpec:
    """One dataset, from source to release."""

    name: str
    title: str
    source: Source
    channels: tuple[Channel, ...]
    grid: GridSpec
    sampling: Sampling
    release: Release
    description: str = ""
    owner: str = "team:imaging"
    labels: Mapping[str, int] = field(default_factory=dict)  # name to value in the mask
    label_codes: Mapping[str, str] = field(default_factory=dict)  # name to `<SNOMED CT code>|<meaning>`
    clinical: tuple[ColumnSpec, ...] = ()
    rare: RareCombinations = field(default_factory=RareCombinations)
    body_part: str = ""  # DICOM Body Part Examined
    vouching: Vouching = field(default_factory=Vouching)
    split: Split = field(default_factory=Split)
    generator: GeneratorSpec = field(default_factory=GeneratorSpec)
    translation: Translation | None = None
    gates: Gates = field(default_factory=Gates)
    encoder: FeatureEncoder | None = None

    def __post_init__(self) -> None:
        if not SPEC_NAME.fullmatch(self.name):
            raise ConfigError(f"name is {self.name!r}, expected lower-case letters, digits and dashes")
        if not self.channels:
            raise ConfigError("channels is empty: name at least one")
        values = sorted(self.labels.values())
        if len(set(values)) != len(values) or any(not 1 <= value <= 255 for value in values):
            raise ConfigError(f"labels has values {values}: expected different whole numbers from 1 to 255")
        if unknown := sorted(set(self.label_codes) - set(self.labels)):
            raise ConfigError(f"label_codes names {unknown}, which labels lacks")
        columns = [column.name for column in self.clinical]
        if unknown := sorted(set(self.sampling.counts) - set(columns)):
            raise ConfigError(f"sampling.counts names {unknown}, which clinical lacks")
        named = {*self.rare.columns, *self.source.fhir}
        if unknown := sorted(named - set(columns)):
            raise ConfigError(f"rare.columns or source.fhir names {unknown}, which clinical lacks")
        self._check_translation()
        self._check_dicom()
        self._check_private()

    def _check_private(self) -> None:
        if self.generator.differential_privacy is None:
            return
        if self.clinical:
            raise ConfigError(
                f"clinical has {', '.join(column.name for column in self.clinical)} with "
                "generator.differential_privacy, which does not cover the law of the record yet: leave the columns out"
            )
        if self.gates.copy_share:
            raise ConfigError(
                f"gates.copy_share is {self.gates.copy_share} with generator.differential_privacy, but a copy filter "
                "chooses among drawn cases by the training patients, which the guarantee does not cover: set it to 0"
            )

    @property
    def translates_only(self) -> bool:
        """True where scans are translated, and no new cases are drawn: nothing is released."""
        return self.translation is not None and not self.translation.draw

    def _check_dicom(self) -> None:
        output = self.release.dicom
        lost = [channel.name for channel in self.channels if channel.modality == "CT" and channel.unit == "1"]
        if lost and "dicom" in self.release.formats:
            raise ConfigError(
                f'channel {lost[0]} is CT in unit "1", and DICOM states CT in Hounsfield units: set its unit to '
                '"[hnsf\'U]", or leave dicom out of release.formats'
            )
        if (output.enhanced or output.measurements) and "dicom" not in self.release.formats:
            raise ConfigError("release.dicom is set, but release.formats lacks dicom: add it there")
        absent = sorted(set(output.enhanced) - {channel.modality for channel in self.channels})
        if absent:
            raise ConfigError(
                f"release.dicom.enhanced names {', '.join(absent)}, which is no channel's modality"
            )
        if output.measurements and not self.labels:
            raise ConfigError(
                "release.dicom.measurements is true, but without labels there is nothing to measure"
            )

    def _check_translation(self) -> None:
        if not self.split.control and not self.translates_only:
            raise ConfigError(
                "split.control is 0, but cases are drawn, and their privacy is tested with control patients: "
                "give control the share of train, or set translation.draw to false"
            )
        translates = self.generator.family == "translation"
        if translates != (self.translation is not None):
            raise ConfigError(
                f"generator.family is {self.generator.family!r} "
                f"{'without' if translates else 'with'} a section translation, expected both or none of them"
            )
        if self.translation is None:
            return
        names = [channel.name for channel in self.channels]
        used = {*self.translation.source, *self.translation.target}
        if unknown := sorted(used - set(names)):
            raise ConfigError(f"translation names the channels {unknown}, which channels lacks")
        if unused := sorted(set(names) - used):
            raise ConfigError(f"channels has {unused}, which translation does not use: leave them out")


def load_spec(path: Path) -> DatasetSpec:
    """Read one spec.

    Raises:
        SpecError: Unknown key, wrong type or impossible value; the message has the file, the line, what came and
            what was expected. So is a licence that the source does not allow: it is known before anything is trained.
    """
    from synthdata.release.licences import check_licence

    spec = bind_file(DatasetSpec, path)
    try:
        check_licence(spec)
    except GateError as error:
        lines = path.read_text(encoding="utf-8").splitlines()
        line = next((number for number, text in enumerate(lines, start=1) if "licence" in text), 1)
        raise SpecError(f"{path.name}:{line}: {error}") from None
    return spec


def load_specs(folders: list[Path]) -> dict[str, DatasetSpec]:
    """Read all `*.yaml` of some folders, by name. Raises SpecError when two have one name."""
    specs: dict[str, DatasetSpec] = {}
    for path in sorted(path for folder in folders for path in folder.glob("*.yaml")):
        spec = load_spec(path)
        if spec.name in specs:
            raise ConfigError(f"{path.name} is a second spec named {spec.name}: rename one")
        specs[spec.name] = spec
    return specs
