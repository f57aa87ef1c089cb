"""Sessions on a run's folder with scripted replies and scripted sandboxes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

from run_specs import SpecValues, run_spec

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.processor.messages import Reply, ToolCall
from l2mac.runs.execute import Resources, SessionResult, execute
from l2mac.testing.processor import ScriptedProcessor
from sandbox import Job
from sandbox.testing import SandboxScript, ScriptedRun

ScriptedRuns = Sequence[ScriptedRun | Exception] | Callable[[tuple[Job, ...]], ScriptedRun]


def call(name: str, **arguments: object) -> Reply:
    """Return a reply that is one tool call."""
    return Reply(content="", tool_calls=(ToolCall("x", name, json.dumps(arguments)),))


def write(content: str = "A = 1\n", path: str = "a.py") -> Reply:
    """Return a reply that writes one file."""
    return call("write_files", files=[{"path": path, "content": content}])


class ScriptedSessions:
    """A run's folder, and sessions on it, one after the other.

    Attributes:
        processor: The newest session's replies and requests.
        script: The newest session's sandboxes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processor = ScriptedProcessor([])
        self.script = SandboxScript()

    def work(
        self,
        replies: Sequence[Reply | Exception],
        runs: ScriptedRuns = (),
        *,
        limits: Limits | None = None,
        **values: Unpack[SpecValues],
    ) -> SessionResult:
        """Execute one session.

        Args:
            replies: The reply to each call of the model.
            runs: The outcome of each run in the sandboxes.
            limits: The session's limits.
            values: Fields of the run's specification.
        """
        self.processor = ScriptedProcessor(replies)
        self.script = SandboxScript(runs=runs)
        resources = Resources(
            processor=self.processor,
            open_sandbox=lambda _: self.script.make_sandbox(),
            limits=limits or Limits(),
            prices=Prices(prompt_usd=1000, completion_usd=1000),
            model="scripted",
            image="none",
        )
        return execute(self.folder, run_spec(**values), resources, "run")

    def last_words(self) -> str:
        """Return the last message of the newest request."""
        return self.processor.requests[-1].messages[-1].content
