"""Progress of a run: a live line on a terminal, plain lines elsewhere."""

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
_MOST_PATHS = 6


class Progress:
    """Listener that prints the entries of a run; use it as a context manager.

    Args:
        stream: Where to write; standard error, so that standard output stays for results.
        quiet: Whether to write nothing.
        worked_s: Working time of the run before this session.
    """

    def __init__(
        self, *, stream: TextIO = sys.stderr, quiet: bool = False, worked_s: float = 0.0
    ) -> None:
        # Rich takes FORCE_COLOR, common on build machines, for a terminal, and would write a live
        # line into a file.
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
        """Keep a piece of the model's text for the live line."""
        self._text = (self._text + piece)[-_TAIL_CHARACTERS:]

    def on(self, entry: Entry) -> None:
        """Write the line of an entry of the trace, if it has one."""
        line = self._line(entry.event)
        if line:
            self.say(f"[{_clock(entry.elapsed_s)}] {line}")

    def _line(self, event: Event) -> str:
        match event:
            case ModelCalled():
                self._count(event)
                return ""
            case ToolRan():
                return self._tool_line(event)
            case InstructionStarted():
                return self._start_line(event)
            case InstructionCompleted():
                unchecked = "" if event.checked else ", unchecked"
                return f"instruction {event.number} done{unchecked} ({self._tokens} tokens so far)"
            case PartStarted():
                self._instruction = event.name
                return event.name
            case PartEnded():
                end = "finished, unchecked" if event.claimed_done else "context window full"
                return f"{self._instruction}: {end} ({self._tokens} tokens so far)"
            case _:
                pass
        return _sentence(event) or _planning_sentence(event)

    def _count(self, event: ModelCalled) -> None:
        self._text = ""
        self._tokens += event.prompt_tokens + event.completion_tokens
        self._cost_usd += event.cost_usd

    def _start_line(self, event: InstructionStarted) -> str:
        self._instruction = f"instruction {event.number}/{event.total}"
        if not event.restart:
            return self._instruction
        return f"{self._instruction}, context window exhausted: restart {event.restart}"

    def _tool_line(self, event: ToolRan) -> str:
        for change in event.changes:
            (self._files.discard if change.deleted else self._files.add)(change.path)
        paths = ", ".join(change.path for change in event.changes[:_MOST_PATHS])
        failed = "" if event.ok else " (failed)"
        return one_line(f"{event.name} {paths}{failed}", 160)

    def _status(self) -> Text:
        cost = f", {self._cost_usd:.2f} USD" if self._cost_usd else ""
        elapsed = _clock(time.monotonic() - self._started_at)
        parts = [f"{self._tokens} tokens{cost}", f"{len(self._files)} files", elapsed]
        if self._instruction:
            parts.insert(0, self._instruction)
        width = max(self._console.width - 4, 20)
        status = Text(" · ".join(parts), style="bold", no_wrap=True, overflow="ellipsis")
        tail = Text("  " + one_line(self._text[-width:], width), style="dim")
        return Text("\n").join([status, tail])


def _sentence(event: Event) -> str:
    """Return the line of an event about plan, files, checks or sandbox, or ''."""
    match event:
        case Checked():
            return f"{_check_name(event)}: {event.verdict} ({event.summary})"
        case PlanMade():
            return f"plan of {len(event.instruction_objects)} instructions"
        case InstructionsAdded():
            count = len(event.instruction_objects)
            return f"{count} follow-up instructions for unverified requirements"
        case StoreRestored():
            return event.reason or "attempt failed: the verified files are restored"
        case ProtocolChosen():
            format_ = "native" if event.protocol == "native" else "JSON by schema"
            return f"tool call format: {format_}"
        case SandboxOpened() if event.purpose == "work":
            return "sandbox verified"
        case CandidateChosen():
            passed = ", ".join(map(str, event.passed))
            return (
                f"candidates passed {passed} of {event.tests} tests:"
                f" candidate {event.chosen} selected"
            )
        case _:
            return ""


def _check_name(event: Checked) -> str:
    if event.final:
        return "verified in a fresh sandbox"
    return "baseline" if event.baseline else "checked"


def _planning_sentence(event: Event) -> str:
    """Return the line of an event about requirements or changes of the plan, or ''."""
    match event:
        case (
            RequirementsListed()
            | CoverageClaimed()
            | PlanRevised()
            | Replanned()
            | RequirementsVerified()
        ) if event.problem:
            return f"{event.kind}: {one_line(event.problem, 160)}"
        case RequirementsListed():
            return f"the task has {len(event.requirement_objects)} requirements"
        case CoverageClaimed():
            missing = sum(not covering for covering in event.steps)
            return f"{missing} requirements are not covered by the plan"
        case PlanRevised():
            count = len(event.instruction_objects)
            return f"plan of {count} instructions after {event.reason} {event.round}"
        case Replanned():
            done = "split into" if event.action == "split" else "postponed after"
            return f"instruction {event.number} {done} {len(event.instruction_objects)} others"
        case RequirementsVerified():
            return (
                f"{event.verified} of {event.total} requirements verified, as claimed by the model"
            )
        case _:
            return ""


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:d}:{int(seconds) % 60:02d}"
