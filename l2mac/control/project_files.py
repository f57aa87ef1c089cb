"""The file store as prompts show it; nothing here writes it or asks a sandbox."""

from collections.abc import Mapping

from l2mac.control.file_listing import describe_files
from l2mac.file_store import FileStore
from l2mac.trace.objects import ObjectStore
from sandbox import FileEntry


class ProjectFiles:
    """The files of a run, read from its objects.

    Args:
        store: The file store D.
        objects: The contents of all files.
        origin: The files that the run began with, path → object; empty where it began with none.
        listing_characters: How long the list of files may be.
    """

    def __init__(
        self,
        store: FileStore,
        objects: ObjectStore,
        *,
        origin: Mapping[str, str],
        listing_characters: int,
    ) -> None:
        self._store = store
        self._objects = objects
        self._origin = origin
        self._listing_characters = listing_characters
        self._listed: tuple[tuple[str, ...], str] = ((), describe_files((), 0))

    @property
    def tree(self) -> str:
        """A hash of all paths and contents."""
        return self._store.tree

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """Every file, sorted by path."""
        return self._store.files

    @property
    def began_with_files(self) -> bool:
        """Whether the run has an input."""
        return bool(self._origin)

    def listing(self) -> str:
        """Return the list of files that prompts carry: the paper's semantic prior."""
        paths = self._store.paths
        if paths != self._listed[0]:
            self._listed = paths, describe_files(paths, self._listing_characters)
        return self._listed[1]

    def own(self) -> tuple[FileEntry, ...]:
        """Return the files that the run wrote or changed."""
        origin = self._origin
        return tuple(one for one in self._store.files if origin.get(one.path) != one.digest)

    def text(self, entry: FileEntry) -> str:
        """Return the content of a file; bytes that are not UTF-8 are replaced."""
        return self._objects.get(entry.digest).decode("utf-8", "replace")

    def text_at(self, path: str) -> str | None:
        """Return the content of the file at a path; None where there is none."""
        for entry in self._store.files:
            if entry.path == path:
                return self.text(entry)
        return None
