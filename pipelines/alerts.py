"""Where alerts go: one JSON line each, in a file that any monitoring can follow, and the log of the daemon."""

import json
from datetime import UTC, datetime
from pathlib import Path

from pipelines.places import VAR, address


def alert(kind: str, *, job: str, run: str, names: list[str]) -> Path:
    """Append one alert; names of steps and checks alone, never a message that may quote a value.

    Args:
        kind: Such as run_failed or check_failed.
        job: Name of the job.
        run: Run id, by which the UI shows the details.
        names: Steps or checks.

    Returns:
        The file.
    """
    path = Path(address("SYNTHDATA_ALERTS", VAR / "alerts")) / "alerts.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "kind": kind,
        "job": job,
        "run": run,
        "names": names,
    }
    with path.open("a", encoding="utf-8") as writer:
        writer.write(json.dumps(line) + "\n")
    return path
