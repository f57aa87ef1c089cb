"""Find a server's capabilities with the smallest requests that show them."""

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
_TRUNCATED_BELOW = 0.7


@dataclass(frozen=True, slots=True)
class Capability:
    """One capability that was probed.

    Attributes:
        name: The capability.
        works: Whether the server has it, None where the probe is inconclusive.
        text: The finding as a phrase.
    """

    name: str
    works: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class WindowProbe:
    """The result of probing the context window.

    Attributes:
        accepted_tokens: The longest prompt that was accepted whole, by the server's own count where
            the server counts.
        limit_found: Whether a longer prompt was refused or truncated. Otherwise the window may be
            larger.
        text: The result as a phrase.
    """

    accepted_tokens: int
    limit_found: bool
    text: str


def probe_capabilities(processor: OpenAIProcessor) -> Iterator[Capability]:
    """Yield the cheap capabilities: about a thousand tokens in six requests.

    Raises:
        ModelRejected, ModelUnavailable: The model does not answer a plain question.
    """
    processor.use_protocol("native")
    reply = processor.complete(_PLAIN, _unwatched)
    model = reply.model or "nothing in particular"
    yield Capability("answers", works=True, text=f"the server calls the model {model}")
    yield _usage(reply)
    streams = processor.capabilities.streams
    text = "replies are streamed" if streams else "complete replies only"
    yield Capability("streaming", works=streams, text=text)
    advice = "start the server with support for tools, or use json"
    yield _tool_calls(processor, "native", "native tool calls", advice)
    advice = "response_format is rejected or ignored"
    yield _tool_calls(processor, "json", "JSON by schema", advice)
    yield _seed(processor)


def probe_window(
    processor: OpenAIProcessor, *, up_to: int, progress: Callable[[str], None]
) -> WindowProbe:
    """Find the largest prompt that the server accepts whole.

    Each prompt is twice as long as the last, until one is refused or truncated. Then the gap is
    halved three times. A server that truncates prompts silently is detected by its token count,
    which is lower than the last prompt's predicts.

    Args:
        processor: The model.
        up_to: The longest prompt to try, in tokens.
        progress: Receives a line about every step.

    Raises:
        ModelRejected, ModelUnavailable: The model fails for another reason.
    """
    processor.use_protocol("native")  # The prompts use no tools, so any protocol will do.
    steps = _Steps(processor, progress)
    words, refused = min(_FIRST_WORDS, up_to), 0
    accepted = 0
    while not refused and steps.tokens(words) <= up_to:
        if steps.fits(words):
            accepted, words = words, words * 2
        else:
            refused = words
    halvings = _HALVINGS if refused and accepted else 0
    for _ in range(halvings):
        middle = (accepted + refused) // 2
        if steps.fits(middle):
            accepted = middle
        else:
            refused = middle
    return steps.result(accepted, refused)


def window_cost_tokens(up_to: int) -> int:
    """Return about how many prompt tokens `probe_window` sends at most."""
    return up_to * 2 + up_to * _HALVINGS


class _Steps:
    """The requests of `probe_window` and their token counts."""

    def __init__(self, processor: OpenAIProcessor, progress: Callable[[str], None]) -> None:
        self._processor = processor
        self._progress = progress
        self._per_word = 0.0
        self._truncated_to = 0
        self._uncounted = False

    def tokens(self, words: int) -> int:
        """Return the expected tokens of a prompt of so many words."""
        return int(words * (self._per_word or 1.0))

    def fits(self, words: int) -> bool:
        """Return whether the server accepts a prompt of so many words whole."""
        request = replace(
            _PLAIN,
            messages=(Message(Role.USER, "word " * words + "Say yes."),),
            max_reply_tokens=16,
        )
        size = f"about {self.tokens(words)} tokens"
        try:
            counted = self._processor.complete(request, _unwatched).usage.prompt_tokens
        except ContextOverflow:
            self._progress(f"{size}: refused")
            return False
        self._uncounted |= counted is None
        if counted and self._per_word and counted < words * self._per_word * _TRUNCATED_BELOW:
            self._truncated_to = counted
            self._progress(f"{size}: accepted, but only {counted} counted: truncated")
            return False
        if counted:
            self._per_word = counted / words
        self._progress(f"about {self.tokens(words)} tokens: accepted")
        return True

    def result(self, accepted: int, refused: int) -> WindowProbe:
        """Return the result of all steps together."""
        taken = self.tokens(accepted)
        if self._truncated_to:
            text = f"prompts are truncated to about {self._truncated_to} tokens without an error"
            return WindowProbe(self._truncated_to, True, text)
        if refused:
            text = f"prompts of {taken} tokens are accepted, of {self.tokens(refused)} refused"
            return WindowProbe(taken, True, text)
        text = f"prompts of {taken} tokens are accepted; longer ones were not tried"
        if self._uncounted:
            text += "; the server counts no tokens, so truncation is not detectable"
        return WindowProbe(taken, False, text)


def _usage(reply: Reply) -> Capability:
    usage = reply.usage
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        text = "the server counts no tokens; they are estimated from characters"
        return Capability("usage", works=False, text=text)
    counts = f"{usage.prompt_tokens} and {usage.completion_tokens} for the plain question"
    return Capability("usage", works=True, text=f"the server counts tokens: {counts}")


def _tool_calls(processor: OpenAIProcessor, protocol: str, name: str, otherwise: str) -> Capability:
    processor.use_protocol(protocol)
    try:
        works = has_called(processor.complete(PROBE, _unwatched))
    except (ModelRejected, ModelUnavailable) as error:
        return Capability(protocol, works=False, text=f"{name} refused: {error}")
    return Capability(protocol, works=works, text=name if works else f"no {name}: {otherwise}")


def _seed(processor: OpenAIProcessor) -> Capability:
    requests = [replace(_RANDOM, seed=seed) for seed in (_SEED, _SEED, _OTHER_SEED)]
    first, again, other = (processor.complete(one, _unwatched).content for one in requests)
    if not processor.capabilities.seed:
        return Capability("seed", works=False, text="the server refuses a seed")
    if first != again:
        return Capability("seed", works=False, text="the same seed gave two different replies")
    if first == other:
        text = "inconclusive: another seed gave the same reply, too"
        return Capability("seed", works=None, text=text)
    return Capability("seed", works=True, text="the same seed gives the same reply")


def _unwatched(_: str) -> None:
    """Ignore the text of a probe's reply."""
