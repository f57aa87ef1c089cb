"""A file to warm the checkers with, so that later jobs start fast."""

import pytest


def test_sample(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Use a fixture, a rewritten assertion and an expected error, as most tests do."""
    with pytest.raises(ValueError, match="x"):
        int("x")
    assert sorted("ba") == ["a", "b"]
    assert tmp_path_factory is not None
