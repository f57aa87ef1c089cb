"""Rows 43 to 48: what files of the store can do to whoever reads them."""

import contextlib
from collections.abc import Iterator

from sandbox.attack.findings import AttackFinding
from sandbox.attack.site import Arena, Site, program, value_of
from sandbox.attack.weakened import WeakenedOutcome, almighty
from sandbox.errors import Refused

# Names that a model may send; nothing here opens one.
_NAMES = (
    "../up", "a/../../b", "/tmp/absolute", "~/home", "a//b", "./here", "a\\..\\b", "/proc/self/cwd/x", "nul\0byte",  # noqa: S108
    "..", "a/..", "%2e%2e/../x", "link/../../x",
)  # fmt: skip


def attack(site: Site) -> Iterator[AttackFinding]:
    """Attack the readers of the store; the controls are readers and writers without care, in a weak container."""
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
    """Read names that are links, or that become links while they are read."""
    sandbox, leaked, refused = arena.fresh(), 0, 0
    sandbox.write({"swapped.py": b"harmless = True\n"})
    result = arena.run(program("links"), "swap")
    for name in (
        "passwd.py",
        "environ.py",
        "root",
        "folder",
        "dangling.py",
        "loop.py",
        "swapped.py",
    ):
        try:
            content, _ = sandbox.read(name)
            leaked += content not in (b"harmless = True\n", b"")
        except Refused:
            refused += 1
    listed = [entry.path for entry in sandbox.files() if entry.path != "swapped.py"]
    return AttackFinding(
        number=43,
        held=not leaked and not listed and refused >= 6 and result.removed >= 6,
        observed=f"{result.removed} links removed, {refused} names refused, {leaked} contents from outside",
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
    return AttackFinding(
        number=45,
        held=not listed and refused == 3 and arena.works(),
        observed=f"made: {', '.join(made) or 'none'}; {result.removed} removed, all reads refused, nothing hung",
        shown=len(control.value or ()) == 3,
        control=f"as root, without profile: {', '.join(control.value or ())} made and kept",
    )


def _odd_names(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    sandbox = arena.fresh()
    result = arena.run(program("odd_names"))
    listed = [entry.path for entry in sandbox.files()]
    bad = [
        path
        for path in listed
        if not path.isprintable() or path != path.strip() or path.startswith("-")
    ]
    return AttackFinding(
        number=46,
        held=not bad and len(listed) < value_of(result.jobs[0]) and arena.works(),
        observed=f"{value_of(result.jobs[0])} made, {result.removed} removed, {len(listed)} listed, {len(bad)} harmful",
        shown=bool(control.value),
        control=f"a plain listing gives all {control.value}",
    )


def _traversal(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    sandbox, accepted = arena.fresh(), []
    for name in _NAMES:
        for act in (
            lambda name=name: sandbox.write({name: b"x"}),
            lambda name=name: sandbox.read(name),
        ):
            with contextlib.suppress(Refused):
                act()
                accepted.append(name)
    return AttackFinding(
        number=47,
        held=not accepted and not sandbox.files(),
        observed=f"{len(_NAMES)} names refused to write and to read"
        if not accepted
        else f"accepted: {accepted!r}",
        shown=len(control.value or ()) >= 3,
        control=f"a writer that joins names puts {len(control.value or ())} outside of its folder",
    )


def _archives(arena: Arena, control: WeakenedOutcome) -> AttackFinding:
    sandbox = arena.fresh()
    outside = value_of(arena.run(program("archives"), "make").jobs[0])
    listed = [entry.path for entry in sandbox.files()]
    return AttackFinding(
        number=48,
        held=listed == ["hostile.tar"] and not outside,
        observed=f"the store has {', '.join(listed)}, as bytes; there is no door that unpacks",
        shown=bool(control.value),
        control=f"a reader that unpacks writes {len(control.value or ())} files outside of its folder",
    )
