"""From settings to what a run works with: the language model, the box's maker, the bounds."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from l2mac.boxes import Boxes
from l2mac.budget import Limits
from l2mac.dependencies import MODES, Fetch, PackageMeans
from l2mac.effects import Prices
from l2mac.errors import ModelNotConfigured, SettingsError
from l2mac.model_settings import ModelSettings
from l2mac.openai_processor import OpenAIProcessor
from l2mac.package_index import find_index
from l2mac.processor import Processor, Watcher
from l2mac.run import Means, Plan
from l2mac.settings import Settings, variables
from l2mac.trace.journal import Listener

_RECORDED = frozenset(
    "model base_url api_type api_version tool_protocol requests_per_minute tokens_per_minute prompt_price"
    " completion_price image runtime memory cpus pids disk volume timeout deps deps_index"
    " deps_hosts deps_private_hosts deps_ca_file".split()
)
_NO_MODEL = (
    "no model is configured; name one and its server, for example: export OPENAI_API_KEY=... and l2mac run --model"
    " gpt-4.1 ..., or for a local server: l2mac run --base-url http://127.0.0.1:8000/v1 --model NAME ..."
)


def make_plan(settings: Settings, task: str, program: tuple[str, ...]) -> Plan:
    """Give what is recorded of the settings and stays the same for the whole run."""
    return Plan(
        task=task,
        domain=settings.domain,
        program=program,
        steps=settings.steps,
        context_tokens=settings.context_tokens,
        reply_tokens=settings.reply_room,
        execution_timeout_s=min(20.0, settings.timeout),
        seed=settings.seed,
        dependencies=settings.deps,
        setup=_recorded(settings),
    )


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
    packages: PackageMeans | None = None,
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
        packages=packages,
        negotiate=negotiate,
        use_protocol=use_protocol,
        watch=watch,
        listener=listener,
    )


def live_packages(settings: Settings, boxes: Boxes) -> PackageMeans | None:
    """Give the way to the configured package index; None where the settings allow no packages.

    Raises:
        SettingsError: The index cannot be used from a box.
    """
    if settings.deps == "off":
        return None
    index = find_index(settings, variables())
    fetch: Fetch = lambda run, text, hashed: boxes.fetch_packages(run, text, hashed=hashed, index=index)  # noqa: E731
    return PackageMeans(fetch, boxes.install_packages)


def check_packages(plan: Plan, settings: Settings) -> None:
    """Make sure that a recorded run may fetch what it would fetch.

    Raises:
        SettingsError: The settings are stricter than the run.
    """
    if MODES.index(plan.dependencies) > MODES.index(settings.deps):
        raise SettingsError("--deps", f"the run fetches packages; say --deps {plan.dependencies} to let it go on so")


def _recorded(settings: Settings) -> Mapping[str, Any]:
    values = settings.model_dump(mode="json", include=set(_RECORDED))
    parts = urlsplit(values["base_url"])
    if parts.username or parts.password:
        values["base_url"] = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return values
