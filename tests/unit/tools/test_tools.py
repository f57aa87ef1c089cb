import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_parts import part
from pydantic import Field

from l2mac.domains.loader import DOMAINS, load_domain
from l2mac.errors import SettingsError
from l2mac.file_store import FileStore
from l2mac.processor.messages import ToolCall, ToolSpec
from l2mac.processor.tool_probe import PROBE
from l2mac.tools import forms
from l2mac.tools.base import (
    Arguments,
    Tool,
    Toolbelt,
    ToolContext,
    ToolOutcome,
    parse_arguments,
    plain_schema,
)
from l2mac.tools.execute import execution_tools
from l2mac.tools.forms import (
    ALIASES,
    COMPLETE_INSTRUCTION,
    SUBMIT_PLAN,
    CompleteInstruction,
    SubmitPlan,
    complete_spec,
    plan_form,
)
from l2mac.trace.objects import ObjectStore
from sandbox import Cause, Job
from sandbox.testing import SandboxScript, ScriptedRun, job_result

PASSING = b"".join(
    json.dumps(line).encode() + b"\n"
    for line in (
        {"e": "declared", "ids": ["test_a.py::test_a"]},
        {"e": "collected", "ids": ["test_a.py::test_a"]},
        *(
            {"e": "phase", "id": "test_a.py::test_a", "when": when, "outcome": "passed"}
            for when in ("setup", "call", "teardown")
        ),
        {"e": "end", "code": 0},
    )
)


class Inner(Arguments):
    title: str = Field(description="a property of that name")


class Example(Arguments):
    """An example."""

    number: int = Field(ge=1)
    inner: list[Inner] = Field(default_factory=list)


def double(arguments: Example, _: ToolContext) -> ToolOutcome:
    return ToolOutcome(str(2 * arguments.number))


BELT = Toolbelt((Tool("double", "Double it.", Example, double),), {"twice": "double"})


def context_with(folder: Path, script: SandboxScript, **files: bytes) -> ToolContext:
    store = FileStore(script.make_sandbox, ObjectStore(folder / "objects.pack"))
    if files:
        store.write({path.replace("__", "/"): content for path, content in files.items()})
    return ToolContext(store, 1000, 7.0)


@pytest.fixture
def nowhere(tmp_path: Path) -> ToolContext:
    return context_with(tmp_path, SandboxScript())


def call(belt: Toolbelt, name: str, arguments: object, context: ToolContext) -> ToolOutcome:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return belt.perform(ToolCall("1", name, text), context)


def test_a_call_is_performed_under_its_name_and_its_other_names(nowhere: ToolContext) -> None:
    assert call(BELT, "double", {"number": 4}, nowhere) == ToolOutcome("8")
    assert call(BELT, "twice", {"number": 4}, nowhere) == ToolOutcome("8")
    assert (BELT.proper_name("twice"), BELT.proper_name("other")) == ("double", "other")


