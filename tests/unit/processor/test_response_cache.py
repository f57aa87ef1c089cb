"""The response cache: the replies that it stores, and those that it must not."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from loguru import logger

from l2mac.processor.messages import Message, Reply, Request, Role, ToolCall, ToolSpec, Usage
from l2mac.processor.response_cache import ResponseCache

REQUEST = Request(
    messages=(Message(Role.SYSTEM, "s"), Message(Role.USER, "ünïcödé")), seed=1, purpose="turn"
)
CALL = ToolCall("c1", "write", '{"a": 1}')
REPLY = Reply(content="so", tool_calls=(CALL,), usage=Usage(10, 2), model="m")
TOOL = ToolSpec("write", "Write.", {"type": "object"})


def cache(folder: Path, **more: object) -> ResponseCache:
    """Return the cache of a new process."""
    return ResponseCache(folder, **{"identity": "server model", **more})  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a cache with one reply."""
    cache(tmp_path / "cache").keep(REQUEST, REPLY)
    return tmp_path / "cache"


def entry(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_an_equal_request_is_answered_and_the_answer_is_marked(folder: Path) -> None:
    assert cache(folder).find(replace(REQUEST, purpose="plan")) == replace(REPLY, cached=True)


@pytest.mark.parametrize(
    "other",
    [
        {"messages": (*REQUEST.messages, Message(Role.USER, "more"))},
        {"tools": (TOOL,)},
        {"tools": (TOOL,), "tool": "write"},
        {"temperature": 0.1},
        {"max_reply_tokens": 1},
        {"seed": 2},
        {"seed": None},
    ],
)
def test_other_requests_are_not_answered_from_the_cache(
    folder: Path, other: dict[str, object]
) -> None:
    assert cache(folder).find(replace(REQUEST, **other)) is None  # type: ignore[arg-type]


def test_cache_distinguishes_models_and_servers(folder: Path) -> None:
    assert cache(folder, identity="server other").find(REQUEST) is None


def test_a_request_repeated_by_one_process_is_asked_anew(folder: Path) -> None:
    """Without this, a model that repeats itself would repeat itself for ever."""
    one = cache(folder)
    assert one.find(REQUEST) is not None
    assert one.find(REQUEST) is None


@pytest.mark.parametrize(
    "reply",
    [replace(REPLY, truncated=True), Reply(content=""), replace(REPLY, content="x" * 2**24)],
)
def test_truncated_empty_or_huge_replies_are_not_cached(tmp_path: Path, reply: Reply) -> None:
    cache(tmp_path / "cache").keep(REQUEST, reply)
    assert cache(tmp_path / "cache").find(REQUEST) is None


def test_a_reply_that_repeats_a_key_is_not_kept(tmp_path: Path) -> None:
    cache(tmp_path, secrets=("", 'sk-"1')).keep(
        REQUEST, replace(REPLY, content='your key is sk-"1')
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"\n", b"{}", b"\xff" * 50])
def test_a_damaged_entry_is_passed_over_said_and_replaced(folder: Path, damage: bytes) -> None:
    said: list[str] = []
    entry(folder).write_bytes(damage)
    sink = logger.add(lambda message: said.append(str(message)), level="WARNING")
    assert cache(folder).find(REQUEST) is None
    logger.remove(sink)
    assert "Skipped a cached reply" in said[0]
    cache(folder).keep(REQUEST, REPLY)
    assert cache(folder).find(REQUEST) is not None


def test_one_changed_byte_is_noticed(folder: Path) -> None:
    content = entry(folder).read_bytes()
    entry(folder).write_bytes(content.replace(b'"so"', b'"no"'))
    assert cache(folder).find(REQUEST) is None


def test_cache_is_readable_only_by_its_owner(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(entry(folder).stat().st_mode) == 0o600


def test_the_oldest_entries_make_room(tmp_path: Path) -> None:
    size = len("x" * 1000)
    for number in range(5):
        one = cache(tmp_path, most_bytes=3 * size)
        one.keep(replace(REQUEST, seed=number), replace(REPLY, content="x" * size))
        for path in tmp_path.iterdir():
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9,) * 2)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4 * size
    assert cache(tmp_path).find(replace(REQUEST, seed=4)) is not None
    assert cache(tmp_path).find(replace(REQUEST, seed=0)) is None


def test_a_folder_that_cannot_be_made_costs_the_entry_not_the_reply(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one = cache(tmp_path / "file" / "cache")
    one.keep(REQUEST, REPLY)
    assert one.find(REQUEST) is None


def test_cache_folder_holds_nothing_of_the_request(folder: Path) -> None:
    assert b"\xc3\xbcn" not in entry(folder).read_bytes()
    assert "server" not in entry(folder).read_text()
