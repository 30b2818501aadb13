"""Runs `synthdata ...`, or `publish FOLDER STORE KEYS`, in a process of its own: `limited.py LARGEST_BYTES COMMAND...`.

No file may become larger than LARGEST_BYTES; 0 allows any size.
"""

import resource
import sys
from pathlib import Path

from synthdata import cli
from synthdata.errors import SynthDataError
from synthdata.records import ReleaseManifest, from_json
from synthdata.release import publish
from synthdata.release.trust import load_signer
from synthdata.storage import open_store


def main() -> None:
    largest, command = int(sys.argv[1]), sys.argv[2:]
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if command[0] != "publish":
        sys.argv[1:] = command
        cli.main()
        return
    folder, store, keys = command[1:]
    manifest = from_json(ReleaseManifest, (Path(folder) / "manifest.json").read_bytes())
    try:
        publish(Path(folder), manifest, open_store(store), signer=load_signer(Path(keys)))
    except SynthDataError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
