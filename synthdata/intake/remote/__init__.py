"""Scans of a server, fetched to a private folder of this machine: DICOMweb, or a prefix of S3."""

from synthdata.intake.remote.access import fetch, is_remote, look

__all__ = ["fetch", "is_remote", "look"]
