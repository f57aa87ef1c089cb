"""A run is measured with the recorded packages that its files name at its end."""

import hashlib
from functools import partial
from pathlib import Path
from typing import TypeVar

from run_specs import run_spec

from l2mac.bench.recorded_store import recorded_wheels
from l2mac.evaluator.packages import Mode
from l2mac.runs.recorded_spec import record_spec
from l2mac.trace.events import PackagesFetched, ToolRan
from l2mac.trace.journal import Journal
from sandbox import Change

WHEELS = {"old": ("old-1-py3-none-any.whl", b"old"), "new": ("new-1-py3-none-any.whl", b"new")}


E = TypeVar("E", ToolRan, PackagesFetched)


def kept(event: E) -> E:
    return event


def record(folder: Path, *names: str, mode: Mode = "resolve", fetched: bool = True) -> Path:
    """Record a run whose requirements.txt names the packages one after the other."""
    folder.mkdir()
    with Journal(folder) as journal:
        put = journal.objects.put
        journal.note(record_spec(run_spec(dependencies=mode), journal.objects))
        for name in names:
            text = f"{name}\n".encode()
            change = Change("requirements.txt", len(text), put(text))
            wrote = ToolRan(
                key=name,
                name="write",
                arguments_object=put(b""),
                outcome_object=put(b""),
                ok=True,
                changes=(change,),
            )
            journal.effect(ToolRan, name, partial(kept, wrote))
            if not fetched:
                continue
            wheel, content = WHEELS[name]
            event = PackagesFetched(
                key=name,
                mode=mode,
                ok=True,
                transient=False,
                digest=hashlib.sha256(content).hexdigest(),
                requirements_object=put(text),
                wheel_names=(wheel,),
                wheel_objects=(put(content),),
                output_object=put(b""),
                connections_object=put(b"[]"),
            )
            journal.effect(PackagesFetched, name, partial(kept, event))
    return folder


def test_run_is_measured_with_the_packages_named_at_its_end(tmp_path: Path) -> None:
    assert recorded_wheels(record(tmp_path / "run", "old", "new")) == dict([WHEELS["new"]])


def test_a_run_that_took_no_packages_is_measured_without(tmp_path: Path) -> None:
    assert recorded_wheels(record(tmp_path / "off", "old", mode="off")) == {}
    assert recorded_wheels(record(tmp_path / "none", mode="resolve")) == {}


def test_a_run_that_ended_before_its_packages_came_is_measured_without(tmp_path: Path) -> None:
    assert recorded_wheels(record(tmp_path / "run", "old", fetched=False)) == {}
