"""Tokens that edits save against whole files, for the same changes of one recorded run.

    .venv/bin/python tests/bench/edits.py [RUN'S FOLDER]

Every turn of the trace that changed files is made again on a file store in memory, in three ways:

- with `write_files`, each file whole
- with `apply_patch` (three lines of context), and `write_files` for new files
- with one `edit_file` per changed place, and `write_files` for new files

After every turn the three stores must be the same, hash by hash. Tokens are the estimate that runs
themselves use, without calibration.
"""

import difflib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from l2mac.file_store import FileStore
from l2mac.processor.messages import Message, Role, ToolCall
from l2mac.processor.token_estimate import TokenEstimator
from l2mac.tools.base import Toolbelt, ToolContext
from l2mac.tools.files import file_tools
from l2mac.trace.chain import read_trace
from l2mac.trace.events import ModelCalled, ToolRan
from l2mac.trace.journal import OBJECTS_FILE
from l2mac.trace.objects import ObjectStore
from sandbox.testing import SandboxScript

SESSION = Path(__file__).resolve().parents[2] / "examples" / "sessions" / "url-shortener"
Files = dict[str, str]
Calls = list[tuple[str, dict[str, object]]]
Way = Callable[[Files, Files], Calls]


def turns_of(folder: Path) -> Iterator[tuple[Files, Files]]:
    """Yield the files before and after each turn that changed texts."""
    objects = ObjectStore(folder / OBJECTS_FILE)
    before: Files = {}
    after: Files = {}
    for entry in read_trace(folder / "trace.jsonl")[0]:
        if isinstance(entry.event, ModelCalled) and after != before:
            yield before, dict(after)
            before = dict(after)
        for change in entry.event.changes if isinstance(entry.event, ToolRan) else ():
            if change.deleted:
                after.pop(change.path, None)
            else:
                after[change.path] = objects.get(change.digest).decode("utf-8")
    if after != before:
        yield before, after


def whole(before: Files, after: Files) -> Calls:
    """Write every changed file whole."""
    return _written([path for path in after if after[path] != before.get(path)], after) + _deleted(
        before, after
    )


def patched(before: Files, after: Files) -> Calls:
    """Patch existing files, write new ones."""
    new = [path for path in after if path not in before]
    patch = "".join(
        _diff(path, before[path], after[path])
        for path in before
        if before[path] != after.get(path, before[path])
    )
    calls = _written(new, after)
    if patch:
        calls.append(("apply_patch", {"patch": patch}))
    return calls + _deleted(before, after)


def edited(before: Files, after: Files) -> Calls:
    """Replace each changed place by itself, write new files."""
    calls = _written([path for path in after if path not in before], after)
    for path in before:
        if path in after and before[path] != after[path]:
            edits = _edits(path, before[path], after[path])
            calls += edits if edits is not None else _written([path], after)
    return calls + _deleted(before, after)


def measure(turns: list[tuple[Files, Files]], way: Way, folder: Path) -> tuple[int, int, int]:
    """Perform all turns in one way, and return tokens out, turns and calls."""
    belt, estimator = Toolbelt(file_tools(), {}), TokenEstimator()
    store = FileStore(SandboxScript().make_sandbox, ObjectStore(folder / f"{way.__name__}.pack"))
    tokens = calls = 0
    for before, after in turns:
        made = [
            ToolCall(str(n), name, json.dumps(arguments))
            for n, (name, arguments) in enumerate(way(before, after))
        ]
        for call in made:
            outcome = belt.perform(call, ToolContext(store, 4000, 5.0))
            if not outcome.ok:
                raise SystemExit(f"{way.__name__}: {call.name} was refused. {outcome.text}")
        if {entry.path: store.read(entry.path).decode() for entry in store.files} != after:
            raise SystemExit(f"{way.__name__}: the store differs from the trace.")
        tokens += estimator.estimate([Message(Role.ASSISTANT, "", tuple(made))])
        calls += len(made)
    return tokens, len(turns), calls


def main(folder: Path) -> None:
    """Print the figures for all changes and for those of existing files alone."""
    turns = list(turns_of(folder))
    changing = [
        turn
        for turn in turns
        if any(path in turn[1] and turn[1][path] != text for path, text in turn[0].items())
    ]
    print(f"{folder.name}: {len(turns)} turns changed files, {len(changing)} existing files")
    print(f"{'way':10} {'tokens out':>10} {'turns':>6} {'calls':>6} {'of whole':>9}")
    with tempfile.TemporaryDirectory() as scratch:
        first = 0
        for way in (whole, patched, edited):
            tokens, count, calls = measure(turns, way, Path(scratch))
            first = first or tokens
            print(f"{way.__name__:10} {tokens:10} {count:6} {calls:6} {tokens / first:9.0%}")
    print("only the turns that changed existing files:")
    for name, tokens in _changing_alone(changing).items():
        print(f"{name:10} {tokens:10} {len(changing):6}")


def _changing_alone(turns: list[tuple[Files, Files]]) -> dict[str, int]:
    estimator = TokenEstimator()
    totals: dict[str, int] = {}
    for before, after in turns:
        known = {path: text for path, text in after.items() if path in before}
        for way in (whole, patched, edited):
            made = tuple(
                ToolCall("1", name, json.dumps(arguments))
                for name, arguments in way(before, {**before, **known})
            )
            totals[way.__name__] = totals.get(way.__name__, 0) + estimator.estimate(
                [Message(Role.ASSISTANT, "", made)]
            )
    return totals


def _written(paths: list[str], files: Files) -> Calls:
    listed = [{"path": path, "content": files[path]} for path in paths]
    return [("write_files", {"files": listed})] if listed else []


def _deleted(before: Files, after: Files) -> Calls:
    gone = [path for path in before if path not in after]
    return [("delete_files", {"paths": gone})] if gone else []


def _diff(path: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _edits(path: str, old: str, new: str) -> Calls | None:
    """Return one replacement per changed place, or None if a place cannot be told apart.

    Each replacement has as many lines of context as make it unique.
    """
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    calls: Calls = []
    text = old
    blocks = [
        code
        for code in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if code[0] != "equal"
    ]
    for _, start, end, first, last in blocks:
        for around in range(12):
            lower, upper = max(start - around, 0), min(end + around, len(before))
            piece = "".join(before[lower:upper])
            put = (
                "".join(before[lower:start])
                + "".join(after[first:last])
                + "".join(before[end:upper])
            )
            if piece and text.count(piece) == 1 and text.find(piece) == text.rfind(piece):
                calls.append(("edit_file", {"path": path, "old": piece, "new": put}))
                text = text.replace(piece, put)
                break
        else:
            return None
    return calls if text == new else None


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SESSION)
