"""A host against a hostile guest: every lie, silence or noise is a typed error in time."""

import struct
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_sandbox import scripted_sandbox

from sandbox import (
    Cause,
    FileEntry,
    IsolationMismatch,
    Job,
    Match,
    Refused,
    RunResult,
    SandboxCompromised,
    SandboxDied,
    SandboxLost,
    SandboxPolicy,
    SandboxTimeout,
)
from sandbox.engine.channel import GuestChannel
from sandbox.engine.docker_sandbox import DockerSandbox
from sandbox.protocol import MAX_BODY_BYTES, Sealer
from sandbox.scripted_guest import (
    STDERR,
    Conversation,
    ScriptedGuest,
    Step,
    hangs_up,
    refuses,
    replies,
    sends,
    stays_silent,
)

HELLO: dict[str, object] = {"op": "hello"}
KEY = bytes(range(32))
PATIENCE_S, SHORT_S = 60, 0.3
DIGEST = "0" * 64
Reply = tuple[dict[str, object], bytes]
JOBS = (Job("one", ("true",)),)
JOB: dict[str, object] = {
    "end": {"kind": "exit", "code": 0},
    "duration_ms": 1,
    "output": [0, 0, 0],
    "errors": [0, 0, 0],
    "report": [0, 0, 0],
}
RUN: dict[str, object] = {
    "jobs": [JOB],
    "changes": [],
    "removed": 0,
    "leftovers": 0,
    "survivors": 0,
    "oom_kills": 0,
    "pids_denied": 0,
    "restored": [],
}


def asked(*steps: Step, requests: int = 1, patience_s: float = PATIENCE_S) -> Reply:
    """Greet a scripted guest, send requests to it and return the last reply."""
    with ScriptedGuest(replies({}), *steps) as guest:
        channel = GuestChannel(guest.host_end)
        channel.hello(HELLO, KEY, PATIENCE_S)
        try:
            for _ in range(requests - 1):
                channel.request({"op": "list"}, b"", patience_s)
            return channel.request({"op": "list"}, b"", patience_s)
        finally:
            channel.close()


def twice(conversation: Conversation) -> None:
    frame = conversation.seal({"ok": True})
    conversation.send(frame + frame)


def two_replies(conversation: Conversation) -> None:
    conversation.send(conversation.seal({"n": 1}) + conversation.seal({"n": 2}))


class Replay:
    """A step that sends its first reply again and again."""

    def __init__(self) -> None:
        self._frame = b""

    def __call__(self, conversation: Conversation) -> None:
        self._frame = self._frame or conversation.seal({"ok": True})
        conversation.send(self._frame)


def in_small_pieces(conversation: Conversation) -> None:
    for byte in conversation.seal({"ok": True}, b"body"):
        conversation.send(bytes([byte]))


def babbles(conversation: Conversation) -> None:
    """Write to standard error without end, or until the host hangs up."""
    deadline = time.monotonic() + 2 * PATIENCE_S
    while conversation._connection.fileno() >= 0 and time.monotonic() < deadline:
        conversation.send(b"noise" * 1000, STDERR)


def test_reply_in_small_pieces_is_accepted() -> None:
    assert asked(in_small_pieces) == ({"ok": True}, b"body")


def another_stream(conversation: Conversation) -> None:
    conversation.send(b"x" * 100, 7)


