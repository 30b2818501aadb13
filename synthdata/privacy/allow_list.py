"""The operator's allow list: which key may waive which gates. It lies with the operator, not in the private store."""

import json
from pathlib import Path

from synthdata.errors import TrustError
from synthdata.privacy.waivers import Signatory

KEY_CHARACTERS = 64


def read_allow_list(path: Path) -> dict[str, Signatory]:
    """Read who may waive a blocked gate.

    Args:
        path: JSON file, a list of `{"role": ..., "public_key": 64 hex digits, "gates": [...]}`.

    Returns:
        Public key to signatory.

    Raises:
        TrustError: The file cannot be read, has another form, or names a key twice.
    """
    try:
        signatories = [_signatory(entry) for entry in json.loads(path.read_bytes())]
    except (OSError, ValueError, KeyError, TypeError):
        raise TrustError(
            "the allow list cannot be read, expected a JSON list with role, public_key (64 hex digits) and gates of "
            "each signatory: mend the file, or unset its setting to allow no waiver"
        ) from None
    allowed = {signatory.public_key: signatory for signatory in signatories}
    if len(allowed) != len(signatories):
        raise TrustError("the allow list names a key twice, expected once: join the two entries")
    return allowed


def _signatory(entry: dict[str, object]) -> Signatory:
    """One entry. Raises KeyError, TypeError or ValueError where it has another form."""
    role, key, gates = entry["role"], entry["public_key"], entry["gates"]
    if not (isinstance(role, str) and isinstance(key, str) and isinstance(gates, list) and role):
        raise TypeError
    if len(bytes.fromhex(key)) * 2 != KEY_CHARACTERS or not all(isinstance(gate, str) for gate in gates):
        raise ValueError
    return Signatory(role=role, public_key=key.lower(), gates=frozenset(gates))
