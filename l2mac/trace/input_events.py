"""What the trace records of a run's input; the other events are in `l2mac.trace.events`."""

from dataclasses import dataclass
from typing import Literal

from sandbox.results import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRecorded:
    """Effect: the files that the run begins with were taken over. `key` is the hash of their tree.

    `left_out_object` is JSON: what lay in the folder and was left out, kind → paths.
    """

    kind: Literal["input"] = "input"
    key: str
    changes: tuple[Change, ...]
    left_out_object: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOutlined:
    """Effect: what the input holds, as the model is told. `key` is the hash of the tree."""

    kind: Literal["survey"] = "survey"
    key: str
    text_object: str
