"""The built release of the release tests, and disks of a few pages."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import pytest

from tests.faults import disks
from tests.release.conftest import (  # noqa: F401 - fixtures
    _own_trust,
    _short_report,
    built,
    made,
    master,
    private,
    published,
    releases,
    signer,
)

Disk = Callable[[int], AbstractContextManager[disks.SmallDisk]]
why_not = cache(disks.missing)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Mounts a disk of some pages; the test is skipped where that is not allowed."""
    if reason := why_not():
        pytest.skip(reason)
    numbers = iter(range(1000))
    return lambda pages: disks.small_disk(tmp_path / f"disk-{next(numbers)}", pages)
