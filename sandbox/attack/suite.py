"""Run the catalogue on the user's own engine, in several sandboxes at once."""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from sandbox.attack import files, host, kernel, lives, network, processes, resources
from sandbox.attack.catalogue import rows
from sandbox.attack.findings import (
    AttackFinding,
    AttackReport,
    AttackVerdict,
    judge,
    second_chance,
)
from sandbox.attack.site import NothingShown, Site, fresh_run
from sandbox.engine.connection import Engine
from sandbox.engine.image import SandboxImage
from sandbox.errors import Refused, SandboxError

CANARY = "L2MAC_ATTACK_CANARY"
_ABORTS = (SandboxError, Refused, OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Scene:
    """A part of the suite: the numbers of its rows, and their attack."""

    name: str
    numbers: tuple[int, ...]
    attack: Callable[[Site], Iterable[AttackFinding]]


def run_suite(
    engine: Engine,
    image: SandboxImage,
    runtime: str,
    *,
    more: Iterable[Scene],
    progress: Callable[[str], None],
) -> AttackReport:
    """Run the whole catalogue.

    Args:
        engine: The engine; further connections to it are opened.
        image: The sandbox's image.
        runtime: The engine's runtime; empty for its default. Controls always run under the default.
        more: Parts about users of sandboxes, which this package does not know.
        progress: Function for one line of text, called when a part has ended.

    Raises:
        SandboxError: The engine does not answer.
    """
    started = time.monotonic()
    site = Site(engine, image, runtime, fresh_run())
    before = host.marked_files()
    with _secret_in_the_environment() as secret:
        findings = play(site, _scenes(secret, tuple(more)), progress)
    progress("comparing the host with its state before the attacks")
    left = host.differences(site)
    host.sweep(site)
    left += tuple(f"file {path}" for path in sorted(host.marked_files() - before))
    environment = {
        "engine": str(engine.version.get("Version")),
        "runtime": runtime or "default",
        "image": image.base.reference,
        "sandbox_image": image.tag,
    }
    return AttackReport(
        judged=judge(rows(), findings),
        host_differences=left,
        elapsed_s=time.monotonic() - started,
        environment=environment,
    )


def _scenes(secret: str, more: tuple[Scene, ...]) -> tuple[Scene, ...]:
    """Return all parts, the slowest first."""
    return (
        Scene("resources", (1, 2, 3, 5, 6, *range(8, 15), 16, 17, 18), resources.attack),
        *more,
        Scene("kernel", (7, *range(24, 43)), kernel.attack),
        Scene("processes", (19, 20, 21, 22, 23, 56), processes.attack),
        Scene("network", tuple(range(57, 65)), lambda site: network.attack(site, secret)),
        Scene("files", tuple(range(43, 49)), files.attack),
        Scene("lives", (65, 66), lives.attack),
        Scene("processor", (4,), resources.processor),
    )


def play(
    site: Site, scenes: tuple[Scene, ...], progress: Callable[[str], None]
) -> list[AttackFinding]:
    """Run the parts side by side, then retry each part with an unproven row.

    On a busy machine a control can end before it has shown anything. The row is then neither failed
    nor proven, so it may be retried. An attack that succeeds once has failed the row, and a retry
    does not change that.
    """
    findings: list[AttackFinding] = []
    for scene, found in _side_by_side(site, scenes, progress):
        if any(finding.verdict is AttackVerdict.UNPROVEN for finding in found):
            progress(f"{scene.name}: retry, because a row is unproven")
            again = _played(site, scene)
            progress(f"{scene.name}: {_summary(again)}")
            found = second_chance(found, again)  # noqa: PLW2901 - the same findings, completed
        findings += found
    return findings


def _side_by_side(
    site: Site, scenes: tuple[Scene, ...], progress: Callable[[str], None]
) -> list[tuple[Scene, list[AttackFinding]]]:
    """Run parts at once; an interrupt ends them and removes their objects."""
    played: list[tuple[Scene, list[AttackFinding]]] = []
    with ThreadPoolExecutor(3, "attack") as pool:
        parts = {pool.submit(_played, site, scene): scene for scene in scenes}
        try:
            for ended in as_completed(parts):
                played.append((parts[ended], ended.result()))
                progress(f"{parts[ended].name}: {_summary(ended.result())}")
        except BaseException:
            site.cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)
            host.sweep(site)
            raise
        finally:
            if site.cancelled.is_set():
                pool.shutdown(wait=True)
                host.sweep(site)
    return played


def _played(site: Site, scene: Scene) -> list[AttackFinding]:
    """Run one part over a connection of its own.

    If the part is aborted, its remaining rows are unproven. They have also failed, unless the part
    was aborted before the sandbox could respond.
    """
    findings: list[AttackFinding] = []
    try:
        with Engine.connect() as engine:
            findings.extend(scene.attack(site.connected(engine)))
    except _ABORTS as error:
        seen = {finding.number for finding in findings}
        text = f"aborted: {type(error).__name__}: {error}"
        held = isinstance(error, NothingShown)
        owed = [number for number in scene.numbers if number not in seen]
        findings += [
            AttackFinding(number=number, held=held, observed=text, shown=False) for number in owed
        ]
    return findings


def _summary(findings: list[AttackFinding]) -> str:
    verdicts = sorted((finding.number, finding.verdict) for finding in findings)
    bad = (AttackVerdict.FAILED, AttackVerdict.UNPROVEN)
    marks = [f", row {number} {verdict}" for number, verdict in verdicts if verdict in bad]
    return f"{len(verdicts)} rows observed{''.join(marks)}"


@contextlib.contextmanager
def _secret_in_the_environment() -> Iterator[str]:
    """Set a variable in this process's environment that must not reach a sandbox."""
    secret = f"canary-{secrets.token_hex(16)}"
    os.environ[CANARY] = secret
    try:
        yield secret
    finally:
        del os.environ[CANARY]
