"""The datasheet: what the data are, how they were made, what was measured, what they must not be used for.

Source of the questions: Gebru et al., "Datasheets for Datasets", CACM 2021, arXiv:1803.09010.
"""

from collections.abc import Sequence

from synthdata.records.estimate import Estimate
from synthdata.release.document import Block, Bullets, Link, Picture, Section, Table, Text
from synthdata.release.inputs import ReleaseInputs
from synthdata.release.layout import GALLERY, INDEX, RECORDS, REGISTRY, UNDATED
from synthdata.release.licences import licence_url

FORBIDDEN = (
    "Diagnosis, treatment or any other decision about a person.",
    "Attempts to identify a person, or to tell who was in the training data.",
    "Passing the images off as real: keep the marks, in the header, in the pixels and in the registry.",
    "Evidence of clinical performance on its own: no regulator accepts synthetic data alone; test on real patients.",
)
LIMITS = (
    "Synthetic is not anonymous in law: the risk that was measured is stated above, and no test can prove its absence.",
    "Distance tests can show that cases were copied; they cannot show that none were.",
    (
        "Findings and anatomy which are rare in the source are rarer or missing here. "
        "Groups which the source lacks are absent here too."
    ),
    "A pixel watermark and header marks are evidence, not proof: both can be removed by somebody who wants to.",
)
REGULATION = (
    (
        "EU AI Act (Regulation 2024/1689), Art. 50(2): synthetic images are marked in a "
        "machine-readable and detectable way. "
        "This release does so in three layers: the header, the pixels and a signed registry of pixel hashes."
    ),
    (
        "GDPR: Recital 26 asks for all means reasonably likely to be used to single out, link or infer a person. "
        "Synthetic data are not anonymous by themselves, and a model trained on personal data may be personal data "
        "(EDPB Opinion 28/2024): the weights are not a part of this release."
    ),
    "HIPAA, 45 CFR 164.514(b): the source was taken in only with evidence of de-identification.",
    (
        "FDA and MHRA: synthetic data supplement real data in a submission, are described as such, "
        "and stay out of the test "
        "set or are justified there."
    ),
)
PRIVATE = (
    "It bounds what the weights of the generator, and the cases as they were drawn from them, tell about one training "
    "patient. It does not cover what looked at patients elsewhere: intake and preparation, the measures in this "
    "datasheet, and the verdict, without which there would be no release. It holds for this release alone: "
    "budgets of generators trained on the same patients add up."
)
NOTICE = (
    "Synthetic. Not for diagnosis. Not certified anonymous in law; the measured risk is in evidence/privacy.json. "
    "Report a suspected re-identification to the publisher. Do not attempt re-identification."
)


def datasheet(inputs: ReleaseInputs, *, gallery: Sequence[str]) -> tuple[str, tuple[Section, ...]]:
    """Title and sections of the datasheet.

    Args:
        inputs: The records behind the release.
        gallery: Paths of the pictures in the release.
    """
    release = inputs.spec.release
    title = f"{inputs.spec.title} {release.version}"
    sections = (
        Section(title="What it is", blocks=_what(inputs, gallery)),
        Section(title="How it was made", blocks=_made(inputs)),
        Section(title="Source and licence", blocks=_source(inputs)),
        Section(title="Fidelity", blocks=_fidelity(inputs)),
        Section(title="Utility", blocks=_utility(inputs)),
        Section(title="Privacy", blocks=_privacy(inputs)),
        Section(title="Marks of synthetic data", blocks=_marks(inputs)),
        Section(title="Limits", blocks=(Bullets(items=LIMITS), *_notes(inputs))),
        Section(title="Forbidden uses", blocks=(Bullets(items=FORBIDDEN),)),
        Section(
            title="Regulation",
            blocks=(Text(text="For orientation; no legal advice."), Bullets(items=REGULATION)),
        ),
        Section(title="How to use it", blocks=_use(inputs)),
        Section(title="Where it comes from, by digest", blocks=_provenance(inputs)),
    )
    return title, sections


