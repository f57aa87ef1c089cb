"""A task of the benchmark: features, prompt, and measuring tests."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from string import Template

HAND_WRITTEN_FILE = "test_by_hand.py"
"""Name of the hand-written tests in the sandbox; their name outside may differ."""


@dataclass(frozen=True, slots=True)
class Group:
    """Features that belong together."""

    name: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandWritten:
    """Tests that belong to the task and that no method ever sees.

    Attributes:
        text: Content of a test file for pytest.
        tests: Number of its tests; parameters of a test are not counted.
    """

    text: str
    tests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        name: Short name, valid as a folder's name.
        title: Title for people.
        description: The program to write, in a few sentences.
        groups: The features, in groups.
        interface: Names that hand-written tests import; part of the prompt.
        handwritten: Hand-written tests; None if the task has none.
        input_dir: Existing code to work on; None for a task that starts from nothing.
        prompt: The whole prompt, if it is not made of the above.
        program: Instructions; empty if the method plans.
        settings: Settings that the task needs.
        suite: The set of tasks that are counted together; empty for a separate task.
    """

    name: str
    title: str
    description: str = ""
    groups: tuple[Group, ...] = ()
    interface: str = ""
    handwritten: HandWritten | None = None
    input_dir: Path | None = None
    prompt: str = ""
    program: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    suite: str = ""

    @property
    def features(self) -> tuple[str, ...]:
        """All features, in order."""
        return tuple(feature for group in self.groups for feature in group.features)

    @property
    def text(self) -> str:
        """The prompt, in which every feature has a number."""
        if self.prompt:
            return self.prompt
        interface = self.interface.strip()
        if interface:
            interface = render("interface", interface=interface)
        features = self._numbered()
        return render(
            "task", description=self.description.strip(), features=features, interface=interface
        ).strip()

    @property
    def digest(self) -> str:
        """A hash of all that decides the prompt and the measurement."""
        content = asdict(self) | {
            "text": self.text,
            "input_dir": str(self.input_dir or ""),
            "title": "",
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def _numbered(self) -> str:
        lines: list[str] = []
        number = 0
        for group in self.groups:
            lines.append(f"{group.name}:")
            for feature in group.features:
                number += 1
                lines.append(f"{number}. {feature}")
            lines.append("")
        return "\n".join(lines).rstrip()


def render(kind: str, **values: object) -> str:
    """Return a text from `prompts/` with its placeholders filled in.

    Values are not searched for placeholders.

    Raises:
        KeyError: A value is missing.
    """
    file = resources.files("l2mac.bench") / "prompts" / f"{kind}.md"
    template = Template(file.read_text(encoding="utf-8").rstrip("\n"))
    return template.substitute({name: str(value) for name, value in values.items()})
