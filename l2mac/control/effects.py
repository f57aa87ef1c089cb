"""Everything that reaches outside the control unit, performed once and recorded: the model and its tools.

The checks are in `evaluator`.

On a resumed run each method gives what the record says and touches neither model nor box.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import pydantic

from l2mac.control.budget import InstructionExhausted, Spending
from l2mac.control.file_listing import describe_files
from l2mac.control.request_keys import RequestKeys, canonical, hash_of
from l2mac.domains.loader import Domain
from l2mac.errors import ContextOverflow, OutOfTime
from l2mac.evaluator.evaluator import Evaluator
from l2mac.file_store import FileStore
from l2mac.processor.messages import Message, Reply, Request, ToolCall, ToolSpec, Usage
from l2mac.processor.protocol import Processor, Watcher
from l2mac.processor.routing import ModelRole, role_of
from l2mac.processor.token_estimate import TokenEstimator
from l2mac.tools.base import ToolContext, ToolOutcome
from l2mac.trace.events import InstructionAborted, ModelCalled, StoreRestored, ToolRan
from l2mac.trace.journal import Journal
from sandbox import Change, FileEntry

_REPLY: pydantic.TypeAdapter[Reply] = pydantic.TypeAdapter(Reply)
_MOST_BELIEVABLE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What the model costs, in USD per million tokens, as declared."""

    prompt_usd: float = 0.0
    completion_usd: float = 0.0

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Give the cost of one call."""
        return (
            prompt_tokens * self.prompt_usd + completion_tokens * self.completion_usd
        ) / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """The control unit's hands.

    Attributes:
        watch: Called with each piece of the model's text as it arrives.
        evaluator: The checks.
        reply_tokens: Where every reply is cut off.
        execution_timeout_s: Wall time of a program that the model runs.
        outcome_characters: How long a tool's outcome may be.
        namer: Names what is sent to the model.
        listing: The paths last described, with the description.
        origin: The files that the run began with, path → object; empty where it began with none.
        role_prices: What the models of further roles cost, where that is not `prices`.
    """

    journal: Journal
    processor: Processor
    store: FileStore
    domain: Domain
    spending: Spending
    estimator: TokenEstimator
    prices: Prices
    watch: Watcher
    namer: RequestKeys
    evaluator: Evaluator
    reply_tokens: int
    execution_timeout_s: float
    outcome_characters: int
    seed: int | None = None
    listing: dict[tuple[str, ...], str] = field(default_factory=dict)
    role_prices: Mapping[ModelRole, Prices] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)

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
        """Call the model; gives None when the server says that the messages do not fit.

        Args:
            purpose: What for, as the record says it: `plan`, `reflect`, `coverage`, `replan`, `turn`, `summary`,
                `requirements`, `judge`, `interface`, `feedback` or `reflection`.
            messages: The whole context window.
            tools: What may be called.
            tool: The one tool that must be called, if any.
            temperature: 0 to 2.
            reply_tokens: Where the reply is cut off if earlier than every reply is.

        Raises:
            BudgetSpent: Nothing more may be spent.
            ModelUnavailable, ModelRejected: No reply.
        """
        if not self.journal.replaying:
            self.spending.check(self.journal.elapsed_s)
        request = Request(
            messages=tuple(messages),
            tools=tools,
            tool=tool,
            temperature=round(temperature, 3),
            max_reply_tokens=min(reply_tokens or self.reply_tokens, self.reply_tokens),
            seed=self.seed,
            purpose=purpose,
        )
        names, tools_name = self.namer.messages(request.messages), self.namer.tools(tools)
        parameters = [request.tool, request.temperature, request.max_reply_tokens, request.seed]
        key = hash_of([names, tools_name, parameters])
        event = self.journal.effect(
            ModelCalled, key, lambda: self._call(key, purpose, request, names, tools_name)
        )
        self.spending.add(event)
        writes = (
            role_of(purpose) == "write"
        )  # the estimator is the writing model's; another has another tokenizer
        if not event.reply_object:
            if writes:
                self.estimator.grow()
            return None
        if event.counted and writes:
            self.estimator.learn(messages, tools, event.prompt_tokens)
        return _REPLY.validate_json(self.journal.objects.get(event.reply_object))

    def files(self) -> str:
        """Give the list of files that prompts carry."""
        paths = self.store.paths
        if paths not in self.listing:
            self.listing.clear()
            self.listing[paths] = describe_files(paths, self.outcome_characters // 2)
        return self.listing[paths]

    def own_files(self) -> tuple[FileEntry, ...]:
        """Give the files that the run wrote or changed: all that are not as it began with them."""
        return tuple(
            entry for entry in self.store.files if self.origin.get(entry.path) != entry.digest
        )

    def begin_turn(self) -> None:
        """Count a turn of the instruction in hand.

        Raises:
            InstructionSpent: It is one too many, by this session's bounds or, before the record's end, by the record.
        """
        self.spending.count_turn()
        if not self.journal.replaying:
            self.spending.check_instruction()
        elif (overspent := self.journal.peek(InstructionAborted)) is not None:
            raise InstructionExhausted(overspent.cause)

    def give_up(self, number: int, cause: str) -> None:
        """Record that an instruction has used up its budget, so that a later session with larger ones agrees."""
        key = f"{number} {self.spending.turns} {self.spending.restarts}"
        event = InstructionAborted(key=key, number=number, cause=cause)
        self.journal.effect(InstructionAborted, key, lambda: event)

    def restore(self, files: Sequence[FileEntry], reason: str = "") -> None:
        """Make the store what it was, or what some work is to start from; what runs next gets a new box with it.

        Nothing that was done in the box before can so have a say in what is done after.
        """
        before, after = (
            {entry.path: entry for entry in some} for some in (self.store.files, files)
        )
        gone = (Change(path, -1, "") for path in sorted(before.keys() - after.keys()))
        other = (entry for path, entry in sorted(after.items()) if before.get(path) != entry)
        changes = (*gone, *(Change(entry.path, entry.size, entry.digest) for entry in other))
        self.journal.note(StoreRestored(changes=changes, reason=reason))
        self.store.apply(changes)
        if not self.journal.replaying:  # until then the box holds what the record comes to
            self.store.close()

    def use_tool(self, call: ToolCall) -> ToolOutcome:
        """Perform a tool call; whatever goes wrong in it is an outcome."""
        before = self.store.tree
        key = self.namer.key_of_call(call, before)
        event = self.journal.effect(ToolRan, key, lambda: self._perform(key, call))
        if self.store.tree == before:
            self.store.apply(event.changes)
        return ToolOutcome(
            self.journal.objects.get_text(event.outcome_object), event.ok, event.changes
        )

    def _call(
        self, key: str, purpose: str, request: Request, names: tuple[str, ...], tools_name: str
    ) -> ModelCalled:
        objects = self.journal.objects
        request = replace(request, within_s=self.spending.time_left_s(self.journal.elapsed_s))
        try:
            reply = self.processor.complete(request, self.watch)
        except ContextOverflow:
            reply = None
        except OutOfTime:
            raise self.spending.out_of_time() from None
        estimate = self.estimator.estimate(request.messages, request.tools)
        usage = reply.usage if reply else Usage(0, 0)
        prompt, counted = _believed(usage.prompt_tokens, estimate)
        written = 0 if reply is None else self.estimator.estimate((reply.as_message(),))
        completion, _ = _believed(usage.completion_tokens, written)
        prices = self.role_prices.get(role_of(purpose), self.prices)
        free = reply is None or reply.cached
        return ModelCalled(
            key=key,
            purpose=purpose,
            message_objects=names,
            tools_object=tools_name,
            tool=request.tool,
            temperature=request.temperature,
            max_reply_tokens=request.max_reply_tokens,
            reply_object="" if reply is None else objects.put(canonical(asdict(reply))),
            prompt_tokens=prompt if reply else 0,
            completion_tokens=completion if reply else 0,
            counted=counted,
            cost_usd=0.0 if free else prices.cost_usd(prompt, completion),
            model=reply.model if reply else "",
            cached=reply.cached if reply else False,
        )

    def _perform(self, key: str, call: ToolCall) -> ToolRan:
        context = ToolContext(self.store, self.outcome_characters, self.execution_timeout_s)
        outcome = self.domain.toolbelt.perform(call, context)
        return ToolRan(
            key=key,
            name=call.name,
            arguments_object=self.journal.objects.put_text(call.arguments),
            outcome_object=self.journal.objects.put_text(outcome.text),
            ok=outcome.ok,
            changes=outcome.changes,
        )


def _believed(counted: int | None, estimate: int) -> tuple[int, bool]:
    """Give the server's count if it can be true, else the estimate, and whether it was the server's."""
    if (
        counted is not None
        and estimate / _MOST_BELIEVABLE <= counted <= max(estimate, 1) * _MOST_BELIEVABLE
    ):
        return counted, True
    return estimate, False
