"""The battery that every sandbox must pass, on every runtime."""

import pytest
from engine import SharedSandbox

from sandbox.conformance import BATTERY, KNOWN_DIFFERENCES, ConformanceCheck, perform


@pytest.mark.parametrize("check", BATTERY, ids=lambda check: check.__name__)
def test_sandbox_passes_every_conformance_check(
    check: ConformanceCheck,
    shared_sandbox: SharedSandbox,
    runtime: str,
    request: pytest.FixtureRequest,
) -> None:
    difference = KNOWN_DIFFERENCES.get(runtime, {}).get(check.__name__)
    if difference:
        request.applymarker(pytest.mark.xfail(reason=difference, strict=True))
    perform(check, shared_sandbox.fresh())


def test_known_differences_name_a_check_and_a_reason() -> None:
    names = {check.__name__ for check in BATTERY}
    for runtime, differences in KNOWN_DIFFERENCES.items():
        assert runtime in ("runc", "runsc")
        assert set(differences) <= names
        assert all(differences.values())
