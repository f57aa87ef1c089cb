"""From settings to what a run works with: the language model, the box's maker, the bounds."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from l2mac.boxes import Boxes
from l2mac.budget import Limits
from l2mac.domain import CUSTOM, Domain, load_domain, load_domain_file, with_tools
from l2mac.effects import Prices
from l2mac.errors import ModelNotConfigured, SettingsError
from l2mac.job import Thinking
from l2mac.model_settings import ModelSettings
from l2mac.openai_processor import OpenAIProcessor
from l2mac.processor import Processor, Watcher
from l2mac.run import Means, Plan
from l2mac.settings import Settings
from l2mac.trace.journal import Listener

_RECORDED = frozenset(
    "model base_url api_type api_version tool_protocol requests_per_minute tokens_per_minute prompt_price"
    " completion_price image runtime memory cpus pids disk volume timeout".split()
)
_NO_MODEL = (
    "no model is configured; name one and its server, for example: export OPENAI_API_KEY=... and l2mac run --model"
    " gpt-4.1 ..., or for a local server: l2mac run --base-url http://127.0.0.1:8000/v1 --model NAME ..."
)


def make_plan(settings: Settings, task: str, program: tuple[str, ...], domain: Domain) -> Plan:
    """Give what is recorded of the settings and stays the same for the whole run."""
    return Plan(
        task=task,
        domain=domain.name,
        definition=domain.definition.as_text(),
        program=program,
        steps=settings.steps,
        context_tokens=settings.context_tokens,
        reply_tokens=settings.reply_room,
        execution_timeout_s=min(20.0, settings.timeout),
        seed=settings.seed,
        judge=settings.judge,
        setup=_recorded(settings),
        thinking=Thinking(
            reflections=settings.reflections,
            coverage=settings.coverage,
            max_replans=settings.max_replans,
            requirements=settings.requirements,
            requirement_rounds=settings.requirement_rounds,
            summary=settings.summary,
        ),
    )


def choose_domain(settings: Settings) -> Domain:
    """Give the domain that the settings name, checked in full.

    Raises:
        SettingsError: There is none of that name, its file says something that cannot be, or it cannot do what is set.
    """
    if settings.domain_file is None:
        domain = load_domain(settings.domain)
    elif "domain" in settings.model_fields_set and settings.domain != CUSTOM:
        raise SettingsError("--domain-file", f"is for --domain {CUSTOM}, not for --domain {settings.domain}")
    else:
        domain = load_domain_file(settings.domain_file.expanduser())
    if settings.judge and domain.definition.judge is None:
        raise SettingsError("--judge", f"the domain {domain.name} does not say what to judge")
    return with_tools(domain, settings.tools) if settings.tools else domain


def make_processor(settings: Settings) -> OpenAIProcessor:
    """Give the client of the configured model.

    Raises:
        ModelNotConfigured: No model is named, or OpenAI's own server has no key.
        SettingsError: The key file cannot be read.
    """
    key, server = settings.key(), settings.server()
    if not settings.model or not (key or server):
        raise ModelNotConfigured(_NO_MODEL)
    return OpenAIProcessor(
        ModelSettings(
            model=settings.model,
            base_url=server or None,
            api_key=key,
            api_version=settings.api_version if settings.api_type == "azure" else "",
            timeout_s=settings.request_timeout,
            protocol=settings.tool_protocol,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
        )
    )


def make_means(
    settings: Settings,
    boxes: Boxes,
    processor: Processor,
    *,
    watch: Watcher,
    listener: Listener,
    negotiate: Callable[[], str] | None,
    use_protocol: Callable[[str], None],
) -> Means:
    """Join everything that a session of a run works with."""
    return Means(
        processor=processor,
        open_box=boxes.open_box,
        limits=Limits(
            turns=settings.max_turns,
            restarts=settings.max_restarts,
            tokens=settings.max_tokens,
            cost_usd=settings.max_cost,
            time_s=settings.max_time,
        ),
        prices=Prices(prompt_usd=settings.prompt_price, completion_usd=settings.completion_price),
        model=settings.model,
        image=settings.image,
        negotiate=negotiate,
        use_protocol=use_protocol,
        watch=watch,
        listener=listener,
    )


def _recorded(settings: Settings) -> Mapping[str, Any]:
    values = settings.model_dump(mode="json", include=set(_RECORDED))
    parts = urlsplit(values["base_url"])
    if parts.username or parts.password:
        values["base_url"] = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return values
