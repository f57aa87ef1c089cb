"""Errors outside of the sandbox; `sandbox.errors` has the tree of the sandbox.

```
L2macError
├── SettingsError         invalid flag, variable or file; names the field
├── ProcessorError        no reply of the language model
│   ├── ModelNotConfigured no model is named
│   ├── ModelUnavailable  no answer, or an incomplete one, after all retries
│   ├── ModelRejected     the server rejects the key, the model's name or the request
│   ├── OutOfTime         the time limit of the run passed before the reply
│   └── ContextOverflow   the messages exceed the context window; the control unit makes room
├── RunNotAccepted        Python API: a run ended without passing all checks; holds its files
├── RunCancelled          Python API: the caller cancelled the run
├── RunNotFound           no run has the name
├── RunLocked             another process works on the run
└── TraceError            the trace is unreadable, unwritable, or differs from a replay
```

Mistakes of the model are not errors: they go back to the model as text. An exhausted budget, a
failed check and an interruption are outcomes of a run (`l2mac.control.outcome`).
"""

from collections.abc import Mapping


class L2macError(Exception):
    """Base of all failures outside of the sandbox; `str()` is a whole sentence."""


class SettingsError(L2macError):
    """A flag, a variable or a file is invalid.

    Attributes:
        field: Origin of the value as the user wrote it, such as `--steps` or `l2mac.toml: model`.
        problem: A whole sentence that names the field. Any other text gets the field as a prefix.
    """

    def __init__(self, field: str, problem: str) -> None:
        names_field = problem.startswith(field) or (problem[:1].isupper() and field in problem)
        super().__init__(problem if names_field else f"{field}: {problem}")
        self.field = field
        self.problem = problem


def reason_of(error: Exception) -> str:
    """Return the reason of an error as part of a longer sentence.

    The error number and the full stop are removed.
    """
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return reason.removesuffix(".")


class ProcessorError(L2macError):
    """The language model returned no reply."""


class ModelNotConfigured(ProcessorError):
    """No model is named."""


class ModelUnavailable(ProcessorError):
    """The model does not answer completely, after all retries."""


class ModelRejected(ProcessorError):
    """The model's server rejects the key, the model's name or the request."""


class OutOfTime(ProcessorError):
    """The time limit of the run passed before the model replied."""


class ContextOverflow(ProcessorError):
    """The messages exceed the context window, according to the server."""


class RunNotAccepted(L2macError):
    """A run ended without passing all checks, so there is no result to return.

    Attributes:
        run: Name of the run.
        files: Files of the run: path → text.
    """

    def __init__(self, run: str, problem: str, files: Mapping[str, str]) -> None:
        super().__init__(
            f"The run {run} ended with {problem}. The attribute `files` has its files."
        )
        self.run = run
        self.files = files


class RunCancelled(L2macError):
    """The caller cancelled the run; the run is kept."""


class RunNotFound(L2macError):
    """No run has the name."""


class RunLocked(L2macError):
    """Another process works on the run."""


class TraceError(L2macError):
    """The trace is unreadable, unwritable, or differs from a replay."""
