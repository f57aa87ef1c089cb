"""One cell of a benchmark: a task done in one way with one seed; its folder says how far it has come.

```
DIR/TASK/VARIANT/seed-N/
  cell.json            what is done here; another bench with other settings is refused
  RUN/                 the run, as every run is recorded
  measurement.json     what came of it; with it the cell is finished
```
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

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
    (Status.COMPLETED, Status.FAILING, Status.UNSHOWN, Status.BUDGET, Status.NO_PLAN)
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

_ROLE_SECRETS = {role: {"api_key_file", "base_url"} for role in ("plan", "judge")}

CellState = Literal["new", "begun", "ended", "measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell and where it lies.

    Attributes:
        facts: All that decides what comes of it, for comparing with what was done there before.
        given: The existing files that its run begins with.
    """

    task: Task
    variant: Variant
    seed: int
    folder: Path
    settings: Settings
    plan: RunSpec
    facts: Mapping[str, Any]
    given: Input | None = None

    @property
    def name(self) -> str:
        """Task, variant and seed, for a person."""
        return f"{self.task.name} {self.variant.name} seed {self.seed}"

    @property
    def run(self) -> Path | None:
        """The folder of its run, if it has begun."""
        begun = [
            path.parent for path in sorted(self.folder.glob(f"*/{TRACE_FILE}")) if _has_begun(path)
        ]
        if len(begun) > 1:
            raise TraceError(
                f"{self.folder} has {len(begun)} runs, which cannot be; remove all but one"
            )
        return begun[0] if begun else None

    def state(self) -> CellState:
        """Say how far it has come.

        Raises:
            TraceError: What lies there cannot be read or does not belong together.
            SettingsError: Something else was done there.
        """
        self._check_facts()
        run = self.run
        if (measured := self.measurement()) is not None:
            if (
                run is None
                or measured.run != run.name
                or measured.seal != read_trace(run / TRACE_FILE)[2]
            ):
                raise TraceError(
                    f"the measurement in {self.folder} is not that of the run beside it; remove it to measure the run"
                )
            return "measured"
        if run is None:
            return "new"
        events = [entry.event for entry in effective(read_trace(run / TRACE_FILE)[0])]
        return "ended" if state_of(events) in _ENDED else "begun"

    def measurement(self) -> Measurement | None:
        """Give what was measured, if it was."""
        return read_measurement(self.folder)

    def begin(self) -> None:
        """Make the folder and say in it what will be done there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TraceError(f"{self.folder} cannot be made: {error.strerror}") from error
        write_whole(
            self.folder / CELL_FILE,
            json.dumps(self.facts, indent=1, sort_keys=True).encode() + b"\n",
        )

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
            raise TraceError(f"{path} is not what was written")
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                was, is_now = _short(before.get(key)), _short(now.get(key))
                problem = f"{self.folder} was begun with other settings ({key}: {was}, now {is_now}); choose another folder"
                raise SettingsError("--dir", problem)


def facts_of(
    task: Task, variant: Variant, seed: int, settings: Settings, plan: RunSpec
) -> dict[str, Any]:
    """Give all that decides what comes of a cell, by name."""
    recorded = {
        name: value
        for name, value in asdict(plan).items()
        if name not in ("task", "definition", "setup")
    }
    planning = recorded.pop("planning")
    return {
        **recorded,
        **{f"planning.{name}": value for name, value in planning.items()},
        **{name: settings.model_dump(mode="json")[name] for name in (*_LIMITS, *_MODEL)},
        "roles": settings.roles.model_dump(
            mode="json", exclude_defaults=True, exclude=_ROLE_SECRETS
        ),
        "domain_definition": hashlib.sha256(
            plan.definition.encode("utf-8", "surrogatepass")
        ).hexdigest(),
        "task": task.name,
        "task_digest": task.digest,
        "variant": variant.name,
        "seed": seed,
    }


def _has_begun(trace: Path) -> bool:
    """Whether a run's record has its first line; without it there is nothing to take up."""
    return any(isinstance(entry.event, RunStarted) for entry in read_trace(trace)[0])


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
