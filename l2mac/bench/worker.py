"""Does what a cell needs on a real engine with a real model: its run as a session, its measuring in fresh boxes."""

from collections.abc import Callable

from l2mac.bench.cell import Cell
from l2mac.bench.judge import Judge
from l2mac.bench.measurement import Measurement
from l2mac.bench.measuring import measure
from l2mac.bench.packages import recorded_wheels
from l2mac.errors import TraceError
from l2mac.processor.cancellation import CancelScope
from l2mac.runs.recorded_spec import read_spec
from l2mac.runs.session import SessionListener, Source, start, take_up
from sandbox.engine.factory import SandboxFactory


class LiveWorker:
    """Implements `l2mac.bench.harness.Worker`.

    Args:
        judge: Judges features; None where nobody does.
    """

    def __init__(self, judge: Judge | None) -> None:
        self._judge = judge

    def run(self, cell: Cell, audience: SessionListener, fuse: CancelScope) -> None:
        """Begin a cell's run, or take up the one that has begun."""
        run = cell.run
        if run is None:
            start(cell.settings, cell.plan, audience, given=cell.given, fuse=fuse)
        else:
            take_up(cell.settings, Source(run, read_spec(run), {}), audience, fuse=fuse)

    def measure(self, cell: Cell, say: Callable[[str], None]) -> Measurement:
        """Measure a cell's run, with the packages that its files need."""
        run, settings = cell.run, cell.settings
        if run is None:
            raise TraceError(f"the run in {cell.folder} is gone; give the same command again")
        with SandboxFactory.prepare(
            settings.image, settings.policy(), settings.cache_dir.expanduser(), say
        ) as boxes:
            if wheels := recorded_wheels(run):
                boxes.install_packages(run.name, wheels)
            return measure(run, cell.task, boxes.open_sandbox, self._judge)
