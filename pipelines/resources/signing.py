"""Keys of the release store, from a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from synthdata.privacy.waivers import Signatory
    from synthdata.release.trust import ReleaseSigner


class KeysFolder(dg.ConfigurableResource[None]):
    """Loads the keys when a release is signed; makes development keys where the folder is empty and it may."""

    folder: str = Field(
        description="Holds root.json and <role>.pem; the key of root stays elsewhere in production."
    )
    make_development_keys: bool = Field(
        default=True,
        description="Make keys in an empty folder; the release then says that they are for trying out.",
    )

    allow_list: str = Field(
        default="", description="JSON file of those who may waive a blocked gate; empty allows no waiver."
    )

    def signer(self) -> "ReleaseSigner":
        """Signers of the release store.

        Raises:
            TrustError: There are no keys and none may be made, or a key is not the one that the root names.
        """
        from synthdata.release.trust import init_keys, load_signer

        folder = Path(self.folder)
        if self.make_development_keys and not any(folder.glob("*")):
            return init_keys(folder, development=True)
        return load_signer(folder)

    def signatories(self) -> "Mapping[str, Signatory]":
        """Who may waive a blocked gate, by public key.

        Raises:
            TrustError: The allow list is named and cannot be read.
        """
        if not self.allow_list:
            return {}
        from synthdata.privacy.allow_list import read_allow_list

        return read_allow_list(Path(self.allow_list))
