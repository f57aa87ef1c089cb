"""A domain: prompts, tools and checks. Data, so that the control unit knows none by name."""

from dataclasses import dataclass

from l2mac.checks import python
from l2mac.errors import SettingsError
from l2mac.evaluator import Checks
from l2mac.prompts import PromptSet
from l2mac.tools.base import Toolbelt
from l2mac.tools.control import ALIASES
from l2mac.tools.execute import execution_tools
from l2mac.tools.files import file_tools

DOMAINS = ("codebase",)


@dataclass(frozen=True, slots=True)
class Domain:
    """What a kind of work needs."""

    name: str
    prompts: PromptSet
    toolbelt: Toolbelt
    checks: Checks


def load_domain(name: str) -> Domain:
    """Give a domain by name.

    Raises:
        SettingsError: There is none of that name.
    """
    if name not in DOMAINS:
        raise SettingsError("--domain", f"{name!r} is not a domain; the domains are: {', '.join(DOMAINS)}")
    toolbelt = Toolbelt((*file_tools(), *execution_tools()), ALIASES)
    return Domain(name, PromptSet.load(name), toolbelt, Checks(python.jobs_for, python.judge))