def _what(inputs: ReleaseInputs, gallery: Sequence[str]) -> tuple[Block, ...]:
    spec, cases = inputs.spec, inputs.synthetic
    depth, height, width = inputs.training_set.grid.shape_zyx
    spacing = " x ".join(f"{mm:g}" for mm in inputs.training_set.grid.spacing_mm)
    channels = ", ".join(
        f"{name} ({modality}, unit {unit})"
        for name, modality, unit in zip(cases.channels, cases.modalities, cases.units, strict=True)
    )
    rows = [
        ("Cases", str(cases.cases)),
        ("Channels", channels),
        ("Voxels (z, y, x)", f"{depth} x {height} x {width} of {spacing} mm"),
        (
            "Labels",
            ", ".join(f"{inputs.label_words(name)} = {value}" for name, value in sorted(cases.labels.items()))
            or "none",
        ),
        ("Record", ", ".join(column.name for column in cases.columns) or "none"),
        ("Formats", ", ".join(inputs.spec.release.formats)),
        ("Created", "not stated" if inputs.created == UNDATED else inputs.created),
    ]
    blocks: list[Block] = [Text(text=NOTICE, warning=True)]
    if inputs.development_keys:
        words = "Signed with development keys: good for trying out, not to be trusted by anybody else."
        blocks.append(Text(text=words, warning=True))
    blocks += [Text(text=spec.description or spec.title), Table(header=("What", "Value"), rows=tuple(rows))]
    if gallery:
        words = f"Synthetic cases of {spec.title}, with the outlines of their labels"
        blocks += [Picture(source=gallery[0], words=words), Link(target=GALLERY, text="All pictures")]
    return tuple(blocks)


def _made(inputs: ReleaseInputs) -> tuple[Block, ...]:
    intake, checkpoint, plan = inputs.intake, inputs.checkpoint, inputs.plan
    counts = [(group, str(count)) for group, count in inputs.training_set.patients.items()]
    dropped = [(f"dropped: {code}", str(count)) for code, count in inputs.training_set.dropped.items()]
    return (
        Text(
            text=f"Images and masks were drawn together by a generator of family {checkpoint.family}, conditioned on "
            f"the clinical record, with {plan.steps} sampling steps, after {checkpoint.seen} training volumes."
        ),
        Table(
            header=("Intake, files", "Count"),
            rows=(
                ("seen", str(intake.seen)),
                ("accepted", str(intake.accepted)),
                ("of these, approved by a signed review", str(intake.approved)),
                ("quarantined", str(intake.quarantined)),
                ("refused", str(intake.refused)),
                *((f"{reason.outcome}: {reason.code}", str(reason.files)) for reason in intake.reasons),
            ),
        ),
        Table(header=("Patients in", "Count"), rows=(*counts, *dropped)),
    )


def _source(inputs: ReleaseInputs) -> tuple[Block, ...]:
    release = inputs.spec.release
    source = "The built-in digital phantom: no real patient is behind it."
    if inputs.spec.source.kind != "phantom":
        source = f"De-identified scans under {release.source_licence or 'no stated licence'}."
    return (
        Text(text=source),
        Text(text=f"Attribution: {release.attribution or 'none asked for'}"),
        Link(target=licence_url(release.licence), text=f"Licence of this release: {release.licence}"),
    )


def _fidelity(inputs: ReleaseInputs) -> tuple[Block, ...]:
    rows = tuple(
        (item.family, item.metric, _of(item.generated), _of(item.floor), _of(item.ceiling), _of(item.score))
        for item in inputs.fidelity.triples
    )
    scores = tuple((family, _of(score)) for family, score in sorted(inputs.fidelity.scores.items()))
    return (
        Text(
            text="Each number was measured at equal n: generated against test, floor (training against test) and "
            "ceiling (degraded against test). Score 0 is as good as real data, 1 as bad as degraded ones. In brackets: "
            f"{_level(inputs.utility.ratio)} intervals over patients."
        ),
        Table(header=("Family", "Median score"), rows=scores),
        Table(header=("Family", "Metric", "Generated", "Floor", "Ceiling", "Score"), rows=rows),
        *_subgroups(inputs),
    )


def _subgroups(inputs: ReleaseInputs) -> tuple[Block, ...]:
    found = inputs.fidelity.subgroups
    if not found:
        return ()
    families = tuple(inputs.fidelity.scores)
    rows = tuple(
        (
            group.name,
            group.outcome,
            *(_of(group.scores[family]) if family in group.scores else "-" for family in families),
            group.told,
        )
        for group in found
    )
    worst = tuple(note for note in inputs.fidelity.notes if note.startswith("worst subgroup"))
    return (
        Text(text="Median scores by subgroup, which are reported and decide nothing."),
        *(Text(text=f"{note[:1].upper()}{note[1:]}.") for note in worst),
        Table(header=("Subgroup", "Outcome", *families, "What it says"), rows=rows),
    )


