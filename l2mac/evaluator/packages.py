"""Packages of generated code, mounted read-only in every sandbox.

The packages are fetched once, and the wheels themselves are objects of the run's trace. So a run
that is resumed or replayed, and a sandbox that replaces a lost one, have the same bytes without any
network.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from l2mac.errors import TraceError
from l2mac.evaluator.requirement_files import FILES, HASH, PackageRequirements, read_requirements
from l2mac.evaluator.verdict import CheckResult, Finding, Verdict
from l2mac.evaluator.wording import how_many, valid_text
from l2mac.file_store import FileStore
from l2mac.trace.events import Event, PackagesFetched, SandboxOpened
from l2mac.trace.journal import Journal
from l2mac.trace.objects import ObjectStore
from sandbox import Fetched, Installed, Refused

Mode = Literal["off", "locked", "resolve"]
MODES: tuple[Mode, ...] = ("off", "locked", "resolve")  # strictest first
_MOST_FETCHES = 20
_REASON_CHARACTERS = 1500

Fetch = Callable[[str, str, bool], Fetched]
"""Fetches for a run, by name, the packages of a requirements text, with all hashes or without."""
Install = Callable[[str, Mapping[str, bytes]], Installed]
"""Gives all further sandboxes of a run, by name, these wheels in place of the old ones."""


@dataclass(frozen=True, slots=True)
class PackageSource:
    """The ways to fetch packages and to give them to sandboxes."""

    fetch: Fetch
    install: Install


class Dependencies:
    """The packages of one run, from evaluation to evaluation.

    Args:
        mode: `off`: files that name packages mean nothing. `locked`: exact versions with hashes.
            `resolve`: any.
        run: The run's name.
        journal: Records each fetch.
        source: Where packages come from; None with `off`.
    """

    def __init__(
        self, mode: Mode, run: str, journal: Journal, source: PackageSource | None
    ) -> None:
        self._mode: Mode = mode if source is not None else "off"
        self._run = run
        self._journal = journal
        self._source = source
        self._known: dict[str, PackagesFetched] = {}
        self._fetches = 0
        self._wanted: PackagesFetched | None = None
        self._installed = ""

    def restore(self, events: Sequence[Event]) -> None:
        """Choose the packages that were recorded last for the next sandbox."""
        fetched = [event for event in events if isinstance(event, PackagesFetched) and event.ok]
        self._wanted = fetched[-1] if fetched else None

    def install(self) -> None:
        """Prepare the wanted packages for the next sandbox.

        Raises:
            TraceError: The recorded wheels do not unpack to what they unpacked to before.
            SandboxError: The packages' volume cannot be made.
        """
        wanted = self._wanted
        if self._source is None or self._digest == self._installed:
            return
        objects = self._journal.objects
        names = () if wanted is None else zip(wanted.wheel_names, wanted.wheel_objects, strict=True)
        wheels = {name: objects.get(digest) for name, digest in names}
        try:
            installed = self._install(wheels)
        except Refused as refusal:
            raise TraceError(
                f"recorded packages cannot be unpacked any more: {refusal}"
            ) from refusal
        if wanted is not None and installed.digest != wanted.digest:
            raise TraceError(
                "The recorded packages unpack to other files than before. The image of the sandbox"
                " has changed."
            )

    def resolve(self, store: FileStore) -> CheckResult | None:
        """Fetch the packages that the store names, once per wording; return a failure.

        A working sandbox with other packages than are wanted now is closed: the next one has them.
        """
        if self._source is None or self._mode == "off":
            return None
        objects = self._journal.objects
        files = {
            entry.path: objects.get(entry.digest) for entry in store.files if entry.path in FILES
        }
        wanted = read_requirements(files, hashed=self._mode == "locked")
        if wanted.findings:
            return _failed(wanted.findings)
        event = self._fetched(wanted, store) if wanted.lines else None
        if event is not None and not event.ok:
            reason = objects.get_text(event.output_object)
            return _failed((Finding(wanted.place_of(reason), reason),))
        self._wanted = event
        if not self._journal.replaying and self._digest != self._installed:
            store.close()
        return None

    @property
    def _digest(self) -> str:
        return "" if self._wanted is None else self._wanted.digest

    def _fetched(self, wanted: PackageRequirements, store: FileStore) -> PackagesFetched:
        key = key_of(self._mode, wanted.text)
        if key not in self._known:
            event = self._journal.effect(
                PackagesFetched, key, lambda: self._fetch(key, wanted, store)
            )
            self._fetches += 1
            if event.transient:  # the index was unreachable; the next evaluation tries again
                return event
            self._known[key] = event
        return self._known[key]

    def _fetch(self, key: str, wanted: PackageRequirements, store: FileStore) -> PackagesFetched:
        if self._source is None or self._fetches >= _MOST_FETCHES:
            return self._event(
                key, wanted, Fetched(output=f"packages were fetched {_MOST_FETCHES} times already")
            )
        fetched = self._source.fetch(self._run, wanted.text, self._mode == "locked")
        self._note_sandbox("fetch packages", fetched.receipt)
        problem = _not_locked(fetched, wanted) if self._mode == "locked" else ""
        digest = ""
        if fetched.wheels and not problem:
            store.close()
            try:
                digest = self._install(fetched.wheels).digest
            except Refused as refusal:
                problem = str(refusal)
        if problem:
            fetched = Fetched(output=problem, connections=fetched.connections)
        return self._event(key, wanted, fetched, digest)

    def _install(self, wheels: Mapping[str, bytes]) -> Installed:
        assert self._source is not None  # noqa: S101 - `install` and `resolve` have looked
        installed = self._source.install(self._run, wheels)
        self._installed = installed.digest
        if wheels:
            self._note_sandbox("hold packages", installed.receipt)
        return installed

    def _event(
        self, key: str, wanted: PackageRequirements, fetched: Fetched, digest: str = ""
    ) -> PackagesFetched:
        objects = self._journal.objects
        ok = bool(digest)
        connections = json.dumps(list(fetched.connections), sort_keys=True)
        return PackagesFetched(
            key=key,
            mode=self._mode,
            ok=ok,
            transient=not ok
            and any(connection["unreachable"] for connection in fetched.connections),
            digest=digest,
            requirements_object=objects.put_text(wanted.text),
            wheel_names=tuple(fetched.wheels),
            wheel_objects=tuple(objects.put(content) for content in fetched.wheels.values()),
            output_object=objects.put_text(fetched.output if ok else _reason(fetched.output)),
            connections_object=objects.put_text(connections),
        )

    def _note_sandbox(self, purpose: str, receipt: Mapping[str, object]) -> None:
        if receipt:
            content = json.dumps(dict(receipt), sort_keys=True).encode()
            self._journal.bracket(
                SandboxOpened(receipt_object=self._journal.objects.put(content), purpose=purpose)
            )


def recorded_fetch(events: Sequence[Event], objects: ObjectStore) -> Fetch:
    """Return a fetch that reads a trace, for a replay without a network."""
    recorded = {
        event.requirements_object: event for event in events if isinstance(event, PackagesFetched)
    }

    def fetch(_: str, requirements: str, __: bool) -> Fetched:  # noqa: FBT001 - the form of `Fetch`
        event = recorded.get(
            hashlib.sha256(requirements.encode("utf-8", "surrogatepass")).hexdigest()
        )
        if event is None:
            raise TraceError("the record has no packages for what the files name now")
        pairs = zip(event.wheel_names, event.wheel_objects, strict=True)
        wheels = {name: objects.get(digest) for name, digest in pairs if event.ok}
        return Fetched(wheels=wheels, output=objects.get_text(event.output_object))

    return fetch


def key_of(mode: str, text: str) -> str:
    """Return the key of a fetch: a hash of mode and requirements."""
    return hashlib.sha256(f"{mode}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _not_locked(fetched: Fetched, wanted: PackageRequirements) -> str:
    """Return why fetched wheels do not match the files' hashes, compared on the host."""
    known = set(HASH.findall(wanted.text))
    odd = [
        name
        for name, content in fetched.wheels.items()
        if hashlib.sha256(content).hexdigest() not in known
    ]
    return f"{odd[0]} does not have a hash that requirements.txt names" if odd else ""


def _reason(output: str) -> str:
    """Return the problem that pip reports: its errors, or the end of its output."""
    lines = [line for line in valid_text(output).splitlines() if line.strip()]
    errors = [re.sub(r"^(ERROR|WARNING): *", "", line) for line in lines if "ERROR" in line]
    return "\n".join(errors or lines[-8:])[:_REASON_CHARACTERS] or "no reason was given"


def _failed(findings: tuple[Finding, ...]) -> CheckResult:
    summary = f"{how_many(findings, 'requirement')} not installed; nothing else was checked"
    return CheckResult(
        name="dependencies", verdict=Verdict.FAILED, summary=summary, findings=findings
    )
