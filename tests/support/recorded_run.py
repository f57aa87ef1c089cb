"""A short run with a scripted model and a sandbox in memory, recorded in a folder."""

import json
from collections.abc import Callable
from pathlib import Path

from run_specs import run_spec
from sandbox_scripts import PASSED

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.processor.messages import Reply, ToolCall
from l2mac.runs.execute import Resources, SessionResult, execute
from l2mac.testing.processor import ScriptedProcessor
from sandbox import Sandbox
from sandbox.testing import SandboxScript


def call(name: str, **arguments: object) -> Reply:
    return Reply(content="", tool_calls=(ToolCall("x", name, json.dumps(arguments)),))


def write(**files: str) -> Reply:
    """Return a reply that writes Python files; two underscores in a name stand for a slash."""
    listed = [
        {"path": path.replace("__", "/") + ".py", "content": text} for path, text in files.items()
    ]
    return call("write_files", files=listed)


PLAN = call("submit_plan", steps=["Write a.", "Write b."])
VIEW = call("view_files", files=[{"path": "a.py"}])
DONE = call("complete_instruction")
SUMMARY = Reply(content="It is done.")
STORY = (
    PLAN,
    write(a="A = 1\n"),
    VIEW,
    write(a="A = 2\n"),
    DONE,
    SUMMARY,
    write(p__b="B = 1\n"),
    DONE,
    SUMMARY,
)
"""Steps: 0 start, 1 and 2 a.py, 3 completed, 4 p/b.py, 5 completed."""


def record(folder: Path, replies: tuple[Reply, ...] = STORY, *, turns: int = 40) -> SessionResult:
    """Execute the run in that folder, or resume it."""
    folder.mkdir(exist_ok=True, parents=True)
    resources = Resources(
        processor=ScriptedProcessor(replies),
        open_sandbox=sandbox_maker(),
        limits=Limits(turns=turns),
        prices=Prices(),
        model="scripted",
        image="none",
    )
    return execute(folder, run_spec(), resources, "run")


def sandbox_maker() -> Callable[[str], Sandbox]:
    """Return a maker of sandboxes in which every check passes."""
    return lambda _: SandboxScript(runs=[PASSED] * 9).make_sandbox()
