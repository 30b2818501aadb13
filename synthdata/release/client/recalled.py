"""Was a pulled release withdrawn? Told by the signed list in its folder, and by the newest that was seen here."""

from pathlib import Path

from synthdata.errors import SynthDataError
from synthdata.records.codec import from_json
from synthdata.release.client.local import Origin, read_metadata, read_origin
from synthdata.release.client.trusted import remembered_recalls
from synthdata.release.trust.recalls import RecallList
from synthdata.storage import keys


def recall_reason(origin: Origin, listed: RecallList) -> str | None:
    """Reason of a recall; None where none is known."""
    remembered = remembered_recalls(origin.url)
    return listed.reason(origin.dataset, origin.version) or remembered.reason(origin.dataset, origin.version)


def recall_sentence(folder: Path) -> str:
    """What to say of a folder; empty where no recall is known or it is no pulled release.

    Signatures are for `check`; whoever can change the list in the folder can change the rest of it, too.
    """
    try:
        origin = read_origin(folder) if folder.is_dir() else None
        if origin is None:
            return ""
        listed = from_json(RecallList, read_metadata(folder).get(keys.RECALLS, b""))
        reason = recall_reason(origin, listed)
    except (SynthDataError, OSError):
        return ""
    return f"{origin.dataset} {origin.version} was recalled: {reason}. Use another version" if reason else ""
