"""A sandbox as a `SandboxEnvironment` of inspect-ai, for its battery for sandbox providers."""

import shlex
from pathlib import PurePosixPath

from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentLimits,
    SandboxUserUnsupportedError,
)

from sandbox import Cause, Job, JobResult, Refused, Sandbox

_ENTER = 'cd -- "$0" && exec "$@"'
_CANNOT_EXECUTE = 126
_SIGNALLED = 128


class AdaptedSandbox(SandboxEnvironment):
    """One sandbox: relative paths are those of its file store, absolute ones need commands."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self._sandbox = sandbox

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,  # noqa: A002 - as above
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,  # noqa: ASYNC109 - as above
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        if user is not None:
            raise SandboxUserUnsupportedError(f"A sandbox has one user, and it is not {user!r}.")
        words = [f"{name}={value}" for name, value in (env or {}).items()]
        argv = (*(("/usr/bin/env", *words) if words else ()), *cmd)
        if cwd is not None:
            argv = ("/bin/sh", "-c", _ENTER, cwd, *argv)
        stdin = input.encode() if isinstance(input, str) else input or b""
        (job,) = self._sandbox.run([Job("command", argv)], stdin=stdin, timeout_s=timeout).jobs
        return _result(job, cmd)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        content = contents.encode() if isinstance(contents, str) else contents
        if PurePosixPath(file).is_absolute():
            await self._write_elsewhere(file, content)
            return
        try:
            self._sandbox.write({file: content})
        except Refused as refusal:
            raise _as_os_error(file, refusal) from refusal

    async def read_file(self, file: str, text: bool = True) -> str | bytes:  # type: ignore[override]
        content = (
            await self._read_elsewhere(file)
            if ":" in file or file.startswith("/")
            else self._read(file)
        )
        return content.decode() if text else content

    def _read(self, file: str) -> bytes:
        limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        parts, offset, size = [], 0, 1
        while offset < size:
            try:
                part, size = self._sandbox.read(file, offset=offset, limit=1 << 24)
            except Refused as refusal:
                raise _as_os_error(file, refusal) from refusal
            if size > limit:
                raise OutputLimitExceededError(
                    SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, None
                )
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    async def _write_elsewhere(self, file: str, content: bytes) -> None:
        script = 'mkdir -p -- "$(dirname -- "$0")" && cat > "$0"'
        done = await self.exec(["/bin/sh", "-c", script, file], input=content)
        if not done.success:
            raise _as_os_error(file, done.stderr)

    async def _read_elsewhere(self, file: str) -> bytes:
        done = await self.exec(["cat", "--", file])
        if not done.success:
            raise _as_os_error(file, done.stderr)
        return done.stdout.encode()

    @classmethod
    async def sample_cleanup(cls, *_: object) -> None:
        """Leave the sandbox open; its maker closes it."""


def _result(job: JobResult, cmd: list[str]) -> ExecResult[str]:
    if job.cause is Cause.TIMEOUT:
        raise TimeoutError(f"{shlex.join(cmd)[:100]} did not end in time")
    output, errors = ((stream.head + stream.tail).decode() for stream in (job.output, job.errors))
    code = _SIGNALLED + job.code if job.cause is Cause.SIGNALLED else job.code
    if code == _CANNOT_EXECUTE:
        raise PermissionError(errors)
    return ExecResult(success=code == 0, returncode=code, stdout=output, stderr=errors)


def _as_os_error(file: str, refusal: object) -> OSError:
    text = f"{file}: {refusal}"
    kinds = {"directory": IsADirectoryError, "folder": IsADirectoryError, "ermi": PermissionError}
    kind = next((kind for word, kind in kinds.items() if word in str(refusal)), FileNotFoundError)
    if "No such file" in text:
        kind = FileNotFoundError
    return kind(f"{text} (is a directory)" if kind is IsADirectoryError else text)
