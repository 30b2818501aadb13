"""Which code made a result: a digest of sources, so that a change of code is seen by itself."""

import hashlib
from functools import cache
from pathlib import Path


@cache
def code_digest(*packages: str) -> str:
    """Twelve hex digits of the files of some packages below `synthdata`."""
    root = Path(__file__).parent
    hasher = hashlib.sha256()
    for package in packages:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                hasher.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return hasher.hexdigest()[:12]
