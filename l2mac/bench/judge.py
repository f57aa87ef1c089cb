"""Ask a model which features a program has, and verify its claims.

The result is the metric `features %`.

The result is a model's claim and is labelled so. A named file must exist, must hold code, must not
be a test and must have been shown on the page that the claim is about; a named test must have
passed. So a judge that names missing files, or that a file persuades to call everything done
without evidence, gives no feature. A judge that lies about an existing file is not detected.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from l2mac.bench.task import render
from l2mac.control.effects import Prices
from l2mac.control.file_listing import paged_files
from l2mac.control.registry import numbered_list
from l2mac.errors import ContextOverflow
from l2mac.processor.messages import Message, Reply, Request, Role
from l2mac.processor.protocol import Processor
from l2mac.processor.token_estimate import TokenEstimator
from l2mac.tools.base import parse_arguments
from l2mac.tools.forms import Evidence, Form, SubmitEvidence, evidence_form

_ATTEMPTS = 2
_MOST_PAGES = 20
_PAGE_FILL = 0.85
_REPLY_TOKENS = 400
_REPLY_TOKENS_PER_FEATURE = 80
_MOST_TEST_CHARACTERS = 4000
_MOST_NAMES = 10
_NAME_CHARACTERS = 200
_PROBLEM_CHARACTERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedProgram:
    """The program that is judged.

    Attributes:
        texts: Contents by path, in the order in which they are shown.
        evidence: Paths that can show a feature: code that is not a test, and files that are not
            Python.
        passed: Ids of the tests that passed.
    """

    texts: Mapping[str, str]
    evidence: frozenset[str]
    passed: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRow:
    """One feature, and the verified part of the judge's claim about it.

    Attributes:
        claimed: Whether a valid file was named.
        files: The valid files of the claim.
        tests: The passed tests of the claim.
        refused: Other names in the claim.
    """

    feature: str
    claimed: bool
    files: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The judge's answer.

    Attributes:
        rows: One for each feature; empty without a usable answer.
        problem: The reason for a missing answer, or the part that the judge has not seen.
        model: The judge's name, as its server reports it.
        cost_usd: Cost of judging, which the run's cost excludes.
    """

    rows: tuple[FeatureRow, ...] = ()
    problem: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class FeatureJudge:
    """Judge programs one at a time, always with the same model.

    Args:
        processor: Answers the questions; the purpose of each request is `judge`.
        context_tokens: Declared context window of the judging model.
        prices: Prices of that model.
        prepare: A function to call once before the first question.
    """

    def __init__(
        self,
        processor: Processor,
        *,
        context_tokens: int,
        prices: Prices,
        prepare: Callable[[], object],
    ) -> None:
        self._processor = processor
        self._context_tokens = context_tokens
        self._prices = prices
        self._prepare = prepare
        self._prepared = False
        self._lock = threading.Lock()
        self._estimator = TokenEstimator()

    def judge(self, features: Sequence[str], program: JudgedProgram) -> Judgement:
        """Return the judgement on a program.

        Raises:
            ProcessorError: The model does not answer.
        """
        if not program.evidence:  # no file can show a feature, so there is nothing to ask
            rows = tuple(FeatureRow(feature=feature, claimed=False) for feature in features)
            return Judgement(rows=rows)
        with self._lock:
            if not self._prepared:
                self._prepare()
                self._prepared = True
            return self._judged(features, program)

    def _judged(self, features: Sequence[str], program: JudgedProgram) -> Judgement:
        asking = _Asking(features, program, self._processor, self._estimator, self._context_tokens)
        total = sum(map(len, program.texts.values()))
        claims: dict[int, list[tuple[Evidence, frozenset[str]]]] = {}
        seen = 0
        problem = "features, tests and files leave no room for contents in the judge's window"
        everything = paged_files(tuple(program.texts.items()), asking.room)
        for number, (page, taken) in enumerate(itertools.islice(everything, _MOST_PAGES), 1):
            try:
                answer = asking.ask(number, page)
            except ValueError as error:
                problem = str(error)
                continue
            seen += taken
            shown = _shown_on(page, program)
            for entry in answer.evidence:
                claims.setdefault(entry.requirement, []).append((entry, shown))
        rows: tuple[FeatureRow, ...] = ()
        if seen:
            numbered = enumerate(features, 1)
            rows = tuple(_row(text, claims.get(number, []), program) for number, text in numbered)
            problem = ""
        if 0 < seen < total:
            problem = f"the judge has not seen {total - seen} of {total} characters"
        return Judgement(
            rows=rows,
            problem=problem,
            model=asking.model,
            prompt_tokens=asking.prompt_tokens,
            completion_tokens=asking.completion_tokens,
            cost_usd=self._prices.cost_usd(asking.prompt_tokens, asking.completion_tokens),
        )