def _utility(inputs: ReleaseInputs) -> tuple[Block, ...]:
    utility = inputs.utility
    rows = [("all", _of(utility.trtr), _of(utility.tstr)), *(
        (name, _of(real), _of(synthetic)) for name, (real, synthetic) in sorted(utility.per_label.items())
    )]  # fmt: skip
    return (
        Text(
            text=f"The same model ({utility.task}, {utility.steps} steps, {utility.seeds} seeds) was trained on real "
            f"and on synthetic data and tested on real patients; metric: {utility.metric}. Ratio: "
            f"{_of(utility.ratio)}. In brackets: {_level(utility.ratio)} intervals by bootstrap over "
            f"{utility.ratio.n} test patients and {utility.seeds} seeds."
        ),
        Table(header=("Label", "Trained on real", "Trained on synthetic"), rows=tuple(rows)),
    )


def _privacy(inputs: ReleaseInputs) -> tuple[Block, ...]:
    privacy = inputs.privacy
    tests = tuple(
        (test.name, test.outcome, "-" if test.p_value is None else f"{test.p_value:.3g}",
         "-" if test.power is None else f"{test.power:.2f}", test.explanation)
        for test in privacy.tests
    )  # fmt: skip
    canaries = tuple((item.kind, str(item.planted), str(item.found)) for item in privacy.canaries)
    return (
        Text(
            text=f"Outcome: {privacy.outcome}. Suspected copies: {_of(privacy.copies)} of the cases. The primary test "
            f"sees a share of copies of {privacy.detectable_share:.1%} or more."
        ),
        *_guarantee(inputs),
        Text(
            text=f"Copy filter: {privacy.copy_filter or 'none was used, the cases are as they were drawn'}."
        ),
        Table(header=("Test", "Outcome", "p", "Power", "What it means"), rows=tests),
        Table(header=("Planted canaries", "Planted", "Found"), rows=canaries),
    )


def _guarantee(inputs: ReleaseInputs) -> tuple[Block, ...]:
    found = inputs.checkpoint.privacy
    if found is None:
        return (Text(text="Differential privacy: none."),)
    return (Text(text=f"Differential privacy: {found.sentence()}. {PRIVATE}"),)


def _marks(inputs: ReleaseInputs) -> tuple[Block, ...]:
    key = inputs.plan.watermark_key
    pixels = f"Pixels: keyed watermark, key {key}." if key else "Pixels: no watermark was embedded."
    return (
        Bullets(
            items=(
                (
                    "Header: Synthetic Data (0008,001C) is YES, Contributing Equipment names the synthesizing "
                    "equipment, images are DERIVED and SECONDARY, ids start with SYN-; segmentations are marked too."
                ),
                pixels,
                f"Registry: hashes of all images in {REGISTRY}, which the signed manifest names.",
            )
        ),
        Text(text="synthdata verify FILE --registry FOLDER", code=True),
    )


def _notes(inputs: ReleaseInputs) -> tuple[Block, ...]:
    notes = (*inputs.fidelity.notes, *inputs.utility.notes, *inputs.privacy.notes, *inputs.intake.notes)
    return (Text(text="Notes of the validators:"), Bullets(items=notes)) if notes else ()


def _use(inputs: ReleaseInputs) -> tuple[Block, ...]:
    spec = inputs.spec
    return (
        Text(
            text=f"synthdata pull {spec.name}@{spec.release.version} --from STORE --to FOLDER\nsynthdata check FOLDER",
            code=True,
        ),
        Text(
            text=f"{INDEX} has a row per case with its record, label volumes, files and digests, and no pixels; "
            f"{RECORDS} has the records alone. In data/*.parquet an array is the raw little-endian "
            f"bytes, in C order, of "
            "a binary column: `image` (c, z, y, x) and `mask` (z, y, x); the field's metadata give "
            "dtype, axes and unit, "
            "and column `shape_zyx` the shape of each case. World coordinates are LPS in mm."
        ),
        Text(
            text="Each case is one independent synthetic patient: any split of the cases is a split of patients."
        ),
    )


def _provenance(inputs: ReleaseInputs) -> tuple[Block, ...]:
    rows = tuple(sorted(inputs.provenance.items()))
    return (
        Text(
            text="The records that the gate was decided on are in evidence/, so that anybody can decide it again."
        ),
        Table(header=("Record", "SHA-256 or version"), rows=rows),
    )


def _of(estimate: Estimate) -> str:
    return f"{estimate} (n = {estimate.n})"


def _level(estimate: Estimate) -> str:
    return f"{estimate.level:.0%}"
