"""Find out by asking what a model's server can do, each thing with the smallest request that tells."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from l2mac.errors import ContextOverflow, ModelRejected, ModelUnavailable
from l2mac.processor.messages import Message, Reply, Request, Role
from l2mac.processor.openai_processor import OpenAIProcessor
from l2mac.processor.tool_probe import PROBE, has_called

_PLAIN = Request(
    messages=(Message(Role.USER, "Answer with the one word: yes"),), max_reply_tokens=512
)
_RANDOM = replace(
    _PLAIN,
    messages=(Message(Role.USER, "Write twelve random English words, separated by spaces."),),
    temperature=1.0,
    max_reply_tokens=128,
)
_SEED, _OTHER_SEED = 20240501, 7
_FIRST_WORDS = 512
_HALVINGS = 3
_CUT_BELOW = 0.7


@dataclass(frozen=True, slots=True)
class Ability:
    """One thing that was tried; `works` is None where it cannot be told."""

    name: str
    works: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class WindowFinding:
    """What was learned about the context window.

    Attributes:
        accepted_tokens: The longest prompt that was taken whole, by the server's own count where it gives one.
        ended: Whether a longer one was refused or cut; otherwise the window may be larger.
        text: The same as a sentence.
    """

    accepted_tokens: int
    ended: bool
    text: str


def probe(processor: OpenAIProcessor) -> Iterator[Ability]:
    """Try everything that is cheap: about a thousand tokens in six requests.

    Raises:
        ModelRejected, ModelUnavailable: The model does not even answer a plain question.
    """
    processor.use_protocol("native")
    reply = processor.complete(_PLAIN, _unwatched)
    yield Ability(
        "answers",
        works=True,
        text=f"the server calls the model {reply.model or 'nothing in particular'}",
    )
    yield _usage(reply)
    streams = processor.dialect.streams
    yield Ability(
        "streaming", works=streams, text="it streams" if streams else "whole replies only"
    )
    yield _calls(
        processor,
        "native",
        "native tool calls",
        "start the server with support for tools, or use json",
    )
    yield _calls(processor, "json", "JSON by schema", "response_format is not taken or not kept to")
    yield _seed(processor)


def probe_window(
    processor: OpenAIProcessor, *, up_to: int, progress: Callable[[str], None]
) -> WindowFinding:
    """Send ever longer prompts, each twice the last, until one is refused or cut, then halve the gap three times.

    A server that cuts prompts without saying so gives itself away by counting fewer tokens than the last step had
    promised.

    Args:
        processor: The model.
        up_to: The longest prompt to try, in tokens.
        progress: Told about every step.

    Raises:
        ModelRejected, ModelUnavailable: It fails for another reason.
    """
    processor.use_protocol("native")  # nothing is called, so that there is nothing to find out
    steps = _Steps(processor, progress)
    words, refused = min(_FIRST_WORDS, up_to), 0
    accepted = 0
    while not refused and steps.tokens(words) <= up_to:
        if steps.fits(words):
            accepted, words = words, words * 2
        else:
            refused = words
    for _ in range(_HALVINGS if refused and accepted else 0):
        middle = (accepted + refused) // 2
        accepted, refused = (middle, refused) if steps.fits(middle) else (accepted, middle)
    return steps.finding(accepted, refused)


def window_cost_tokens(up_to: int) -> int:
    """Give about how many prompt tokens `probe_window` sends at most."""
    return up_to * 2 + up_to * _HALVINGS


class _Steps:
    """The requests of `probe_window`, and what their counts say."""

    def __init__(self, processor: OpenAIProcessor, progress: Callable[[str], None]) -> None:
        self._processor = processor
        self._progress = progress
        self._per_word = 0.0
        self._cut_at = 0
        self._uncounted = False

    def tokens(self, words: int) -> int:
        """Give what a prompt of so many words should come to."""
        return int(words * (self._per_word or 1.0))

    def fits(self, words: int) -> bool:
        """Whether a prompt of so many words is taken whole."""
        request = replace(
            _PLAIN,
            messages=(Message(Role.USER, "word " * words + "Say yes."),),
            max_reply_tokens=16,
        )
        try:
            counted = self._processor.complete(request, _unwatched).usage.prompt_tokens
        except ContextOverflow:
            self._progress(f"about {self.tokens(words)} tokens: refused")
            return False
        self._uncounted |= counted is None
        if counted and self._per_word and counted < words * self._per_word * _CUT_BELOW:
            self._cut_at = counted
            self._progress(
                f"about {self.tokens(words)} tokens: taken, but only {counted} counted: cut"
            )
            return False
        if counted:
            self._per_word = counted / words
        self._progress(f"about {self.tokens(words)} tokens: taken")
        return True

    def finding(self, accepted: int, refused: int) -> WindowFinding:
        """Give what all steps together say."""
        taken = self.tokens(accepted)
        if self._cut_at:
            return WindowFinding(
                self._cut_at,
                True,
                f"it cuts prompts to about {self._cut_at} tokens without an error",
            )
        if refused:
            text = f"prompts of {taken} tokens are taken, of {self.tokens(refused)} refused"
            return WindowFinding(taken, True, text)
        doubt = (
            "; it counts no tokens, so that silent cutting would not show"
            if self._uncounted
            else ""
        )
        return WindowFinding(
            taken, False, f"prompts of {taken} tokens are taken; longer ones were not tried{doubt}"
        )


def _usage(reply: Reply) -> Ability:
    usage = reply.usage
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return Ability(
            "usage", works=False, text="it counts no tokens; they are estimated from characters"
        )
    text = f"it counts tokens: {usage.prompt_tokens} and {usage.completion_tokens} for the plain question"
    return Ability("usage", works=True, text=text)


def _calls(processor: OpenAIProcessor, protocol: str, name: str, otherwise: str) -> Ability:
    processor.use_protocol(protocol)
    try:
        works = has_called(processor.complete(PROBE, _unwatched))
    except (ModelRejected, ModelUnavailable) as error:
        return Ability(protocol, works=False, text=f"{name} refused: {error}")
    return Ability(protocol, works=works, text=name if works else f"no {name}: {otherwise}")


def _seed(processor: OpenAIProcessor) -> Ability:
    first, again, other = (
        processor.complete(replace(_RANDOM, seed=seed), _unwatched).content
        for seed in (_SEED, _SEED, _OTHER_SEED)
    )
    if not processor.dialect.seed:
        return Ability("seed", works=False, text="the server refuses a seed")
    if first != again:
        return Ability("seed", works=False, text="the same seed gave two different replies")
    if first == other:
        return Ability(
            "seed", works=None, text="cannot be told: another seed gave the same reply, too"
        )
    return Ability("seed", works=True, text="the same seed gives the same reply")


def _unwatched(_: str) -> None:
    """Show nobody the replies of a probe."""
