"""The fakes of a sandbox and of a guest: checked like real ones, and loud after their script."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from sandbox import FileEntry, Job, Match, Sandbox, SandboxDied, SandboxTimeout
from sandbox.conformance import STORE, ConformanceCheck
from sandbox.conformance.expect import Nonconforming, holds, refused, same
from sandbox.engine.channel import GuestChannel
from sandbox.scripted_guest import ScriptedGuest, replies
from sandbox.testing import MemorySandbox, SandboxScript, ScriptedRun, job_result

Found = tuple[tuple[Match, ...], bool]
JOBS = [Job("a", ("true",))]


@pytest.mark.parametrize("check", STORE, ids=lambda check: check.__name__)
def test_memory_sandbox_passes_the_store_battery_of_real_sandboxes(check: ConformanceCheck) -> None:
    memory = MemorySandbox()
    sandbox: Sandbox = memory  # mypy verifies here that it has the whole interface
    check(sandbox)
    assert memory.asked == []


class AltersContents(MemorySandbox):
    def read(self, path: str, *, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        content, size = super().read(path, offset=offset, limit=limit)
        return content.replace(b"\r", b""), size


class RenamesFiles(MemorySandbox):
    def files(self) -> tuple[FileEntry, ...]:
        return tuple(replace(entry, path=entry.path.lower()) for entry in super().files())


class AcceptsEveryName(MemorySandbox):
    def _check_paths(self, files: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
        pass


class WritesBeforeItRefuses(MemorySandbox):
    def write(self, files: Mapping[str, bytes]) -> dict[str, str]:
        (path, content), *rest = files.items()
        return super().write({path: content}) | super().write(dict(rest))


class DropsFilesSilently(MemorySandbox):
    def write(self, files: Mapping[str, bytes]) -> dict[str, str]:
        return super().write(dict(list(files.items())[:1000]))


class IgnoresOffsets(MemorySandbox):
    def read(self, path: str, *, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        return super().read(path, limit=limit)


class ListsUnsorted(MemorySandbox):
    def files(self) -> tuple[FileEntry, ...]:
        return super().files()[::-1]


class DeletesBeforeItRefuses(MemorySandbox):
    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            super().delete([path])


class SearchesBinaryFiles(MemorySandbox):
    def search(self, text: str, *, ignore_case: bool = False, max_matches: int = 200) -> Found:
        kept = self.contents
        self.contents = {path: content.lstrip(b"\0") for path, content in kept.items()}
        found = super().search(text, ignore_case=ignore_case, max_matches=max_matches)
        self.contents = kept
        return found


class FoldsEveryLetter(MemorySandbox):
    def search(self, text: str, *, ignore_case: bool = False, max_matches: int = 200) -> Found:
        if ignore_case:
            for path, content in self.contents.items():
                self.contents[path] = content.decode(errors="replace").lower().encode()
            text = text.lower()
        text = text.replace("ß", "ss")
        return super().search(text, ignore_case=ignore_case, max_matches=max_matches)


BROKEN: Mapping[str, type[MemorySandbox]] = {
    "keeps_bytes_exactly": AltersContents,
    "takes_odd_names": RenamesFiles,
    "refuses_bad_names": AcceptsEveryName,
    "writes_all_or_none": WritesBeforeItRefuses,
    "writes_thousands_at_once": DropsFilesSilently,
    "reads_ranges": IgnoresOffsets,
    "lists_what_is_there": ListsUnsorted,
    "deletes_all_or_none": DeletesBeforeItRefuses,
    "searches_literally": SearchesBinaryFiles,
    "bounds_what_a_search_finds": FoldsEveryLetter,
}


@pytest.mark.parametrize("check", STORE, ids=lambda check: check.__name__)
def test_every_store_check_rejects_its_broken_fake(check: ConformanceCheck) -> None:
    """The negative control: a check without a broken fake in the list fails here."""
    with pytest.raises(Nonconforming):
        check(BROKEN[check.__name__]())


def test_memory_sandbox_raises_when_its_script_runs_out() -> None:
    with pytest.raises(AssertionError, match="0 runs and no one for"):
        MemorySandbox().run(JOBS)
    script = SandboxScript(runs=[ScriptedRun()])
    script.make_sandbox().run(JOBS)
    with pytest.raises(AssertionError, match="1 runs and no one for"):
        script.make_sandbox().run(JOBS)


def test_memory_sandbox_returns_scripted_jobs_and_applies_scripted_writes() -> None:
    run = ScriptedRun(jobs=(job_result("a", code=3),), writes={"new": b"1", "old": None})
    sandbox = SandboxScript(runs=[run]).make_sandbox()
    sandbox.write({"old": b""})
    result = sandbox.run(JOBS)
    assert (result.jobs, [change.path for change in result.changes]) == (run.jobs, ["new", "old"])
    assert (sandbox.contents, sandbox.asked) == ({"new": b"1"}, [tuple(JOBS)])


def test_memory_sandbox_is_lost_at_the_scripted_calls_and_runs() -> None:
    sandbox = SandboxScript(runs=[SandboxTimeout("too slow")]).make_sandbox()
    with pytest.raises(SandboxTimeout):
        sandbox.run(JOBS)
    with pytest.raises(SandboxDied, match="closed"):
        sandbox.files()
    script = SandboxScript(lost_at={2})
    first, second = script.make_sandbox(), script.make_sandbox()
    first.files()
    with pytest.raises(SandboxDied, match="lost at call 2"):
        second.files()
    assert (first.closed, second.closed, script.sandboxes) == (False, True, [first, second])


def test_scripted_guest_raises_when_a_request_follows_its_last_step() -> None:
    with pytest.raises(AssertionError, match="no step"):
        with ScriptedGuest(replies({})) as guest:
            channel = GuestChannel(guest.host_end)
            channel.hello({"op": "hello"}, bytes(32), 5)
            with pytest.raises(SandboxDied):
                channel.request({"op": "list"}, b"", 5)
            channel.close()


def test_failed_conformance_checks_name_the_expected_and_the_seen_value() -> None:
    with pytest.raises(Nonconforming, match="the answer should be 42 but is 41"):
        same(41, 42, "the answer")
    with pytest.raises(Nonconforming, match="should ensure that the sun shines"):
        holds(condition=False, what="the sun shines")
    with pytest.raises(Nonconforming, match="writing should be refused"):
        refused(lambda: None, "writing")
