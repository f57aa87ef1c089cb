"""Weights & Biases as a place for a run's numbers: the one door to their client, which is loaded when it is needed.

The client looks around by itself: at the command line (which names the run), the repository, the host, installed
packages, the terminal's output. All of that is switched off here; a version that has no such switch is refused.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from l2mac.errors import SettingsError
from l2mac.insight.tracking import MetricValues

_NOTHING_OF_ITS_OWN: Mapping[str, Any] = {
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
    "the client of Weights & Biases is not installed; install it with: pip install 'l2mac[wandb]'"
)


class WandbSink:
    """Sends numbers to a project of Weights & Biases, or into a folder with `WANDB_MODE=offline`.

    Args:
        project: The project's name there.
        entity: Whose project, when it is not the user's own.
        run_name: What the run is called there; its id when empty.

    Raises:
        SettingsError: The client is not installed, too old, not logged in, or its server refuses.

    Attributes:
        place: Where the numbers are, once it is open.
    """

    def __init__(self, project: str, *, entity: str = "", run_name: str = "") -> None:
        self._wandb = _client()
        self._project = project
        self._entity = entity
        self._run_name = run_name
        self._run: Any = None
        self.place = ""

    def open(self, run_id: str, config: Mapping[str, float | str | bool]) -> None:
        """Begin with the run, or go on with it: lines that are there already are not sent again."""
        with self._refusals():
            self._run = self._wandb.init(
                project=self._project,
                entity=self._entity or None,
                id=run_id,
                name=self._run_name or run_id,
                config=dict(config),
                resume="allow",
                settings=self._wandb.Settings(**_NOTHING_OF_ITS_OWN),
            )
        self.place = str(Path(self._run.dir).parent) if self._run.offline else str(self._run.url)

    def log(self, line: int, numbers: MetricValues) -> None:
        """Send numbers; see `l2mac.insight.tracking.Sink`."""
        with self._refusals():
            self._run.log(dict(numbers), step=line)

    def close(self, numbers: MetricValues, *, completed: bool) -> None:
        """Send the final numbers and wait until all is sent."""
        with self._refusals():
            self._run.summary.update({**numbers, "completed": float(completed)})
            self._run.finish(exit_code=0 if completed else 1)

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn what their client or server refuses into a sentence."""
        try:
            yield
        except (
            self._wandb.errors.Error,
            ValueError,
        ) as error:  # what its settings refuse is a ValueError
            raise SettingsError("wandb", f"Weights & Biases did not take it: {error}") from error


def _client() -> ModuleType:
    try:
        import wandb  # noqa: PLC0415 - an extra, and it takes seconds to load
    except ImportError as error:
        raise SettingsError("wandb", _INSTALL) from error
    client: ModuleType = wandb
    return client
