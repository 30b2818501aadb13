"""What is held back is private, sealed, listed without a value, and let pass by a signed approval alone."""

import json
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from synthdata.cli import app
from synthdata.errors import ConfigError, GateError, IntegrityError, TrustError
from synthdata.intake import inspect, take_in
from synthdata.intake.approvals import Approval, keep_approval, load_approvals
from synthdata.intake.attestation import Attestation
from synthdata.intake.quarantine import held_files, read_held
from synthdata.intake.sealing import Seal
from synthdata.intake.signatures import Reviewer, load_reviewers, public_key_of, sign
from synthdata.records import to_json
from synthdata.spec import Vouching
from tests.intake.planter import FAMILY, GIVEN, TOKENS

ROLE = "privacy officer"
WHY = "Looked at both files, the word is a scanner's name."
NAME = "intake-test"


def keep_key(path, data, rights=0o600) -> None:
    path.write_bytes(data)
    path.chmod(rights)


def planted(build, scans) -> None:
    for number in range(3):
        datasets = build.series(f"PAT-{number}", seed=number)
        if number == 1:
            datasets[2].ManufacturerModelName = f"Scanner {FAMILY}"
        build.write(scans, datasets, f"{number}-")


def take(build, scans, private, **vouching):
    spec = build.spec(vouching=Vouching(**vouching))
    return take_in(spec, scans, private, pseudonym_key=build.key)


