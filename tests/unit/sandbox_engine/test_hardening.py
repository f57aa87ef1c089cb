"""The create request, whole: a change of any option shows in this folder's golden file, for a reviewer to see.

To write it anew after a change that is meant: `L2MAC_WRITE_GOLDEN=1 pytest tests/unit/test_sandbox_hardening.py`.
"""

import json
import os
from pathlib import Path

import pytest

from sandbox import SandboxPolicy
from sandbox.engine.hardening import FIRST_UID, LAST_UID, create_request, fresh_uid

GOLDEN = Path(__file__).parent / "golden" / "create_request.json"
LABELS = {"org.l2mac.sandbox": "1"}


def request_of(**policy: object) -> dict:
    return create_request(SandboxPolicy(**policy), "sha256:image", LABELS, "PROFILE", 10_001)


def test_create_request_equals_the_golden_file() -> None:
    text = json.dumps(request_of(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("L2MAC_WRITE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "policy", [{}, {"volume": "disk"}, {"runtime": "runsc"}, {"cpus": 0.5, "pids": 16}]
)
def test_no_policy_loosens_the_confinement(policy) -> None:
    host = request_of(**policy)["HostConfig"]
    assert (host["Privileged"], host["ReadonlyRootfs"], host["NetworkMode"]) == (
        False,
        True,
        "none",
    )
    assert (host["CapAdd"], host["CapDrop"], host["Binds"], host["Devices"]) == (
        None,
        ["ALL"],
        None,
        [],
    )
    assert host["SecurityOpt"] == ["no-new-privileges", "seccomp=PROFILE"]
    assert host["MemorySwap"] == host["Memory"] > 0
    assert [(mount["Type"], mount["Target"]) for mount in host["Mounts"]] == [
        ("volume", "/workspace")
    ]
    assert all("nosuid,nodev,noexec" in options for options in host["Tmpfs"].values())


def test_process_limit_of_the_group_is_below_nproc() -> None:
    host = request_of()["HostConfig"]
    (nproc,) = (limit for limit in host["Ulimits"] if limit["Name"] == "nproc")
    assert nproc["Hard"] > host["PidsLimit"]


def test_process_limit_leaves_room_for_gvisor_threads() -> None:
    assert (
        request_of(runtime="runsc")["HostConfig"]["PidsLimit"]
        > 8 * request_of()["HostConfig"]["PidsLimit"]
    )


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
