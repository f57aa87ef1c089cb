"""The whole attack catalogue, as a user runs it, and the verdicts of the suite on its rows."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator

import pytest
from cli import Cli
from source_tree import PROGRAMS, imported, modules

from sandbox import SandboxPolicy
from sandbox.attack import host, kernel, processes
from sandbox.attack.catalogue import rows
from sandbox.attack.findings import AttackFinding, AttackReport, AttackVerdict, judge
from sandbox.attack.site import NothingShown, Site, fresh_run
from sandbox.attack.suite import Scene, play
from sandbox.engine.connection import Engine
from sandbox.engine.image import SandboxImage
from sandbox.errors import SandboxError

NOT_CONTAINABLE = {54, 63}
PROVEN = AttackFinding(number=1, observed="refused", control="got through")
UNPROVEN = dataclasses.replace(PROVEN, shown=False)
FAILED = dataclasses.replace(PROVEN, held=False)


def test_every_catalogued_attack_is_contained_and_its_control_succeeds(
    sandbox_image: SandboxImage, cli: Cli
) -> None:
    done = cli.run("doctor", "--attack", "--json", "--image", sandbox_image.base.reference)
    report = json.loads(done.stdout)
    good = ("contained", "not containable", "not applicable")
    rows_, contained = report["rows"], [r for r in report["rows"] if r["verdict"] == "contained"]
    assert [row for row in rows_ if row["verdict"] not in good] == []
    assert report["host_differences"] == []
    assert [row["number"] for row in rows_] == list(range(1, 67))
    limits = {row["number"] for row in rows_ if row["verdict"] == "not containable"}
    assert limits == NOT_CONTAINABLE
    assert all(row["observed"] and row["control"] for row in contained)
    assert list(cli.home.iterdir()) == []


@pytest.mark.parametrize("scene", [kernel.attack, processes.attack], ids=["kernel", "processes"])
def test_gvisor_contains_attacks_on_the_kernel_and_the_guest(
    engine: Engine,
    sandbox_image: SandboxImage,
    gvisor: str,
    scene: Callable[[Site], Iterable[AttackFinding]],
) -> None:
    site = Site(engine, sandbox_image, gvisor, fresh_run())

    findings = list(scene(site))

    good = (AttackVerdict.CONTAINED, AttackVerdict.NOT_APPLICABLE)
    assert [one for one in findings if one.verdict not in good] == []
    assert host.differences(site) == ()


def test_host_check_reports_leftover_containers(
    engine: Engine, sandbox_image: SandboxImage
) -> None:
    site = Site(engine, sandbox_image, "runc", fresh_run())
    with site.sandbox() as arena:
        container = arena.sandbox.container
        assert f"container {container[:12]}" in host.differences(site, patience_s=0)
        host.sweep(site)
        assert host.differences(site) == ()


def test_attack_report_fails_on_successful_and_unproven_attacks() -> None:
    assert PROVEN.verdict is AttackVerdict.CONTAINED
    assert FAILED.verdict is AttackVerdict.FAILED
    assert UNPROVEN.verdict is AttackVerdict.UNPROVEN
    assert dataclasses.replace(UNPROVEN, limit="x").verdict is AttackVerdict.UNPROVEN
    both = judge(rows(), [PROVEN, FAILED])
    assert (both[0].verdict, both[1].verdict) == (AttackVerdict.FAILED, AttackVerdict.UNPROVEN)
    findings = [AttackFinding(number=row.number, observed="", control="") for row in rows()]
    whole = judge(rows(), findings)
    report = AttackReport(judged=whole, host_differences=(), elapsed_s=1, environment={})
    assert report.holds
    assert not dataclasses.replace(report, judged=both).holds
    assert not dataclasses.replace(report, host_differences=("mount",)).holds


@pytest.mark.parametrize(
    ("passes", "verdict"),
    [
        ([UNPROVEN, PROVEN], AttackVerdict.CONTAINED),
        ([UNPROVEN, UNPROVEN], AttackVerdict.UNPROVEN),
        ([UNPROVEN, FAILED], AttackVerdict.FAILED),
        ([NothingShown("the control failed"), PROVEN], AttackVerdict.CONTAINED),
        ([NothingShown("timed out"), NothingShown("timed out")], AttackVerdict.UNPROVEN),
        ([SandboxError("the sandbox was lost"), PROVEN], AttackVerdict.FAILED),
        ([FAILED, PROVEN], AttackVerdict.FAILED),
        ([PROVEN], AttackVerdict.CONTAINED),
    ],
)
def test_unproven_attacks_are_retried_once_and_successful_ones_never(
    engine: Engine,
    sandbox_image: SandboxImage,
    passes: list[AttackFinding | SandboxError],
    verdict: AttackVerdict,
) -> None:
    left = list(passes)

    def attack(_: Site) -> Iterator[AttackFinding]:
        seen = left.pop(0)
        if isinstance(seen, Exception):
            raise seen
        yield seen

    site = Site(engine, sandbox_image, "runc", fresh_run())
    found = play(site, (Scene("one", (1,), attack),), lambda _: None)

    assert judge(rows()[:1], found)[0].verdict is verdict
    first_settles = passes[0] in (FAILED, PROVEN) or type(passes[0]) is SandboxError
    assert len(left) == (len(passes) - 1 if first_settles else 0)


def test_failed_row_stays_failed_when_an_unproven_row_is_retried(
    engine: Engine, sandbox_image: SandboxImage
) -> None:
    passes = [
        [FAILED, dataclasses.replace(UNPROVEN, number=2)],
        [PROVEN, dataclasses.replace(PROVEN, number=2)],
    ]

    def attack(_: Site) -> list[AttackFinding]:
        return passes.pop(0)

    site = Site(engine, sandbox_image, "runc", fresh_run())
    found = play(site, (Scene("both", (1, 2), attack),), lambda _: None)

    verdicts = [one.verdict for one in judge(rows()[:2], found)]
    assert verdicts == [AttackVerdict.FAILED, AttackVerdict.CONTAINED]


def test_control_without_output_or_start_proves_nothing(
    engine: Engine, sandbox_image: SandboxImage
) -> None:
    site = Site(engine, sandbox_image, "runc", fresh_run())
    with pytest.raises(NothingShown, match="could not run"):
        site.control(
            lambda request: request["HostConfig"].update(Runtime="no-such-runtime"),
            {"a": ("print(1)",)},
        )
    with pytest.raises(NothingShown, match="wrote no output"):
        site.control(
            lambda request: request["HostConfig"].update(Memory=7 << 20, MemorySwap=7 << 20),
            {"a": ("1",)},
        )
    host.sweep(site)
    with site.sandbox() as arena, pytest.raises(NothingShown, match="timed out"):
        arena.value("import time; time.sleep(60)", timeout_s=0.5)
    assert host.differences(site) == ()


def test_no_setting_or_other_command_can_weaken_a_sandbox() -> None:
    weakening = ("weak", "attack", "privileged", "capab", "seccomp", "network", "rootfs", "mount")
    fields = [field.name for field in dataclasses.fields(SandboxPolicy)]
    assert [name for name in fields for word in weakening if word in name] == []
    importers = {
        module.name
        for module in modules("l2mac", "sandbox")
        for _, name in imported(module.tree)
        if name.startswith(("sandbox.attack", "l2mac.cli.attack_rows"))
        and not module.is_below("sandbox.attack", "l2mac.cli.attack_rows")
    }
    assert importers == {"l2mac.cli.attack"}


def test_attack_suite_uses_every_program() -> None:
    every = modules("l2mac", "sandbox")
    text = "".join(one.text for one in every if one.is_below("sandbox.attack", "l2mac"))
    assert [path.stem for path in PROGRAMS.glob("*.py") if f'"{path.stem}"' not in text] == []
