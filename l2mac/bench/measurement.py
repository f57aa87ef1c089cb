"""The measurement of one run: a JSON file, bound to the run's seal."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pydantic

from l2mac.errors import TraceError

MEASUREMENT_FILE = "measurement.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a run.

    Attributes:
        key: Name in JSON.
        title: Heading of its column.
        digits: Number of digits after the decimal point.
        rare: Whether the terminal omits its column as long as all values are 0.
    """

    key: str
    title: str
    digits: int = 0
    rare: bool = False


METRICS = (
    Metric("features_percent", "features %", 1),
    Metric("features_tested_percent", "tested %", 1),
    Metric("handwritten_percent", "HT %", 1),
    Metric("lint_errors", "# errors", 2),
    Metric("lines_of_code", "LOC", 0),
    Metric("tests_passed", "passed", 1),
    Metric("tests_failed", "failed", 1),
    Metric("tests_errors", "test errors", 1, rare=True),
    Metric("tests_skipped", "skipped", 1, rare=True),
    Metric("tests_total", "tests", 1),
    Metric("coverage_percent", "cov %", 1),
    Metric("tokens", "tokens", 0),
    Metric("cost_usd", "USD", 4, rare=True),
    Metric("turns", "turns", 1),
    Metric("seconds", "seconds", 0),
)
"""Every metric in the order of the tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The measurement of one run.

    Attributes:
        run: The run's name.
        seal: The seal of the run's trace when it was measured.
        status: Final status of the run.
        metrics: Values by key; None if a metric could not be measured, missing if it does not
            apply.
        problems: Reasons for missing values, by key.
        details: The evidence for the values, as plain JSON values.
    """

    run: str
    seal: str
    status: str
    cause: str
    metrics: Mapping[str, float | None]
    problems: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)
    format: int = _FORMAT


_MEASUREMENT: pydantic.TypeAdapter[Measurement] = pydantic.TypeAdapter(Measurement)


def write_measurement(folder: Path, measurement: Measurement) -> None:
    """Store a measurement in a cell's folder, whole or not at all."""
    content = asdict(measurement)
    content["sha256"] = _digest(content)
    text = json.dumps(content, indent=1, sort_keys=True)
    write_whole(folder / MEASUREMENT_FILE, text.encode() + b"\n")


def read_measurement(folder: Path) -> Measurement | None:
    """Return the measurement in a cell's folder, if there is one.

    Raises:
        TraceError: The measurement has been altered or cannot be read.
    """
    path = folder / MEASUREMENT_FILE
    try:
        content = json.loads(path.read_bytes())
        if content.pop("sha256") != _digest(content):
            raise ValueError("its digest differs")
        return _MEASUREMENT.validate_python(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        problem = str(error).partition("\n")[0]
        raise TraceError(
            f"{path} is not what was written ({problem}). Remove it to measure the run again."
        ) from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that other processes see whole or not at all.

    Raises:
        TraceError: The file cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise TraceError(f"{path} cannot be written: {error.strerror}") from error


def _digest(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
