import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from synthdata.errors import RecordError
from synthdata.generation.receipts import Receipt, ReceiptBook
from synthdata.records import (
    CanaryRecall,
    CaseSet,
    Checkpoint,
    Estimate,
    ExpectationsReport,
    PrivacyReport,
    PrivacyTest,
    SamplePlan,
    TrainingSet,
    UtilityReport,
    Verdict,
    digest_of,
    to_json,
)
from synthdata.records.parquet import read_cases, read_records
from synthdata.spec import DatasetSpec
from synthdata.storage.folder import FolderStore
from synthdata.storage.keys import record as record_key
from synthdata.validation import measure_fidelity, write_report
from synthdata.validation.pictures import case_sheet
from synthdata.validation.report.content import SHEET_CASES, spread_cases
from synthdata.validation.report.words import metric_name, short, unit_name
from tests.services import axe

Cohort = tuple[FolderStore, TrainingSet]
PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


def guess(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.1, high=value + 0.1, n=40)


@pytest.fixture(scope="module")
def inputs(spec: DatasetSpec, cohort: Cohort, synthesise: Callable[..., CaseSet]) -> dict[str, object]:
    store, training_set = cohort
    synthetic = synthesise(n=24, seed=70_000)
    same = {
        "dataset": spec.name,
        "synthetic": digest_of(synthetic),
        "training_set": digest_of(training_set),
    }
    store.write(
        "datasets/ellipsoids/reports/pairs.png",
        case_sheet(spread_cases(training_set.train, store, 2), training_set.scales, training_set.labels),
    )
    test = PrivacyTest(
        name="ratio tail",
        outcome="PASS",
        statistic=3,
        p_value=0.4,
        threshold=0.01,
        power=0.9,
        explanation="fine",
    )
    return {
        "training_set": training_set,
        "synthetic": synthetic,
        "checkpoint": Checkpoint(
            dataset=spec.name, family="flow", config="{}", key="k", sha256="0" * 64, size_bytes=1, train_key="t",
            code_version="0.1.0", seen=800, losses=tuple((i * 10, 1 / (i + 1)) for i in range(40)),
        ),
        "fidelity": measure_fidelity(spec, training_set, synthetic, store),
        "utility": UtilityReport(
            **same, task="segmentation", metric="dice", trtr=guess(0.8), tstr=guess(0.7), ratio=guess(0.88),
            per_label={"organ": (guess(0.9), guess(0.8)), "lesion": (guess(0.7), guess(0.6))}, steps=60, seeds=2,
            figures={},
        ),
        "privacy": PrivacyReport(
            **same, outcome="INCONCLUSIVE", tests=(test,), canaries=(CanaryRecall(kind="exact", planted=9, found=9),),
            copies=Estimate(value=0, low=0, high=0.07, n=40), suspects=("SYN-007",), detectable_share=0.06,
            figures={"nearest_pairs": "datasets/ellipsoids/reports/pairs.png"},
        ),
        "expectations": ExpectationsReport(
            dataset=spec.name, synthetic=digest_of(synthetic), suites={"records": False},
            failed=("records/age_years/expect_x",), evaluated=9,
        ),
        "verdict": Verdict(
            **same, outcome="INCONCLUSIVE", gates={"fidelity": "PASS", "privacy": "INCONCLUSIVE"},
            reasons=("Power is 0.6 <b>below</b> 0.8.",), reports={}, thresholds="0",
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def editions(spec: DatasetSpec, cohort: Cohort, inputs: dict[str, object]) -> dict[str, dict[str, str]]:
    store = cohort[0]
    found = {}
    for edition in ("private", "public"):
        keys = write_report(spec, store, **inputs, edition=edition)
        found[edition] = {kind: store.read(key).decode() for kind, key in keys.items()}
    return found


def test_the_verdict_comes_first_and_words_are_escaped(editions: dict[str, dict[str, str]]) -> None:
    page = editions["public"]["html"]
    assert page.index("INCONCLUSIVE") < page.index("Why") < page.index("Fidelity")
    assert "0.6 &lt;b&gt;below" in page


def test_reasons_of_gates_that_block_come_first(
    spec: DatasetSpec, cohort: Cohort, inputs: dict[str, object]
) -> None:
    reasons = ("fidelity: near enough", "privacy: too few patients")
    verdict = replace(inputs["verdict"], reasons=reasons)
    keys = write_report(spec, cohort[0], **{**inputs, "verdict": verdict}, edition="public")
    page = cohort[0].read(keys["html"]).decode()
    assert page.index("privacy: too few") < page.index("fidelity: near")


def test_what_quality_control_threw_away_is_counted(
    spec: DatasetSpec, cohort: Cohort, inputs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = SamplePlan(
        dataset=spec.name, checkpoint="c", training_set="t", seed=1, cases=24, shard_size=24, steps=1
    )
    shard = inputs["synthetic"].shards[0]
    cohort[0].write(record_key("SamplePlan", digest_of(plan)), to_json(plan))
    receipt = Receipt(shard=shard, rejected={"label_volume": 3, "blank": 0}, kept_failing=1)
    ReceiptBook(cohort[0], spec.name, digest_of(plan)).write(0, receipt)
    synthetic = replace(inputs["synthetic"], parents=(digest_of(plan),))
    reports = ("fidelity", "utility", "privacy", "expectations", "verdict")
    own = {name: replace(inputs[name], synthetic=digest_of(synthetic)) for name in reports}
    keys = write_report(spec, cohort[0], **{**inputs, **own, "synthetic": synthetic}, edition="public")
    page = cohort[0].read(keys["html"]).decode()
    assert "3 draws were thrown away and drawn again (label volume 3); 1 of 24 cases still fail" in page


def test_metrics_and_units_are_said_in_words() -> None:
    assert metric_name("wasserstein/mean_intensity/infarct/CT") == "mean intensity of infarct, CT"
    assert metric_name("correlation/age~volume/infarct") == "age with volume of infarct"
    assert metric_name("frechet_at_infinity") == "Fréchet distance, infinite n"
    assert [short(value) for value in (-7e-5, 0.25, -0.1234, 12.345, 1553.0)] == [
        "0",
        "0.25",
        "-0.123",
        "12.3",
        "1553",
    ]
    assert [unit_name(unit) for unit in ("[hnsf'U]", "1", "mg")] == ["HU", "", "mg"]


def test_the_page_needs_no_network(editions: dict[str, dict[str, str]]) -> None:
    for edition in editions.values():
        assert not re.search(r"(?:src|href)=[\"'](?!data:)", edition["html"])
        assert "<script" not in edition["html"]


def test_the_public_edition_holds_no_real_picture_and_no_real_id(
    editions: dict[str, dict[str, str]], cohort: Cohort, inputs: dict[str, object]
) -> None:
    store, training_set = cohort
    public, private = editions["public"], editions["private"]
    ids = {
        value
        for case_set in (training_set.train, training_set.control, training_set.test)
        for name in ("case_id", "patient_id")
        for value in read_records(store, case_set)[name].to_pylist()
    }
    assert not [found for found in ids if found in public["html"] or found in public["json"]]
    pictures = {
        name: {base64.b64decode(found) for found in PNG.findall(private["html"])} for name in ["private"]
    }
    pictures["public"] = {base64.b64decode(found) for found in PNG.findall(public["html"])}
    real = case_sheet(
        spread_cases(training_set.test, store, SHEET_CASES),
        training_set.scales,
        training_set.labels,
        columns=6,
    )
    pairs = store.read("datasets/ellipsoids/reports/pairs.png")
    assert {real, pairs} <= pictures["private"]
    assert not {real, pairs} & pictures["public"]
    assert "datasets/" not in public["html"] + public["json"]


def test_the_public_edition_reads_no_pixels_of_real_cases(
    spec: DatasetSpec, cohort: Cohort, inputs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthdata.validation.report import content

    def only_synthetic(store: FolderStore, case_set: CaseSet):
        assert case_set.origin == "synthetic"
        return read_cases(store, case_set)

    monkeypatch.setattr(content, "read_cases", only_synthetic)
    write_report(spec, cohort[0], **inputs, edition="public")
    with pytest.raises(AssertionError):
        write_report(spec, cohort[0], **inputs, edition="private")


@pytest.mark.parametrize(
    ("measure", "source"),
    [
        ("frechet", "Heusel et al."),
        ("frechet_at_infinity", "arXiv:1911.07023"),
        ("kid", "arXiv:1801.01401"),
        ("cmmd", "arXiv:2401.09603"),
        ("coverage and density", "arXiv:2002.09797"),
        ("precision and recall", "arXiv:1904.06991"),
        ("vendi", "arXiv:2210.02410"),
        ("wasserstein", "arXiv:1509.02237"),
        ("correlation", "Spearman"),
        ("utility", "arXiv:1706.02633"),
        ("joint_coupling", "Gretton et al."),
        ("ratio_tail", "minP over tails and views"),
        ("copy_search", "Facco et al."),
        ("near_count", "Skellam"),
        ("three_sample_statistic", "arXiv:2004.05675"),
        ("authentic_share", "arXiv:2102.08921"),
        ("cliques", "arXiv:2301.13188"),
        ("membership", "arXiv:1909.03935"),
        ("density_ratio_attack", "arXiv:2302.12580"),
        ("loss_attack", "arXiv:2302.03262"),
        ("share recognised at 1 % of false alarms", "arXiv:2112.03570"),
        ("clinical table", "arXiv:2211.10459"),
        ("rates of the clinical table", "Wilson"),
        ("neighbours in the clinical table", "Gower"),
        ("k-anonymity", "Sweeney"),
    ],
)
def test_method_notes_name_the_source_of_every_measure(
    editions: dict[str, dict[str, str]], measure: str, source: str
) -> None:
    for edition in editions.values():
        notes = edition["html"].partition("<h2>Method</h2>")[2]
        assert source in notes, measure


def test_the_json_beside_it_has_all_reports(editions: dict[str, dict[str, str]]) -> None:
    numbers = json.loads(editions["public"]["json"])
    assert numbers["verdict"]["outcome"] == "INCONCLUSIVE"
    assert len(numbers["fidelity"]["triples"]) > 5


def test_a_report_of_other_cases_is_refused(
    spec: DatasetSpec, cohort: Cohort, inputs: dict[str, object]
) -> None:
    other = replace(inputs["utility"], synthetic="0" * 64)
    with pytest.raises(RecordError, match="utility report is of CaseSet"):
        write_report(spec, cohort[0], **{**inputs, "utility": other}, edition="public")


@pytest.mark.service
@pytest.mark.slow
@pytest.mark.skipif(bool(axe.missing()), reason=axe.missing() or "installed")
@pytest.mark.parametrize(
    ("edition", "scheme", "width"), [("public", "light", 500), ("private", "dark", 1000)]
)
def test_axe_finds_no_violation(
    editions: dict[str, dict[str, str]], tmp_path: Path, edition: str, scheme: str, width: int
) -> None:
    page = tmp_path / "page.html"
    page.write_text(editions[edition]["html"], encoding="utf-8")
    found = axe.judge(page, tmp_path / "profile", dark=scheme == "dark", width=width)
    assert (found.dark, found.violations) == (scheme == "dark", ())


@pytest.mark.service
@pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed")
def test_the_page_loads_in_a_browser_without_console_errors(
    editions: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    page, shot = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(editions["private"]["html"], encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += [
        f"--user-data-dir={tmp_path}/profile",
        f"--screenshot={shot}",
        "--window-size=1200,3000",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    assert shot.stat().st_size > 50_000
