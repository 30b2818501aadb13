"""Is this image synthetic? Marks in the header, a keyed watermark in the pixels, hashes in a registry."""

from synthdata.provenance.registry import Registry, open_registry, write_registry
from synthdata.provenance.verify import Evidence, VerifyResult, verify_file

__all__ = ["Evidence", "Registry", "VerifyResult", "open_registry", "verify_file", "write_registry"]
