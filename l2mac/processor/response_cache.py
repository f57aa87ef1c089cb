"""The response cache: a model's replies by the content of the requests.

The cache saves the price of calls when a user repeats a run on purpose.
"""

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
    """A folder with one file per reply, named by the hash of the request.

    A request that the same process repeats is sent to the model again, because the first reply was
    of no use. Empty and truncated replies are not stored. Unreadable or altered entries are logged
    and skipped. If the folder is not writable, the reply is returned without being stored.

    Args:
        folder: The folder, created on first use and accessible to its owner only.
        identity: The other facts that replies depend on, such as server and model, without secrets.
        secrets: Texts that no stored reply may contain.
        most_bytes: The bound of the folder's size. The oldest entries are removed first.
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
        """Return the stored reply with `cached` set, or None.

        None also if this process has asked for the same request before.
        """
        key = self._key(request)
        if key in self._asked:
            return None
        self._asked.add(key)
        try:
            with (self._folder / (key + _ENDING)).open("rb") as file:
                content = file.read(_MOST_ENTRY_BYTES + 1)
            digest, _, body = content.partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() != digest:
                raise ValueError("the entry's content does not match its hash")
            return replace(_REPLY.validate_json(body), cached=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning(
                "Skipped a cached reply: {}{} ({})", key[:12], _ENDING, type(error).__name__
            )
            return None

    def keep(self, request: Request, reply: Reply) -> None:
        """Store a reply atomically, so that no reader sees an incomplete file."""
        is_empty = not (reply.content or reply.tool_calls)
        body = json.dumps(asdict(reply), sort_keys=True).encode("ascii")
        if reply.truncated or is_empty or len(body) > _MOST_ENTRY_BYTES // 2:
            return
        if self._has_secret(body):
            return
        digest = hashlib.sha256(body).hexdigest().encode()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._make_room(len(body))
            self._write(self._key(request) + _ENDING, digest + b"\n" + body)
        except OSError as error:
            logger.warning("A reply was not cached in {}: {}", self._folder, error.strerror)

    def _has_secret(self, body: bytes) -> bool:
        return any(json.dumps(secret)[1:-1].encode("ascii") in body for secret in self._secrets)

    def _write(self, name: str, content: bytes) -> None:
        temporary = self._folder / f"{randomness.token_hex(8)}.part{_ENDING}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(content)
            temporary.replace(self._folder / name)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _make_room(self, needed: int) -> None:
        """Remove the oldest entries until `needed` bytes fit.

        Other processes may do the same at the same time.
        """
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
        text = json.dumps([self._identity, content], sort_keys=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()
