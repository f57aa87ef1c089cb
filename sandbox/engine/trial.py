"""Try runtimes: does a sandbox start, and do its limits bind?

A runtime can look right in every answer of the engine and enforce nothing (gVisor with
`--ignore-cgroups`), and a sandbox under a kernel of its own cannot read the limits that its engine
set. So a small sandbox runs one program that stays within its limits and must succeed, and one that
exceeds them and must fail.
"""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from sandbox.engine.connection import Engine, JsonObject
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.engine.fitness import require_fit
from sandbox.engine.hardening import GUEST_COMMAND
from sandbox.engine.image import SandboxImage
from sandbox.errors import EngineUnfit, SandboxDied, SandboxError
from sandbox.policy import MIB, SandboxPolicy
from sandbox.results import Job, Receipt

AUTO = "auto"
# Strongest first: a virtual machine for each sandbox, a kernel for each sandbox, the engine's
# kernel.
_STRENGTH = (("kata",), ("runsc", "gvisor"), ("runc", "crun"))
_SMALL = SandboxPolicy(
    memory_bytes=192 * MIB,
    disk_bytes=4 * MIB,
    file_bytes=4 * MIB,
    tmp_bytes=4 * MIB,
    shm_bytes=4 * MIB,
    pids=32,
    timeout_s=20.0,
)
_GRACE_S = 10
_SHOWN = 240
_WITHIN_MIB, _BEYOND_MIB = 8, 256
_WITHIN_PROCESSES, _BEYOND_PROCESSES = 4, 160
_HOARD = """
import sys
hoard = [bytearray(b'x') * (1 << 20) for _ in range(int(sys.argv[1]))]
print(len(hoard))
"""
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
    """The chosen runtime, and (name, reason) of each rejected stronger one."""

    runtime: str
    passed_over: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The choice in one line; long reasons are truncated."""
        rejected = [f" {name} was rejected: {reason[:_SHOWN]}" for name, reason in self.passed_over]
        return f"runtime {self.runtime} passed the trial: its limits bind.{''.join(rejected)}"


def choose_runtime(
    engine: Engine, image: SandboxImage, policy: SandboxPolicy, run: str
) -> RuntimeChoice:
    """Return the strongest runtime that starts sandboxes and binds limits.

    Raises:
        EngineUnfit: There is none; the message has the reason for each runtime.
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
    reasons = " ".join(f"{name}: {reason}" for name, reason in passed_over)
    raise EngineUnfit(
        "No runtime of this engine can confine a sandbox."
        f" {reasons or 'No known runtime is installed.'}"
    )


def candidates(info: JsonObject) -> list[str]:
    """Return the engine's runtimes of known strength.

    The strongest come first, among equals the engine's default.
    """
    runtimes, default = info.get("Runtimes") or {}, info.get("DefaultRuntime")
    ranked = [(_rank(name, facts or {}), name != default, name) for name, facts in runtimes.items()]
    return [name for rank, _, name in sorted(ranked) if rank < len(_STRENGTH)]


def prove_limits(
    engine: Engine, image: SandboxImage, policy: SandboxPolicy, runtime: str, run: str
) -> None:
    """Check that limits on memory and processes bind under a runtime.

    Raises:
        EngineUnfit: A limit does not bind.
        SandboxError: A sandbox cannot be made under this runtime, or its receipt does not match.
    """
    small = replace(_SMALL, cpus=policy.cpus, runtime=runtime)
    trials = (
        ("memory", _HOARD, _WITHIN_MIB, _BEYOND_MIB),
        ("processes", _FORK, _WITHIN_PROCESSES, _BEYOND_PROCESSES),
    )
    for resource, program, within, beyond in trials:
        with DockerSandbox(engine, image, small, run=run, grace_s=_GRACE_S) as sandbox:
            if not _succeeds(sandbox, program, within):
                raise EngineUnfit(
                    f"A program within its limit on {resource} fails under the runtime {runtime!r}."
                    " Choose another runtime with --runtime."
                )
            if _exceeds(sandbox, program, beyond):
                raise EngineUnfit(
                    f"The limit on {resource} does not bind under the runtime {runtime!r}, although"
                    " the engine reports it. Choose another with --runtime, or fix its"
                    " configuration."
                )


def limits_are_seen(receipt: Receipt) -> bool:
    """Return whether a sandbox has read its own limits, so that no trial is needed."""
    seen = {row["name"]: row["verdict"] for row in receipt["rows"]}
    return all(seen.get(name) == "match" for name in ("inside.memory", "inside.pids"))


def _succeeds(sandbox: DockerSandbox, program: str, amount: int) -> bool:
    argv = (GUEST_COMMAND[0], "-I", "-S", "-c", program, str(amount))
    return sandbox.run([Job("trial", argv)]).jobs[0].succeeded


def _exceeds(sandbox: DockerSandbox, program: str, amount: int) -> bool:
    try:
        return _succeeds(sandbox, program, amount)
    except SandboxDied:  # under a kernel of its own, the limit is on the whole sandbox
        return False


def _rank(name: str, facts: JsonObject) -> int:
    """Return a runtime's place in `_STRENGTH`, by name, program or type."""
    if name.startswith("io.containerd.run"):
        return len(_STRENGTH)
    program = PurePosixPath(str(facts.get("path") or facts.get("runtimeType") or "")).name
    for place, families in enumerate(_STRENGTH):
        if any(_is_of(name, family) or _is_of(program, family) for family in families):
            return place
    return len(_STRENGTH)


def _is_of(name: str, family: str) -> bool:
    return family in name.split(".") or name.startswith(f"{family}-")
