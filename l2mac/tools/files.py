"""The tools that read and write the file store."""

from pydantic import Field

from l2mac.tools.base import AnyTool, Arguments, Tool, ToolContext, ToolOutcome, encode
from l2mac.tools.edits import edit_tools
from sandbox import Refused

_MOST_MATCHES = 100
_LEAST_CHARACTERS = 200


class ListFiles(Arguments):
    """No arguments but an optional folder."""

    folder: str = Field(default="", description="only files below this folder; empty for all")


class FileRange(Arguments):
    """A file, or some lines of it."""

    path: str = Field(description="path of the file")
    first_line: int = Field(default=1, ge=1, description="first line to show, from 1")
    last_line: int = Field(default=0, ge=0, description="last line to show; 0 for the end")


class ViewFiles(Arguments):
    """Several files or ranges."""

    files: list[FileRange] = Field(min_length=1, description="what to show")


class SearchFiles(Arguments):
    """A literal text."""

    text: str = Field(min_length=1, description="the text to look for, literally")
    ignore_case: bool = Field(
        default=False, description="whether upper and lower case are the same"
    )


class NewFile(Arguments):
    """One whole file."""

    path: str = Field(description="path relative to the project's root, such as app/models.py")
    content: str = Field(description="the whole content of the file")


class WriteFiles(Arguments):
    """Several whole files."""

    files: list[NewFile] = Field(min_length=1, description="the files to write, each whole")


class DeleteFiles(Arguments):
    """Several paths."""

    paths: list[str] = Field(min_length=1, description="paths of the files to delete")


def file_tools() -> tuple[AnyTool, ...]:
    """Return the tools in the order in which the model sees them."""
    return (
        Tool("list_files", "List the files of the project with their sizes.", ListFiles, _list),
        Tool("view_files", "Show files, whole or some lines, with line numbers.", ViewFiles, _view),
        Tool(
            "search_files",
            "Find the lines that contain a text, in all files.",
            SearchFiles,
            _search,
        ),
        Tool(
            "write_files",
            "Create files or replace them whole; give complete contents.",
            WriteFiles,
            _write,
            writes=True,
        ),
        *edit_tools(),
        Tool("delete_files", "Delete files.", DeleteFiles, _delete, writes=True),
    )


def _list(arguments: ListFiles, context: ToolContext) -> ToolOutcome:
    folder = arguments.folder.strip("/")
    prefix = f"{folder}/" if folder else ""
    entries = [entry for entry in context.store.files if entry.path.startswith(prefix)]
    text = "\n".join(f"{entry.path} ({entry.size} bytes)" for entry in entries)
    return ToolOutcome(_truncated(text, context.outcome_characters) or "there are no files")


def _view(arguments: ViewFiles, context: ToolContext) -> ToolOutcome:
    parts: list[str] = []
    left = context.outcome_characters
    ok = True
    for wanted in arguments.files:
        try:
            text = _numbered(wanted, context.store.read(wanted.path), left)
        except Refused as refusal:
            text, ok = f"{wanted.path}: {refusal}", False
        parts.append(text)
        left = max(left - len(text), 0)
    return ToolOutcome("\n\n".join(parts), ok=ok)


def _numbered(wanted: FileRange, content: bytes, limit: int) -> str:
    """Return the lines as `number<TAB>line` under a heading.

    Where the lines do not fit, the last line names the line to continue from.
    """
    lines = content.decode("utf-8", "backslashreplace").split("\n")
    last = min(wanted.last_line or len(lines), len(lines))
    heading = f"{wanted.path} (lines {wanted.first_line} to {last} of {len(lines)})"
    shown: list[str] = []
    for number in range(wanted.first_line, last + 1):
        line = f"{number}\t{lines[number - 1]}"
        if len(line) > limit:
            rest = number
            if not shown and limit > _LEAST_CHARACTERS:
                shown.append(f"{line[:limit]} [... the line goes on ...]")
                rest += 1
            if rest <= last:
                shown.append(
                    f"[... lines {rest} to {last} did not fit;"
                    f" view them with first_line {rest} ...]"
                )
            break
        shown.append(line)
        limit -= len(line) + 1
    return "\n".join([heading, *shown])


def _search(arguments: SearchFiles, context: ToolContext) -> ToolOutcome:
    found, more = context.store.search(
        arguments.text, ignore_case=arguments.ignore_case, max_matches=_MOST_MATCHES
    )
    if not found:
        return ToolOutcome(f"no file contains {arguments.text!r}")
    lines = [f"{match.path}:{match.line}: {match.text}" for match in found]
    if more:
        lines.append(f"[... more than {_MOST_MATCHES} lines match; search for something rarer ...]")
    return ToolOutcome(_truncated("\n".join(lines), context.outcome_characters))


def _write(arguments: WriteFiles, context: ToolContext) -> ToolOutcome:
    paths = [file.path for file in arguments.files]
    if len(set(paths)) != len(paths):
        raise Refused("the same path stands twice in one call")
    changes = context.store.write(
        {file.path: encode(file.path, file.content) for file in arguments.files}
    )
    changed = {change.path for change in changes}
    written = [path for path in paths if path in changed]
    unchanged = [path for path in paths if path not in changed]
    parts = []
    if written:
        parts.append(f"wrote {', '.join(written)}")
    if unchanged:
        listed = ", ".join(unchanged)
        parts.append(f"nothing has changed in {listed}: this is what was there before")
    return ToolOutcome("; ".join(parts), changes=changes)


def _delete(arguments: DeleteFiles, context: ToolContext) -> ToolOutcome:
    paths = tuple(dict.fromkeys(arguments.paths))
    return ToolOutcome(f"deleted {', '.join(paths)}", changes=context.store.delete(paths))


def _truncated(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[... {len(text) - limit} characters did not fit ...]"
