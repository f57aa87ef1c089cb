"""The runtimes that `auto` tries, in order; the trials themselves are in tests/container."""

import pytest

from sandbox import ReceiptProperty
from sandbox.engine.trial import RuntimeChoice, candidates, limits_are_seen


@pytest.mark.parametrize(
    ("runtimes", "default", "order"),
    [
        ({"runc": {}, "runsc": {}, "kata": {}}, "runc", ["kata", "runsc", "runc"]),
        ({"crun": {}, "runc": {}}, "runc", ["runc", "crun"]),
        ({"crun": {}, "runc": {}}, "crun", ["crun", "runc"]),
        ({"kata-qemu": {}, "kata-clh": {}, "runc": {}}, "runc", ["kata-clh", "kata-qemu", "runc"]),
        ({"mine": {"path": "/opt/bin/runsc"}, "runc": {"path": "runc"}}, "runc", ["mine", "runc"]),
        ({"vm": {"runtimeType": "io.containerd.kata.v2"}, "runc": None}, "runc", ["vm", "runc"]),
        (
            {
                "io.containerd.runc.v2": {"path": "runc"},
                "io.containerd.runtime.v1.linux": {"path": "runc"},
            },
            "",
            [],
        ),
        ({"nvidia": {"path": "nvidia-container-runtime"}, "krun": {}, "runj": {}}, "nvidia", []),
    ],
)
def test_known_runtimes_are_tried_from_the_strongest_down(
    runtimes: dict[str, object], default: str, order: list[str]
) -> None:
    assert candidates({"Runtimes": runtimes, "DefaultRuntime": default}) == order


def test_choice_is_one_line_with_the_reason_of_each_rejection() -> None:
    rejected = (("kata", "It does not start."), ("runsc", "Its limits do not bind."))
    text = RuntimeChoice("runc", rejected).text
    assert "\n" not in text
    assert text.startswith("runtime runc passed the trial: its limits bind.")
    assert " kata was rejected: It does not start. runsc" in text


def one_row(name: str, verdict: str) -> ReceiptProperty:
    return {"name": name, "wanted": 1, "seen": 1, "verdict": verdict}


@pytest.mark.parametrize(("verdict", "seen"), [("match", True), ("not available", False)])
def test_limits_not_read_in_the_sandbox_need_a_trial(verdict: str, seen: bool) -> None:
    rows = [one_row("inside.memory", "match"), one_row("inside.pids", verdict)]
    assert limits_are_seen({"rows": rows}) is seen
    assert not limits_are_seen({"rows": []})
