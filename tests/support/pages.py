"""The commands of a page of the documentation, and the surroundings of a stranger who types them."""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commands_of(document: str) -> list[str]:
    """Give the commands of a page's shell blocks, in their order and without comments."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Give the variables of a process whose runs and settings lie in a folder of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("L2MAC_", "OPENAI_", "PYTEST"))
    }
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    own = {
        "PATH": path,
        "L2MAC_RUNS_DIR": str(folder / "runs"),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }
    return {**kept, **own, **variables}
