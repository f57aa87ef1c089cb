"""Limits: a policy that contradicts itself or lacks a limit cannot be made."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import PolicyError, SandboxPolicy, format_size, parse_size

NUMBERS = [field.name for field in dataclasses.fields(SandboxPolicy) if field.type in (int, float)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf])
def test_nonpositive_or_infinite_limits_are_refused(name: str, value: float) -> None:
    with pytest.raises(PolicyError, match=name):
        SandboxPolicy(**{name: value})  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pids", 15),
        ("open_files", 10),
        ("lease_s", 1),
        ("timeout_s", 1e9),
        ("kept_output_bytes", 1 << 20),
        ("max_write_bytes", 1 << 30),
        ("max_files", 1_000_000),
        ("volume", "bind"),
        ("cpus", 0.001),
    ],
)
def test_limits_out_of_bounds_are_refused(name: str, value: float | str) -> None:
    with pytest.raises(PolicyError):
        SandboxPolicy(**{name: value})  # type: ignore[arg-type]  # wrong on purpose


def test_memory_must_cover_all_tmpfs_mounts_and_the_guest() -> None:
    needed = SandboxPolicy().needed_memory_bytes
    assert SandboxPolicy(memory_bytes=needed).memory_bytes == needed
    with pytest.raises(PolicyError, match="memory"):
        SandboxPolicy(memory_bytes=needed - 1)


def test_a_volume_on_disk_needs_no_memory() -> None:
    assert SandboxPolicy(volume="disk").needed_memory_bytes < SandboxPolicy().needed_memory_bytes


def test_no_field_can_loosen_the_confinement() -> None:
    words = (
        "privileged",
        "cap",
        "network",
        "mount",
        "bind",
        "device",
        "seccomp",
        "user",
        "host",
        "env",
    )
    assert [name for name in SandboxPolicy.__slots__ for word in words if word in name] == []


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("512m", 512 << 20),
        ("1g", 1 << 30),
        ("256MiB", 256 << 20),
        ("1.5k", 1536),
        (" 2 GB ", 2 << 30),
        ("1t", 1 << 40),
    ],
)
def test_sizes_are_parsed_in_common_notations(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "m", "0", "0.1", "-1", "1x", "1e9", "nan", "1 2", "9" * 400, "1pb", "99999t"]
)
def test_invalid_sizes_are_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_size(text)


@given(st.text())
def test_parse_size_returns_a_size_or_refuses_any_text(text: str) -> None:
    try:
        assert parse_size(text) >= 1
    except PolicyError:
        pass


@given(st.integers(min_value=1, max_value=1 << 49))
def test_a_formatted_size_reads_back_as_about_the_same(size: int) -> None:
    assert parse_size(format_size(size).removesuffix(" bytes")) == pytest.approx(size, rel=1e-2)
