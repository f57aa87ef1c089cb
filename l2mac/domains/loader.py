"""Build a domain from its definition: prompts, tools and checks.

The control unit works with any domain and knows none of them by name.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from l2mac.domains.definition import (
    Command,
    Definition,
    DefinitionSource,
    parse_definition,
    read_definition,
    recorded_definition,
)
from l2mac.domains.prompt_set import PromptSet, shipped
from l2mac.errors import SettingsError
from l2mac.evaluator import book_checks, python_checks
from l2mac.evaluator.checks import Checks, together
from l2mac.evaluator.command_checks import CommandCheck, command_jobs, command_judge
from l2mac.tools.base import AnyTool, Toolbelt
from l2mac.tools.execute import execution_tools
from l2mac.tools.files import file_tools
from l2mac.tools.forms import ALIASES, COMPLETE_INSTRUCTION, SUBMIT_PLAN
from sandbox.protocol import MAX_JOBS

DOMAINS = ("codebase", "book")
CUSTOM = "custom"
_ROOT = "codebase"
_ALWAYS = (SUBMIT_PLAN, COMPLETE_INSTRUCTION)
_NO_WRITER = "must include a tool that writes files. Add write_files."
_RESULTS = frozenset(
    {"syntax", "lint", "tests", "inventory", *book_checks.JOBS, *book_checks.RESULTS, "judge"}
)
"""The names of jobs and results that a command may not have."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The prompts, tools and checks for one kind of work.

    Attributes:
        definition: The same as data, for the trace.
        prompts: The prompts.
        toolbelt: The tools.
        checks: The checks.
    """

    definition: Definition
    prompts: PromptSet
    toolbelt: Toolbelt
    checks: Checks

    @property
    def name(self) -> str:
        """The domain's name."""
        return self.definition.name


def load_domain(name: str) -> Domain:
    """Return a shipped domain by name.

    Raises:
        SettingsError: No shipped domain has that name.
    """
    if name == CUSTOM:
        raise SettingsError("--domain", "The domain custom requires --domain-file.")
    if name not in DOMAINS:
        known = ", ".join((*DOMAINS, CUSTOM))
        raise SettingsError(
            "--domain", f"--domain names {name!r}, which is not a domain. The domains are: {known}."
        )
    definition, source = _shipped(name)
    return _build(definition, source)


def load_domain_file(path: Path) -> Domain:
    """Return the domain that a user's file defines.

    Raises:
        SettingsError: The file is not readable or not valid. Names the line.
    """
    own, source = read_definition(path)
    base = own.extends or _ROOT
    if base not in DOMAINS:
        raise source.error(
            ("extends",),
            f"names {base!r}, which is not a domain. The domains are: {', '.join(DOMAINS)}.",
        )
    return _build(own.over(_shipped(base)[0]), source)


def recorded_domain(text: str) -> Domain:
    """Return the domain that a run was recorded with.

    Raises:
        SettingsError: The definition does not fit this version of l2mac.
    """
    source = DefinitionSource("The recorded domain", "")
    try:
        own = recorded_definition(text)
    except ValueError as error:
        problem = f"is invalid ({error}). Use the version of l2mac that recorded it."
        raise source.error((), problem) from None
    return _build(own, source)


def with_tools(domain: Domain, names: str) -> Domain:
    """Return a domain with only some of its tools.

    The tools that the control unit performs itself always stay.

    Args:
        domain: The domain.
        names: Names of tools or aliases, separated by commas.

    Raises:
        SettingsError: A name is not a tool of this domain, or no remaining tool writes files.
    """
    wanted = [name.strip() for name in names.split(",")]
    proper = [ALIASES.get(name, name) for name in wanted if name]
    kept = tuple(name for name in proper if name not in _ALWAYS)
    offered = [spec.name for spec in domain.toolbelt.specs]
    for name in kept:
        if name not in offered:
            known = ", ".join(offered)
            problem = f"--tools names {name!r}, which is not a tool of this domain."
            raise SettingsError("--tools", f"{problem} Its tools are: {known}.")
    if not any(spec.name in kept for spec in domain.toolbelt.writing_specs):
        raise SettingsError("--tools", f"--tools {_NO_WRITER}")
    return _build(replace(domain.definition, tools=kept), DefinitionSource("--tools", ""))


