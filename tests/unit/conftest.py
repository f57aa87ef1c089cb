"""What unit tests share: Hypothesis with the examples of the tier.

It has no deadline, as on a busy machine the time of one example says nothing.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiers
from hypothesis import settings

settings.register_profile("tier", parent=settings(), deadline=None, max_examples=tiers.examples())
settings.load_profile("tier")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory, where the many syncs of a killed run cost nothing."""
    in_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        dir=in_memory if os.access(in_memory, os.W_OK) else tmp_path
    ) as folder:
        yield Path(folder)
