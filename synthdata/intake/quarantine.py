"""The private store's quarantine: bytes by digest, and a listing with reasons and no values."""

import json

from synthdata.intake.inventory import Inventory
from synthdata.storage import keys
from synthdata.storage.commit import commit_blob
from synthdata.storage.protocol import ObjectStore


def keep_quarantined(store: ObjectStore, dataset: str, inventory: Inventory) -> str | None:
    """Copy the files which are held back, and write the listing.

    Args:
        store: The private store.
        dataset: Name of the dataset.
        inventory: The finished book of the intake.

    Returns:
        Key of the listing, or None where nothing is held back.

    Raises:
        StoreError: The store cannot be written.
    """
    entries: dict[str, dict[str, object]] = {}
    there = set(store.keys(keys.quarantined(dataset, "")))  # of earlier runs: they are not read again
    for seen in inventory.files:
        if seen.outcome == "quarantined" and seen.sha256 not in entries:
            if keys.quarantined(dataset, seen.sha256) not in there:
                data = inventory.reread(seen)
                if data is None:
                    continue
                commit_blob(store, keys.quarantined(dataset, seen.sha256), data)
            entries[seen.sha256] = {
                "sha256": seen.sha256,
                "size_bytes": seen.size_bytes,
                "reasons": sorted(seen.reasons),
            }
    if not entries:
        return None
    listing = {"inventory": inventory.digest(), "files": [entries[digest] for digest in sorted(entries)]}
    key = keys.quarantined(dataset, f"listing-{inventory.digest()[:16]}.json")
    store.write(key, json.dumps(listing, sort_keys=True, separators=(",", ":")).encode())
    return key
