"""The whole create request: a changed option shows in the golden file, for a reviewer to see.

After an intended change, write it anew:
`L2MAC_WRITE_GOLDEN=1 pytest tests/unit/sandbox_engine/test_hardening.py`.
"""

import json
import os
from pathlib import Path
from typing import TypedDict, cast

import pytest

from sandbox import SandboxPolicy
from sandbox.engine.hardening import FIRST_UID, LAST_UID, create_request, fresh_uid

GOLDEN = Path(__file__).parent / "golden" / "create_request.json"
DEFAULTS = SandboxPolicy()
LABELS = {"org.l2mac.sandbox": "1"}


class Mount(TypedDict):
    Type: str
    Target: str


class Limit(TypedDict):
    Name: str
    Hard: int


class Host(TypedDict):
    """The fields of the host configuration that these tests read."""

    Privileged: bool
    ReadonlyRootfs: bool
    NetworkMode: str
    CapAdd: object
    CapDrop: list[str]
    Binds: object
    Devices: list[object]
    SecurityOpt: list[str]
    Memory: int
    MemorySwap: int
    PidsLimit: int
    Mounts: list[Mount]
    Tmpfs: dict[str, str]
    Ulimits: list[Limit]


def host_of(policy: SandboxPolicy = DEFAULTS) -> Host:
    return cast("Host", request_of(policy)["HostConfig"])


def request_of(policy: SandboxPolicy = DEFAULTS) -> dict[str, object]:
    return create_request(policy, "sha256:image", LABELS, "PROFILE", 10_001)


def test_create_request_equals_the_golden_file() -> None:
    text = json.dumps(request_of(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("L2MAC_WRITE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "policy",
    [
        DEFAULTS,
        SandboxPolicy(volume="disk"),
        SandboxPolicy(runtime="runsc"),
        SandboxPolicy(cpus=0.5, pids=16),
    ],
    ids=["defaults", "volume on disk", "gVisor", "few processes"],
)
def test_no_policy_loosens_the_confinement(policy: SandboxPolicy) -> None:
    host = host_of(policy)
    assert (host["Privileged"], host["ReadonlyRootfs"]) == (False, True)
    assert host["NetworkMode"] == "none"
    assert (host["CapAdd"], host["CapDrop"]) == (None, ["ALL"])
    assert (host["Binds"], host["Devices"]) == (None, [])
    assert host["SecurityOpt"] == ["no-new-privileges", "seccomp=PROFILE"]
    assert host["MemorySwap"] == host["Memory"] > 0
    (mount,) = host["Mounts"]
    assert (mount["Type"], mount["Target"]) == ("volume", "/workspace")
    assert all("nosuid,nodev,noexec" in options for options in host["Tmpfs"].values())


def test_process_limit_of_the_group_is_below_nproc() -> None:
    host = host_of()
    (nproc,) = (limit for limit in host["Ulimits"] if limit["Name"] == "nproc")
    assert nproc["Hard"] > host["PidsLimit"]


def test_process_limit_leaves_room_for_gvisor_threads() -> None:
    gvisor = host_of(SandboxPolicy(runtime="runsc"))
    assert gvisor["PidsLimit"] > 8 * host_of()["PidsLimit"]


def test_sandbox_uids_are_unprivileged_and_rarely_shared() -> None:
    uids = [fresh_uid() for _ in range(200)]
    assert all(FIRST_UID <= uid <= LAST_UID < 65_534 for uid in uids)
    assert len(set(uids)) > 190


def test_request_uses_one_uid_everywhere() -> None:
    request = create_request(SandboxPolicy(), "sha256:image", LABELS, "PROFILE", 23_456)
    text = json.dumps(request)
    assert request["User"] == "23456:23456"
    assert text.count("uid=23456,gid=23456") == 3
    assert "uid=10001" not in text
