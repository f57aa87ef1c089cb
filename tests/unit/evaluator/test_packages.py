"""Packages of a run: fetched once, recorded, read from the trace, locked by hash."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from l2mac.errors import TraceError
from l2mac.evaluator.packages import Dependencies, Mode, PackageSource, recorded_fetch
from l2mac.file_store import FileStore
from l2mac.trace.events import PackagesFetched
from l2mac.trace.journal import Journal
from sandbox import Fetched, Installed, Refused
from sandbox.testing import MemorySandbox, SandboxScript

WHEEL = {"attrs-1-py3-none-any.whl": b"a wheel"}
HASH = hashlib.sha256(b"a wheel").hexdigest()
FAILED = Fetched(output="ERROR: No matching distribution found for attrs")
UNREACHABLE = Fetched(output="ERROR: no answer", connections=({"unreachable": True},))


class World:
    """A scripted index and sandboxes that take its packages, with counts of both."""

    def __init__(self, *answers: Fetched, refuses: str = "") -> None:
        self.answers = list(answers)
        self.refuses = refuses
        self.installed: list[list[str]] = []

    def fetch(self, _: str, __: str, ___: bool) -> Fetched:
        return self.answers.pop(0)

    def install(self, _: str, wheels: Mapping[str, bytes]) -> Installed:
        if self.refuses:
            raise Refused(self.refuses)
        self.installed.append(list(wheels))
        return Installed(
            digest=hashlib.sha256(b"".join(wheels.values())).hexdigest() if wheels else ""
        )

    @property
    def source(self) -> PackageSource:
        return PackageSource(self.fetch, self.install)


def settled(folder: Path, world: World, *texts: str, mode: Mode = "resolve") -> list[str]:
    """Resolve some wordings of requirements.txt in one session; return the failures."""
    found = []
    with Journal(folder) as journal:
        dependencies = Dependencies(mode, "run", journal, world.source)
        dependencies.restore(journal.recorded())
        script = SandboxScript()

        def make_sandbox(_: str) -> MemorySandbox:
            dependencies.install()
            return script.make_sandbox()

        store = FileStore(make_sandbox, journal.objects)
        for text in texts:
            store.write({"requirements.txt": text.encode()})
            result = dependencies.resolve(store)
            found.append(
                "" if result is None else " ".join(finding.text for finding in result.findings)
            )
        store.open()
        store.close()
    return found


def test_packages_are_fetched_once_for_each_requirement_text(tmp_path: Path) -> None:
    world = World(Fetched(wheels=WHEEL, output=""), FAILED)
    assert settled(
        tmp_path, world, "attrs\n", "attrs\n# why\n", "no-such\n", "no-such \n", "attrs\n"
    )[:2] == ["", ""]
    assert world.answers == []
    assert world.installed == [list(WHEEL)]


def test_resumed_run_fetches_nothing_and_its_first_sandbox_has_packages(tmp_path: Path) -> None:
    settled(tmp_path, World(Fetched(wheels=WHEEL, output="")), "attrs\n")
    world = World()
    assert settled(tmp_path, world, "attrs\n") == [""]
    assert world.installed == [list(WHEEL)]


def test_packages_that_unpack_differently_end_the_session(tmp_path: Path) -> None:
    settled(tmp_path, World(Fetched(wheels=WHEEL, output="")), "attrs\n")
    world = World()
    other = PackageSource(world.fetch, lambda *_: Installed(digest="0" * 64))
    with Journal(tmp_path) as journal:
        dependencies = Dependencies("resolve", "run", journal, other)
        dependencies.restore(journal.recorded())
        with pytest.raises(TraceError, match="unpack to other files"):
            dependencies.install()


def test_files_that_name_nothing_any_more_take_the_packages_away(tmp_path: Path) -> None:
    world = World(Fetched(wheels=WHEEL, output=""))
    assert settled(tmp_path, world, "attrs\n", "# none\n") == ["", ""]
    assert world.installed == [list(WHEEL), []]


def test_fetch_failures_are_findings_and_missing_answers_are_retried(tmp_path: Path) -> None:
    world = World(UNREACHABLE, Fetched(wheels=WHEEL, output=""), FAILED)
    found = settled(tmp_path, world, "attrs\n", "attrs\n", "other\n", "other\n")
    assert found == ["no answer", "", *["No matching distribution found for attrs"] * 2]


@pytest.mark.parametrize(("digest", "problem"), [(HASH, ""), ("0" * 64, "does not have a hash")])
def test_locked_mode_compares_hashes_on_the_host_itself(
    tmp_path: Path, digest: str, problem: str
) -> None:
    found = settled(
        tmp_path,
        World(Fetched(wheels=WHEEL, output="")),
        f"attrs==1 --hash=sha256:{digest}\n",
        mode="locked",
    )
    assert problem in found[0]
    assert bool(problem) == bool(found[0])


def test_a_wheel_that_cannot_be_unpacked_is_a_finding(tmp_path: Path) -> None:
    world = World(Fetched(wheels=WHEEL, output=""), refuses="it holds a file with the path '../x'")
    assert settled(tmp_path, world, "attrs\n") == ["it holds a file with the path '../x'"]


def test_a_run_fetches_so_often_and_no_more(tmp_path: Path) -> None:
    world = World(*[FAILED] * 30)
    found = settled(tmp_path, world, *(f"attrs=={number}\n" for number in range(25)))
    assert len(world.answers) == 10
    assert "20 times" in found[-1]


def test_off_means_that_the_files_name_nothing(tmp_path: Path) -> None:
    assert settled(tmp_path, World(), "--index-url https://evil.test\n", mode="off") == [""]


def test_replay_takes_wheels_only_from_the_trace(tmp_path: Path) -> None:
    settled(tmp_path, World(Fetched(wheels=WHEEL, output="")), "attrs\n")
    with Journal(tmp_path) as journal:
        fetch = recorded_fetch(journal.recorded(), journal.objects)
        assert dict(fetch("", "attrs\n", False).wheels) == WHEEL
        assert any(isinstance(event, PackagesFetched) for event in journal.recorded())
        with pytest.raises(TraceError):
            fetch("", "other\n", False)
