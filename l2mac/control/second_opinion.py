"""A second opinion: the model's answers about files of the result are shown.

An opinion is not a check. Its source is a model, often the one that did the work, so an opinion can
neither compensate for a failed check nor make a run fail. A missing opinion does not end a run.
"""

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from l2mac.control.budget import BudgetExhausted
from l2mac.control.effects import Model
from l2mac.control.file_listing import truncated
from l2mac.control.outcome import Opinion, Outcome
from l2mac.control.project_files import ProjectFiles
from l2mac.control.repetition import BASE_TEMPERATURE
from l2mac.domains.definition import SecondOpinionSpec
from l2mac.domains.prompt_set import PromptSet
from l2mac.errors import ProcessorError
from l2mac.processor.messages import Message, Role

_MOST_FILES = 40
_REPLY_TOKENS = 300
_OPINION_CHARACTERS = 1500
_CHARACTERS_PER_TOKEN = 2.5
_LEAST_CHARACTERS = 500


class SecondOpinion:
    """The model's opinions on each file that the domain names.

    Args:
        task: The task.
        judging: The files that are judged, and the file that is shown with each.
        model: The language model.
        prompts: The prompts of the domain.
        files: The file store, for prompts.
    """

    def __init__(
        self,
        *,
        task: str,
        judging: SecondOpinionSpec,
        model: Model,
        prompts: PromptSet,
        files: ProjectFiles,
    ) -> None:
        self._task = task
        self._judging = judging
        self._model = model
        self._prompts = prompts
        self._files = files

    def add_to(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the opinions, in the order of the files' paths.

        Files that are too long for the model's window are truncated. When the budget is exhausted
        or the model does not answer, the last opinion says so and no further one is asked for.
        """
        return replace(outcome, opinions=tuple(self._ask()))

    def _ask(self) -> Iterator[Opinion]:
        paths = self._paths()
        room = max(_LEAST_CHARACTERS, self._room())
        context = self._text(self._judging.context, room // 3)
        for path in paths[:_MOST_FILES]:
            question = self._prompts.render(
                "judge",
                task=self._task,
                context=context,
                path=path,
                text=self._text(path, room // 2),
            )
            try:
                reply = self._model.ask(
                    "judge",
                    (Message(Role.USER, question),),
                    temperature=BASE_TEMPERATURE,
                    reply_tokens=_REPLY_TOKENS,
                )
            except (BudgetExhausted, ProcessorError) as error:
                yield Opinion(path, f"(none: {error})")
                return
            text = "(none: the file is too long)"
            if reply is not None:
                text = reply.content.strip()[:_OPINION_CHARACTERS]
            yield Opinion(path, text)
        if len(paths) > _MOST_FILES:
            yield Opinion("", f"(none on {len(paths) - _MOST_FILES} further files)")

    def _paths(self) -> list[str]:
        patterns = self._judging.files
        own = {entry.path for entry in self._files.own()}
        return sorted(
            path for path in own if any(fnmatchcase(path, pattern) for pattern in patterns)
        )

    def _room(self) -> int:
        tokens = self._model.context_tokens - self._model.reply_tokens
        return int(tokens * _CHARACTERS_PER_TOKEN) - len(self._task)

    def _text(self, path: str, limit: int) -> str:
        text = self._files.text_at(path)
        return "(none)" if text is None else truncated(text, limit)


class NoOpinion:
    """No opinions, for runs without `--judge`."""

    def add_to(self, outcome: Outcome) -> Outcome:
        """Return the outcome as it is."""
        return outcome
