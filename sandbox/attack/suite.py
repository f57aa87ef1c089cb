"""The way in: every row of the catalogue against the user's own engine, image and runtime, several sandboxes at once."""

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
    Judged,
    judge,
    second_chance,
)
from sandbox.attack.site import NothingShown, Site, fresh_run
from sandbox.engine.connection import Engine
from sandbox.engine.image import SandboxImage
from sandbox.errors import Refused, SandboxError

CANARY = "L2MAC_ATTACK_CANARY"


@dataclass(frozen=True, slots=True)
class Scene:
    """A part of the suite: the rows that it owes, and what finds out about them."""

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
        engine: Where; further connections to the same one are opened.
        image: The sandbox's image.
        runtime: The engine's runtime; empty for its default. Controls always run under the default.
        more: Parts about whoever uses sandboxes, whom this package does not know.
        progress: Called with one line when a part has ended.

    Raises:
        SandboxError: The engine does not answer at all.
    """
    started = time.monotonic()
    site = Site(engine, image, runtime, fresh_run())
    before = host.marked_files()
    with _secret_in_the_environment() as secret:
        findings = play(site, _scenes(secret, tuple(more)), progress)
    progress("comparing the host with what it was")
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
    """Return all parts, those that take longest first."""
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
    """Run the parts side by side, then those that left something unproven once more, each alone.

    On a busy machine a control can end before it has shown anything. That is no failure of the sandbox and no proof, so it
    may be tried again; what a sandbox did not withstand once has failed, whatever comes of it the second time.
    """
    findings: list[AttackFinding] = []
    for scene, found in _side_by_side(site, scenes, progress):
        if any(finding.verdict is AttackVerdict.UNPROVEN for finding in found):
            progress(f"{scene.name}: once more, as not all was shown")
            again = _played(site, scene)
            progress(f"{scene.name}: {_summary(again)}")
            found = second_chance(found, again)  # noqa: PLW2901 - the same findings, settled
        findings += found
    return findings


def _side_by_side(
    site: Site, scenes: tuple[Scene, ...], progress: Callable[[str], None]
) -> list[tuple[Scene, list[AttackFinding]]]:
    """Run parts at the same time; an interrupt ends them all and removes what they made."""
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
    """Run one part over a connection of its own; one that breaks off proves nothing for the rows that it still owed.

    It has failed for them, too, unless it broke off before the sandbox had its say.
    """
    findings: list[AttackFinding] = []
    try:
        with Engine.connect() as engine:
            findings.extend(scene.attack(site.connected(engine)))
    except (
        SandboxError,
        Refused,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        seen = {finding.number for finding in findings}
        text = f"broke off: {type(error).__name__}: {error}"
        owed = (number for number in scene.numbers if number not in seen)
        held = isinstance(error, NothingShown)
        findings += [
            AttackFinding(number=number, held=held, observed=text, shown=False) for number in owed
        ]
    return findings


def _summary(findings: list[AttackFinding]) -> str:
    judged = [
        Judged(row, finding)
        for row in rows()
        for finding in findings
        if finding.number == row.number
    ]
    bad = [
        f"row {one.row.number} {one.verdict}"
        for one in judged
        if one.verdict in ("FAILED", "unproven")
    ]
    return f"{len(judged)} seen" + (f", {', '.join(bad)}" if bad else "")


@contextlib.contextmanager
def _secret_in_the_environment() -> Iterator[str]:
    """Put a value into this process's environment that nothing may carry into a sandbox."""
    secret = f"canary-{secrets.token_hex(16)}"
    os.environ[CANARY] = secret
    try:
        yield secret
    finally:
        del os.environ[CANARY]
