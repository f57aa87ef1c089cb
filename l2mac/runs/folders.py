"""The folders of recorded runs: names, creation and lookup."""

import re
import secrets
import time
from pathlib import Path

from l2mac.errors import RunNotFound, TraceError
from l2mac.trace.journal import TRACE_FILE


def new_run(runs_dir: Path, task: str) -> Path:
    """Return the new folder of a run, named by time and task.

    Raises:
        TraceError: The folder cannot be made.
    """
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{slug(task)}-{secrets.token_hex(2)}"
    folder = runs_dir / name
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        problem = f"The run folder {folder} cannot be made: {error.strerror}."
        raise TraceError(f"{problem} Choose another folder with --runs-dir.") from error
    return folder


def find_run(runs_dir: Path, name: str) -> Path:
    """Return the folder of a run by its name, a unique beginning of it, a path, or `last`.

    Raises:
        RunNotFound: No run or several runs match.
    """
    if (Path(name) / TRACE_FILE).is_file():
        return Path(name)
    folders = sorted(path.parent for path in runs_dir.glob(f"*/{TRACE_FILE}"))
    if name == "last":
        found = folders[-1:]
    else:
        found = [folder for folder in folders if folder.name.startswith(name)]
    if len(found) != 1:
        problem = f"{len(found)} runs start with {name!r}" if found else f"No run matches {name!r}"
        raise RunNotFound(f"{problem} in {runs_dir}. `l2mac runs` lists all runs.")
    return found[0]


def slug(text: str) -> str:
    """Return the first words of a text as a file name."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return "-".join(words[:5])[:40].strip("-") or "run"
