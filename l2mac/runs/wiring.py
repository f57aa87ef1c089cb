"""From settings to what a run works with: the language model, the box's maker, the bounds."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.control.run_spec import ExecutionMode, PlanningOptions, RunSpec
from l2mac.domains.loader import CUSTOM, Domain, load_domain, load_domain_file, with_tools
from l2mac.errors import ModelNotConfigured, SettingsError
from l2mac.evaluator.packages import MODES, PackageSource
from l2mac.processor.cancellation import CancelScope
from l2mac.processor.model_roles import ROLES, ModelRole
from l2mac.processor.model_settings import ModelSettings
from l2mac.processor.openai_processor import OpenAIProcessor
from l2mac.processor.protocol import Processor, Watcher
from l2mac.processor.response_cache import ResponseCache
from l2mac.processor.routing import RoleModel, RoleProcessor
from l2mac.runs.execute import Resources
from l2mac.runs.package_index import find_index
from l2mac.settings.role_settings import RoleSettings
from l2mac.settings.settings import Settings, variables
from l2mac.settings.toml_file import read_key
from l2mac.trace.journal import EntryListener
from sandbox import Fetched
from sandbox.engine.factory import SandboxFactory

_RECORDED = frozenset(
    "preset model base_url api_type api_version tool_protocol requests_per_minute tokens_per_minute prompt_price"
    " completion_price image runtime memory cpus pids disk volume timeout deps deps_index"
    " deps_hosts deps_private_hosts deps_ca_file".split()
)
_MODES: Mapping[str, ExecutionMode] = {"close": "guided", "free": "agentic", "auto": "auto"}
_NO_MODEL = (
    "no model is configured; name one and its server, for example: export OPENAI_API_KEY=... and l2mac run --model"
    " gpt-4.1 ..., or for a local server: l2mac run --base-url http://127.0.0.1:8000/v1 --model NAME ..."
)


def make_plan(settings: Settings, task: str, program: tuple[str, ...], domain: Domain) -> RunSpec:
    """Give what is recorded of the settings and stays the same for the whole run."""
    return RunSpec(
        task=task,
        domain=domain.name,
        definition=domain.definition.as_text(),
        program=program,
        steps=settings.steps,
        context_tokens=settings.context_tokens,
        reply_tokens=settings.reply_room,
        execution_timeout_s=min(20.0, settings.timeout),
        seed=settings.seed,
        dependencies=settings.deps,
        mode=_MODES[settings.guidance],
        judge=settings.judge,
        method=settings.method,
        setup=_recorded(settings),
        planning=_planning(settings, program),
    )


def _planning(settings: Settings, program: tuple[str, ...]) -> PlanningOptions:
    """Give how much thought goes into the program; without a program, none, and whoever asks for some is told so."""
    if settings.method == "l2mac":
        return PlanningOptions(
            reflections=settings.reflections,
            coverage=settings.coverage,
            max_replans=settings.max_replans,
            requirements=settings.requirements,
            requirement_rounds=settings.requirement_rounds,
            summary=settings.summary,
            evaluator=settings.evaluator,
            task_in_context=settings.task_in_context,
        )
    if program:
        raise SettingsError("--program", f"is for --method l2mac; {settings.method} has no program")
    for name in ("reflections", "summary", "evaluator", "task_in_context"):
        if getattr(settings, name) != Settings.model_fields[name].default:
            flag = f"--{name.replace('_', '-')}"
            raise SettingsError(
                flag, f"changes --method l2mac and has no place in {settings.method}; leave it out"
            )
    return PlanningOptions()


def choose_domain(settings: Settings) -> Domain:
    """Give the domain that the settings name, checked in full.

    Raises:
        SettingsError: There is none of that name, its file says something that cannot be, or it cannot do what is set.
    """
    if settings.domain_file is None:
        domain = load_domain(settings.domain)
    elif "domain" in settings.model_fields_set and settings.domain != CUSTOM:
        raise SettingsError(
            "--domain-file", f"is for --domain {CUSTOM}, not for --domain {settings.domain}"
        )
    else:
        domain = load_domain_file(settings.domain_file.expanduser())
    if settings.method == "codet" and "python" not in (domain.definition.checks or ()):
        raise SettingsError(
            "--method", f"codet chooses by tests, which the domain {domain.name} does not run"
        )
    if settings.judge and domain.definition.judge is None:
        raise SettingsError("--judge", f"the domain {domain.name} does not say what to judge")
    domain = with_tools(domain, settings.tools) if settings.tools else domain
    if settings.guidance == "close" and not domain.toolbelt.has("write_files"):
        raise SettingsError(
            "--guidance", "close needs the tool write_files; add it to the tools, or say free"
        )
    return domain


def make_processor(
    settings: Settings, *, max_retries: int = 4, fuse: CancelScope | None = None
) -> OpenAIProcessor:
    """Give the client of the configured model, the one that writes.

    Raises:
        ModelNotConfigured: No model is named, or OpenAI's own server has no key.
        SettingsError: The key file cannot be read.
    """
    return OpenAIProcessor(_model_settings(settings, max_retries), fuse=fuse)


def make_role_processor(
    settings: Settings, role: ModelRole, *, max_retries: int = 4, fuse: CancelScope | None = None
) -> OpenAIProcessor | None:
    """Give the client of a role's own model; None where the main one does for it.

    Raises:
        SettingsError: What the role says cannot be.
    """
    own = _own(settings, role)
    if own is None:
        return None
    try:
        return OpenAIProcessor(_role_settings(settings, own, max_retries), fuse=fuse)
    except SettingsError as error:
        raise SettingsError(
            f"roles.{role}.{error.field.removeprefix('--')}", error.problem
        ) from None


def make_processors(settings: Settings, *, fuse: CancelScope | None = None) -> RoleProcessor:
    """Give the models of all roles as one processor, with the cache of replies if there is to be one.

    Raises:
        ModelNotConfigured: No model is named, or OpenAI's own server has no key.
        SettingsError: A key file cannot be read, or what a role says cannot be.
    """
    models: dict[ModelRole, RoleModel] = {}
    with contextlib.ExitStack() as opened:
        for role in ROLES:
            client = (
                make_processor(settings, fuse=fuse)
                if role == "write"
                else make_role_processor(settings, role, fuse=fuse)
            )
            if client is not None:
                models[role] = RoleModel(
                    opened.enter_context(client), _window(settings, role), _cache(settings, client)
                )
        opened.pop_all()
    return RoleProcessor(models)


def _model_settings(settings: Settings, max_retries: int) -> ModelSettings:
    key, server = settings.key(), settings.server()
    if not settings.model or not (key or server):
        raise ModelNotConfigured(_NO_MODEL)
    return ModelSettings(
        model=settings.model,
        base_url=server or None,
        api_key=key,
        api_version=settings.api_version if settings.api_type == "azure" else "",
        timeout_s=settings.request_timeout,
        max_retries=max_retries,
        protocol=settings.tool_protocol,
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
    )


def _role_settings(settings: Settings, own: RoleSettings, max_retries: int) -> ModelSettings:
    """Give a role's settings: its own where it has them; a key never goes to a server that it was not given for."""
    base = _model_settings(settings, max_retries)
    elsewhere = bool(own.base_url)
    key = (
        read_key(own.api_key_file, "api_key_file")
        if own.api_key_file
        else ""
        if elsewhere
        else base.api_key
    )
    return replace(
        base,
        model=own.model or base.model,
        base_url=own.base_url or base.base_url,
        api_key=key,
        api_version="" if elsewhere else base.api_version,
        protocol=own.tool_protocol or base.protocol,
        requests_per_minute=own.requests_per_minute or base.requests_per_minute,
        tokens_per_minute=own.tokens_per_minute or base.tokens_per_minute,
    )