@pytest.fixture
def signing(tmp_path, monkeypatch) -> Ed25519PrivateKey:
    """A reviewer's key, as a file and on the list of reviewers."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "reviewer.pem").write_bytes(pem)
    rows = [{"role": ROLE, "public_key": public_key_of(key)}]
    (tmp_path / "reviewers.json").write_text(json.dumps(rows))
    monkeypatch.setenv("SYNTHDATA_REVIEWERS", str(tmp_path / "reviewers.json"))
    return key


def test_with_a_key_nothing_of_a_held_file_can_be_read_and_with_it_all(
    build, scans, private, tmp_path, monkeypatch
) -> None:
    planted(build, scans)
    key = secrets.token_bytes(32)
    keep_key(tmp_path / "key", key.hex().encode())
    monkeypatch.setenv("SYNTHDATA_QUARANTINE_KEY", str(tmp_path / "key"))
    take(build, scans, private)
    files = held_files(private, NAME)
    assert [held.sealed for held in files] == [True] * 5
    everything = b"".join(private.read(name) for name in private.keys(""))
    assert FAMILY.encode() not in everything
    opened = [read_held(private, NAME, held.sha256, Seal(key)) for held in files]
    assert sum(FAMILY.encode() in data for data in opened) == 1
    with pytest.raises(IntegrityError):
        read_held(private, NAME, files[0].sha256, Seal(bytes(32)))
    with pytest.raises(GateError, match="no key"):
        read_held(private, NAME, files[0].sha256, None)


def test_files_that_lay_in_the_clear_are_sealed_once_there_is_a_key(
    build, scans, private, tmp_path, monkeypatch
) -> None:
    planted(build, scans)
    take(build, scans, private)
    assert not any(held.sealed for held in held_files(private, NAME))
    keep_key(tmp_path / "key", secrets.token_bytes(32))
    monkeypatch.setenv("SYNTHDATA_QUARANTINE_KEY", str(tmp_path / "key"))
    (scans / "more.dcm").write_bytes(b"\0" * 128 + b"DICM")  # so that the run is not the last one again
    take(build, scans, private)
    assert all(held.sealed for held in held_files(private, NAME))
    assert FAMILY.encode() not in b"".join(private.read(name) for name in private.keys(""))


def test_an_approval_lets_exactly_its_files_pass_for_exactly_its_reasons(
    build, scans, private, signing
) -> None:
    planted(build, scans)
    first = take(build, scans, private)
    assert (first.cases.cases, first.approved) == (2, 0)
    named = {held.sha256: held.reasons for held in held_files(private, NAME)}
    facts = {"dataset": NAME, "role": ROLE, "because": WHY, "date": "2026-11-25"}
    other = Approval(files=tuple(named), reasons=("deid.birth_date",), **facts)
    keep_approval(private, other, signing)
    assert take(build, scans, private).cases.cases == 2
    right = Approval(files=tuple(named), reasons=("deid.name_in_text",), **facts)
    keep_approval(private, right, signing)
    last = take(build, scans, private)
    assert (last.cases.cases, last.accepted, last.quarantined, last.approved) == (3, 15, 0, 1)
    assert take(build, scans, private) == last


def test_an_approval_by_another_key_or_role_is_not_trusted(build, scans, private, signing) -> None:
    facts = {"files": ("00",), "reasons": ("deid.date",), "because": WHY, "date": "2026-11-25"}
    stranger = Ed25519PrivateKey.generate()
    known = {public_key_of(signing): Reviewer(role=ROLE, public_key=public_key_of(signing))}
    keep_approval(private, Approval(dataset="other", role="intern", **facts), signing)
    with pytest.raises(TrustError, match="its key belongs to"):
        load_approvals(private, "other", known)
    keep_approval(private, Approval(dataset=NAME, role=ROLE, **facts), stranger)
    with pytest.raises(TrustError, match="not on the list"):
        load_approvals(private, NAME, known)
    with pytest.raises(ConfigError, match="no list of reviewers"):
        load_approvals(private, NAME, {})
    with pytest.raises(GateError, match="nobody can approve"):
        Approval(dataset=NAME, role=ROLE, **{**facts, "reasons": ("source.synthetic",)})


@pytest.mark.parametrize("rights", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_no_key(build, scans, private, tmp_path, monkeypatch, rights) -> None:
    planted(build, scans)
    keep_key(tmp_path / "key", secrets.token_bytes(32), rights)
    monkeypatch.setenv("SYNTHDATA_QUARANTINE_KEY", str(tmp_path / "key"))
    with pytest.raises(ConfigError, match=f"{rights:04o}.*chmod 600"):
        take(build, scans, private)
    assert held_files(private, NAME) == []


def test_a_withdrawn_approval_holds_its_files_again_and_untrusted_ones_can_be_removed(
    build, scans, private, signing, tmp_path
) -> None:
    planted(build, scans)
    take(build, scans, private)
    facts = {"dataset": NAME, "role": ROLE, "because": WHY, "date": "2026-11-25"}
    files = tuple(held.sha256 for held in held_files(private, NAME))
    approval = Approval(files=files, reasons=("deid.name_in_text",), **facts)
    record = keep_approval(private, approval, signing)
    assert (take(build, scans, private).approved, take(build, scans, private).quarantined) == (1, 0)
    unlisted = keep_approval(private, approval, Ed25519PrivateKey.generate())
    with pytest.raises(TrustError, match="not on the list"):
        take(build, scans, private)
    said, run = ("--private", str(tmp_path / "private")), CliRunner().invoke
    shown = run(app, ["quarantine", "show", NAME, *said]).output
    assert (record[:12] in shown, unlisted[:12] in shown, "withdraw" in shown) == (True, True, True)
    assert run(app, ["quarantine", "withdraw", NAME, unlisted[:12], *said]).exit_code == 0
    assert take(build, scans, private).approved == 1
    assert run(app, ["quarantine", "withdraw", NAME, record[:12], *said]).exit_code == 0
    last = take(build, scans, private)
    assert (last.approved, last.quarantined, last.cases.cases) == (0, 5, 2)
    assert last.accepted + last.quarantined + last.refused == last.seen
    assert run(app, ["quarantine", "withdraw", NAME, record[:12], *said]).exit_code == 1


@pytest.mark.parametrize(
    "listing", [b"no JSON", b'{"files": [{"sha256": "00", "size_bytes": 1, "reasons": ["Zacharias"]}]}']
)
def test_a_listing_that_was_changed_is_not_believed(build, scans, private, listing, tmp_path) -> None:
    planted(build, scans)
    take(build, scans, private)
    (key,) = [key for key in private.keys("") if "listing-" in key]
    private.write(key, listing)
    shown = CliRunner().invoke(app, ["quarantine", "list", "--private", str(tmp_path / "private")])
    assert shown.exit_code == 1
    assert "not what intake wrote" in str(shown.exception)
    assert FAMILY not in shown.output


def test_only_what_the_controller_attested_is_taken_in(build, scans, private, signing, tmp_path) -> None:
    build.write(scans, build.series("PAT-1"))
    (tmp_path / "report.json").write_bytes(to_json(inspect(scans)))
    said = [
        *("attest", str(tmp_path / "report.json"), "--out", str(tmp_path / "attested.json")),
        *("--key", str(tmp_path / "reviewer.pem"), "--controller", "A hospital", "--role", ROLE),
        *(
            "--legal-basis",
            "research law",
            "--profile",
            "PS3.15 basic",
            "--tool",
            "a tool 1.0",
            "--inspected",
            "300",
        ),
    ]
    assert CliRunner().invoke(app, said).exit_code == 0
    where = str(tmp_path / "attested.json")
    good = take(build, scans, private, attestation=where)
    assert good.accepted == 5
    assert any("0 defects in 300" in note and "1.0%" in note for note in good.notes)
    build.write(scans, build.series("PAT-2", seed=2), "2-")
    later = take(build, scans, private, attestation=where)
    assert (later.accepted, {one.code for one in later.reasons}) == (0, {"source.not_attested"})
    assert any("another inventory" in note for note in later.notes)


def attested(report, key, role=ROLE) -> bytes:
    facts = {
        "controller": "A hospital",
        "legal_basis": "law",
        "profile": "PS3.15",
        "tool": "a 1",
        "inspected": 9,
    }
    return sign(
        Attestation(inventory=report.inventory, role=role, defects=0, date="2026-11-25", **facts), key
    )


@pytest.mark.parametrize("what", ["role", "key", "content", "no record"])
def test_an_attestation_that_cannot_be_trusted_holds_all_files(
    build, scans, private, signing, tmp_path, what
) -> None:
    build.write(scans, build.series("PAT-1"))
    key = Ed25519PrivateKey.generate() if what == "key" else signing
    data = attested(inspect(scans), key, role="intern" if what == "role" else ROLE)
    if what == "content":
        data = data.replace(b"A hospital", b"B hospital")
    (tmp_path / "attested.json").write_bytes(data if what != "no record" else b"{}")
    report = take(build, scans, private, attestation=str(tmp_path / "attested.json"))
    assert (report.accepted, {one.code for one in report.reasons}) == (0, {"source.not_attested"})
    assert any("attestation" in note for note in report.notes)


def test_a_list_of_reviewers_with_a_key_that_is_none_is_refused(tmp_path) -> None:
    (tmp_path / "list.json").write_text(json.dumps([{"role": ROLE, "public_key": "00"}]))
    with pytest.raises(ConfigError, match="1 public keys that are none"):
        load_reviewers(tmp_path / "list.json")


def test_the_commands_show_counts_and_reasons_and_never_a_value(
    build, scans, private, signing, tmp_path, capsys
) -> None:
    planted(build, scans)
    datasets = build.series("PAT-9", seed=9)
    datasets[0].PatientName = f"{FAMILY}^{GIVEN}"
    build.write(scans, datasets, "9-")
    take(build, scans, private)
    url, run = str(tmp_path / "private"), CliRunner().invoke
    listed = run(app, ["quarantine", "list", "--private", url])
    shown = run(app, ["quarantine", "show", NAME, "--private", url])
    assert "deid.name_in_text" in listed.output
    assert "deid.person_name" in shown.output
    held = next(one for one in held_files(private, NAME) if one.reasons == ("deid.name_in_text",))
    said = [
        "quarantine",
        "approve",
        NAME,
        held.sha256[:12],
        "--private",
        url,
        "--role",
        ROLE,
        "--because",
        WHY,
    ]
    fetched = [
        "quarantine",
        "fetch",
        NAME,
        held.sha256[:12],
        "--private",
        url,
        "--to",
        str(tmp_path / "one.dcm"),
    ]
    assert run(app, fetched).exit_code == 0
    assert FAMILY.encode() in (tmp_path / "one.dcm").read_bytes()
    approved = run(app, [*said, "--key", str(tmp_path / "reviewer.pem")])
    assert approved.exit_code == 0, approved.output
    assert take(build, scans, private).approved == 1
    told = listed.output + shown.output + approved.output + capsys.readouterr().out
    assert not any(token in told for token in (*TOKENS, "PAT-"))
