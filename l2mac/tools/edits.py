"""The tools that change a part of a file, to save writing it as a whole."""

from itertools import pairwise

from pydantic import Field

from l2mac.tools.base import AnyTool, Arguments, Tool, ToolContext, ToolOutcome, encode
from l2mac.tools.near_match import nearest_place, show_place
from l2mac.tools.patches import FilePatch, apply_hunks, parse_patch
from sandbox import Refused

_SHOWN_PLACES = 10
_MOST_PLACES = 1000


class EditFile(Arguments):
    """An exact replacement."""

    path: str = Field(description="path of the file")
    old: str = Field(min_length=1, description="the exact text to replace")
    new: str = Field(description="what to put in its place")
    count: int = Field(
        default=1,
        ge=1,
        le=_MOST_PLACES,
        description="how often old stands in the file; every one is replaced",
    )


class ApplyPatch(Arguments):
    """A unified patch."""

    patch: str = Field(
        min_length=1,
        description="a unified diff of one or several files, with some lines of context",
    )


def edit_tools() -> tuple[AnyTool, ...]:
    """Return the tools in the order in which the model sees them."""
    patching = (
        "Change files by a unified diff: all its hunks or none. New files come from /dev/null."
    )
    return (
        Tool(
            "edit_file", "Replace one exact piece of text in a file.", EditFile, _edit, writes=True
        ),
        Tool("apply_patch", patching, ApplyPatch, _patch, writes=True),
    )


def _edit(arguments: EditFile, context: ToolContext) -> ToolOutcome:
    content = context.store.read(arguments.path)
    old, new = encode(arguments.path, arguments.old), encode(arguments.path, arguments.new)
    starts = _starts(content, old)
    overlapping = any(after - start < len(old) for start, after in pairwise(starts))
    if len(starts) != arguments.count or overlapping:
        raise Refused(_wrong_count(arguments, content, starts, overlapping=overlapping))
    changes = context.store.write({arguments.path: content.replace(old, new)})
    replaced = "the text at line"
    if len(starts) > 1:
        replaced = f"the text {len(starts)} times, at the lines"
    lines = _line_numbers(content, starts)
    return ToolOutcome(f"replaced {replaced} {lines} of {arguments.path}", changes=changes)


def _starts(content: bytes, old: bytes) -> list[int]:
    """Return the offsets of a text, at most one more than the model may ask for.

    The offsets may overlap: overlapping places make a replacement ambiguous, too.
    """
    starts: list[int] = []
    start = content.find(old)
    while start >= 0 and len(starts) <= _MOST_PLACES:
        starts.append(start)
        start = content.find(old, start + 1)
    return starts


def _wrong_count(
    arguments: EditFile, content: bytes, starts: list[int], *, overlapping: bool
) -> str:
    """Return the refusal for a text that does not occur as often as the model claims."""
    expected = "once" if arguments.count == 1 else f"{arguments.count} times"
    said = f"the text to replace stands {len(starts)} times in {arguments.path!r}, not {expected}; "
    if starts:
        advice = "take in more lines around it"
        if not overlapping:
            advice += f", or give count {len(starts)}"
        return f"{said}{advice}; it begins at the lines {_line_numbers(content, starts)}"
    said += "view the file and copy the text exactly"
    lines = content.decode("utf-8", "backslashreplace").split("\n")
    place = nearest_place(lines, arguments.old.removesuffix("\n").split("\n"))
    return said if place is None else f"{said}; {show_place(lines, place)}"


def _line_numbers(content: bytes, starts: list[int]) -> str:
    shown = starts[:_SHOWN_PLACES]
    numbers = {content.count(b"\n", 0, start) + 1 for start in shown}
    return ", ".join(map(str, sorted(numbers)))


def _patch(arguments: ApplyPatch, context: ToolContext) -> ToolOutcome:
    files = parse_patch(arguments.patch)
    existing = {entry.path for entry in context.store.files}
    contents: dict[str, bytes] = {}
    for file in files:
        before = _before(file, existing, context)
        contents[file.path] = encode(file.path, apply_hunks(file, before))
    changes = context.store.write(contents)
    hunks = sum(len(file.hunks) for file in files)
    return ToolOutcome(f"applied {hunks} hunks to {', '.join(contents)}", changes=changes)


def _before(file: FilePatch, existing: set[str], context: ToolContext) -> str:
    """Return a file's content before the patch, "" for a file that the patch creates."""
    if not file.creates:
        try:
            return context.store.read(file.path).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(f"{file.path!r} is no text in UTF-8, so that no patch fits it") from None
    if file.path in existing:
        raise Refused(
            f"the patch makes {file.path!r} anew, but it exists;"
            f" give its header as `--- a/{file.path}`"
        )
    return ""
