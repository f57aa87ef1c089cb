"""What unit tests share: Hypothesis without a deadline, as on a busy machine the time of one example says nothing."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("without deadline", parent=settings(), deadline=None)
settings.load_profile("without deadline")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Give a folder whose files need not be synced to a disk, of which tests that kill runs would do a lot."""
    in_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        dir=in_memory if os.access(in_memory, os.W_OK) else tmp_path
    ) as folder:
        yield Path(folder)
