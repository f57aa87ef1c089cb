from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2mac.errors import TraceError
from l2mac.file_store import FileStore, KeepCaps, SandboxReplaced
from l2mac.trace.objects import ObjectStore
from sandbox import (
    Change,
    FileEntry,
    Job,
    PolicyError,
    Refused,
    SandboxDied,
    SandboxLost,
    SandboxPolicy,
)
from sandbox.testing import SandboxScript, ScriptedRun, job_result

RUN = (Job("program", argv=("python", "a.py")),)
CHECK = (Job("tests", checker="pytest"),)
FILES = {"a.py": b"a = 1\n", "b/c.py": b"\r\n\xff\x00", "empty": b""}
LARGE_WRITES = SandboxPolicy(max_write_bytes=32 * 1024 * 1024)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "objects.pack")


def store_with(script: SandboxScript, objects: ObjectStore, **more: object) -> FileStore:
    return FileStore(script.make_sandbox, objects, **more)  # type: ignore[arg-type]


def mirrored(store: FileStore, objects: ObjectStore) -> dict[str, bytes]:
    return {entry.path: objects.get(entry.digest) for entry in store.files}


def in_sandbox(script: SandboxScript) -> dict[str, bytes]:
    return script.sandboxes[-1].contents


def written(**files: bytes | None) -> ScriptedRun:
    return ScriptedRun(
        jobs=(job_result("program"),),
        writes={path.replace("__", "/"): one for path, one in files.items()},
    )


def test_no_sandbox_is_made_before_it_is_needed(objects: ObjectStore) -> None:
    script = SandboxScript()
    store = store_with(script, objects)
    assert (store.files, script.sandboxes) == ((), [])
    store.write(FILES)
    assert len(script.sandboxes) == 1


def test_written_files_are_in_the_sandbox_and_the_object_store(objects: ObjectStore) -> None:
    script = SandboxScript()
    store = store_with(script, objects)
    changes = store.write(FILES)
    assert [(change.path, change.size) for change in changes] == [
        (path, len(content)) for path, content in FILES.items()
    ]
    assert in_sandbox(script) == mirrored(store, objects) == FILES
    assert [store.read(path) for path in FILES] == list(FILES.values())
    assert store.files == script.sandboxes[0].files()


def test_writing_the_same_again_changes_nothing(objects: ObjectStore) -> None:
    store = store_with(SandboxScript(), objects)
    store.write(FILES)
    tree = store.tree
    assert store.write({"a.py": FILES["a.py"], "new": b""}) == (
        Change("new", 0, store.files[-1].digest),
    )
    assert store.tree != tree


def test_a_refused_write_changes_nothing(objects: ObjectStore) -> None:
    script = SandboxScript()
    store = store_with(script, objects)
    store.write(FILES)
    with pytest.raises(Refused):
        store.write({"fine": b"x", "../escape": b"x"})
    assert in_sandbox(script) == mirrored(store, objects) == FILES


def test_deleted_files_are_gone_from_both(objects: ObjectStore) -> None:
    script = SandboxScript()
    store = store_with(script, objects)
    store.write(FILES)
    assert store.delete(["a.py"]) == (Change("a.py", -1, ""),)
    assert (
        in_sandbox(script)
        == mirrored(store, objects)
        == {path: FILES[path] for path in FILES if path != "a.py"}
    )


def test_a_refused_deletion_deletes_nothing(objects: ObjectStore) -> None:
    script = SandboxScript()
    store = store_with(script, objects)
    store.write(FILES)
    with pytest.raises(Refused):
        store.delete(["a.py", "none"])
    assert in_sandbox(script) == mirrored(store, objects) == FILES


def test_a_search_is_the_boxs(objects: ObjectStore) -> None:
    store = store_with(SandboxScript(), objects)
    store.write({"a": b"x\nY\n", "b": b"y"})
    found, more = store.search("y", ignore_case=True, max_matches=1)
    assert ([(match.path, match.line) for match in found], more) == ([("a", 2)], True)


