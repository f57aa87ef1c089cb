"""Rows 43 to 48: harm that files of the store can do to their readers."""

import contextlib
from collections.abc import Iterator

from sandbox.attack.findings import AttackFinding
from sandbox.attack.site import Arena, Site, program, value_of
from sandbox.attack.weakened import WeakenedOutcome, almighty
from sandbox.errors import Refused

# Names that a model may send; nothing here opens one.
_NAMES = (
    "../up", "a/../../b", "/tmp/absolute", "~/home", "a//b", "./here", "a\\..\\b",  # noqa: S108
    "/proc/self/cwd/x", "nul\0byte", "..", "a/..", "%2e%2e/../x", "link/../../x",
)  # fmt: skip
_LINKS = (
    "passwd.py", "environ.py", "root", "folder", "dangling.py", "loop.py", "swapped.py"
)  # fmt: skip


def attack(site: Site) -> Iterator[AttackFinding]:
    """Attack the readers of the store; the controls are careless readers and writers."""
    landing = tuple(name for name in _NAMES if "\0" not in name)
    controls = site.control(
        almighty,
        {
            "hard": (program("hard_links"),),
            "odd": (program("odd_files"),),
            "names": (program("odd_names"),),
            "traversal": (program("traversal"), *landing),
            "archives": (program("archives"), "unpack"),
            "links": (program("links"), "read"),
        },
    )
    with site.sandbox() as arena:
        yield _links(arena, controls["links"])
        yield _hard_links(arena, controls["hard"])
        yield _odd_files(arena, controls["odd"])
        yield _odd_names(arena, controls["names"])
        yield _traversal(arena, controls["traversal"])
        yield _archives(arena, controls["archives"])


def _links(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    """Read names that are links, or that become links while they are being read."""
    sandbox, leaked, refused = arena.fresh(), 0, 0
    sandbox.write({"swapped.py": b"harmless = True\n"})
    result = arena.run(program("links"), "swap")
    for name in _LINKS:
        try:
            content, _ = sandbox.read(name)
            leaked += content not in (b"harmless = True\n", b"")
        except Refused:
            refused += 1
    listed = [entry.path for entry in sandbox.files() if entry.path != "swapped.py"]
    observed = f"{result.removed} links removed, {refused} names refused"
    return AttackFinding(
        number=43,
        held=not leaked and not listed and refused >= 6 and result.removed >= 6,
        observed=f"{observed}, {leaked} contents from outside",
        shown=control.value == "root",
        control="a reader that follows links reads /etc/passwd of its container",
    )


def _hard_links(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    seen = arena.value(program("hard_links"))
    return AttackFinding(
        number=44,
        held=not seen,
        observed=f"{len(seen)} links made",
        shown=bool(control.value),
        control=f"with a writable root file system, as root: {len(control.value or ())} links made",
    )


def _odd_files(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    sandbox = arena.fresh()
    result = arena.run(program("odd_files"))
    made, refused = value_of(result.jobs[0]), 0
    for name in ("pipe.py", "device.py", "socket.py"):
        with contextlib.suppress(Refused):
            sandbox.read(name)
            refused -= 1
        refused += 1
    listed = [entry.path for entry in sandbox.files()]
    created = ", ".join(made) or "none"
    return AttackFinding(
        number=45,
        held=not listed and refused == 3 and arena.works(),
        observed=f"created: {created}; {result.removed} removed, all reads refused, nothing hung",
        shown=len(control.value or ()) == 3,
        control=f"as root, without profile: {', '.join(control.value or ())} created and kept",
    )


def _odd_names(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    sandbox = arena.fresh()
    result = arena.run(program("odd_names"))
    sandbox = arena.fresh()
    result = arena.run(program("odd_names"))
    created = value_of(result.jobs[0])
    listed = [entry.path for entry in sandbox.files()]
    bad = [path for path in listed if _is_harmful(path)]
    counts = f"{created} created, {result.removed} removed, {len(listed)} listed"
    return AttackFinding(
        number=46,
        held=not bad and len(listed) < created and arena.works(),
        observed=f"{counts}, {len(bad)} harmful",
        shown=bool(control.value),
        control=f"a plain listing shows all {control.value}",
    )


def _is_harmful(path: str) -> bool:
    return not path.isprintable() or path != path.strip() or path.startswith("-")


def _traversal(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    sandbox, accepted = arena.fresh(), []
    for name in _NAMES:
        with contextlib.suppress(Refused):
            sandbox.write({name: b"x"})
            accepted.append(name)
        with contextlib.suppress(Refused):
            sandbox.read(name)
            accepted.append(name)
    observed = f"{len(_NAMES)} names refused for writing and reading"
    if accepted:
        observed = f"accepted: {accepted!r}"
    outside = len(control.value or ())
    return AttackFinding(
        number=47,
        held=not accepted and not sandbox.files(),
        observed=observed,
        shown=outside >= 3,
        control=f"a writer that joins names writes {outside} files outside its folder",
    )


def _archives(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    sandbox = arena.fresh()
    outside = value_of(arena.run(program("archives"), "make").jobs[0])
    listed = [entry.path for entry in sandbox.files()]
    outside_control = len(control.value or ())
    return AttackFinding(
        number=48,
        held=listed == ["hostile.tar"] and not outside,
        observed=f"the store holds {', '.join(listed)} as bytes; no operation unpacks it",
        shown=bool(control.value),
        control=f"a reader that unpacks writes {outside_control} files outside its folder",
    )