@dataclass(slots=True)
class _Asking:
    """The questions about one program."""

    features: Sequence[str]
    program: JudgedProgram
    processor: Processor
    estimator: TokenEstimator
    context_tokens: int
    model: str = field(default="", init=False)
    prompt_tokens: int = field(default=0, init=False)
    completion_tokens: int = field(default=0, init=False)

    @property
    def form(self) -> Form[SubmitEvidence]:
        return evidence_form(len(self.features))

    def room(self) -> int:
        """Return the number of characters of contents for which a question has room."""
        used = self.estimator.estimate((self._question(0, ""),), (self.form.spec,))
        left = self.context_tokens - used - self._reply_tokens
        return int(self.estimator.characters(left) * _PAGE_FILL)

    def ask(self, part: int, contents: str) -> SubmitEvidence:
        """Return the answer about one page.

        Raises:
            ValueError: No usable answer came; the text is the reason.
            ProcessorError: The model does not answer.
        """
        question = self._question(part, contents)
        messages: tuple[Message, ...] = (question,)
        problem = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._answer(messages)
            except ContextOverflow:
                self.estimator.grow()
                raise ValueError("a page did not fit into the judge's window") from None
            except ValueError as error:
                problem = str(error)[:_PROBLEM_CHARACTERS]
            again = render("judge_again", problem=problem, tool=self.form.spec.name)
            messages = (question, Message(Role.USER, again))
        raise ValueError(
            f"the judge gave no usable answer in {_ATTEMPTS} attempts, the last one: {problem}"
        )

    def _answer(self, messages: tuple[Message, ...]) -> SubmitEvidence:
        form = self.form
        request = Request(
            messages=messages,
            tools=(form.spec,),
            tool=form.spec.name,
            temperature=0.0,
            max_reply_tokens=self._reply_tokens,
            purpose="judge",
        )
        reply = self.processor.complete(request, lambda _: None)
        self.model = reply.model or self.model
        if not reply.cached:
            self._add_usage(messages, reply)
        if reply.usage.prompt_tokens:
            self.estimator.learn(messages, (form.spec,), reply.usage.prompt_tokens)
        if reply.truncated:
            raise ValueError(render("judge_truncated"))
        calls = [call for call in reply.tool_calls if call.name == form.spec.name]
        if not calls:
            raise ValueError(f"{form.spec.name} was not called")
        return parse_arguments(form.arguments, calls[0].arguments)

    def _add_usage(self, messages: tuple[Message, ...], reply: Reply) -> None:
        """Add a reply's tokens, estimated if the server did not report them."""
        asked = self.estimator.estimate(messages, (self.form.spec,))
        answered = self.estimator.estimate((reply.as_message(),))
        self.prompt_tokens += reply.usage.prompt_tokens or asked
        self.completion_tokens += reply.usage.completion_tokens or answered

    @property
    def _reply_tokens(self) -> int:
        wanted = _REPLY_TOKENS + _REPLY_TOKENS_PER_FEATURE * len(self.features)
        return min(wanted, self.context_tokens // 3)

    def _question(self, part: int, contents: str) -> Message:
        tests = "\n".join(sorted(self.program.passed)) or "(none)"
        if len(tests) > _MOST_TEST_CHARACTERS:
            tests = f"{tests[:_MOST_TEST_CHARACTERS]}\n(more)"
        text = render(
            "judge",
            features=numbered_list(self.features),
            part=part,
            contents=contents,
            tests=tests,
            tool=self.form.spec.name,
        )
        return Message(Role.USER, text)


def _shown_on(page: str, program: JudgedProgram) -> frozenset[str]:
    """Return the files of which a page shows contents."""
    shown = (path for path in program.texts if f"--- {path[:_NAME_CHARACTERS]}\n" in page)
    return frozenset(shown)


def _row(
    feature: str, claims: Sequence[tuple[Evidence, frozenset[str]]], program: JudgedProgram
) -> FeatureRow:
    files: set[str] = set()
    tests: set[str] = set()
    named: set[str] = set()
    for claim, shown in claims:
        holding = set(claim.files) & program.evidence & shown
        if holding:  # a test alone implements nothing
            files |= holding
            tests |= set(_meant(claim.tests, program.passed))
        named |= set(claim.files) | set(claim.tests)
    refused = sorted(named - files - tests)
    return FeatureRow(
        feature=feature,
        claimed=bool(files),
        files=tuple(sorted(files)),
        tests=tuple(sorted(tests)),
        refused=tuple(name[:_NAME_CHARACTERS] for name in refused[:_MOST_NAMES]),
    )


def _meant(names: Sequence[str], passed: frozenset[str]) -> Iterator[str]:
    """Return the passed tests that are named, without their parameters."""
    bare = (name.partition("[")[0] for name in names)
    return (name for name in bare if name in passed)
