"""Folders of this machine."""

from pathlib import Path

import dagster as dg
from pydantic import Field


class WorkplaceResource(dg.ConfigurableResource[None]):
    """Where the phantom's scans lie and where releases are put together."""

    sources_folder: str = Field(description="Parent of the phantom's cohorts.")
    staging_folder: str = Field(description="Parent of the releases that are being built.")

    @property
    def sources(self) -> Path:
        """Parent of the phantom's cohorts."""
        return Path(self.sources_folder)

    @property
    def staging(self) -> Path:
        """Parent of the releases that are being built."""
        return Path(self.staging_folder)
