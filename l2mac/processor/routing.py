"""One processor made of the models of all roles: each request goes to the model that its purpose calls for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from l2mac.errors import ContextOverflow
from l2mac.processor.messages import Reply, Request
from l2mac.processor.model_roles import ModelRole, role_of
from l2mac.processor.protocol import Processor, Watcher
from l2mac.processor.response_cache import ResponseCache
from l2mac.processor.token_estimate import TokenEstimator

_LEAST_REPLY_TOKENS = 256


class ModelClient(Processor, Protocol):
    """A processor that has a name, calls tools in one of several ways, and is closed."""

    @property
    def model(self) -> str:
        """Its name as configured."""
        ...

    def negotiate(self, watch: Watcher, *, within_s: float | None = None) -> str:
        """Find out how it calls tools, and say so."""
        ...

    def use_protocol(self, name: str) -> None:
        """Call tools in a way that is known already."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


@dataclass(slots=True)
class RoleModel:
    """The model of one role.

    Attributes:
        client: Calls it.
        context_tokens: Its declared window, prompt and reply.
        cache: Answers what was asked before, if there is to be one.
        estimator: Calibrated on this model's own counts.
    """

    client: ModelClient
    context_tokens: int
    cache: ResponseCache | None = None
    estimator: TokenEstimator = field(default_factory=TokenEstimator)

    def fitted(self, request: Request) -> Request:
        """Give the request with a reply that its window has room for.

        Raises:
            ContextOverflow: There is no room.
        """
        room = self.context_tokens - self.estimator.estimate(request.messages, request.tools)
        if room < min(_LEAST_REPLY_TOKENS, request.max_reply_tokens):
            raise ContextOverflow(
                f"the messages leave {max(room, 0)} of {self.context_tokens} tokens for a reply"
            )
        return (
            request if room >= request.max_reply_tokens else replace(request, max_reply_tokens=room)
        )

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Give the reply, from the cache where it has one."""
        found = self.cache.find(request) if self.cache else None
        if found is not None:
            watch(found.content)
            return found
        reply = self.client.complete(request, watch)
        if reply.usage.prompt_tokens is not None:
            self.estimator.learn(request.messages, request.tools, reply.usage.prompt_tokens)
        reply = reply if reply.model else replace(reply, model=self.client.model)
        if self.cache:
            self.cache.keep(request, reply)
        return reply


class RoleProcessor:
    """Implements `l2mac.processor.protocol.Processor`; close it, or use it in a `with`.

    The window of the writing model is the control unit's business, which drops turns and restarts; those of the other
    roles are kept here, because the control unit knows only one.

    Args:
        models: The model of each role that has one of its own; `write` always has.
    """

    def __init__(self, models: Mapping[ModelRole, RoleModel]) -> None:
        self._models = dict(models)
        self._main = models["write"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; closing twice is harmless."""
        for model in self._models.values():
            model.client.close()

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Give the reply of the model that the request's purpose calls for; see `Processor`."""
        model = self._models.get(role_of(request.purpose), self._main)
        return model.complete(request if model is self._main else model.fitted(request), watch)

    def negotiate(self, watch: Watcher, *, within_s: float | None = None) -> str:
        """Find out how the writing model calls tools; the others find out when they are first asked."""
        return self._main.client.negotiate(watch, within_s=within_s)

    def use_protocol(self, name: str) -> None:
        """Call the writing model's tools in a way that is known already."""
        self._main.client.use_protocol(name)
