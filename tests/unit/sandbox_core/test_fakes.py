"""The fakes of a sandbox and of a guest: certified where they claim to be real, loud where their script ends."""

from collections.abc import Mapping

import pytest

from sandbox import FileEntry, Job, Sandbox, SandboxDied, SandboxTimeout
from sandbox.conformance import STORE
from sandbox.conformance.expect import Nonconforming, holds, refused, same
from sandbox.engine.channel import GuestChannel
from sandbox.scripted_guest import ScriptedGuest, replies
from sandbox.testing import MemorySandbox, SandboxScript, ScriptedRun, job_result

JOBS = [Job("a", ("true",))]


@pytest.mark.parametrize("check", STORE, ids=lambda check: check.__name__)
def test_memory_sandbox_passes_the_store_battery_of_real_sandboxes(check) -> None:
    box: Sandbox = MemorySandbox()  # mypy sees here that it has the whole interface
    check(box)
    assert box.asked == []


class AltersContents(MemorySandbox):
    def read(self, path, **options):
        content, size = super().read(path, **options)
        return content.replace(b"\r", b""), size


class RenamesFiles(MemorySandbox):
    def files(self):
        return tuple(
            FileEntry(entry.path.lower(), entry.size, entry.digest) for entry in super().files()
        )


class AcceptsEveryName(MemorySandbox):
    def _check_paths(self, files, after) -> None:
        pass


class WritesBeforeItRefuses(MemorySandbox):
    def write(self, files):
        (path, content), *rest = files.items()
        return super().write({path: content}) | super().write(dict(rest))


class DropsFilesSilently(MemorySandbox):
    def write(self, files):
        return super().write(dict(list(files.items())[:1000]))


class IgnoresOffsets(MemorySandbox):
    def read(self, path, *, offset=0, limit=1 << 20):
        return super().read(path, limit=limit)


class ListsUnsorted(MemorySandbox):
    def files(self):
        return super().files()[::-1]


class DeletesBeforeItRefuses(MemorySandbox):
    def delete(self, paths) -> None:
        for path in paths:
            super().delete([path])


class SearchesBinaryFiles(MemorySandbox):
    def search(self, text, **options):
        contents, self.contents = (
            self.contents,
            {path: one.lstrip(b"\0") for path, one in self.contents.items()},
        )
        found = super().search(text, **options)
        self.contents = contents
        return found


class FoldsEveryLetter(MemorySandbox):
    def search(self, text, **options):
        if options.get("ignore_case"):
            folded = {
                path: content.decode(errors="replace").lower().encode()
                for path, content in self.contents.items()
            }
            self.contents, text = folded, text.lower()
        return super().search(text.replace("ß", "ss"), **options)


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
def test_every_store_check_rejects_its_broken_fake(check) -> None:
    """The negative control: a check for which no broken fake is listed fails here."""
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
    box = SandboxScript(runs=[run]).make_sandbox()
    box.write({"old": b""})
    result = box.run(JOBS)
    assert (result.jobs, [change.path for change in result.changes]) == (run.jobs, ["new", "old"])
    assert (box.contents, box.asked) == ({"new": b"1"}, [tuple(JOBS)])


def test_memory_sandbox_is_lost_at_the_scripted_calls_and_runs() -> None:
    box = SandboxScript(runs=[SandboxTimeout("too slow")]).make_sandbox()
    with pytest.raises(SandboxTimeout):
        box.run(JOBS)
    with pytest.raises(SandboxDied, match="closed"):
        box.files()
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
    with pytest.raises(Nonconforming, match="so that the sun shines"):
        holds(condition=False, what="the sun shines")
    with pytest.raises(Nonconforming, match="writing should be refused"):
        refused(lambda: None, "writing")
