"""Show a run's progress from its events: a live line for a person, plain lines elsewhere, nothing when quiet."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from l2mac.safe_text import clean, one_line
from l2mac.trace.chain import Entry
from l2mac.trace.events import (
    CandidateChosen,
    Checked,
    CoverageClaimed,
    Event,
    InstructionCompleted,
    InstructionsAdded,
    InstructionStarted,
    MethodNote,
    ModelCalled,
    PartEnded,
    PartStarted,
    PlanMade,
    PlanRevised,
    ProtocolChosen,
    Replanned,
    RequirementsListed,
    RequirementsVerified,
    SandboxOpened,
    StoreRestored,
    ToolRan,
)

_TAIL_CHARACTERS = 400
_THOUGHTS = (RequirementsListed, CoverageClaimed, PlanRevised, Replanned, RequirementsVerified)
_PARTS = (PartStarted, PartEnded, CandidateChosen)
Thought = RequirementsListed | CoverageClaimed | PlanRevised | Replanned | RequirementsVerified


class Progress:
    """Listens to a run's entries and its model's text; use as a context manager around the run.

    Args:
        stream: Where to write; standard error, so that standard output stays for results.
        quiet: Whether to write nothing.
        worked_s: How long the run has been worked on before.
    """

    def __init__(
        self, *, stream: TextIO = sys.stderr, quiet: bool = False, worked_s: float = 0.0
    ) -> None:
        # Not what rich takes for a terminal: FORCE_COLOR, common on build machines, would put a live line into a file.
        self._console = Console(
            file=stream, force_terminal=stream.isatty(), highlight=False, soft_wrap=True
        )
        self._quiet = quiet
        self._live: Live | None = None
        self._tokens = 0
        self._cost_usd = 0.0
        self._instruction = ""
        self._text = ""
        self._files: set[str] = set()
        self._started_at = time.monotonic() - worked_s

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(
                console=self._console,
                refresh_per_second=8,
                transient=True,
                get_renderable=self._status,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """Write one line."""
        if not self._quiet:
            self._console.print(Text(clean(line)))

    def heard(self, piece: str) -> None:
        """Take in a piece of the model's text as it arrives."""
        self._text = (self._text + piece)[-_TAIL_CHARACTERS:]

    def on(self, entry: Entry) -> None:
        """Take in an entry of the run's trace."""
        line = self._line(entry)
        if line:
            self.say(f"[{_clock(entry.elapsed_s)}] {line}")

    def _line(self, entry: Entry) -> str:
        event = entry.event
        if isinstance(event, ModelCalled):
            self._text = ""
            self._tokens += event.prompt_tokens + event.completion_tokens
            self._cost_usd += event.cost_usd
            return ""
        if isinstance(event, ToolRan):
            return self._tool_line(event)
        if isinstance(event, InstructionStarted):
            self._instruction = f"instruction {event.number}/{event.total}"
            return self._instruction + (
                f", context exhausted: restart {event.restart}" if event.restart else ""
            )
        if isinstance(event, Checked):
            how = (
                "verified in a fresh box"
                if event.final
                else "as it came"
                if event.baseline
                else "checked"
            )
            return f"{how}: {event.verdict} ({event.summary})"
        if isinstance(event, InstructionCompleted):
            unchecked = "" if event.checked else ", unchecked"
            return f"instruction {event.number} done{unchecked} ({self._tokens} tokens so far)"
        if isinstance(event, _PARTS):
            return self._part_line(event)
        return _sentence(event)

    def _part_line(self, event: MethodNote) -> str:
        if isinstance(event, PartStarted):
            self._instruction = event.name
            return event.name
        if isinstance(event, PartEnded):
            end = "done, unchecked" if event.claimed_done else "ended by a full context"
            return f"{self._instruction}: {end} ({self._tokens} tokens so far)"
        passed = ", ".join(map(str, event.passed))
        return (
            f"the candidates passed {passed} of {event.tests} tests; number {event.chosen} is kept"
        )

    def _tool_line(self, event: ToolRan) -> str:
        for change in event.changes:
            (self._files.discard if change.deleted else self._files.add)(change.path)
        paths = ", ".join(change.path for change in event.changes[:6])
        return one_line(f"{event.name} {paths}" + ("" if event.ok else " (not done)"), 160)

    def _status(self) -> Text:
        spent = f"{self._tokens} tokens" + (f", {self._cost_usd:.2f} USD" if self._cost_usd else "")
        elapsed = _clock(time.monotonic() - self._started_at)
        parts = [
            part
            for part in (self._instruction, spent, f"{len(self._files)} files", elapsed)
            if part
        ]
        width = max(self._console.width - 4, 20)
        status = Text(" · ".join(parts), style="bold", no_wrap=True, overflow="ellipsis")
        return Text("\n").join(
            [status, Text("  " + one_line(self._text[-width:], width), style="dim")]
        )


def _sentence(event: Event) -> str:
    """Say what needs nothing but the event itself; empty where nothing is worth a line."""
    if isinstance(event, InstructionsAdded):
        return f"{len(event.instruction_objects)} instructions more, for what is not shown"
    if isinstance(event, StoreRestored):
        return event.reason or "the attempt failed; the files are again those that were verified"
    if isinstance(event, PlanMade):
        return f"plan of {len(event.instruction_objects)} instructions"
    if isinstance(event, _THOUGHTS):
        return _thought(event)
    if isinstance(event, ProtocolChosen):
        return f"the model calls tools by {'native tool calls' if event.protocol == 'native' else 'JSON'}"
    return "box verified" if isinstance(event, SandboxOpened) and event.purpose == "work" else ""


def _thought(event: Thought) -> str:
    """Say what came of thinking about the program or the result."""
    if event.problem:
        return f"{event.kind}: {one_line(event.problem, 160)}"
    match event:
        case RequirementsListed():
            return f"the task has {len(event.requirement_objects)} requirements"
        case CoverageClaimed():
            return f"{sum(not covering for covering in event.steps)} requirements are missing in the plan"
        case PlanRevised():
            return f"a plan of {len(event.instruction_objects)} instructions after {event.reason} {event.round}"
        case Replanned():
            done = "split into" if event.action == "split" else "put off behind"
            return f"instruction {event.number} {done} {len(event.instruction_objects)} others"
        case RequirementsVerified():
            return f"{event.verified} of {event.total} requirements shown, as the model claims"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:d}:{int(seconds) % 60:02d}"