def _shipped(name: str) -> tuple[Definition, DefinitionSource]:
    text, prompts = shipped(name)
    own, source = parse_definition(f"the domain {name}", text, prompts)
    if own.extends:
        own = own.over(_shipped(own.extends)[0])
    return own, source


def _build(definition: Definition, source: DefinitionSource) -> Domain:
    return Domain(
        definition,
        PromptSet(definition.prompts),
        Toolbelt(_tools(definition.tools or (), source), ALIASES),
        _checks(definition, source),
    )


def _tools(names: tuple[str, ...], source: DefinitionSource) -> tuple[AnyTool, ...]:
    known: dict[str, tuple[AnyTool, ...]] = {
        "files": file_tools(),
        "execution": execution_tools(),
    }
    for tool in (*known["files"], *known["execution"]):
        known[tool.name] = (tool,)
    chosen: dict[str, AnyTool] = {}
    for number, name in enumerate(names):
        if name in _ALWAYS:
            raise source.error(
                ("tools", number), f"names {name}, which is always present. Remove it."
            )
        if name not in known:
            problem = f"names {name!r}, which is not a tool. The tools are: {', '.join(known)}."
            raise source.error(("tools", number), problem)
        for tool in known[name]:
            if tool.name in chosen:
                raise source.error(("tools", number), f"names {tool.name} twice. Name it once.")
            chosen[tool.name] = tool
    if not any(tool.writes for tool in chosen.values()):
        raise source.error(("tools",), _NO_WRITER)
    return tuple(chosen.values())


def _checks(definition: Definition, source: DefinitionSource) -> Checks:
    parts = _built_in_checks(definition, source)
    parts += [_command_checks(command) for command in _commands(definition, source)]
    if not parts:
        problem = "must not be empty, or every result would pass. Name a check or a command."
        raise source.error(("checks",), problem)
    count = sum(len(part.jobs) for part in parts)
    if count > MAX_JOBS:
        problem = f"and checks need {count} jobs, at most {MAX_JOBS} run. Remove some."
        raise source.error(("commands",), problem)
    return together(tuple(parts))


def _built_in_checks(definition: Definition, source: DefinitionSource) -> list[Checks]:
    built_in = {
        "python": Checks(
            python_checks.jobs_for,
            python_checks.judge,
            frozenset({"lint", "tests"}),
            for_input=python_checks.jobs_for_input,
            originals=python_checks.originals,
        ),
        "book": Checks(
            book_checks.jobs_for,
            book_checks.judge,
            book_checks.JOBS,
            Checks(book_checks.jobs_at_the_end, book_checks.judge_whole, book_checks.JOBS),
        ),
    }
    names = definition.checks or ()
    for number, name in enumerate(names):
        if name not in built_in:
            problem = (
                f"names {name!r}, which is not a check. The checks are: {', '.join(built_in)}."
            )
            raise source.error(("checks", number), problem)
        if name in names[:number]:
            raise source.error(("checks", number), f"names {name} twice. Name it once.")
    return [built_in[name] for name in names]


def _commands(definition: Definition, source: DefinitionSource) -> tuple[Command, ...]:
    """Return the domain's commands after a check of their names and arguments."""
    commands = definition.commands or ()
    taken = set(_RESULTS)
    for number, command in enumerate(commands):
        if command.name in taken:
            problem = f"is {command.name!r}, the name of another check. Choose another name."
            raise source.error(("commands", number, "name"), problem)
        taken.add(command.name)
        if any("\0" in word for word in command.argv):
            problem = "holds a NUL character, which no program can receive. Remove it."
            raise source.error(("commands", number, "argv"), problem)
    return commands


def _command_checks(command: Command) -> Checks:
    check = CommandCheck(
        command.name, tuple(command.argv), tuple(command.exit_codes), tuple(command.files)
    )
    return Checks(command_jobs(check), command_judge(check), frozenset({command.name}))
