"""A domain: prompts, tools and checks. Data, so that the control unit knows none by name."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from l2mac.domains.definition import (
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
from l2mac.tools.base import Tool, Toolbelt
from l2mac.tools.execute import execution_tools
from l2mac.tools.files import file_tools
from l2mac.tools.forms import ALIASES, COMPLETE_INSTRUCTION, SUBMIT_PLAN
from sandbox.protocol import MAX_JOBS

DOMAINS = ("codebase", "book")
CUSTOM = "custom"
_ROOT = "codebase"
_RESULTS = frozenset(
    {"syntax", "lint", "tests", "inventory", *book_checks.JOBS, *book_checks.RESULTS, "judge"}
)
"""Names of jobs and results that a command may not take."""


@dataclass(frozen=True, slots=True)
class Domain:
    """What a kind of work needs; `definition` is the same as data, for the record."""

    definition: Definition
    prompts: PromptSet
    toolbelt: Toolbelt
    checks: Checks

    @property
    def name(self) -> str:
        """What it is called."""
        return self.definition.name


def load_domain(name: str) -> Domain:
    """Give a shipped domain by name.

    Raises:
        SettingsError: There is none of that name.
    """
    if name == CUSTOM:
        raise SettingsError("--domain", "custom is what a file says; give it with --domain-file")
    if name not in DOMAINS:
        raise SettingsError(
            "--domain",
            f"{name!r} is not a domain; the domains are: {', '.join((*DOMAINS, CUSTOM))}",
        )
    definition, source = _shipped(name)
    return _build(definition, source)


def load_domain_file(path: Path) -> Domain:
    """Give the domain that a user's file defines, checked in full.

    Raises:
        SettingsError: The file cannot be read, or says something that cannot be; names the line.
    """
    own, source = read_definition(path)
    base = own.extends or _ROOT
    if base not in DOMAINS:
        raise source.error(
            ("extends",), f"{base!r} is not a domain; the domains are: {', '.join(DOMAINS)}"
        )
    return _build(own.over(_shipped(base)[0]), source)


def recorded_domain(text: str) -> Domain:
    """Give the domain that a run was recorded with.

    Raises:
        SettingsError: The record names what this version does not know.
    """
    source = DefinitionSource("the recorded domain", "")
    try:
        own = recorded_definition(text)
    except ValueError as error:
        raise source.error(
            (), f"is none ({error}); use the version of l2mac that recorded it"
        ) from None
    return _build(own, source)


def with_tools(domain: Domain, names: str) -> Domain:
    """Give a domain with only some of its tools, named in a list with commas; control tools always stay.

    Raises:
        SettingsError: One is not a tool of this domain, or none is left that writes.
    """
    wanted = tuple(name.strip() for name in names.split(",") if name.strip())
    offered = [spec.name for spec in domain.toolbelt.specs]
    proper = tuple(ALIASES.get(name, name) for name in wanted)
    kept = tuple(name for name in proper if name not in (SUBMIT_PLAN, COMPLETE_INSTRUCTION))
    for name in kept:
        if name not in offered:
            raise SettingsError(
                "--tools",
                f"{name!r} is not a tool of this domain; its tools are: {', '.join(offered)}",
            )
    if not any(spec.name in kept for spec in domain.toolbelt.writing_specs):
        raise SettingsError(
            "--tools", "none of them writes files, so nothing could come about; add write_files"
        )
    return _build(replace(domain.definition, tools=kept), DefinitionSource("--tools", ""))


def _shipped(name: str) -> tuple[Definition, DefinitionSource]:
    text, prompts = shipped(name)
    own, source = parse_definition(f"the domain {name}", text, prompts)
    return (own.over(_shipped(own.extends)[0]) if own.extends else own), source


def _build(definition: Definition, source: DefinitionSource) -> Domain:
    return Domain(
        definition,
        PromptSet(definition.prompts),
        Toolbelt(_tools(definition.tools or (), source), ALIASES),
        _checks(definition, source),
    )


def _tools(names: tuple[str, ...], source: DefinitionSource) -> tuple[Tool[Any], ...]:
    groups = {"files": file_tools(), "execution": execution_tools()}
    known: dict[str, tuple[Tool[Any], ...]] = {
        **groups,
        **{tool.name: (tool,) for group in groups.values() for tool in group},
    }
    chosen: dict[str, Tool[Any]] = {}
    for number, name in enumerate(names):
        if name in (SUBMIT_PLAN, COMPLETE_INSTRUCTION):
            raise source.error(("tools", number), f"{name} is always there; leave it out")
        if name not in known:
            raise source.error(
                ("tools", number), f"{name!r} is not a tool; the tools are: {', '.join(known)}"
            )
        for tool in known[name]:
            if tool.name in chosen:
                raise source.error(("tools", number), f"{tool.name} is there already; name it once")
            chosen[tool.name] = tool
    if not any(tool.writes for tool in chosen.values()):
        raise source.error(
            ("tools",), "none of them writes files, so nothing could come about; add write_files"
        )
    return tuple(chosen.values())


def _checks(definition: Definition, source: DefinitionSource) -> Checks:
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
    parts: dict[str, Checks] = {}
    for number, name in enumerate(definition.checks or ()):
        if name not in built_in:
            raise source.error(
                ("checks", number),
                f"{name!r} is not a check; the checks are: {', '.join(built_in)}",
            )
        if name in parts:
            raise source.error(("checks", number), f"{name} is there already; name it once")
        parts[name] = built_in[name]
    taken = set(_RESULTS)
    for number, command in enumerate(definition.commands or ()):
        if command.name in taken:
            raise source.error(
                ("commands", number, "name"), f"{command.name!r} is the name of another check"
            )
        taken.add(command.name)
        if any("\0" in word for word in command.argv):
            raise source.error(
                ("commands", number, "argv"), "holds a NUL character, which no program can be given"
            )
        check = CommandCheck(
            command.name, tuple(command.argv), tuple(command.exit_codes), tuple(command.files)
        )
        parts[f"command {command.name}"] = Checks(
            command_jobs(check), command_judge(check), frozenset({command.name})
        )
    if not parts:
        raise source.error(
            ("checks",), "there is no check, so anything would pass; name one, or give a command"
        )
    count = sum(len(part.jobs) for part in parts.values())
    if count > MAX_JOBS:
        raise source.error(
            ("commands",),
            f"checks and commands come to {count} jobs; at most {MAX_JOBS} run at once",
        )
    return together(tuple(parts.values()))
