"""The ports of the control unit, by which it reaches outside.

Each effect is performed once and recorded. On a resumed run each method returns the recorded effect
and touches neither model nor sandbox. The fourth way outside, the evaluator, is in
`l2mac.evaluator.evaluator`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import pydantic

from l2mac.control.budget import BudgetExhausted, Spending
from l2mac.control.context_window import ContextWindow
from l2mac.control.request_keys import RequestKeys, canonical, hash_of
from l2mac.errors import ContextOverflow, OutOfTime
from l2mac.file_store import FileStore
from l2mac.processor.messages import Message, Reply, Request, ToolCall, ToolSpec, Usage
from l2mac.processor.protocol import Processor, Watcher
from l2mac.processor.routing import ModelRole, role_of
from l2mac.processor.token_estimate import TokenEstimator
from l2mac.tools.base import Toolbelt, ToolContext, ToolOutcome
from l2mac.trace.events import ModelCalled, Note, StoreRestored, ToolRan
from l2mac.trace.journal import Journal
from sandbox import Change, FileEntry

_REPLY: pydantic.TypeAdapter[Reply] = pydantic.TypeAdapter(Reply)
_MOST_BELIEVABLE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The declared prices of a model, in USD per million tokens."""

    prompt_usd: float = 0.0
    completion_usd: float = 0.0

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the cost of one call."""
        prompt, completion = self.prompt_usd, self.completion_usd
        return (prompt_tokens * prompt + completion_tokens * completion) / 1_000_000


@dataclass(frozen=True, slots=True)
class Notes:
    """The record of the control unit's decisions, and of the texts that they name."""

    journal: Journal

    def note(self, note: Note) -> None:
        """Record a decision, or compare it with the recorded one."""
        self.journal.note(note)

    def put_text(self, text: str) -> str:
        """Keep a text as an object, and return its name."""
        return self.journal.objects.put_text(text)

    def put_texts(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Keep texts as objects, and return their names."""
        return tuple(map(self.put_text, texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The language model P_LLM of the paper, as an effect.

    Attributes:
        keys: Names the messages and tools of requests.
        context_tokens: The model's declared window, prompt and reply together.
        reply_tokens: Where every reply is truncated.
        watch: Receives each piece of the model's text as it arrives.
        role_prices: The prices of the models of other roles, where these are not `prices`.
    """

    journal: Journal
    processor: Processor
    spending: Spending
    keys: RequestKeys
    context_tokens: int
    reply_tokens: int
    seed: int | None
    prices: Prices
    watch: Watcher
    role_prices: Mapping[ModelRole, Prices] = field(default_factory=dict)
    estimator: TokenEstimator = field(default_factory=TokenEstimator)

    def ask(
        self,
        purpose: str,
        messages: Sequence[Message],
        *,
        tools: tuple[ToolSpec, ...] = (),
        tool: str = "",
        temperature: float,
        reply_tokens: int = 0,
    ) -> Reply | None:
        """Call the model; return None when the server says that the messages do not fit.

        Args:
            purpose: The purpose as it is recorded: `plan`, `reflect`, `coverage`, `replan`, `turn`,
                `choose`, `summary`, `requirements`, `judge`, `interface`, `feedback` or
                `reflection`.
            messages: The whole context window.
            tools: The tools that may be called.
            tool: The one tool that must be called, if any.
            temperature: 0 to 2.
            reply_tokens: Where the reply is truncated if earlier than every reply is.

        Raises:
            BudgetExhausted: Nothing more may be spent.
            ModelUnavailable, ModelRejected: There is no reply.
        """
        if not self.journal.replaying:
            self.spending.check(self.journal.elapsed_s)
        request = Request(
            messages=tuple(messages),
            tools=tools,
            tool=tool,
            temperature=round(temperature, 3),
            max_reply_tokens=self._truncated_at(reply_tokens),
            seed=self.seed,
            purpose=purpose,
        )
        names, tools_name = self.keys.messages(request.messages), self.keys.tools(tools)
        parameters = [request.tool, request.temperature, request.max_reply_tokens, request.seed]
        key = hash_of([names, tools_name, parameters])
        event = self.journal.effect(
            ModelCalled, key, lambda: self._call(key, request, names, tools_name)
        )
        self.spending.add(event)
        self._learn(event, request)
        if not event.reply_object:
            return None
        return _REPLY.validate_json(self.journal.objects.get(event.reply_object))

    def room(
        self,
        messages: Sequence[Message],
        tools: tuple[ToolSpec, ...] = (),
        *,
        reply_tokens: int = 0,
    ) -> int:
        """Return the tokens that a call leaves of the window; negative without room."""
        used = self.estimator.estimate(messages, tools)
        return self.context_tokens - used - self._truncated_at(reply_tokens)

    def characters(self, tokens: int) -> int:
        """Return about how many characters of text so many tokens are."""
        return self.estimator.characters(tokens)

    def open_window(self, head: tuple[Message, ...], tools: tuple[ToolSpec, ...]) -> ContextWindow:
        """Return a fresh context window C.

        Raises:
            BudgetExhausted: Its head alone leaves no room for a reply.
        """
        window = ContextWindow(
            head,
            tools,
            context_tokens=self.context_tokens,
            reply_tokens=self.reply_tokens,
            estimator=self.estimator,
        )
        if not window.has_room():
            raise BudgetExhausted(
                f"the task, the instruction and the tools alone take about {window.used_tokens}"
                f" tokens, which leaves no room for a reply in a window of {self.context_tokens}"
                " (--context-tokens)"
            )
        return window

    def _truncated_at(self, reply_tokens: int) -> int:
        return min(reply_tokens or self.reply_tokens, self.reply_tokens)

    def _learn(self, event: ModelCalled, request: Request) -> None:
        """Update the estimator, by calls of the writing model alone."""
        # Models of other roles have other tokenizers.
        if role_of(request.purpose) != "write":
            return
        if not event.reply_object:
            self.estimator.grow()
        elif event.counted:
            self.estimator.learn(request.messages, request.tools, event.prompt_tokens)

    def _call(
        self, key: str, request: Request, names: tuple[str, ...], tools_name: str
    ) -> ModelCalled:
        reply = self._reply_to(request)
        usage = Usage(0, 0) if reply is None else reply.usage
        estimate = self.estimator.estimate(request.messages, request.tools)
        prompt, counted = _believed(usage.prompt_tokens, estimate)
        written = 0 if reply is None else self.estimator.estimate((reply.as_message(),))
        completion, _ = _believed(usage.completion_tokens, written)
        call = ModelCalled(
            key=key,
            purpose=request.purpose,
            message_objects=names,
            tools_object=tools_name,
            tool=request.tool,
            temperature=request.temperature,
            max_reply_tokens=request.max_reply_tokens,
            reply_object="",
            prompt_tokens=0,
            completion_tokens=0,
            counted=counted,
            cost_usd=0.0,
        )
        if reply is None:
            return call
        prices = self.role_prices.get(role_of(request.purpose), self.prices)
        return replace(
            call,
            reply_object=self.journal.objects.put(canonical(asdict(reply))),
            prompt_tokens=prompt,
            completion_tokens=completion,
            cost_usd=0.0 if reply.cached else prices.cost_usd(prompt, completion),
            model=reply.model,
            cached=reply.cached,
        )

    def _reply_to(self, request: Request) -> Reply | None:
        within_s = self.spending.time_left_s(self.journal.elapsed_s)
        try:
            return self.processor.complete(replace(request, within_s=within_s), self.watch)
        except ContextOverflow:
            return None
        except OutOfTime:
            raise self.spending.out_of_time() from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The tools with which the model reads and writes the file store D, as effects.

    Attributes:
        keys: Names the calls.
        outcome_characters: How long a tool's outcome may be.
        execution_timeout_s: Wall time of a program that the model runs.
    """

    journal: Journal
    store: FileStore
    toolbelt: Toolbelt
    keys: RequestKeys
    outcome_characters: int
    execution_timeout_s: float

    def use(self, call: ToolCall) -> ToolOutcome:
        """Perform a tool call; any failure of it is an outcome."""
        before = self.store.tree
        key = self.keys.key_of_call(call, before)
        event = self.journal.effect(ToolRan, key, lambda: self._perform(key, call))
        if self.store.tree == before:
            self.store.apply(event.changes)
        text = self.journal.objects.get_text(event.outcome_object)
        return ToolOutcome(text, event.ok, event.changes)

    def restore(self, files: Sequence[FileEntry], reason: str = "") -> None:
        """Set the store to these files, in a new sandbox.

        So nothing that was done in the old sandbox can influence what is done afterwards.
        """
        before = {entry.path: entry for entry in self.store.files}
        after = {entry.path: entry for entry in files}
        gone = (Change(path, -1, "") for path in sorted(before.keys() - after.keys()))
        other = (entry for path, entry in sorted(after.items()) if before.get(path) != entry)
        changes = (*gone, *(Change(entry.path, entry.size, entry.digest) for entry in other))
        self.journal.note(StoreRestored(changes=changes, reason=reason))
        self.store.apply(changes)
        if not self.journal.replaying:  # until then the sandbox holds all recorded files
            self.store.close()

    def _perform(self, key: str, call: ToolCall) -> ToolRan:
        context = ToolContext(self.store, self.outcome_characters, self.execution_timeout_s)
        outcome = self.toolbelt.perform(call, context)
        return ToolRan(
            key=key,
            name=call.name,
            arguments_object=self.journal.objects.put_text(call.arguments),
            outcome_object=self.journal.objects.put_text(outcome.text),
            ok=outcome.ok,
            changes=outcome.changes,
        )


def _believed(counted: int | None, estimate: int) -> tuple[int, bool]:
    """Return the server's count and True if credible, else the estimate and False."""
    if counted is None:
        return estimate, False
    least, most = estimate / _MOST_BELIEVABLE, max(estimate, 1) * _MOST_BELIEVABLE
    return (counted, True) if least <= counted <= most else (estimate, False)
