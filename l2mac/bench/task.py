"""A task of the benchmark: what is asked for, feature by feature, and what it is measured with."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from l2mac.bench.wording import render

HAND_WRITTEN_FILE = "test_by_hand.py"
"""What hand-written tests are called in the sandbox, whatever they are called outside."""


@dataclass(frozen=True, slots=True)
class Group:
    """Features that belong together."""

    name: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandWritten:
    """Tests that the task brings along and no method ever sees: the text of a file for pytest, and how many it has.

    Parameters of a test are no further tests.
    """

    text: str
    tests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        name: Short, fit for a folder's name.
        title: For a person.
        description: What is to be made, in a few sentences.
        groups: The features, in groups.
        interface: The names that hand-written tests import; part of the prompt.
        handwritten: None where the task brings no tests.
        input_dir: Existing code to work on; None where the task starts from nothing.
        prompt: The whole prompt, where it is not made of the above.
        program: Instructions; empty where the method plans.
        settings: What the task needs set.
        suite: The set of tasks that are counted together; empty for a task that stands for itself.
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
    settings: Mapping[str, Any] = field(default_factory=dict)
    suite: str = ""

    @property
    def features(self) -> tuple[str, ...]:
        """All features, in order."""
        return tuple(feature for group in self.groups for feature in group.features)

    @property
    def text(self) -> str:
        """The prompt: every feature has a number of its own."""
        if self.prompt:
            return self.prompt
        interface = (
            render("interface", interface=self.interface.strip()) if self.interface.strip() else ""
        )
        features = self._numbered()
        return render(
            "task", description=self.description.strip(), features=features, interface=interface
        ).strip()

    @property
    def digest(self) -> str:
        """A hash of all that decides what is asked for and how it is measured."""
        content = {
            **asdict(self),
            "text": self.text,
            "input_dir": str(self.input_dir or ""),
            "title": "",
        }
        return hashlib.sha256(
            json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")
        ).hexdigest()

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
