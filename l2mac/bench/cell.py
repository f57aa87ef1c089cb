"""One (task, variant, seed) combination; its folder holds its state.

```
DIR/TASK/VARIANT/seed-N/
  cell.json            the settings; another bench with other settings is refused
  RUN/                 the run, recorded like every run
  measurement.json     its measurement; with it the cell is finished
```
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from l2mac.bench.measurement import Measurement, read_measurement, write_whole
from l2mac.bench.task import Task
from l2mac.bench.variant import Variant
from l2mac.control.outcome import Status
from l2mac.control.run_spec import RunSpec
from l2mac.errors import SettingsError, TraceError
from l2mac.settings.settings import Settings
from l2mac.trace.chain import read_trace
from l2mac.trace.events import RunStarted
from l2mac.trace.history import effective, state_of
from l2mac.trace.journal import TRACE_FILE
from l2mac.workspace.input_folder import Input

CELL_FILE = "cell.json"
_ENDED = frozenset(
    (
        Status.COMPLETED,
        Status.FAILING,
        Status.REQUIREMENTS_UNVERIFIED,
        Status.BUDGET,
        Status.NO_PLAN,
    )
)
_LIMITS = ("max_turns", "max_restarts", "max_tokens", "max_cost", "max_time")
_MODEL = (
    "model",
    "prompt_price",
    "completion_price",
    "tool_protocol",
    "image",
    "runtime",
    "memory",
    "disk",
    "timeout",
)
_NOT_FACTS = ("task", "definition", "setup")
_ROLE_SECRETS = {role: {"api_key_file", "base_url"} for role in ("plan", "judge")}

CellState = Literal["new", "begun", "ended", "measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell and its folder.

    Attributes:
        facts: All that decides its result, for comparing with an earlier bench in the folder.
        given: The existing files that its run begins with.
    """

    task: Task
    variant: Variant
    seed: int
    folder: Path
    settings: Settings
    plan: RunSpec
    facts: Mapping[str, object]
    given: Input | None = None

    @property
    def name(self) -> str:
        """Task, variant and seed, for people."""
        return f"{self.task.name} {self.variant.name} seed {self.seed}"

    @property
    def run(self) -> Path | None:
        """The folder of the cell's run, if it has begun."""
        traces = sorted(self.folder.glob(f"*/{TRACE_FILE}"))
        begun = [path.parent for path in traces if _has_begun(path)]
        if len(begun) > 1:
            raise TraceError(
                f"{self.folder} has {len(begun)} runs instead of one. Remove all but one."
            )
        return begun[0] if begun else None

    def state(self) -> CellState:
        """Return how far the cell's run has come.

        Raises:
            TraceError: The folder's files cannot be read or do not belong together.
            SettingsError: The folder was begun with other settings.
        """
        self._check_facts()
        run, measured = self.run, self.measurement()
        if measured is not None:
            if run is None or not _belongs_to(measured, run):
                raise TraceError(
                    f"The measurement in {self.folder} is not that of the run beside it."
                    " Remove it to measure the run."
                )
            return "measured"
        if run is None:
            return "new"
        events = [entry.event for entry in effective(read_trace(run / TRACE_FILE)[0])]
        return "ended" if state_of(events) in _ENDED else "begun"

    def measurement(self) -> Measurement | None:
        """Return the cell's measurement, if there is one."""
        return read_measurement(self.folder)

    def begin(self) -> None:
        """Create the folder and write its settings there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TraceError(f"{self.folder} cannot be created: {error.strerror}") from error
        text = json.dumps(self.facts, indent=1, sort_keys=True)
        write_whole(self.folder / CELL_FILE, text.encode() + b"\n")

    def _check_facts(self) -> None:
        path = self.folder / CELL_FILE
        try:
            before = json.loads(path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            raise TraceError(f"{path} cannot be read: {error}") from error
        now = json.loads(json.dumps(self.facts))
        if not isinstance(before, dict):
            raise TraceError(f"{path} is not what was written. Choose another folder.")
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                change = f"{key}: {_short(before.get(key))}, now {_short(now.get(key))}"
                raise SettingsError(
                    "--dir",
                    f"{self.folder} was begun with other settings ({change})."
                    " Choose another folder.",
                )


def facts_of(
    task: Task, variant: Variant, seed: int, settings: Settings, plan: RunSpec
) -> dict[str, object]:
    """Return all that decides a cell's result, by name."""
    recorded = asdict(plan)
    planning = recorded.pop("planning")
    for name in _NOT_FACTS:
        recorded.pop(name, None)
    named = settings.model_dump(mode="json")
    roles = settings.roles.model_dump(mode="json", exclude_defaults=True, exclude=_ROLE_SECRETS)
    definition = plan.definition.encode("utf-8", "surrogatepass")
    return {
        **recorded,
        **{f"planning.{name}": value for name, value in planning.items()},
        **{name: named[name] for name in (*_LIMITS, *_MODEL)},
        "roles": roles,
        "domain_definition": hashlib.sha256(definition).hexdigest(),
        "task": task.name,
        "task_digest": task.digest,
        "variant": variant.name,
        "seed": seed,
    }


def _belongs_to(measured: Measurement, run: Path) -> bool:
    return measured.run == run.name and measured.seal == read_trace(run / TRACE_FILE)[2]


def _has_begun(trace: Path) -> bool:
    """Return whether a trace has its first event; without it nothing can be resumed."""
    return any(isinstance(entry.event, RunStarted) for entry in read_trace(trace)[0])


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