def test_a_file_that_is_too_large_to_be_read_whole_is_refused(objects: ObjectStore) -> None:
    store = store_with(SandboxScript(policy=LARGE_WRITES), objects)
    store.write({"large": bytes(16 * 1024 * 1024 + 1)})
    with pytest.raises(Refused, match="cannot be read whole"):
        store.read("large")


def test_the_tree_depends_on_paths_and_contents_and_not_on_the_order(objects: ObjectStore) -> None:
    one, two = store_with(SandboxScript(), objects), store_with(SandboxScript(), objects)
    one.write({"a": b"1", "b": b"2"})
    two.write({"b": b"2"})
    two.write({"a": b"1"})
    assert one.tree == two.tree
    two.write({"a": b"2", "b": b"1"})
    assert one.tree != two.tree


def test_recorded_changes_need_no_sandbox_for_the_same_tree(objects: ObjectStore) -> None:
    script = SandboxScript()
    store, again = store_with(SandboxScript(), objects), store_with(script, objects)
    for changes in (store.write(FILES), store.delete(["a.py"])):
        again.apply(changes)
    assert (again.tree, again.files, script.sandboxes) == (store.tree, store.files, [])
    assert again.read("b/c.py") == FILES["b/c.py"]


def test_files_written_by_an_execution_join_the_store(objects: ObjectStore) -> None:
    script = SandboxScript(runs=[written(a__new=b"new", **{"a.py": b"changed"}, empty=None)])
    store = store_with(script, objects)
    store.write(FILES)
    execution = store.execute(RUN, keep_changes=True)
    assert [change.path for change in execution.kept] == ["a.py", "a/new", "empty"]
    assert execution.undone == ()
    expected = {"a.py": b"changed", "a/new": b"new", "b/c.py": FILES["b/c.py"]}
    assert in_sandbox(script) == mirrored(store, objects) == expected


def test_files_written_by_a_check_are_undone(objects: ObjectStore) -> None:
    script = SandboxScript(runs=[written(new=b"new", **{"a.py": b"changed"}, empty=None)])
    store = store_with(script, objects)
    store.write(FILES)
    tree = store.tree
    execution = store.execute(RUN, keep_changes=False)
    assert (execution.kept, execution.undone) == ((), ("a.py", "empty", "new"))
    assert in_sandbox(script) == mirrored(store, objects) == FILES
    assert store.tree == tree


@pytest.mark.parametrize(
    ("caps", "kept"),
    [
        (KeepCaps(files=2), {"a.py", "b"}),
        (KeepCaps(files=0), set()),
        (KeepCaps(file_bytes=3), {"a.py", "c"}),
        (KeepCaps(total_bytes=5), {"a.py", "c"}),
        (KeepCaps(total_bytes=2), {"c"}),
    ],
)
def test_changes_over_the_caps_are_undone_and_deletions_kept(
    objects: ObjectStore, caps: KeepCaps, kept: set[str]
) -> None:
    script = SandboxScript(runs=[written(**{"a.py": b"new"}, b=b"four", c=b"22", empty=None)])
    store = store_with(script, objects, caps=caps)
    store.write(FILES)
    execution = store.execute(RUN, keep_changes=True)
    assert {change.path for change in execution.kept} == kept | {"empty"}
    assert set(execution.undone) == {"a.py", "b", "c"} - kept
    new = {"a.py": b"new", "b": b"four", "c": b"22"}
    expected = {"a.py": FILES["a.py"], "b/c.py": FILES["b/c.py"]} | {
        path: new[path] for path in kept
    }
    assert in_sandbox(script) == mirrored(store, objects) == expected


def test_a_file_in_the_place_of_a_folder_is_kept_with_the_folders_end(objects: ObjectStore) -> None:
    script = SandboxScript(runs=[ScriptedRun(writes={"b": b"file", "b/c.py": None})])
    store = store_with(script, objects, caps=KeepCaps(files=1))
    store.write({"b/c.py": b"x"})
    store.execute(RUN, keep_changes=True)
    assert in_sandbox(script) == mirrored(store, objects) == {"b": b"file"}


