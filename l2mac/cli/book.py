"""A recorded run's book, written to the host as one new file."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from l2mac.domains.book.document import as_epub, as_html, as_markdown, read_manuscript
from l2mac.errors import SettingsError
from l2mac.trace.objects import ObjectStore

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


def write_book(
    files: Mapping[str, str], objects: ObjectStore, target: Path, form: str, *, language: str
) -> None:
    """Write the book in the given form; what stands at the target already is never touched.

    Raises:
        SettingsError: There is no book, the language is none, or the file exists or cannot be written.
        TraceError: An object is missing or altered.
    """
    if not _LANGUAGE.fullmatch(language):
        raise SettingsError("--language", f"{language!r} is not a language tag such as en or pt-BR")
    book = read_manuscript(
        {path: objects.get(name) for path, name in files.items() if path.endswith(".md")}
    )
    if form == "md":
        content = as_markdown(book)
    elif form == "html":
        content = as_html(book, language=language)
    else:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        content = as_epub(book, language=language, modified=now)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(
            target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
        )
        with os.fdopen(fd, "wb") as file:
            file.write(content)
    except OSError as error:
        raise SettingsError(
            "--output", f"{target} cannot be written: {error.strerror}; name a new file"
        ) from error
