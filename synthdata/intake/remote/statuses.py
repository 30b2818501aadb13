"""What the status of an answer means: nothing, a sentence, or that the question may be asked again later."""

import email.utils
import time
from collections.abc import Mapping

from synthdata.errors import SourceError
from synthdata.intake.remote.credentials import PASSWORD, TOKEN, USER
from synthdata.intake.remote.problems import LaterError, NotThereError, RefusedError

LATER = frozenset({408, 425, 429, 500, 502, 503, 504})  # worth another try


def check(status: int, headers: Mapping[str, str]) -> None:
    """Raise for an answer which holds nothing that was asked for."""
    if status in {200, 204, 206}:
        return
    if status in {401, 403}:
        raise RefusedError(
            f"the DICOMweb server refused the credentials ({status}), expected an account with the right to read: "
            f"set {USER} and {PASSWORD}, or {TOKEN}, and run it again"
        )
    if status in {404, 410}:
        raise NotThereError(
            f"the DICOMweb server does not have what was asked for ({status}), expected its root as address, such as "
            "https://host/dicom-web: check it"
        )
    if status in LATER:
        what = "asks for fewer questions" if status == 429 else "failed"
        raise LaterError.of(
            f"the DICOMweb server {what} ({status}), expected an answer: see its log, and run it again, it goes on "
            "where it was",
            wait_s(headers.get("Retry-After", ""), headers.get("Date", "")),
        )
    if 300 <= status < 400:
        raise SourceError(
            f"the DICOMweb server sends elsewhere ({status}), which is not followed: name the address that it moved to"
        )
    raise SourceError(
        f"the DICOMweb server refused the question ({status}), expected QIDO-RS and WADO-RS: name the root of the "
        "service, such as https://host/dicom-web, and see what the server supports"
    )


def wait_s(text: str, now: str) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date.

    Args:
        text: Of the header.
        now: Date of the answer, by the clock that the date was taken from: ours may be another.
    """
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    at = _seconds(text)
    return None if at is None else max(0.0, at - (_seconds(now) or time.time()))


def _seconds(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError, OverflowError):
        return None