INVALID: dict[str, tuple[Step, type[SandboxLost]]] = {
    "garbage": (sends(b"garbage" * 20), SandboxCompromised),
    "an endless header": (
        sends(struct.pack(">II", 0xFFFFFFFF, 0) + bytes(32)),
        SandboxCompromised,
    ),
    "an endless body": (
        sends(struct.pack(">II", 0, MAX_BODY_BYTES + 1) + bytes(32)),
        SandboxCompromised,
    ),
    "another key": (sends(Sealer(b"G").seal({"ok": True})), SandboxCompromised),
    "the host's own direction": (sends(Sealer(b"H", KEY).seal({"ok": True})), SandboxCompromised),
    "another stream": (another_stream, SandboxCompromised),
    "two replies": (two_replies, SandboxCompromised),
    "one reply twice": (twice, SandboxCompromised),
    "silence": (stays_silent, SandboxTimeout),
    "half a prefix": (sends(b"\0" * 10), SandboxTimeout),
    "noise on standard error": (babbles, SandboxTimeout),
    "an early end": (hangs_up, SandboxDied),
    "an endless piece": (
        lambda conversation: conversation.send_raw(b"\1\0\0\0\xff\xff\xff\xff" + b"x" * 50),
        SandboxCompromised,
    ),
    "half a piece's header": (
        lambda conversation: conversation.send_raw(b"\1\0\0"),
        SandboxTimeout,
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_replies_are_typed_errors_in_time(name: str) -> None:
    step, error = INVALID[name]
    started_at = time.monotonic()

    with pytest.raises(error):
        asked(step, patience_s=SHORT_S if error is SandboxTimeout else PATIENCE_S)

    assert time.monotonic() - started_at < PATIENCE_S


def test_replayed_reply_is_detected() -> None:
    replay = Replay()
    with pytest.raises(SandboxCompromised):
        asked(replay, replay, requests=2)


@given(st.binary(max_size=400), st.integers(min_value=0, max_value=3))
def test_bytes_other_than_an_authentic_frame_are_never_a_reply(noise: bytes, stream: int) -> None:
    def step(conversation: Conversation) -> None:
        conversation.send(noise, stream)
        conversation.hang_up()

    with pytest.raises(SandboxLost):
        asked(step)


def test_last_words_of_a_dead_sandbox_have_no_control_characters() -> None:
    def step(conversation: Conversation) -> None:
        conversation.send(b"first\n\x1b[31mred\x07 \xe2\x80\xae\xff last", STDERR)
        conversation.hang_up()

    with ScriptedGuest(replies({}), step) as guest:
        channel = GuestChannel(guest.host_end)
        channel.hello(HELLO, KEY, 5)
        with pytest.raises(SandboxDied):
            channel.request({"op": "list"}, b"", PATIENCE_S)
        assert channel.diagnostics == "first\n?[31mred? ?\\xff last"
        channel.close()


def changed(**fields: object) -> Step:
    return replies({**RUN, **fields})


def with_job(**fields: object) -> Step:
    return changed(jobs=[{**JOB, **fields}])


OPERATIONS: dict[str, Callable[[DockerSandbox], object]] = {
    "write": lambda sandbox: sandbox.write({"a.txt": b"a"}),
    "read": lambda sandbox: sandbox.read("a.txt", offset=2, limit=10),
    "files": lambda sandbox: sandbox.files(),
    "search": lambda sandbox: sandbox.search("x"),
    "run": lambda sandbox: sandbox.run(JOBS),
}
MALFORMED: dict[str, tuple[str, Step]] = {
    "nothing": ("files", replies({})),
    "no list": ("files", replies({"files": "abc"})),
    "null": ("files", replies({"files": None})),
    "short rows": ("files", replies({"files": [["a"]]})),
    "a path up": ("files", replies({"files": [["../a", 1, DIGEST]]})),
    "an absolute path": ("files", replies({"files": [["/etc/passwd", 1, DIGEST]]})),
    "a path with an escape": ("files", replies({"files": [["a\x1b[0m", 1, DIGEST]]})),
    "a path with a surrogate": ("files", replies({"files": [["\ud800", 1, DIGEST]]})),
    "a number for a path": ("files", replies({"files": [[7, 1, DIGEST]]})),
    "a negative size": ("files", replies({"files": [["a", -1, DIGEST]]})),
    "a size that is true": ("files", replies({"files": [["a", True, DIGEST]]})),
    "a fraction": ("files", replies({"files": [["a", 1.5, DIGEST]]})),
    "a huge number": ("files", replies({"files": [["a", 10**30, DIGEST]]})),
    "no digest": ("files", replies({"files": [["a", 1, "../../x"]]})),
    "a refusal without a reason": ("files", lambda c: c.send(c.seal({"ok": False}))),
    "an ok that is not true": ("files", lambda c: c.send(c.seal({"ok": 1, "files": []}))),
    "digests of something else": ("write", replies({"digests": [DIGEST]})),
    "too few digests": ("write", replies({"digests": []})),
    "digests of another type": ("write", replies({"digests": {"a.txt": DIGEST}})),
    "more than was asked for": ("read", replies({"size": 100}, b"x" * 11)),
    "less than there is": ("read", replies({"size": 100}, b"x")),
    "content beyond the end": ("read", replies({"size": 1}, b"x")),
    "a size as text": ("read", replies({"size": "12"}, b"0123456789")),
    "a match without a line": ("search", replies({"matches": [["a", "x", "text"]], "more": False})),
    "more that is no truth": ("search", replies({"matches": [], "more": 0})),
    "no jobs": ("run", changed(jobs=[])),
    "too many jobs": ("run", changed(jobs=[JOB, JOB])),
    "jobs as an object": ("run", changed(jobs={"one": JOB})),
    "an unknown end": ("run", with_job(end={"kind": "passed", "code": 0})),
    "an end without a code": ("run", with_job(end={"kind": "exit"})),
    "a negative length": ("run", with_job(output=[-1, 0, 0])),
    "lengths over the total": ("run", with_job(output=[1, 0, 0])),
    "streams that are not there": ("run", with_job(output=[10, 0, 10])),
    "streams left over": ("run", replies(RUN, b"more")),
    "a change elsewhere": ("run", changed(changes=[["../../x", 1, DIGEST]])),
    "a deleted file with a size": ("run", changed(changes=[["x", 3, ""]])),
    "a count as text": ("run", changed(removed="1")),
    "survivors as a list": ("run", changed(survivors=[])),
    "counters as text": ("run", changed(oom_kills="0")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_reply_ends_the_sandbox(name: str) -> None:
    operation, step = MALFORMED[name]
    sandbox, guest, api = scripted_sandbox(step)

    with guest, sandbox:
        with pytest.raises(SandboxCompromised):
            OPERATIONS[operation](sandbox)
        assert api.removed == ["c" * 64]
        with pytest.raises(SandboxDied, match="closed"):
            OPERATIONS[operation](sandbox)


def test_a_well_formed_reply_is_a_result() -> None:
    listing = replies({"files": [["a/b.txt", 3, DIGEST]]})
    found = replies({"matches": [["a.txt", 1, "x"]], "more": True})
    sandbox, guest, _ = scripted_sandbox(
        listing, found, refuses("no such file"), replies(RUN), replies({"size": 3}, b"c")
    )

    with guest, sandbox:
        assert sandbox.files() == (FileEntry("a/b.txt", 3, DIGEST),)
        assert sandbox.search("x") == ((Match("a.txt", 1, "x"),), True)
        with pytest.raises(Refused, match="no such file"):
            sandbox.delete(["missing"])
        result = sandbox.run(JOBS)
        assert isinstance(result, RunResult)
        assert result.job("one").succeeded
        assert sandbox.read("a.txt", offset=2) == (b"c", 3)


@pytest.mark.parametrize(
    ("end", "counts", "cause"),
    [
        ({"kind": "exit", "code": 0}, {"oom_kills": 3, "pids_denied": 3}, Cause.EXITED),
        ({"kind": "exit", "code": 1}, {}, Cause.EXITED),
        ({"kind": "exit", "code": 1}, {"pids_denied": 1}, Cause.PIDS),
        ({"kind": "signal", "code": 9}, {}, Cause.SIGNALLED),
        ({"kind": "signal", "code": 9}, {"oom_kills": 1}, Cause.MEMORY),
        ({"kind": "signal", "code": 9}, {"oom_kills": None, "pids_denied": None}, Cause.SIGNALLED),
        ({"kind": "lost", "code": 0}, {}, Cause.LOST),
        ({"kind": "lost", "code": 0}, {"oom_kills": 1}, Cause.MEMORY),
        ({"kind": "timeout", "code": 0}, {"oom_kills": 1}, Cause.TIMEOUT),
        ({"kind": "output", "code": 0}, {"pids_denied": 1}, Cause.OUTPUT),
    ],
)
def test_cause_is_derived_from_kernel_counters(
    end: dict[str, object], counts: dict[str, object], cause: Cause
) -> None:
    sandbox, guest, _ = scripted_sandbox(replies({**RUN, "jobs": [{**JOB, "end": end}], **counts}))

    with guest, sandbox:
        assert sandbox.run(JOBS).jobs[0].cause is cause


def test_surviving_processes_end_the_sandbox() -> None:
    sandbox, guest, api = scripted_sandbox(changed(survivors=1, leftovers=2))

    with guest, sandbox:
        with pytest.raises(SandboxDied, match="could not be ended"):
            sandbox.run(JOBS)
        assert api.removed


def test_sandbox_death_names_exit_code_and_last_error() -> None:
    def step(conversation: Conversation) -> None:
        conversation.send(b"Traceback ...\nMemoryError: out\x1b[2J\n", STDERR)
        conversation.hang_up()

    sandbox, guest, _ = scripted_sandbox(step)
    with (
        guest,
        sandbox,
        pytest.raises(SandboxDied, match=r"exit code 65; MemoryError: out\?\[2J\.$"),
    ):
        sandbox.files()


def test_greeting_without_a_posture_ends_the_sandbox() -> None:
    sandbox, guest, api = scripted_sandbox()
    with guest, ScriptedGuest(replies({"posture": {}})) as without_posture:
        api._guest = without_posture
        with pytest.raises(SandboxCompromised):
            sandbox.open()
    assert api.removed


def test_unconfined_sandbox_is_not_opened() -> None:
    sandbox, guest, api = scripted_sandbox()
    sandbox._policy = SandboxPolicy(memory_bytes=2 << 30)
    with guest, pytest.raises(IsolationMismatch):
        sandbox.open()
    assert api.removed


@pytest.mark.parametrize(
    "request_",
    [
        lambda sandbox: sandbox.write({f"{n}.bin": bytes(4 << 20) for n in range(9)}),
        lambda sandbox: sandbox.run(JOBS, stdin=bytes(MAX_BODY_BYTES + 1)),
        lambda sandbox: sandbox.run((Job("long", ("true", "x" * (5 << 20))),)),
    ],
)
def test_too_large_request_is_refused_and_the_sandbox_survives(
    request_: Callable[[DockerSandbox], object],
) -> None:
    sandbox, guest, _ = scripted_sandbox(replies({"files": []}))

    with guest, sandbox:
        with pytest.raises(Refused, match="too large"):
            request_(sandbox)
        assert sandbox.files() == ()


@pytest.mark.parametrize(
    "jobs",
    [
        (),
        JOBS * 9,
        (Job("empty"),),
        (Job("both", ("true",), checker="pytest"),),
        (Job("unknown", checker="ruff"),),
    ],
)
def test_invalid_jobs_are_a_value_error(jobs: tuple[Job, ...]) -> None:
    sandbox, guest, _ = scripted_sandbox()
    with guest, sandbox, pytest.raises(ValueError, match="job"):
        sandbox.run(jobs)


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_invalid_timeouts_are_a_value_error(timeout_s: float) -> None:
    sandbox, guest, _ = scripted_sandbox()
    with guest, sandbox, pytest.raises(ValueError, match="timeout"):
        sandbox.run(JOBS, timeout_s=timeout_s)


def test_command_timeout_never_exceeds_the_policy() -> None:
    sandbox, guest, _ = scripted_sandbox(replies(RUN))
    with guest, sandbox:
        sandbox.run(JOBS, timeout_s=1e9)
    assert guest.requests[-1]["timeout_s"] == 60


FIELDS = st.sampled_from(sorted(RUN))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["end", "output"]), inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(FIELDS, VALUES, min_size=1), st.binary(max_size=10))
def test_any_reply_is_a_result_or_a_typed_error(fields: dict[str, object], body: bytes) -> None:
    sandbox, guest, _ = scripted_sandbox(replies({**RUN, **fields}, body))
    with guest, sandbox:
        try:
            assert isinstance(sandbox.run(JOBS), RunResult)
        except SandboxLost:
            pass