def test_many_large_files_are_restored_in_batches_that_fit_a_request(
    objects: ObjectStore,
) -> None:
    large = {f"f{number}": bytes([number]) * 7_000_000 for number in range(7)}
    script = SandboxScript(
        runs=[ScriptedRun(writes=dict.fromkeys(large, b""))], policy=LARGE_WRITES
    )
    store = store_with(script, objects)
    for path, content in large.items():
        store.write({path: content})
    calls = script.calls
    store.execute(RUN, keep_changes=False)
    assert in_sandbox(script) == large
    assert script.calls - calls == 1 + 4


def test_state_that_cannot_be_restored_costs_the_sandbox_not_the_store(
    objects: ObjectStore,
) -> None:
    """An empty folder in the place of a file is not a change that can be undone."""
    script = SandboxScript(runs=[ScriptedRun(writes={"a": None})])
    store = store_with(script, objects)
    store.write({"a": b"x"})
    script.sandboxes[0].folders.add("a")
    with pytest.raises(SandboxReplaced, match="could not be put in order"):
        store.execute(RUN, keep_changes=False)
    assert (len(script.sandboxes), script.sandboxes[0].closed) == (2, True)
    assert in_sandbox(script) == mirrored(store, objects) == {"a": b"x"}


def test_lost_sandbox_is_replaced_by_one_with_the_same_bytes(objects: ObjectStore) -> None:
    script = SandboxScript(lost_at={2})
    store = store_with(script, objects)
    store.write(FILES)
    with pytest.raises(SandboxReplaced, match="lost at call 2"):
        store.read("a.py")
    assert len(script.sandboxes) == 2
    assert in_sandbox(script) == mirrored(store, objects) == FILES


def test_write_that_loses_its_sandbox_has_not_happened(objects: ObjectStore) -> None:
    script = SandboxScript(lost_at={2})
    store = store_with(script, objects)
    store.write(FILES)
    with pytest.raises(SandboxReplaced):
        store.write({"new": b""})
    assert in_sandbox(script) == mirrored(store, objects) == FILES


def test_the_third_loss_in_a_row_is_passed_on(objects: ObjectStore) -> None:
    script = SandboxScript(lost_at={2, 4, 6})
    store = store_with(script, objects)
    store.write(FILES)
    for _ in range(2):
        with pytest.raises(SandboxReplaced):
            store.read("a.py")
    with pytest.raises(SandboxLost):
        store.read("a.py")
    assert all(sandbox.closed for sandbox in script.sandboxes)


def test_a_success_between_losses_starts_the_count_anew(objects: ObjectStore) -> None:
    script = SandboxScript(lost_at={2, 4, 7, 9})
    store = store_with(script, objects)
    store.write(FILES)
    outcomes = []
    for _ in range(5):
        try:
            outcomes.append(store.read("a.py"))
        except SandboxReplaced:
            outcomes.append(b"replaced")
    assert outcomes == [b"replaced", b"replaced", FILES["a.py"], b"replaced", b"replaced"]


def test_sandbox_lost_while_it_is_filled_is_not_used_again(objects: ObjectStore) -> None:
    script = SandboxScript(lost_at={2, 3})
    store = store_with(script, objects)
    store.write(FILES)
    with pytest.raises(SandboxLost):
        store.read("a.py")
    assert all(sandbox.closed for sandbox in script.sandboxes)
    assert store.read("a.py") == FILES["a.py"]


def test_files_too_large_for_a_new_sandbox_are_a_matter_of_its_policy(
    objects: ObjectStore,
) -> None:
    store = store_with(SandboxScript(), objects)
    store.write(FILES)
    script = SandboxScript(policy=SandboxPolicy(disk_bytes=3))
    again = store_with(script, objects)
    with pytest.raises(PolicyError, match="--disk"):
        again.open_with(store.files)
    assert script.sandboxes[0].closed


def test_content_missing_from_the_trace_costs_the_sandbox(objects: ObjectStore) -> None:
    script = SandboxScript()
    store = store_with(script, objects)
    with pytest.raises(TraceError):
        store.open_with([FileEntry("a", 1, "0" * 64)])
    assert script.sandboxes[0].closed


def test_sandbox_with_another_hash_is_not_believed(objects: ObjectStore) -> None:
    script = SandboxScript()
    store = store_with(script, objects)
    sandbox = store.open()
    sandbox.write = lambda files: dict.fromkeys(files, "0" * 64)  # type: ignore[method-assign]
    with pytest.raises(SandboxDied, match="wrote other content"):
        store.write(FILES)
    assert store.files == ()