def _own(settings: Settings, role: ModelRole) -> RoleSettings | None:
    own = {"plan": settings.roles.plan, "judge": settings.roles.judge}.get(role)
    return None if own is None or own == RoleSettings() else own


def _window(settings: Settings, role: ModelRole) -> int:
    own = _own(settings, role)
    return (own.context_tokens if own else 0) or settings.context_tokens


def _cache(settings: Settings, client: OpenAIProcessor) -> ResponseCache | None:
    if settings.response_cache is None:
        return None
    return ResponseCache(
        settings.response_cache.expanduser(), identity=client.identity, secrets=client.secrets
    )


def role_prices(settings: Settings) -> Mapping[ModelRole, Prices]:
    """Give what the models of further roles cost, each price the main one's unless declared."""
    prices: dict[ModelRole, Prices] = {}
    for role in ROLES:
        if own := _own(settings, role):
            prompt, completion = own.prompt_price, own.completion_price
            prices[role] = Prices(
                prompt_usd=settings.prompt_price if prompt is None else prompt,
                completion_usd=settings.completion_price if completion is None else completion,
            )
    return prices


def make_resources(
    settings: Settings,
    boxes: SandboxFactory,
    processor: Processor,
    *,
    watch: Watcher,
    listener: EntryListener,
    negotiate: Callable[[], str] | None,
    use_protocol: Callable[[str], None],
    packages: PackageSource | None = None,
) -> Resources:
    """Join everything that a session of a run works with."""
    return Resources(
        processor=processor,
        open_sandbox=boxes.open_sandbox,
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
        role_prices=role_prices(settings),
    )


def live_packages(settings: Settings, boxes: SandboxFactory) -> PackageSource | None:
    """Give the way to the configured package index; None where the settings allow no packages.

    Raises:
        SettingsError: The index cannot be used from a box.
    """
    if settings.deps == "off":
        return None
    index = find_index(settings, variables())

    def fetch(run: str, text: str, hashed: bool) -> Fetched:  # noqa: FBT001 - the form of `Fetch`
        return boxes.fetch_packages(run, text, hashed=hashed, index=index)

    return PackageSource(fetch, boxes.install_packages)


def check_packages(plan: RunSpec, settings: Settings) -> None:
    """Make sure that a recorded run may fetch what it would fetch.

    Raises:
        SettingsError: The settings are stricter than the run.
    """
    if MODES.index(plan.dependencies) > MODES.index(settings.deps):
        raise SettingsError(
            "--deps", f"the run fetches packages; say --deps {plan.dependencies} to let it go on so"
        )


def _recorded(settings: Settings) -> Mapping[str, Any]:
    values = settings.model_dump(mode="json", include=set(_RECORDED))
    values["base_url"] = _without_login(values["base_url"])
    roles = settings.roles.model_dump(mode="json", exclude_defaults=True)
    for own in roles.values():
        own.pop("api_key_file", None)
        if "base_url" in own:
            own["base_url"] = _without_login(own["base_url"])
    return {**values, "roles": roles} if roles else values


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return (
        parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        if parts.username or parts.password
        else url
    )
