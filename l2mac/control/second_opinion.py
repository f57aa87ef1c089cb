"""A second opinion: the model is asked about each file of the finished result, and what it says is only shown.

An opinion is no check. It comes from a model, often the one that did the work, so it can neither make up for a check
that failed nor make a run fail; nor does it end a run when it cannot be had.
"""

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from l2mac.control.budget import BudgetExhausted
from l2mac.control.effects import Effects
from l2mac.control.outcome import Opinion, Outcome
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.control.run_spec import Job
from l2mac.errors import ProcessorError
from l2mac.processor.messages import Message, Role
from sandbox import FileEntry

_MOST_FILES = 40
_REPLY_TOKENS = 300
_OPINION_CHARACTERS = 1500
_CHARACTERS_PER_TOKEN = 2.5
_LEAST_CHARACTERS = 500


def with_opinions(outcome: Outcome, job: Job, effects: Effects) -> Outcome:
    """Give the outcome with an opinion, if one is wanted, on each file that the domain names.

    They are asked for in the order of the files' paths, and at most so many; what is too long for the model's window
    is cut. When the budget is spent or the model gives no answer, the last opinion says so and no further one is asked
    for.
    """
    return (
        replace(outcome, opinions=tuple(_ask(effects, job.task, job.context_tokens)))
        if job.judge
        else outcome
    )


def _ask(effects: Effects, task: str, context_tokens: int) -> Iterator[Opinion]:
    judging = effects.domain.definition.judge
    if judging is None:
        return
    files = {entry.path: entry for entry in effects.store.files}
    own = {entry.path for entry in effects.own_files()}
    paths = sorted(
        path for path in own if any(fnmatchcase(path, pattern) for pattern in judging.files)
    )
    room = max(
        _LEAST_CHARACTERS,
        int((context_tokens - effects.reply_tokens) * _CHARACTERS_PER_TOKEN) - len(task),
    )
    context = _text(effects, files.get(judging.context), room // 3)
    for path in paths[:_MOST_FILES]:
        text = _text(effects, files[path], room // 2)
        question = effects.domain.prompts.render(
            "judge", task=task, context=context, path=path, text=text
        )
        try:
            reply = effects.ask(
                "judge",
                (Message(Role.USER, question),),
                temperature=BASE_TEMPERATURE,
                reply_tokens=_REPLY_TOKENS,
            )
        except (BudgetExhausted, ProcessorError) as error:
            yield Opinion(path, f"(none: {error})")
            return
        yield Opinion(
            path,
            reply.content.strip()[:_OPINION_CHARACTERS]
            if reply
            else "(none: the file is too long)",
        )
    if len(paths) > _MOST_FILES:
        yield Opinion("", f"(none on {len(paths) - _MOST_FILES} further files)")


def _text(effects: Effects, entry: FileEntry | None, limit: int) -> str:
    """Give a file's content, which the record holds: no box is asked."""
    if entry is None:
        return "(none)"
    text = effects.journal.objects.get(entry.digest).decode("utf-8", "replace")
    return text if len(text) <= limit else f"{text[:limit]}\n[... cut ...]"
