"""A processor that sends each request to the model of its role.

A *role* is a kind of question that may have a model of its own: `plan`, `write` or `judge`. The
role follows from the request's purpose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, Self

from l2mac.errors import ContextOverflow
from l2mac.processor.messages import Reply, Request
from l2mac.processor.protocol import Processor, Watcher
from l2mac.processor.response_cache import ResponseCache
from l2mac.processor.token_estimate import TokenEstimator

ModelRole = Literal["plan", "write", "judge"]
ROLES: tuple[ModelRole, ...] = ("write", "plan", "judge")

_LEAST_REPLY_TOKENS = 256
_ROLES: dict[str, ModelRole] = {
    "plan": "plan",
    "reflect": "plan",
    "coverage": "plan",
    "replan": "plan",
    "requirements": "judge",
    "judge": "judge",
}


def role_of(purpose: str) -> ModelRole:
    """Return the role for a purpose, `write` for turns and all others."""
    return _ROLES.get(purpose, "write")


class ModelClient(Processor, Protocol):
    """A processor with a name and a choice of tool protocols; close it after use."""

    @property
    def model(self) -> str:
        """The model's name as configured."""
        ...

    def negotiate(self, watch: Watcher, *, within_s: float | None = None) -> str:
        """Find and use the tool protocol of the model and return its name."""
        ...

    def use_protocol(self, name: str) -> None:
        """Use a tool protocol that is known already."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(slots=True)
class RoleModel:
    """The model of one role.

    Attributes:
        client: The model's client.
        context_tokens: The declared context window, for prompt and reply together.
        cache: The response cache, or None.
        estimator: The token estimator, calibrated on this model's own counts.
    """

    client: ModelClient
    context_tokens: int
    cache: ResponseCache | None = None
    estimator: TokenEstimator = field(default_factory=TokenEstimator)

    def fit_reply(self, request: Request) -> Request:
        """Return the request with a reply that fits into the context window.

        Raises:
            ContextOverflow: The messages leave no room for a reply.
        """
        room = self.context_tokens - self.estimator.estimate(request.messages, request.tools)
        if room < min(_LEAST_REPLY_TOKENS, request.max_reply_tokens):
            raise ContextOverflow(
                f"The messages leave {max(room, 0)} of {self.context_tokens} tokens for a reply."
                " Choose a model with a larger context window for this role."
            )
        if room >= request.max_reply_tokens:
            return request
        return replace(request, max_reply_tokens=room)

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Return the reply, from the response cache where possible; see `Processor`."""
        found = self.cache.find(request) if self.cache else None
        if found is not None:
            watch(found.content)
            return found
        reply = self.client.complete(request, watch)
        if reply.usage.prompt_tokens is not None:
            self.estimator.learn(request.messages, request.tools, reply.usage.prompt_tokens)
        if not reply.model:
            reply = replace(reply, model=self.client.model)
        if self.cache:
            self.cache.keep(request, reply)
        return reply


class RoleProcessor:
    """A `Processor` that sends each request to the model of its role.

    Close it, or use it in a `with`. The control unit keeps the context window of the writing model
    by dropping turns and restarting. The windows of the other roles are unknown to the control
    unit, so their requests are made to fit here.

    Args:
        models: The model of each role that has one of its own. The role `write` is required.
    """

    def __init__(self, models: Mapping[ModelRole, RoleModel]) -> None:
        self._models = dict(models)
        self._main = models["write"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. Closing twice is harmless."""
        for model in self._models.values():
            model.client.close()

    def complete(self, request: Request, watch: Watcher) -> Reply:
        """Return the reply of the model for the request's purpose; see `Processor`."""
        model = self._models.get(role_of(request.purpose), self._main)
        if model is not self._main:
            request = model.fit_reply(request)
        return model.complete(request, watch)

    def negotiate(self, watch: Watcher, *, within_s: float | None = None) -> str:
        """Find the tool protocol of the writing model and return its name.

        The other models find their own with their first request.
        """
        return self._main.client.negotiate(watch, within_s=within_s)

    def use_protocol(self, name: str) -> None:
        """Use a known tool protocol with the writing model."""
        self._main.client.use_protocol(name)
