"""What an intake looks for beyond the standard, and what the operator allows on the record."""

from dataclasses import dataclass, field
from typing import Literal

from synthdata.intake.deny_list import DenyList, load_deny_list
from synthdata.spec import Vouching, expanded

TextPolicy = Literal["check", "off"]
FacePolicy = Literal["hold", "deface", "allow"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Rules of one intake."""

    deny: DenyList = field(default_factory=DenyList)
    private_elements: frozenset[str] = (
        frozenset()
    )  # `CREATOR|gggg,ee`, allowed beside the safe ones of PS3.15
    burned_in_text: TextPolicy = "check"
    faces: FacePolicy = "hold"

    def allows_private(self, creator: str, element: str) -> bool:
        """True for an element that the operator put on the list of safe ones."""
        return f"{creator}|{element}" in self.private_elements

    def allows_creator(self, creator: str) -> bool:
        """True for a creator of such an element."""
        return any(name.split("|")[0] == creator for name in self.private_elements)


STRICT = Policy()


def policy_of(vouching: Vouching) -> Policy:
    """Rules as a spec states them. Raises ConfigError where the deny list cannot be read."""
    path = expanded(vouching.deny_list, "vouching.deny_list") if vouching.deny_list else None
    return Policy(
        deny=load_deny_list(path) if path is not None else DenyList(),
        private_elements=frozenset(vouching.private_elements),
        burned_in_text=vouching.burned_in_text,
        faces=vouching.faces,
    )
