"""Rows 1 to 18: bombs of every kind.

The sandbox has small limits, the control has large ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from sandbox.attack.findings import AttackFinding
from sandbox.attack.site import Arena, Site, program, value_of
from sandbox.attack.weakened import Printed, WeakenedOutcome, unconfined, unlimited
from sandbox.engine.connection import engine_errors
from sandbox.errors import Refused, SandboxError, SandboxLost
from sandbox.policy import MIB
from sandbox.results import Cause, Job, RunResult

_SCRATCH = ("/tmp", "/dev/shm")  # noqa: S108 - inside
_LOST = "the sandbox was lost with a typed error, which this runtime may cause"


def attack(site: Site) -> Iterator[AttackFinding]:
    """Attack one small sandbox with every bomb in turn.

    Leftovers of one attack would show in the next.
    """
    controls = site.control(unlimited, _controls())
    with site.sandbox() as arena:
        yield from _amounts(arena, controls)
        yield _sparse(arena, controls["sparse"])
        yield from _outputs(arena, controls)
        yield _held_output(arena, controls["hold"])
        yield _log(site, arena)
        yield _deep(arena, controls["deep"])
        yield _many_commands(arena, controls["many"])
        yield _queues(site, arena)
        yield _memory_bomb(site, arena, controls["hoard"])
        yield _fork_bomb(site, arena, controls["fork"])


def processor(site: Site) -> Iterator[AttackFinding]:
    """Compute without end on a tenth of a processor; measure the progress."""
    control = site.control(unlimited, {"spin": (program("spin"), "3")})["spin"].value or {}
    with site.sandbox(policy=replace(site.policy, cpus=0.1)) as arena:
        bounded = arena.value(program("spin"), "3") or {}
        endless = arena.run(program("spin"), "0", timeout_s=2)
    ended = endless.jobs[0].cause is Cause.TIMEOUT and endless.survivors == 0
    rounds, free = bounded.get("rounds", 0), control.get("rounds", 0)
    throttled = bounded.get("throttled")
    # Without the kernel's counter only the control can show throttling.
    slowed = not free or free > 2 * rounds
    if throttled is not None:
        slowed = throttled > 0
    measured = f"{rounds} rounds in 3 s, throttled {_times(throttled)}"
    last = f"{endless.jobs[0].cause}, {endless.survivors} processes left"
    yield AttackFinding(
        number=4,
        held=ended and rounds > 0 and slowed,
        observed=f"{measured}; endless computation: {last}",
        shown=free > 2 * rounds and not control.get("throttled"),
        control=f"without the limit: {free} rounds, throttled {_times(control.get('throttled'))}",
    )


def _times(throttled: int | None) -> str:
    return "an unknown number of times" if throttled is None else f"{throttled} times"


def _controls() -> dict[str, tuple[str, ...]]:
    return {
        "fork": (program("fork_bomb"), "200"),
        "hoard": (program("hoard"), "400"),
        "scratch": (program("fill"), "24", *_SCRATCH),
        "disk": (program("fill"), "48", "/workspace"),
        "inodes": (program("fill_inodes"),),
        "sparse": (program("sparse"),),
        "open": (program("open_many"),),
        "lines": (program("flood"), "lines"),
        "line": (program("flood"), "line"),
        "zip": (program("archive_bomb"),),
        "deep": (program("deep"),),
        "many": (program("many_commands"),),
        "hold": (program("hold_output"), "hold"),
    }


def _amounts(arena: Arena, controls: dict[str, WeakenedOutcome]) -> Iterator[AttackFinding]:
    """Allocate as much as possible of each resource.

    The sandbox bounds the amount; the control yields more.
    """

    def taken(
        number: int,
        name: str,
        unit: str,
        most: Callable[[Printed], bool],
        source: str,
        *arguments: str,
    ) -> AttackFinding:
        seen, control = arena.value(source, *arguments), controls[name].value
        return AttackFinding(
            number=number,
            held=most(seen),
            observed=f"{_amount(seen)} {unit}",
            shown=control is not None and not most(control),
            control=f"with a larger limit: {_amount(control)} {unit}",
        )

    scratch = program("fill")
    yield taken(
        3,
        "scratch",
        "MiB in /tmp and /dev/shm",
        lambda got: got[0] <= 16 and got[1] <= 8,
        scratch,
        "24",
        *_SCRATCH,
    )
    yield taken(5, "disk", "MiB of 48", lambda got: got[0] <= 32, scratch, "48", "/workspace")
    yield taken(6, "inodes", "files of 4000", lambda got: got < 2000, program("fill_inodes"))
    yield taken(13, "zip", "MiB unpacked of 48", lambda got: got <= 32, program("archive_bomb"))
    yield taken(16, "open", "descriptors of 900", lambda got: got < 256, program("open_many"))


def _amount(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _sparse(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    seen = arena.value(program("sparse"))
    weak = "created" if control.value == 0 else f"error {control.value}"
    return AttackFinding(
        number=8,
        held=seen != 0,
        observed=f"refused with error {seen}" if seen else "created",
        shown=control.value == 0,
        control=f"without the limit: {weak}",
    )


def _outputs(arena: Arena, controls: dict[str, WeakenedOutcome]) -> Iterator[AttackFinding]:
    for number, kind in ((9, "lines"), (10, "line")):
        job = arena.run(program("flood"), kind).jobs[0]
        kept = len(job.output.head) + len(job.output.tail)
        received = controls[kind].received
        yield AttackFinding(
            number=number,
            held=job.cause is Cause.OUTPUT and kept <= MIB and arena.works(),
            observed=f"{job.cause} after {job.output.total / MIB:.0f} MiB, {kept // 1024} KiB kept",
            shown=received > 20 * MIB,
            control=f"a reader without limits receives {received / MIB:.0f} MiB",
        )


def _held_output(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    result = arena.run(program("hold_output"), timeout_s=6)
    job = result.jobs[0]
    return AttackFinding(
        number=11,
        held=job.cause is Cause.EXITED and result.leftovers > 0 and result.survivors == 0,
        observed=f"{job.cause} after {job.duration_ms} ms, {result.leftovers} processes ended",
        shown=control.code is None,
        control="a reader that waits for the end of the output still waits after 2 s",
    )


def _log(site: Site, arena: Arena) -> AttackFinding:
    arena.run("print('x' * 100000)")
    container = arena.sandbox.container
    driver = site.note(container)["HostConfig"]["LogConfig"]["Type"]
    kept = 0
    try:
        with engine_errors("reading a log"):
            kept = len(site.engine.api.logs(container))
    except SandboxError:
        pass
    started = site.start(site.request(unconfined, {"many": (program("many_commands"),)}))
    site.outcomes(started)
    with engine_errors("reading a log"):
        weak = len(site.engine.api.logs(started))
        site.engine.api.remove_container(started, v=True, force=True)
    return AttackFinding(
        number=12,
        held=driver == "none" and not kept,
        observed=f"log driver {driver}, {kept} bytes kept",
        shown=weak > 0,
        control=f"with a log: {weak} bytes kept by the engine",
    )


def _deep(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    arena.fresh()
    result = arena.run(program("deep"))
    seen, listed = value_of(result.jobs[0]), arena.sandbox.files()
    deepest = max((entry.path.count("/") for entry in listed), default=0)
    return AttackFinding(
        number=14,
        held=deepest < 32 and len(listed) <= 1000 and arena.works(),
        observed=f"the listing has {len(listed)} files, at most {deepest} folders deep",
        shown=control.value == seen != "named",
        control=f"a reader by path name fails: {control.value}",
    )


def _many_commands(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    jobs = [Job(f"job{number}", ("true",)) for number in range(60)]
    try:
        arena.sandbox.run(jobs)
        held = False
    except (ValueError, Refused):
        held = arena.works()
    return AttackFinding(
        number=18,
        held=held,
        observed="60 jobs in one run refused" if held else "60 jobs in one run accepted",
        shown=control.value == 60,
        control=f"started without the sandbox's interface: {control.value} ran side by side",
    )


def _queues(site: Site, arena: Arena) -> AttackFinding:
    control = site.control(unconfined, {"queues": (program("queues"),)})["queues"].value
    seen = arena.value(program("queues"))
    own = ""
    if seen and site.has_own_kernel:
        own = "; they belong to the runtime's own kernel and disappear with it"
    return AttackFinding(
        number=17,
        held=not seen or site.has_own_kernel,
        observed=f"created: {', '.join(seen) or 'none'}{own}",
        shown=bool(control),
        control=f"without our seccomp profile: {', '.join(control or ['none'])}",
    )


def _memory_bomb(site: Site, arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    result = _bomb(site, arena, "hoard", "2000", 20)
    if result is None:
        held, observed = True, _LOST
    else:
        killed = site.has_own_kernel or bool(result.oom_kills)
        held = not result.jobs[0].succeeded and killed
        observed = f"{result.jobs[0].cause}, kills counted: {result.oom_kills}"
    return AttackFinding(
        number=2,
        held=held,
        observed=observed,
        shown=control.value == 400,
        control=f"with a larger limit the program gets {control.value} MiB of 400",
    )


def _fork_bomb(site: Site, arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    result: RunResult | None = None
    for timeout_s in (2, 10, 30):  # on a busy machine the bomb needs more time
        result = _bomb(site, arena, "fork_bomb", "0", timeout_s)
        if result is None or result.pids_denied is None or result.pids_denied:
            break
    if result is None:
        observed, held = _LOST, True
    else:
        held = result.survivors == 0 and result.jobs[0].cause in (Cause.TIMEOUT, Cause.PIDS)
        held = held and arena.works() and (site.has_own_kernel or bool(result.pids_denied))
        counts = f"{result.pids_denied} forks refused, {result.leftovers} processes ended"
        observed = f"{result.jobs[0].cause}, {counts}; the sandbox works on"
    return AttackFinding(
        number=1,
        held=held,
        observed=observed,
        shown=control.value == 200,
        control=f"with a larger limit the program forks {control.value} times and stops by itself",
    )


def _bomb(site: Site, arena: Arena, name: str, argument: str, timeout_s: float) -> RunResult | None:
    """Run a bomb; return None if the sandbox was lost.

    Under a kernel of its own a sandbox may be lost.
    """
    arena.fresh()
    try:
        return arena.run(program(name), argument, timeout_s=timeout_s)
    except SandboxLost:
        if not site.has_own_kernel:
            raise
        return None
