"""The prompts: one Markdown file per kind of message and domain, checked in full when they are loaded."""

from collections.abc import Mapping
from importlib import resources
from string import Template

from l2mac.errors import SettingsError

KINDS: Mapping[str, frozenset[str]] = {
    "system": frozenset({"packages"}),
    "packages_off": frozenset(),
    "packages_locked": frozenset(),
    "packages_resolve": frozenset(),
    "bootstrap": frozenset({"task", "steps"}),
    "plan_again": frozenset({"problem", "steps"}),
    "instruction": frozenset({"task", "number", "total", "instruction", "files", "summary"}),
    "cycle": frozenset({"instruction", "files", "checks"}),
    "idle": frozenset({"instruction", "files", "checks"}),
    "fix": frozenset({"instruction", "files", "findings"}),
    "no_call": frozenset({"instruction", "files"}),
    "no_tests": frozenset({"instruction", "files"}),
    "repeated": frozenset({"instruction", "files", "findings"}),
    "cut_off": frozenset({"limit"}),
    "exhausted": frozenset(),
    "completed": frozenset(),
}
"""Every kind of message with the placeholders that its prompt must use, no more and no fewer."""


class PromptSet:
    """The prompts of one domain.

    Args:
        texts: Kind → text with `$placeholders`; `$$` stands for a dollar sign.

    Raises:
        SettingsError: A kind is missing or unknown, or a prompt's placeholders are not those of its kind.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        for kind in sorted(KINDS.keys() ^ texts.keys()):
            raise SettingsError(f"prompt {kind!r}", "is missing" if kind in KINDS else "is not a kind of prompt")
        self._templates = {kind: Template(text.strip()) for kind, text in texts.items()}
        for kind, template in self._templates.items():
            _check(kind, template)

    @classmethod
    def load(cls, domain: str) -> "PromptSet":
        """Give the prompts that come with the package for a domain."""
        folder = resources.files("l2mac.prompts") / domain
        return cls({kind: (folder / f"{kind}.md").read_text(encoding="utf-8") for kind in KINDS})

    def render(self, kind: str, **values: object) -> str:
        """Give a prompt with its placeholders filled in; values are not searched for placeholders themselves.

        Raises:
            KeyError: A value is missing, or one has no place in this prompt.
        """
        if values.keys() != KINDS[kind]:
            raise KeyError(f"the prompt {kind!r} takes {sorted(KINDS[kind])}, not {sorted(values)}")
        return self._templates[kind].substitute({name: str(value) for name, value in values.items()})


def _check(kind: str, template: Template) -> None:
    if not template.is_valid():
        raise SettingsError(f"prompt {kind!r}", "a '$' is not followed by a name; write $$ for a dollar sign")
    used = frozenset(template.get_identifiers())
    for name in sorted(used ^ KINDS[kind]):
        problem = f"${name} is not used" if name in KINDS[kind] else f"${name} is not known there"
        raise SettingsError(f"prompt {kind!r}", problem)
