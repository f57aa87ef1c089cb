"""Runtimes, tried: whether one really starts a box and really holds what runs in it to its limits.

A runtime can look right in every answer of the engine and enforce nothing (gVisor with `--ignore-cgroups`), and a box
under a kernel of its own cannot read the limits that its engine set. So small boxes run a program that stays within
its limits and must succeed, and one that goes beyond them and must not.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sandbox.engine.connection import Engine
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.fitness import require_fit
from sandbox.engine.hardening import GUEST_COMMAND
from sandbox.engine.image import SandboxImage
from sandbox.errors import EngineUnfit, SandboxDied, SandboxError
from sandbox.policy import MIB, SandboxPolicy
from sandbox.results import Job

AUTO = "auto"
# Strongest first: a machine of the box's own, a kernel of its own, the engine's kernel.
_STRENGTH = (("kata",), ("runsc", "gvisor"), ("runc", "crun"))
_LIMITS = {
    "memory_bytes": 160 * MIB,
    "disk_bytes": 4 * MIB,
    "file_bytes": 4 * MIB,
    "tmp_bytes": 4 * MIB,
    "shm_bytes": 4 * MIB,
    "pids": 32,
    "timeout_s": 20.0,
}
_GRACE_S = 10
_SHOWN = 240
_WITHIN_MIB, _BEYOND_MIB = 8, 256
_WITHIN_PROCESSES, _BEYOND_PROCESSES = 4, 160
_HOARD = "import sys\nhoard = [bytearray(b'x') * (1 << 20) for _ in range(int(sys.argv[1]))]\nprint(len(hoard))"
_FORK = """
import os, signal, sys
count = 0
try:
    for count in range(1, int(sys.argv[1]) + 1):
        if os.fork() == 0: signal.pause()
except OSError: sys.exit(1)
print(count)
"""


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """The runtime that was chosen, and why each stronger one was not: (name, reason)."""

    runtime: str
    passed_over: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The choice in one line; long reasons are cut."""
        others = "; ".join(
            f"{name} was passed over: {reason[:_SHOWN]}" for name, reason in self.passed_over
        )
        return f"runtime {self.runtime}: tried, its limits bind" + (f"; {others}" if others else "")


def choose_runtime(
    engine: Engine, image: SandboxImage, policy: SandboxPolicy, run: str
) -> RuntimeChoice:
    """Give the strongest runtime of the engine that starts a box and holds it to its limits.

    Raises:
        EngineUnfit: None does; says why each did not.
    """
    info, passed_over = engine.info(), []
    for name in candidates(info):
        try:
            require_fit(info, engine.version, name)
            prove_limits(engine, image, policy, name, run)
        except SandboxError as error:
            passed_over.append((name, str(error)))
        else:
            return RuntimeChoice(name, tuple(passed_over))
    reasons = (
        "; ".join(f"{name}: {reason}" for name, reason in passed_over)
        or "it names none that is known here"
    )
    raise EngineUnfit(f"no runtime of this engine holds a box ({reasons})")


def candidates(info: dict[str, Any]) -> list[str]:
    """Give the engine's runtimes of known strength, strongest first, its default first among equals."""
    runtimes, default = info.get("Runtimes") or {}, info.get("DefaultRuntime")
    ranked = [(_rank(name, facts or {}), name != default, name) for name, facts in runtimes.items()]
    return [name for rank, _, name in sorted(ranked) if rank < len(_STRENGTH)]


def prove_limits(
    engine: Engine, image: SandboxImage, policy: SandboxPolicy, runtime: str, run: str
) -> None:
    """See that limits on memory and processes bind under a runtime.

    Raises:
        EngineUnfit: One does not.
        SandboxError: A box cannot be made under this runtime, or not as it was asked for.
    """
    small = SandboxPolicy(**_LIMITS, cpus=policy.cpus, runtime=runtime)  # type: ignore[arg-type]
    trials = (
        ("memory", _HOARD, _WITHIN_MIB, _BEYOND_MIB),
        ("processes", _FORK, _WITHIN_PROCESSES, _BEYOND_PROCESSES),
    )
    for what, program, within, beyond in trials:
        with DockerSandbox(engine, image, small, run=run, grace_s=_GRACE_S) as box:
            if not _succeeds(box, program, within):
                raise EngineUnfit(
                    f"a program within its limit on {what} does not run under the runtime {runtime!r}"
                )
            if _goes_through(box, program, beyond):
                raise EngineUnfit(
                    f"the limit on {what} does not bind under the runtime {runtime!r}, whatever the engine says of it;"
                    " choose another with --runtime, or mend its configuration"
                )


def limits_are_seen(receipt: Any) -> bool:
    """Whether a box has read its own limits, so that they need no proof."""
    seen = {row["name"]: row["verdict"] for row in receipt["rows"]}
    return all(seen.get(name) == "match" for name in ("inside.memory", "inside.pids"))


def _succeeds(box: DockerSandbox, program: str, amount: int) -> bool:
    argv = (GUEST_COMMAND[0], "-I", "-S", "-c", program, str(amount))
    return box.run([Job("trial", argv)]).jobs[0].succeeded


def _goes_through(box: DockerSandbox, program: str, amount: int) -> bool:
    try:
        return _succeeds(box, program, amount)
    except SandboxDied:  # the limit is on the whole box, where it has a kernel of its own
        return False


def _rank(name: str, facts: dict[str, Any]) -> int:
    """Give the place of a runtime in `_STRENGTH`, by its name, its program or its containerd type."""
    program = PurePosixPath(str(facts.get("path") or facts.get("runtimeType") or "")).name
    for place, families in enumerate(_STRENGTH):
        if any(
            known in text.split(".") or text.startswith(f"{known}-")
            for text in (name, program)
            for known in families
        ):
            return place if not name.startswith("io.containerd.run") else len(_STRENGTH)
    return len(_STRENGTH)
