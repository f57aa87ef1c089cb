"""The control unit's room: a run's folder, scripted replies and boxes, and reports of checks to script them with."""

import json
from pathlib import Path

from run_specs import run_spec

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.processor.messages import Reply, ToolCall
from l2mac.runs.execute import Resources, SessionResult, execute
from l2mac.testing.memory_sandbox import SandboxScript, ScriptedRun
from l2mac.testing.processor import ScriptedProcessor
from sandbox import Cause, JobResult, Stream

LINT = b'{"e": "end", "code": 0}\n'


def stream(content: bytes = b"") -> Stream:
    return Stream(content, b"", len(content))


def job(name: str, report: bytes, *, cause: Cause = Cause.EXITED, code: int = 0) -> JobResult:
    return JobResult(name, cause, code, 1, stream(), stream(), stream(report))


def report_of_tests(outcome: str, code: int) -> bytes:
    declared = {"e": "declared", "ids": ["t"]}
    collected = {"e": "collected", "ids": ["t"]}
    call = {"e": "phase", "id": "t", "when": "call", "outcome": outcome, "text": "assert 1 == 2"}
    teardown = {"e": "phase", "id": "t", "when": "teardown", "outcome": "passed"}
    lines = (declared, collected, call, teardown, {"e": "end", "code": code})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def checked(outcome: str) -> ScriptedRun:
    code = 0 if outcome == "passed" else 1
    return ScriptedRun(
        jobs=(job("lint", LINT), job("tests", report_of_tests(outcome, code), code=code))
    )


NO_TESTS = ScriptedRun(
    jobs=(
        job("lint", LINT),
        job(
            "tests",
            b'{"e": "declared", "ids": []}\n{"e": "collected", "ids": []}\n{"e": "end", "code": 5}\n',
            code=5,
        ),
    )
)
HANGING = ScriptedRun(jobs=(job("lint", LINT), job("tests", b"", cause=Cause.TIMEOUT)))
PASSED, FAILED = checked("passed"), checked("failed")


def call(name: str, **arguments: object) -> Reply:
    return Reply(content="", tool_calls=(ToolCall("x", name, json.dumps(arguments)),))


def write(content: str = "A = 1\n", path: str = "a.py") -> Reply:
    return call("write_files", files=[{"path": path, "content": content}])


class Room:
    """A run folder, and sessions on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processor = ScriptedProcessor([])
        self.boxes = SandboxScript()

    def work(
        self, replies, runs=(), *, limits: Limits | None = None, **plan: object
    ) -> SessionResult:
        self.processor = ScriptedProcessor(replies)
        self.boxes = SandboxScript(runs=runs)
        means = Resources(
            processor=self.processor,
            open_sandbox=lambda _: self.boxes.make_sandbox(),
            limits=limits or Limits(),
            prices=Prices(prompt_usd=1000, completion_usd=1000),
            model="scripted",
            image="none",
        )
        return execute(self.folder, run_spec(**plan), means, "run")

    def last_words(self) -> str:
        """What the control unit said last in the newest request."""
        return self.processor.requests[-1].messages[-1].content
