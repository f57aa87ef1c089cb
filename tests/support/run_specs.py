"""Run specifications for tests: the domain's definition is filled in by its name."""

from functools import cache

from l2mac.control.run_spec import RunSpec
from l2mac.domains.loader import load_domain


@cache
def definition_of(domain: str) -> str:
    return load_domain(domain).definition.as_text()


def run_spec(**values: object) -> RunSpec:
    """Return a specification with these values; all others are at their defaults."""
    values = {"task": "Make it.", "context_tokens": 20_000, **values}
    if "definition" not in values:
        values["definition"] = definition_of(str(values.get("domain", "codebase")))
    return RunSpec(**values)  # type: ignore[arg-type]
