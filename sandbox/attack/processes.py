"""Rows 19 to 23 and 56: processes that outlive a command, and the guest."""

import json
from collections.abc import Iterator

from sandbox.attack.findings import AttackFinding
from sandbox.attack.site import Arena, Site, program
from sandbox.attack.weakened import WeakenedOutcome, unconfined
from sandbox.errors import SandboxLost
from sandbox.protocol import Sealer
from sandbox.results import Cause, Job, JobResult

_STEERING = {
    "ptrace attach", "process_vm_readv", "pidfd_getfd", "kcmp", "prlimit", "sched_setaffinity",
    "sched_setscheduler", "setpriority", "ioprio_set", "move_pages", "oom_score_adj",
    "coredump_filter",
}  # fmt: skip
_READING = {"mem", "environ", "maps", "list fd", "write fd 1", "read fd 0", "root"}
# gVisor has no non-dumpable processes. The access that a command gets there is worthless: the
# guest's environment has no secret, its memory stays closed, and a frame written to its descriptors
# ends the sandbox, because the writer lacks the key.
_GVISOR_LETS_THROUGH = {
    "environ", "maps", "list fd", "write fd 1", "read fd 0", "root", "oom_score_adj", "prlimit",
    "sched_setaffinity", "sched_setscheduler", "setpriority",
}  # fmt: skip


def attack(site: Site) -> Iterator[AttackFinding]:
    """Attack the guest; the controls have the same processes without one."""
    controls = site.control(
        unconfined,
        {
            "leave daemon": (program("daemon"), "leave"),
            "daemon": (program("daemon"), "look"),
            "leave zombies": (program("zombies"), "leave"),
            "zombies": (program("zombies"), "look"),
            "reach": (program("own_process"), program("pid_one")),
            "signals": (program("signals"), "ordinary"),
            "clock": (program("clock"), "trust"),
        },
    )
    with site.sandbox() as arena:
        yield _daemons(arena, controls["daemon"])
        yield _zombies(arena, controls["zombies"])
        yield _clock(arena, controls["clock"])
        yield from _reach(site, arena, controls["reach"])
        yield _forged(site, arena, controls["reach"])
        yield _signals(site, arena, controls["signals"])


def _daemons(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    result = arena.run(program("daemon"), "leave")
    writes_on = arena.value(program("daemon"), "look")
    unguarded = "the daemon outlives its command" if control.value else "the daemon did not survive"
    return AttackFinding(
        number=19,
        held=result.leftovers > 0 and result.survivors == 0 and writes_on is False,
        observed=f"{result.leftovers} processes ended by the guest, {result.survivors} alive",
        shown=control.value is True,
        control=f"without the guest: {unguarded}",
    )


def _zombies(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    arena.run(program("zombies"), "leave")
    seen = arena.value(program("zombies"), "look")
    return AttackFinding(
        number=20,
        held=seen == 0,
        observed=f"{seen} zombies",
        shown=bool(control.value),
        control=f"without a process 1 that reaps: {control.value} zombies",
    )


def _clock(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    job = arena.run(program("clock"), "stop", timeout_s=1.5).jobs[0]
    return AttackFinding(
        number=56,
        held=job.cause is Cause.TIMEOUT,
        observed=f"{job.cause} after {job.duration_ms} ms",
        shown=control.value is True,
        control="a limit of 0.2 s by the process's own clock did not end it within a second",
    )


def _reach(site: Site, arena: Arena, control: WeakenedOutcome) -> Iterator[AttackFinding]:
    arena.sandbox.run([Job("warm", ("true",))])
    seen = set(arena.value(program("pid_one"), "1")) | set(arena.value(program("pid_one")) or ())
    allowed = _GVISOR_LETS_THROUGH if site.has_own_kernel else set()
    weak = set(control.value or ())
    for number, ways in ((21, _STEERING), (22, _READING)):
        through = seen & ways
        known = ""
        if through:
            known = f"; harmless under this runtime: {', '.join(sorted(through))}"
        yield AttackFinding(
            number=number,
            held=through <= allowed,
            observed=f"{len(ways - through)} of {len(ways)} ways closed{known}",
            shown=len(weak & ways) >= 2,
            control=f"on an ordinary process, without profile: {', '.join(sorted(weak & ways))}",
        )


def _forged(site: Site, arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    sealer = Sealer(b"G", bytes(32))
    sealer.seal({})
    frame = sealer.seal({"ok": True, "jobs": [], "changes": []})
    try:
        job = arena.run(program("forge"), frame.hex()).jobs[0]
        held = job.cause is Cause.EXITED and "1/1" not in _last_line(job) and arena.works()
        observed = "the forged frame reaches no descriptor of the guest"
    except SandboxLost as error:
        held, observed = site.has_own_kernel, f"the forged frame ends the sandbox: {error}"
    return AttackFinding(
        number=22,
        held=held,
        observed=observed,
        shown="write fd 1" in (control.value or ()),
        control="the descriptors of an ordinary process can be written to",
    )


def _signals(site: Site, arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    arena.fresh().write({"test_ok.py": b"def test_ok():\n    pass\n"})
    tests = [Job("tests", checker="pytest")]
    try:
        arena.run(program("signals"), "checker")
        # A check that was running when the checkers were killed may be lost; the next may not.
        passed = any(arena.sandbox.run(tests).jobs[0].succeeded for _ in range(2))
        arena.run(program("signals"), "guest", timeout_s=10)
        held = passed and arena.works()
        result = "pass" if passed else "do not pass"
        observed = f"the guest survives; the restarted checkers {result} a correct test"
    except SandboxLost as error:
        arena.close()
        held = site.has_own_kernel
        observed = f"the sandbox is lost with a typed error ({type(error).__name__})"
    return AttackFinding(
        number=23,
        held=held,
        observed=observed,
        shown=control.value is True,
        control="an ordinary process of the same uid is killed",
    )


def _last_line(job: JobResult) -> list[str]:
    """Return the forger's own report, which follows its frames in the output."""
    written: list[str] = json.loads((job.output.head.splitlines() or [b"[]"])[-1])
    return written
