"""The texts that tasks and the judge are given, from the Markdown files beside this module."""

from importlib import resources
from string import Template


def render(kind: str, **values: object) -> str:
    """Return a text with its placeholders filled in; values are not searched for placeholders themselves.

    Raises:
        KeyError: A value is missing.
    """
    template = (resources.files("l2mac.bench") / "prompts" / f"{kind}.md").read_text(
        encoding="utf-8"
    )
    return Template(template.rstrip("\n")).substitute(
        {name: str(value) for name, value in values.items()}
    )
