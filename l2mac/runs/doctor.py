"""Diagnosis of this machine: engine, image, sandbox, checks and models."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from l2mac.errors import L2macError, ProcessorError
from l2mac.evaluator import python_checks
from l2mac.evaluator.verdict import Verdict
from l2mac.processor.openai_processor import OpenAIProcessor
from l2mac.processor.routing import ROLES
from l2mac.runs.wiring import make_processor, make_role_processor
from l2mac.settings.settings import Settings
from l2mac.settings.toml_file import expanded
from sandbox import FileEntry, Sandbox, SandboxError
from sandbox.engine.factory import SandboxFactory

_SAMPLE = {
    "sample.py": b"""'''A sample.'''


def double(number: int) -> int:
    '''Double it.'''
    return 2 * number
""",
    "test_sample.py": b"""from sample import double


def test_double() -> None:
    assert double(2) == 4
""",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one test; the text of a failed one names a remedy."""

    name: str
    works: bool
    text: str


def examine(settings: Settings, progress: Callable[[str], None]) -> Iterator[Diagnosis]:
    """Yield the result of each test; all that the tests made is removed."""
    yield from _examine_sandbox(settings, progress)
    yield from _examine_models(settings)


def _examine_sandbox(settings: Settings, progress: Callable[[str], None]) -> Iterator[Diagnosis]:
    try:
        with SandboxFactory.prepare(
            settings.image, settings.policy(), expanded(settings.cache_dir), progress
        ) as factory:
            yield Diagnosis("engine", works=True, text=factory.engine_summary)
            yield Diagnosis("image", works=True, text=f"{settings.image} as {factory.image.tag}")
            sandbox = factory.open_sandbox("doctor")
            try:
                yield _isolation(sandbox)
                yield _checks(sandbox)
            finally:
                sandbox.close()
    except (SandboxError, L2macError) as error:
        yield Diagnosis("sandbox", works=False, text=str(error))


def _isolation(sandbox: Sandbox) -> Diagnosis:
    rows = sandbox.receipt["rows"]
    matching = sum(row["verdict"] == "match" for row in rows)
    missing = [row["name"] for row in rows if row["verdict"] == "not available"]
    text = f"{matching} of {len(rows)} properties verified from inside and outside"
    if missing:
        text = f"{text}, not available here: {', '.join(missing)}"
    return Diagnosis("isolation", works=True, text=text)


def _checks(sandbox: Sandbox) -> Diagnosis:
    digests = sandbox.write(_SAMPLE)
    files = tuple(FileEntry(path, len(_SAMPLE[path]), digest) for path, digest in digests.items())
    report = python_checks.judge(sandbox.run(python_checks.jobs_for(files)))
    return Diagnosis("checks", works=report.verdict is Verdict.PASSED, text=report.summary)


def _examine_models(settings: Settings) -> Iterator[Diagnosis]:
    """Yield the results for the main model and for the roles' own models."""
    for role in ROLES:
        is_main = role == "write"
        name = "model" if is_main else f"{role} model"
        make = make_processor if is_main else partial(make_role_processor, role=role)
        try:
            client = make(settings)
            if client is not None:
                yield _examine_model(name, client)
        except (ProcessorError, L2macError) as error:
            yield Diagnosis(name, works=False, text=str(error))


def _examine_model(name: str, client: OpenAIProcessor) -> Diagnosis:
    with client:
        native = client.negotiate(lambda _: None) == "native"
        how = "native tool calls" if native else "JSON by schema"
        return Diagnosis(name, works=True, text=f"{client.model} answers, tool call format: {how}")
