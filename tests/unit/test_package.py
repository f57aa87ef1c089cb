"""What `import l2mac` loads, and what it offers."""

import subprocess
import sys

import pytest

import l2mac

HEAVY = {"docker", "openai", "httpx2", "pydantic", "click", "rich", "requests", "yaml", "loguru"}


def test_importing_the_package_loads_none_of_its_libraries() -> None:
    code = "import sys; import l2mac; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "l2mac.version" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


def test_package_attribute_loads_its_modules_on_access() -> None:
    code = "import sys; import l2mac; l2mac.Run; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert {"docker", "openai"} <= set(done.stdout.split())


@pytest.mark.parametrize("name", l2mac.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(l2mac, name) is not None
    assert name in dir(l2mac)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such"):
        _ = l2mac.no_such
