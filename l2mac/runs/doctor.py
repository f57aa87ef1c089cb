"""What works on this machine and what does not: engine, image, box, checks, model, each tried for real."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from l2mac.errors import L2macError, ProcessorError
from l2mac.evaluator import python_checks
from l2mac.evaluator.verdict import Verdict
from l2mac.processor.openai_processor import OpenAIProcessor
from l2mac.processor.routing import ROLES
from l2mac.runs.wiring import make_processor, make_role_processor
from l2mac.settings.settings import Settings
from sandbox import FileEntry, Sandbox, SandboxError
from sandbox.engine.factory import SandboxFactory

_SAMPLE = {
    "sample.py": b'"""A sample."""\n\n\ndef double(number: int) -> int:\n    """Double it."""\n    return 2 * number\n',
    "test_sample.py": b"from sample import double\n\n\ndef test_double() -> None:\n    assert double(2) == 4\n",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was tried: what came of it, and what to do if it does not work."""

    name: str
    works: bool
    text: str


def examine(settings: Settings, progress: Callable[[str], None]) -> Iterator[Diagnosis]:
    """Try everything that a run needs, and give the findings one by one; nothing is left behind."""
    yield from _examine_box(settings, progress)
    yield from _examine_models(settings)


def _examine_box(settings: Settings, progress: Callable[[str], None]) -> Iterator[Diagnosis]:
    try:
        with SandboxFactory.prepare(
            settings.image, settings.policy(), Path(settings.cache_dir).expanduser(), progress
        ) as boxes:
            yield Diagnosis("engine", works=True, text=boxes.engine_summary)
            yield Diagnosis("image", works=True, text=f"{settings.image} as {boxes.image.tag}")
            box = boxes.open_sandbox("doctor")
            try:
                yield _isolation(box)
                yield _checks(box)
            finally:
                box.close()
    except (SandboxError, L2macError) as error:
        yield Diagnosis("box", works=False, text=str(error))


def _isolation(box: Sandbox) -> Diagnosis:
    rows = box.receipt["rows"]
    matching = sum(row["verdict"] == "match" for row in rows)
    missing = [row["name"] for row in rows if row["verdict"] == "not available"]
    text = f"{matching} of {len(rows)} properties verified from inside and outside"
    return Diagnosis(
        "isolation",
        works=True,
        text=f"{text}; not available here: {', '.join(missing)}" if missing else text,
    )


def _checks(box: Sandbox) -> Diagnosis:
    digests = box.write(_SAMPLE)
    files = tuple(FileEntry(path, len(_SAMPLE[path]), digest) for path, digest in digests.items())
    report = python_checks.judge(box.run(python_checks.jobs_for(files)))
    return Diagnosis("checks", works=report.verdict is Verdict.PASSED, text=report.summary)


def _examine_models(settings: Settings) -> Iterator[Diagnosis]:
    """Try the main model, and those of other roles that have one of their own."""
    for role in ROLES:
        name = "model" if role == "write" else f"{role} model"
        try:
            client = (
                make_processor(settings) if role == "write" else make_role_processor(settings, role)
            )
            if client is not None:
                yield _examine_model(name, client)
        except (ProcessorError, L2macError) as error:
            yield Diagnosis(name, works=False, text=str(error))


def _examine_model(name: str, client: OpenAIProcessor) -> Diagnosis:
    with client:
        how = (
            "native tool calls"
            if client.negotiate(lambda _: None) == "native"
            else "JSON by schema"
        )
        return Diagnosis(name, works=True, text=f"{client.model} answers and calls tools by {how}")
