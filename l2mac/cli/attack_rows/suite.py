"""The whole catalogue: attacks on a sandbox, and attacks on l2mac by its results."""

from collections.abc import Callable
from pathlib import Path

from l2mac.cli.attack_rows import outputs, verdicts
from l2mac.settings.settings import Settings
from sandbox.attack.findings import AttackReport
from sandbox.attack.suite import Scene, run_suite
from sandbox.engine.factory import SandboxFactory


def attack_everything(settings: Settings, progress: Callable[[str], None]) -> AttackReport:
    """Run every row with the engine, image and runtime of the settings; leave nothing behind.

    Raises:
        SandboxError: Engine or image is missing.
    """
    cache = Path(settings.cache_dir).expanduser()
    scenes = (
        Scene("verdicts", (53, 54, 55), verdicts.attack),
        Scene("reports", (15,), verdicts.bombs),
        Scene("outputs", (49, 50, 51, 52), lambda site: outputs.attack(site, cache / site.run)),
    )
    with SandboxFactory.prepare(settings.image, settings.policy(), cache, progress) as factory:
        return factory.lend(
            lambda engine, image, policy: run_suite(
                engine, image, policy.runtime, more=scenes, progress=progress
            )
        )
