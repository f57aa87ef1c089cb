"""Replies of language models, kept by the content of their requests, for whoever repeats a run on purpose."""

import contextlib
import hashlib
import json
import os
import secrets as randomness
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import pydantic
from loguru import logger

from l2mac.processor.messages import Reply, Request

_REPLY: pydantic.TypeAdapter[Reply] = pydantic.TypeAdapter(Reply)
_MOST_ENTRY_BYTES = 16 * 1024 * 1024
_MOST_BYTES = 256 * 1024 * 1024
_ENDING = ".reply"


class ResponseCache:
    """A folder with one file per reply, named by the hash of what it depends on.

    A request that one process repeats is asked anew: it repeats it because the first reply led nowhere. Cut-off and
    empty replies are not kept, failures never get here. An entry that cannot be read or is not what was written is
    said and passed over; a folder that cannot be written costs the entry, not the reply.

    Args:
        folder: Made when first needed, for its owner only.
        identity: What replies depend on beside the request, such as server and model; without secrets.
        secrets: A reply that repeats one of these is not kept.
        most_bytes: How large the folder may become; the oldest entries go first.
    """

    def __init__(
        self,
        folder: Path,
        *,
        identity: str,
        secrets: Iterable[str] = (),
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._secrets = tuple(secret for secret in secrets if secret)
        self._most_bytes = most_bytes
        self._asked: set[str] = set()

    def find(self, request: Request) -> Reply | None:
        """Give the kept reply, marked as such; None where there is none or this process has asked before."""
        key = self._key(request)
        if key in self._asked:
            return None
        self._asked.add(key)
        try:
            with (self._folder / (key + _ENDING)).open("rb") as file:
                content = file.read(_MOST_ENTRY_BYTES + 1)
            digest, _, body = content.partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() != digest:
                raise ValueError("its content is not what was written")
            return replace(_REPLY.validate_json(body), cached=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning(
                "A cached reply is passed over: {}{} ({})", key[:12], _ENDING, type(error).__name__
            )
            return None

    def keep(self, request: Request, reply: Reply) -> None:
        """Keep a reply in one step, so that no reader ever sees half of it."""
        body = json.dumps(asdict(reply), sort_keys=True).encode("ascii")
        if (
            reply.cut_off
            or not (reply.content or reply.tool_calls)
            or len(body) > _MOST_ENTRY_BYTES // 2
        ):
            return
        if any(json.dumps(secret)[1:-1].encode("ascii") in body for secret in self._secrets):
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(len(body))
            self._write(
                self._key(request) + _ENDING,
                hashlib.sha256(body).hexdigest().encode() + b"\n" + body,
            )
        except OSError as error:
            logger.warning("A reply was not cached in {}: {}", self._folder, error.strerror)

    def _write(self, name: str, content: bytes) -> None:
        temporary = self._folder / f"{randomness.token_hex(8)}.part{_ENDING}"
        try:
            with os.fdopen(
                os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.write(content)
            temporary.replace(self._folder / name)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _make_room(self, needed: int) -> None:
        """Remove the oldest entries until there is room; others may do the same at the same time."""
        entries = []
        for path in self._folder.glob(f"*{_ENDING}"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                entries.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in entries) + needed
        for _, size, path in sorted(entries):
            if total <= self._most_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _key(self, request: Request) -> str:
        content = asdict(replace(request, purpose=""))
        del content["within_s"]
        return hashlib.sha256(
            json.dumps([self._identity, content], sort_keys=True).encode("ascii")
        ).hexdigest()
