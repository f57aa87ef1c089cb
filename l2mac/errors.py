"""What can go wrong outside the box; `sandbox.errors` has the tree for the box.

```
L2macError
├── SettingsError         a flag, a variable or a file says something that cannot be; names the field
├── ProcessorError        the language model gave no reply
│   ├── ModelNotConfigured no model is named
│   ├── ModelUnavailable  it does not answer, or stopped in the middle, after all retries
│   ├── ModelRejected     it refuses us: key, model name, request
│   ├── OutOfTime         the time that the run may take was over before it had replied
│   └── ContextOverflow   the server says that the messages do not fit; the control unit makes room
├── RunNotAccepted        the Python API: a run ended without all checks passing; holds its files
├── RunCancelled          the Python API: whoever embeds us gave the run up
├── RunNotFound           there is no such run
├── RunLocked             another process works on the run
└── TraceError            the run's record cannot be read or written, or does not fit what is being repeated
```

What the model does wrong is no error: it goes back to the model as text. A spent budget, a failed check and an
interruption are outcomes of a run (`l2mac.control.outcome`).
"""

from collections.abc import Mapping


class L2macError(Exception):
    """Base of all failures outside the box; `str()` is one sentence that says what to do next."""


class SettingsError(L2macError):
    """A flag, a variable or a file says something that cannot be.

    Attributes:
        field: What it is about, as the user wrote it, such as `--steps` or `l2mac.toml: model`.
        problem: A whole sentence that names the field. A fragment without a full stop is accepted
            and gets the field as its prefix.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem if problem.endswith(".") else f"{field}: {problem}")
        self.field = field
        self.problem = problem


class ProcessorError(L2macError):
    """The language model gave no reply."""


class ModelNotConfigured(ProcessorError):
    """No model is named."""


class ModelUnavailable(ProcessorError):
    """The model does not answer, or stopped in the middle of an answer, after all retries."""


class ModelRejected(ProcessorError):
    """The model's server refuses us: the key, the model's name or the request."""


class OutOfTime(ProcessorError):
    """The time that the run may take was over before the model had replied."""


class ContextOverflow(ProcessorError):
    """The server says that the messages do not fit into the model's context window."""


class RunNotAccepted(L2macError):
    """A run ended without all checks passing, so that there is no result to return as if it were one.

    Attributes:
        run: The run's name.
        files: What it had written: path → text.
    """

    def __init__(self, run: str, problem: str, files: Mapping[str, str]) -> None:
        super().__init__(
            f"the run {run} ended as {problem}; what it wrote is in the error's `files`"
        )
        self.run = run
        self.files = files


class RunCancelled(L2macError):
    """Whoever embeds us gave the run up; it is kept."""


class RunNotFound(L2macError):
    """There is no run of that name."""


class RunLocked(L2macError):
    """Another process works on the run."""


class TraceError(L2macError):
    """The run's record cannot be read or written, or does not fit what is being repeated."""
