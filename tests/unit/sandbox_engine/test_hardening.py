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


def test_the_request_is_the_reviewed_one() -> None:
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


def test_refused_forks_are_counted_because_the_groups_limit_comes_first() -> None:
    host = request_of()["HostConfig"]
    (nproc,) = (limit for limit in host["Ulimits"] if limit["Name"] == "nproc")
    assert nproc["Hard"] > host["PidsLimit"]


def test_gvisors_own_threads_have_room() -> None:
    assert (
        request_of(runtime="runsc")["HostConfig"]["PidsLimit"]
        > 8 * request_of()["HostConfig"]["PidsLimit"]
    )


def test_every_box_has_an_unprivileged_uid_that_few_share() -> None:
    uids = [fresh_uid() for _ in range(200)]
    assert all(FIRST_UID <= uid <= LAST_UID < 65_534 for uid in uids)
    assert len(set(uids)) > 190


def test_a_uid_is_the_same_everywhere_in_the_request() -> None:
    request = create_request(SandboxPolicy(), "sha256:image", LABELS, "PROFILE", 23_456)
    text = json.dumps(request)
    assert request["User"] == "23456:23456"
    assert text.count("uid=23456,gid=23456") == 3
    assert "uid=10001" not in text
