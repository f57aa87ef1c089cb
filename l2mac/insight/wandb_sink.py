"""Send a run's numbers to Weights & Biases; import its client on use.

The client inspects its surroundings: the command line (which names the run), the repository, the
host, installed packages, the terminal's output. All of that is switched off here, and a version
without such a switch is refused.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Protocol

from l2mac.errors import SettingsError
from l2mac.insight.tracking import MetricValues

_NOTHING_OF_ITS_OWN: Mapping[str, bool | str] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "host": "l2mac",
    "program": "l2mac",
    "save_code": False,
    "silent": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
_INSTALL = (
    "The client of Weights & Biases is not installed. Install it with: pip install 'l2mac[wandb]'"
)


class _Summary(Protocol):
    def update(self, numbers: Mapping[str, float], /) -> None: ...


class _Run(Protocol):
    """The part of the client's run that is used here."""

    dir: str
    url: str | None
    offline: bool
    summary: _Summary

    def log(self, numbers: Mapping[str, float], /, *, step: int) -> None: ...

    def finish(self, *, exit_code: int) -> None: ...


class WandbSink:
    """Send numbers to a project of Weights & Biases.

    With `WANDB_MODE=offline` the numbers go into a folder.

    Args:
        project: Name of the project.
        entity: Owner of the project; the user if empty.
        run_name: Name of the run there; its id if empty.

    Raises:
        SettingsError: The client is missing, too old or not logged in, or its server refuses.

    Attributes:
        place: URL or folder of the numbers, after `open`.
    """

    def __init__(self, project: str, *, entity: str = "", run_name: str = "") -> None:
        self._wandb = _client()
        self._project = project
        self._entity = entity
        self._run_name = run_name
        self._run: _Run | None = None
        self.place = ""

    def open(self, run_id: str, config: Mapping[str, float | str | bool]) -> None:
        """Open the run, new or known; lines that are already there are not sent again."""
        with self._refusals():
            run: _Run = self._wandb.init(
                project=self._project,
                entity=self._entity or None,
                id=run_id,
                name=self._run_name or run_id,
                config=dict(config),
                resume="allow",
                settings=self._wandb.Settings(**_NOTHING_OF_ITS_OWN),
            )
        self._run = run
        self.place = str(Path(run.dir).parent) if run.offline else str(run.url)

    def log(self, line: int, numbers: MetricValues) -> None:
        """Send numbers; see `l2mac.insight.tracking.Sink`."""
        with self._refusals():
            self._opened.log(dict(numbers), step=line)

    def close(self, numbers: MetricValues, *, completed: bool) -> None:
        """Send the final numbers and wait until everything is sent."""
        with self._refusals():
            self._opened.summary.update({**numbers, "completed": float(completed)})
            self._opened.finish(exit_code=0 if completed else 1)

    @property
    def _opened(self) -> _Run:
        if self._run is None:
            raise RuntimeError("the sink is not open")
        return self._run

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Raise a SettingsError for refusals of the client or its server."""
        try:
            yield
        except (self._wandb.errors.Error, ValueError) as error:  # invalid settings: ValueError
            problem = f"Weights & Biases refuses the numbers of wandb: {error}."
            raise SettingsError("wandb", problem) from error


def _client() -> ModuleType:
    try:
        import wandb  # noqa: PLC0415 - an extra, and it takes seconds to load
    except ImportError as error:
        raise SettingsError("wandb", _INSTALL) from error
    client: ModuleType = wandb
    return client