def test_an_unknown_tool_is_told_the_known_ones(nowhere: ToolContext) -> None:
    outcome = call(BELT, "triple", {}, nowhere)
    assert outcome == ToolOutcome("there is no tool 'triple'; the tools are: double", ok=False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"number": 4', "not valid JSON"),
        ('{"number": 4} and more', "not valid JSON"),
        ("{'number': 4}", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
        ("", "number: Field required"),
        ("null", "arguments: Input should be"),
        ("[4]", "arguments: Input should be"),
        ('{"number": "4"}', "number: Input should be a valid integer"),
        ('{"number": 4.0}', "number: Input should be a valid integer"),
        ('{"number": true}', "number: Input should be a valid integer"),
        ('{"number": NaN}', "number: Input should be a valid integer"),
        ('{"number": 0}', "number: Input should be greater than or equal to 1"),
        ('{"number": 1, "more": 2}', "more: Extra inputs are not permitted"),
        ('{"number": 1, "inner": [{"title": 3}]}', "inner.0.title: Input should be a valid string"),
        ('{"number": 1, "inner": [{"title": "\\ud800"}]}', "half a surrogate pair"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name_and_never_repaired(
    nowhere: ToolContext, text: str, problem: str
) -> None:
    outcome = call(BELT, "double", text, nowhere)
    assert (outcome.ok, outcome.text.startswith("double: the arguments")) == (False, True)
    assert problem in outcome.text


@given(text=st.text())
def test_no_text_of_arguments_stops_the_tools(text: str) -> None:
    try:
        number = parse_arguments(Example, text).number
    except ValueError as error:
        number = len(str(error))
    assert number > 0


def test_many_mistakes_are_told_a_few_at_a_time() -> None:
    with pytest.raises(ValueError, match="more0") as caught:
        parse_arguments(
            Example, json.dumps({"number": 1, **{f"more{number}": 0 for number in range(100)}})
        )
    assert len(str(caught.value)) < 400


def test_schemas_are_plain() -> None:
    schema = plain_schema(Example)
    inner = part(schema, "properties", "inner", "items")
    assert part(inner, "properties", "title", "type") == "string"
    assert schema["additionalProperties"] is False
    assert not {"$ref", "$defs"} & set(json.dumps(schema).split('"'))


def every_spec() -> list[ToolSpec]:
    """Return all tools that are ever on offer: domains, forms and the probe."""
    found = [spec for domain in DOMAINS for spec in load_domain(domain).toolbelt.specs]
    makers = [value for name, value in vars(forms).items() if re.fullmatch(r"[a-z]+_form", name)]
    for make in makers:
        bounds = [3] * len(inspect.signature(make).parameters)
        found.append(make(*bounds).spec)
    assert len(makers) == 9
    return [*found, complete_spec(), complete_spec(checked=False), *PROBE.tools]


def test_no_spec_has_a_reference_that_a_server_would_have_to_resolve() -> None:
    """The processor sends schemas unchanged and has no code for references."""
    for spec in every_spec():
        words = set(json.dumps(spec.parameters).split('"'))
        assert not {"$ref", "$defs", "$schema"} & words, spec.name
        assert not any("title" in one for one in schemas_in(spec.parameters)), spec.name


def schemas_in(schema: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield a schema and all schemas within it."""
    yield schema
    properties, alternatives = schema.get("properties", {}), schema.get("anyOf", [])
    assert isinstance(properties, dict)
    assert isinstance(alternatives, list)
    inner = [*properties.values(), *alternatives]
    inner += [schema[key] for key in ("items", "additionalProperties") if key in schema]
    for one in inner:
        if isinstance(one, Mapping):
            yield from schemas_in(one)


def properties_of(schema: object) -> dict[str, object]:
    properties = part(schema, "properties")
    assert isinstance(properties, dict)
    return properties


@pytest.mark.parametrize("domain", DOMAINS)
def test_domain_tools_have_plain_schemas_with_described_properties(domain: str) -> None:
    for spec in (*load_domain(domain).toolbelt.specs, plan_form(5).spec, complete_spec()):
        assert spec.description.endswith(".")
        assert spec.parameters["additionalProperties"] is False
        assert all(part(one, "description") for one in properties_of(spec.parameters).values())


def test_an_unknown_domain_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        SettingsError, match=r"--domain names 'poem', .* domain\. The domains are: codebase"
    ):
        load_domain("poem")


def test_the_plan_is_bounded_in_its_schema() -> None:
    spec = plan_form(7).spec
    assert spec.name == SUBMIT_PLAN
    steps = properties_of(spec.parameters)["steps"]
    assert (part(steps, "minItems"), part(steps, "maxItems")) == (1, 7)
    assert part(plan_form(3).spec.parameters, "properties", "steps", "maxItems") == 3


def test_a_plan_is_a_list_of_texts() -> None:
    assert parse_arguments(SubmitPlan, '{"steps": ["a", "b"]}').steps == ["a", "b"]
    for text in ('{"steps": []}', '{"steps": "a"}', '{"steps": [1]}', "{}"):
        with pytest.raises(ValueError, match="steps"):
            parse_arguments(SubmitPlan, text)


def test_completing_takes_no_arguments() -> None:
    assert complete_spec().name == COMPLETE_INSTRUCTION
    assert parse_arguments(CompleteInstruction, "") == CompleteInstruction()
    with pytest.raises(ValueError, match="Extra inputs"):
        parse_arguments(CompleteInstruction, '{"done": true}')


def test_the_originals_names_stand_for_tools_that_exist() -> None:
    known = {tool.name for tool in execution_tools()} | {SUBMIT_PLAN, COMPLETE_INSTRUCTION}
    assert set(ALIASES.values()) <= known


EXECUTION = Toolbelt(execution_tools(), {})


def test_a_program_is_run_with_its_arguments_as_they_are(tmp_path: Path) -> None:
    script = SandboxScript(runs=[ScriptedRun(jobs=(job_result("program", output=b"hello\n"),))])
    context = context_with(tmp_path, script, app__main_py=b"")
    context.store.write({"app/main.py": b""})
    arguments = ["--x", "$(reboot)", "; rm -rf /", "a b"]
    outcome = call(
        EXECUTION, "run_python_file", {"path": "app/main.py", "arguments": arguments}, context
    )
    assert outcome == ToolOutcome("it ended with exit code 0\nstandard output:\nhello\n")
    assert script.sandboxes[0].asked == [
        (Job("program", argv=("python", "app/main.py", *arguments)),)
    ]


def test_execution_outcome_reports_output_and_leftovers(tmp_path: Path) -> None:
    job = job_result("program", code=3, output=b"out", errors=b"err")
    run = ScriptedRun(
        jobs=(job,), writes={"made.txt": b"x"}, leftovers=2, removed=1, oom_kills=1, pids_denied=4
    )
    script = SandboxScript(runs=[run])
    outcome = call(
        EXECUTION, "run_python_file", {"path": "a"}, context_with(tmp_path, script, a=b"")
    )
    ending, *streams = outcome.text.splitlines()
    assert ending.split("; ") == [
        "it ended with exit code 3",
        "a process of it ran out of memory",
        "it reached the limit of processes",
        "2 processes that it left running were ended",
        "files that it wrote: made.txt",
        "1 links, pipes or unacceptable names that it made were removed",
    ]
    assert streams == ["standard output:", "out", "standard error:", "err"]
    assert not outcome.ok
    assert [change.path for change in outcome.changes] == ["made.txt"]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.TIMEOUT, "did not end in time"),
        (Cause.MEMORY, "it ran out of memory"),
        (Cause.OUTPUT, "put out too much"),
        (Cause.PIDS, "too many processes"),
        (Cause.SIGNALLED, "ended by signal 9"),
        (Cause.LOST, "it was lost"),
    ],
)
def test_why_a_program_ended_is_told_in_words(tmp_path: Path, cause: Cause, words: str) -> None:
    run = ScriptedRun(
        jobs=(job_result("program", cause=cause, code=9),), oom_kills=1, pids_denied=1
    )
    outcome = call(
        EXECUTION,
        "run_python_file",
        {"path": "a"},
        context_with(tmp_path, SandboxScript(runs=[run]), a=b""),
    )
    assert not outcome.ok
    assert words in outcome.text
    assert outcome.text.count("ran out of memory") == 1


def test_long_output_is_cut_in_the_middle(tmp_path: Path) -> None:
    run = ScriptedRun(
        jobs=(job_result("program", output=b"a" * 5000 + b"z" * 5000, errors=b"e" * 5000),)
    )
    outcome = call(
        EXECUTION,
        "run_python_file",
        {"path": "a"},
        context_with(tmp_path, SandboxScript(runs=[run]), a=b""),
    )
    assert len(outcome.text) < 1300
    assert outcome.text.count("bytes omitted") == 2


@pytest.mark.parametrize("path", ["none.py", "../a", "/a", "-c", "", "a\0b"])
@pytest.mark.parametrize("name", ["run_python_file", "run_tests"])
def test_execution_runs_only_files_of_the_store(tmp_path: Path, name: str, path: str) -> None:
    script = SandboxScript()
    arguments = {"path": path} if name == "run_python_file" else {"paths": [path]}
    outcome = call(EXECUTION, name, arguments, context_with(tmp_path, script, a=b""))
    assert outcome.text.startswith("refused: ")
    assert script.sandboxes[0].asked == []


def test_an_argument_that_no_program_can_get_is_refused(tmp_path: Path) -> None:
    outcome = call(
        EXECUTION,
        "run_python_file",
        {"path": "a", "arguments": ["\0"]},
        context_with(tmp_path, SandboxScript(), a=b""),
    )
    assert outcome == ToolOutcome("refused: an argument contains a NUL character", ok=False)


def test_run_tests_runs_all_or_named_tests_and_undoes_their_writes(tmp_path: Path) -> None:
    run = ScriptedRun(jobs=(job_result("tests", report=PASSING),), writes={"trash": b""})
    script = SandboxScript(runs=[run, run])
    context = context_with(tmp_path, script, a=b"")
    context.store.write({"test_a.py": b""})
    assert call(EXECUTION, "run_tests", {}, context) == ToolOutcome("tests: 1 passed")
    assert call(EXECUTION, "run_tests", {"paths": ["test_a.py::test_a[x y]"]}, context).ok
    assert [jobs[0].paths for jobs in script.sandboxes[0].asked] == [
        (),
        ("test_a.py::test_a[x y]",),
    ]
    assert set(script.sandboxes[0].contents) == {"a", "test_a.py"}


def test_tests_without_a_result_are_no_success(tmp_path: Path) -> None:
    run = ScriptedRun(jobs=(job_result("tests", report=PASSING[:-10]),))
    outcome = call(
        EXECUTION, "run_tests", {}, context_with(tmp_path, SandboxScript(runs=[run]), a=b"")
    )
    assert not outcome.ok
    assert "before their report was complete" in outcome.text


def test_a_program_that_ends_the_sandbox_is_told_so(tmp_path: Path) -> None:
    script = SandboxScript(lost_at={2})
    outcome = call(
        EXECUTION, "run_python_file", {"path": "a"}, context_with(tmp_path, script, a=b"x")
    )
    assert not outcome.ok
    assert outcome.text.startswith("this ended the sandbox (")
    assert script.sandboxes[-1].contents == {"a": b"x"}
