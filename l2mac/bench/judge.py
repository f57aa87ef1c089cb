"""Ask a model which features a program has, and hold what it says against the program: the metric `features %`.

It is a claim of a model, and labelled so. Checked is that a file which it names exists, is no test, holds code and was
shown to it on the page that it speaks of, and that the tests it names have passed. So a judge that names things which
are not there, or that is told by a file to call everything done and points at nothing, gives no feature. A judge that
lies about a file that is there is not found out.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from l2mac.bench.wording import render
from l2mac.control.effects import Prices
from l2mac.control.file_listing import paged_files
from l2mac.control.registry import numbered_list
from l2mac.errors import ContextOverflow
from l2mac.processor.messages import Message, Request, Role
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
    """What is judged.

    Attributes:
        texts: Path → contents, in the order in which they are shown.
        evidence: The paths that can carry a feature: code that is no test, and files that are no Python.
        passed: Ids of the tests that passed.
    """

    texts: Mapping[str, str]
    evidence: frozenset[str]
    passed: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRow:
    """One feature and what of the judge's claim about it holds.

    Attributes:
        claimed: Whether a file that holds was named.
        files: The named files that hold.
        tests: The named tests that have passed.
        refused: What was named beyond that and does not hold.
    """

    feature: str
    claimed: bool
    files: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the judge said.

    Attributes:
        rows: One for each feature; none when there is no usable answer.
        problem: Why there is none, or what the judge has not seen.
        model: The judge's name, as its server gives it.
        cost_usd: Of judging; no part of the run's own cost.
    """

    rows: tuple[FeatureRow, ...] = ()
    problem: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class Judge:
    """Judges programs one at a time, always with the same model, whatever made them.

    Args:
        processor: Answers; a request's purpose is `judge`.
        context_tokens: The declared window of the model that does.
        prices: What it costs.
        prepare: Called once before the first question.
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
        """Give what the judge says of a program.

        Raises:
            ProcessorError: The model does not answer.
        """
        if not program.evidence:  # nothing that could carry a feature, so nothing to ask
            return Judgement(
                rows=tuple(FeatureRow(feature=feature, claimed=False) for feature in features)
            )
        with self._lock:
            if not self._prepared:
                self._prepare()
                self._prepared = True
            return self._judged(features, program)

    def _judged(self, features: Sequence[str], program: JudgedProgram) -> Judgement:
        asking = _Asking(features, program, self._processor, self._estimator, self._context_tokens)
        total = sum(map(len, program.texts.values()))
        claims: dict[int, list[tuple[Evidence, frozenset[str]]]] = {}
        seen, problem = (
            0,
            "features, tests and files leave no room for contents in the judge's window",
        )
        for number, (page, taken) in enumerate(
            itertools.islice(paged_files(tuple(program.texts.items()), asking.room), _MOST_PAGES), 1
        ):
            shown = frozenset(
                path for path in program.texts if f"--- {path[:_NAME_CHARACTERS]}\n" in page
            )
            try:
                answer = asking.ask(number, page)
            except ValueError as error:
                problem = str(error)
                continue
            seen += taken
            for entry in answer.evidence:
                claims.setdefault(entry.requirement, []).append((entry, shown))
        rows: tuple[FeatureRow, ...] = ()
        if seen:
            rows = tuple(
                _row(text, claims.get(number, []), program)
                for number, text in enumerate(features, 1)
            )
            problem = (
                f"the judge has not seen {total - seen} of {total} characters"
                if seen < total
                else ""
            )
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
        """Give how many characters of contents a question has room for."""
        used = self.estimator.estimate((self._question(0, ""),), (self.form.spec,))
        return int(
            self.estimator.characters(self.context_tokens - used - self._reply_tokens) * _PAGE_FILL
        )

    def ask(self, part: int, contents: str) -> SubmitEvidence:
        """Give the answer about one page.

        Raises:
            ValueError: There is no usable one; the text says why.
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
            self.prompt_tokens += reply.usage.prompt_tokens or self.estimator.estimate(
                messages, (form.spec,)
            )
            self.completion_tokens += reply.usage.completion_tokens or self.estimator.estimate(
                (reply.as_message(),)
            )
        if reply.usage.prompt_tokens:
            self.estimator.learn(messages, (form.spec,), reply.usage.prompt_tokens)
        if reply.cut_off:
            raise ValueError("it was cut off; name one file and one test for each feature")
        calls = [call for call in reply.tool_calls if call.name == form.spec.name]
        if not calls:
            raise ValueError(f"{form.spec.name} was not called")
        return parse_arguments(form.arguments, calls[0].arguments)

    @property
    def _reply_tokens(self) -> int:
        return min(
            _REPLY_TOKENS + _REPLY_TOKENS_PER_FEATURE * len(self.features), self.context_tokens // 3
        )

    def _question(self, part: int, contents: str) -> Message:
        tests = "\n".join(sorted(self.program.passed)) or "(none)"
        text = render(
            "judge",
            features=numbered_list(self.features),
            part=part,
            contents=contents,
            tests=tests
            if len(tests) <= _MOST_TEST_CHARACTERS
            else f"{tests[:_MOST_TEST_CHARACTERS]}\n(more)",
            tool=self.form.spec.name,
        )
        return Message(Role.USER, text)


def _row(
    feature: str, claims: Sequence[tuple[Evidence, frozenset[str]]], program: JudgedProgram
) -> FeatureRow:
    files: set[str] = set()
    tests: set[str] = set()
    named: set[str] = set()
    for claim, shown in claims:
        holding = set(claim.files) & program.evidence & shown
        if holding:  # a test alone carries nothing out
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
    """Give the passed tests that are named, without their parameters."""
    return (name.partition("[")[0] for name in names if name.partition("[")[0] in passed)
