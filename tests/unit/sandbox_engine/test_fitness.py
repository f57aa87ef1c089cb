"""The engine's description of itself: each lack is an error with reason and advice."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from recorded_sandbox import RECORDED, recorded_image, recorded_views

from l2mac.cli import exit_codes
from sandbox import EngineUnfit, IsolationMismatch, SandboxPolicy
from sandbox.engine.fitness import loosening, require_fit, shortcomings
from sandbox.engine.receipt import make_receipt

ENGINES = json.loads((Path(__file__).parent / "golden/engines.json").read_text(encoding="utf-8"))
INFO, VERSION = RECORDED["info"], RECORDED["version"]


def runtime(*arguments: str) -> dict[str, object]:
    return {"Runtimes": {"runc": {"path": "runc", "runtimeArgs": list(arguments)}}}


def test_engine_that_meets_every_requirement_is_fit() -> None:
    require_fit(INFO, VERSION, "")  # an unfit engine raises, as below
    assert shortcomings(INFO, VERSION) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "rootless Docker, control groups v1",
            "does not limit memory, swap, processes, processor time. Delegate",
        ),
        ("Podman", "Podman, whose Docker-compatible API ignores a container"),
    ],
)
def test_recorded_unfit_engines_are_refused(name: str, message: str) -> None:
    engine = ENGINES[name]
    with pytest.raises(EngineUnfit, match=message) as refusal:
        require_fit(engine["info"], engine["version"], "")
    assert "DOCKER_HOST" in str(refusal.value)
    assert exit_codes.code_for(refusal.value) == exit_codes.UNFIT


@pytest.mark.parametrize(
    ("weakness", "message"),
    [
        ({"OSType": "windows"}, "windows containers"),
        ({"MemoryLimit": False}, r"does not limit memory\."),
        ({"PidsLimit": None}, r"does not limit processes\."),
        ({"CpuCfsQuota": False, "CpuCfsPeriod": False}, r"does not limit processor time\."),
        ({"SwapLimit": False}, r"does not limit swap\."),
        ({"SecurityOptions": ["name=apparmor"]}, "no seccomp"),
        ({"SecurityOptions": None}, "no seccomp"),
        ({"SecurityOptions": ["name=seccomp,profile=unconfined"]}, "'unconfined'"),
        (runtime("--ignore-cgroups"), "--ignore-cgroups"),
        (runtime("-ignore-cgroups=true"), "ignore-cgroups"),
        (runtime("--platform=kvm", "--network=host"), "'runc' with --network=host,"),
        (runtime("--host-uds=all"), "--host-uds"),
        (runtime("--no-pivot"), "--no-pivot"),
        (runtime("--never-heard-of"), "--never-heard-of"),
        (runtime("--debug-log", "/a/path"), "/a/path"),
    ],
)
def test_engine_weaknesses_are_named_and_get_no_receipt(
    weakness: dict[str, object], message: str
) -> None:
    info = {**INFO, **weakness}
    with pytest.raises(EngineUnfit, match=message):
        require_fit(info, VERSION, "")
    views = recorded_views()
    with pytest.raises(IsolationMismatch, match=r"outside\.(engine|runtime_arguments)"):
        make_receipt(SandboxPolicy(), recorded_image(), replace(views, version=VERSION, info=info))


@pytest.mark.parametrize(
    "argument",
    [
        "--network=none",
        "--platform=kvm",
        "--ignore-cgroups=false",
        "--systemd-cgroup",
        "--debug",
        "--oci-seccomp",
    ],
)
def test_harmless_runtime_arguments_are_accepted(argument: str) -> None:
    assert loosening(runtime(argument), "runc") == []


def test_arguments_of_unused_runtimes_are_ignored() -> None:
    info = copy.deepcopy(INFO)
    info["Runtimes"]["loose"] = {"path": "runsc", "runtimeArgs": ["--ignore-cgroups"]}
    require_fit(info, VERSION, "runc")
    for refused, name in ((info, "loose"), ({**info, "DefaultRuntime": "loose"}, "")):
        with pytest.raises(EngineUnfit, match="'loose' with --ignore-cgroups"):
            require_fit(refused, VERSION, name)