def test_sandbox_with_other_bytes_than_announced_is_not_believed(
    objects: ObjectStore,
) -> None:
    script = SandboxScript(runs=[written(new=b"new")])
    store = store_with(script, objects)
    sandbox = store.open()
    sandbox.read = lambda *_, **__: (b"other", 5)  # type: ignore[method-assign]
    with pytest.raises(SandboxDied, match="changed while it was read"):
        store.execute(RUN, keep_changes=True)
    assert store.files == ()


def test_resumed_run_has_its_files_in_the_sandbox_before_replaying(objects: ObjectStore) -> None:
    first = store_with(SandboxScript(), objects)
    changes = first.write(FILES)
    script = SandboxScript()
    store = store_with(script, objects)
    store.open_with(first.files)
    assert (store.files, in_sandbox(script)) == ((), FILES)
    store.apply(changes)
    assert store.read("a.py") == FILES["a.py"]
    assert len(script.sandboxes) == 1


def test_adopted_files_fill_the_sandbox_when_it_is_made(objects: ObjectStore) -> None:
    first = store_with(SandboxScript(), objects)
    first.write(FILES)
    script = SandboxScript()
    store = store_with(script, objects)
    store.adopt(first.files)
    store.open()
    assert (in_sandbox(script), store.tree) == (FILES, first.tree)


def test_second_close_is_harmless_and_a_closed_store_opens_a_new_sandbox(
    objects: ObjectStore,
) -> None:
    script = SandboxScript()
    store = store_with(script, objects)
    store.write(FILES)
    store.close()
    store.close()
    assert script.sandboxes[0].closed
    assert store.read("a.py") == FILES["a.py"]


def a_days_work(store: FileStore) -> None:
    """Use every method; retry each step once if the sandbox is lost."""

    def persist(step: Callable[[], object]) -> None:
        for _ in range(3):
            try:
                step()
            except SandboxReplaced:
                continue
            return

    persist(lambda: store.write(FILES))
    persist(lambda: store.execute(RUN, keep_changes=True))
    persist(lambda: store.write({"later.py": b"later"}))
    persist(lambda: store.delete(["b/c.py"]))
    persist(lambda: store.execute(CHECK, keep_changes=False))
    persist(lambda: store.read("a.py"))


def test_losing_the_sandbox_at_any_call_ends_with_the_same_bytes(tmp_path: Path) -> None:
    def come_to(jobs: tuple[Job, ...]) -> ScriptedRun:
        return (
            written(made=b"made", empty=None)
            if jobs == RUN
            else written(trash=b"trash", **{"a.py": None})
        )

    trees, calls, lost_at = set(), 0, 0
    while lost_at <= calls:
        objects = ObjectStore(tmp_path / f"{lost_at}.pack")
        script = SandboxScript(runs=come_to, lost_at={lost_at})
        store = store_with(script, objects)
        a_days_work(store)
        trees.add(store.tree)
        calls = max(calls, script.calls)
        assert in_sandbox(script) == mirrored(store, objects)
        lost_at += 1
    assert len(trees) == 1
    assert calls > 10


@given(
    steps=st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from(["a", "b", "c/d"]), st.binary(max_size=3), min_size=1),
            st.lists(st.sampled_from(["a", "b", "c/d"]), min_size=1, unique=True),
        )
    ),
    lost_at=st.sets(st.integers(1, 30)),
)
def test_sandbox_and_trace_never_differ(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[dict[str, bytes] | list[str]],
    lost_at: set[int],
) -> None:
    objects = ObjectStore(tmp_path_factory.mktemp("objects") / "objects.pack")
    script = SandboxScript(lost_at=lost_at)
    store = store_with(script, objects)
    for step in steps:
        try:
            store.write(step) if isinstance(step, dict) else store.delete(step)
        except (Refused, SandboxReplaced, SandboxLost):
            pass
        if script.sandboxes and not script.sandboxes[-1].closed:
            assert in_sandbox(script) == mirrored(store, objects)
    objects.close()
