"""The resources of a run, from its settings: models, sandboxes, limits."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from l2mac.control.budget import Limits
from l2mac.control.effects import Prices
from l2mac.control.run_spec import PlanningOptions, RunSpec
from l2mac.domains.loader import CUSTOM, Domain, load_domain, load_domain_file, with_tools
from l2mac.errors import ModelNotConfigured, SettingsError
from l2mac.evaluator.packages import MODES, PackageSource
from l2mac.processor.cancellation import CancelScope
from l2mac.processor.model_settings import ModelSettings
from l2mac.processor.openai_processor import OpenAIProcessor
from l2mac.processor.protocol import Processor, Watcher
from l2mac.processor.response_cache import ResponseCache
from l2mac.processor.routing import ROLES, ModelRole, RoleModel, RoleProcessor
from l2mac.runs.execute import Resources
from l2mac.runs.package_index import find_index
from l2mac.settings.metadata import recorded_values
from l2mac.settings.presets import PRESETS
from l2mac.settings.role_settings import RoleSettings
from l2mac.settings.settings import Settings, variables
from l2mac.settings.toml_file import expanded, read_key
from l2mac.trace.journal import EntryListener
from sandbox import Fetched
from sandbox.engine.factory import SandboxFactory

_NO_MODEL = (
    "No model is configured. Name the model with --model NAME, and its server with --base-url URL"
    " or --preset NAME."
)
_NO_SERVER = (
    "No server is configured. Set OPENAI_API_KEY to use OpenAI, or name another server with"
    " --base-url URL or --preset NAME."
)


def make_plan(settings: Settings, task: str, program: tuple[str, ...], domain: Domain) -> RunSpec:
    """Return the specification of a run: the settings that stay the same.

    Raises:
        SettingsError: A setting does not apply to the method.
    """
    if settings.method != "l2mac":
        _check_comparison_method(settings, program)
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
        judge=settings.judge,
        method=settings.method,
        mode=settings.mode,
        setup=_setup(settings),
        planning=_planning(settings),
    )


def _planning(settings: Settings) -> PlanningOptions:
    """Return the planning options; a comparison method has no program and takes none."""
    if settings.method != "l2mac":
        return PlanningOptions()
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


def _check_comparison_method(settings: Settings, program: tuple[str, ...]) -> None:
    """Refuse settings that a comparison method would silently ignore."""
    only = "applies only to --method l2mac"
    if program:
        raise SettingsError("--program", f"--program {only}, not to {settings.method}.")
    for name in ("reflections", "summary", "evaluator", "task_in_context"):
        if getattr(settings, name) != Settings.model_fields[name].default:
            no = "no-" if Settings.model_fields[name].default is True else ""
            flag = f"--{no}{name.replace('_', '-')}"
            raise SettingsError(flag, f"{flag} {only}, not to {settings.method}. Omit {flag}.")


def _setup(settings: Settings) -> dict[str, object]:
    """Return the settings of model and sandbox for a resume, without secrets."""
    values = recorded_values(settings, "setup")
    values["base_url"] = _without_login(settings.base_url)
    roles = settings.roles.model_dump(mode="json", exclude_defaults=True)
    for own in roles.values():
        own.pop("api_key_file", None)
        if "base_url" in own:
            own["base_url"] = _without_login(own["base_url"])
    if roles:
        return {**values, "roles": roles}
    del values["roles"]  # without roles in the trace, the files decide on a resume
    return values


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    if not (parts.username or parts.password):
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def choose_domain(settings: Settings) -> Domain:
    """Return the domain that the settings name, checked in full.

    Raises:
        SettingsError: The domain is unknown, its file is invalid, or it does not support a setting.
    """
    domain = _named_domain(settings)
    if settings.method == "codet" and "python" not in (domain.definition.checks or ()):
        raise SettingsError(
            "--method",
            f"--method codet requires a domain with tests. The domain {domain.name} has none.",
        )
    if settings.judge and domain.definition.judge is None:
        raise SettingsError(
            "--judge", f"--judge requires a domain that names what to judge, unlike {domain.name}."
        )
    if settings.tools:
        domain = with_tools(domain, settings.tools)
    if settings.mode == "guided" and not domain.toolbelt.has("write_files"):
        raise SettingsError(
            "--mode",
            "--mode guided requires the tool write_files."
            " Add write_files to --tools, or use --mode agentic.",
        )
    return domain


def _named_domain(settings: Settings) -> Domain:
    if settings.domain_file is None:
        return load_domain(settings.domain)
    if "domain" in settings.model_fields_set and settings.domain != CUSTOM:
        raise SettingsError(
            "--domain-file", f"--domain-file requires --domain {CUSTOM}, not {settings.domain}."
        )
    return load_domain_file(expanded(settings.domain_file))


def make_processor(
    settings: Settings, *, max_retries: int = 4, cancel_scope: CancelScope | None = None
) -> OpenAIProcessor:
    """Return the client of the main model, which writes.

    Raises:
        ModelNotConfigured: No model is named, or OpenAI's own server has no key.
        SettingsError: The key file is unreadable.
    """
    return OpenAIProcessor(_model_settings(settings, max_retries), cancel_scope=cancel_scope)


def make_role_processor(
    settings: Settings,
    role: ModelRole,
    *,
    max_retries: int = 4,
    cancel_scope: CancelScope | None = None,
) -> OpenAIProcessor | None:
    """Return the client of a role's own model, or None.

    Raises:
        SettingsError: A setting of the role is invalid.
    """
    own = _own(settings, role)
    if own is None:
        return None
    try:
        return OpenAIProcessor(
            _role_settings(settings, own, max_retries), cancel_scope=cancel_scope
        )
    except SettingsError as error:
        field = f"roles.{role}.{error.field.removeprefix('--')}"
        raise SettingsError(field, f"{field} is invalid: {error}") from None


def make_processors(
    settings: Settings, *, cancel_scope: CancelScope | None = None
) -> RoleProcessor:
    """Return the models of all roles as one processor.

    Raises:
        ModelNotConfigured: No model is named, or OpenAI's own server has no key.
        SettingsError: A key file is unreadable, or a setting of a role is invalid.
    """
    models: dict[ModelRole, RoleModel] = {}
    with contextlib.ExitStack() as opened:
        for role in ROLES:
            if role == "write":
                client: OpenAIProcessor | None = make_processor(settings, cancel_scope=cancel_scope)
            else:
                client = make_role_processor(settings, role, cancel_scope=cancel_scope)
            if client is not None:
                models[role] = RoleModel(
                    opened.enter_context(client), _window(settings, role), _cache(settings, client)
                )
        opened.pop_all()
    return RoleProcessor(models)


def _model_settings(settings: Settings, max_retries: int) -> ModelSettings:
    key, server = settings.key(), settings.server()
    if not settings.model:
        raise ModelNotConfigured(_NO_MODEL)
    if not (key or server):
        raise ModelNotConfigured(_no_server(settings))
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


def _no_server(settings: Settings) -> str:
    preset = PRESETS.get(settings.preset)
    if preset is None:
        return _NO_SERVER
    return (
        f"--preset {settings.preset} requires the address of your server."
        f" Set {preset.url_variable} and {preset.key_variable}, or use --base-url URL."
    )


def _role_settings(settings: Settings, own: RoleSettings, max_retries: int) -> ModelSettings:
    """Return a role's model settings; unset values are the main model's."""
    base = _model_settings(settings, max_retries)
    elsewhere = bool(own.base_url)
    key = "" if elsewhere else base.api_key  # a key never goes to another server than its own
    if own.api_key_file:
        key = read_key(own.api_key_file, "api_key_file")
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
        expanded(settings.response_cache), identity=client.identity, secrets=client.secrets
    )


def role_prices(settings: Settings) -> Mapping[ModelRole, Prices]:
    """Return the prices of the roles; unset prices are the main model's."""
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
    factory: SandboxFactory,
    processor: Processor,
    *,
    watch: Watcher,
    listener: EntryListener,
    negotiate: Callable[[], str] | None,
    use_protocol: Callable[[str], None],
    packages: PackageSource | None = None,
) -> Resources:
    """Return the resources of one session of a run."""
    return Resources(
        processor=processor,
        open_sandbox=factory.open_sandbox,
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


def live_packages(settings: Settings, factory: SandboxFactory) -> PackageSource | None:
    """Return the source of packages, or None if the settings allow no packages.

    Raises:
        SettingsError: The package index cannot be used from a sandbox.
    """
    if settings.deps == "off":
        return None
    index = find_index(settings, variables())

    def fetch(run: str, text: str, hashed: bool) -> Fetched:  # noqa: FBT001 - the form of `Fetch`
        return factory.fetch_packages(run, text, hashed=hashed, index=index)

    return PackageSource(fetch, factory.install_packages)


def check_packages(plan: RunSpec, settings: Settings) -> None:
    """Check that a recorded run may still fetch its packages.

    Raises:
        SettingsError: The settings are stricter than the run.
    """
    if MODES.index(plan.dependencies) > MODES.index(settings.deps):
        raise SettingsError(
            "--deps",
            f"--deps {settings.deps} is stricter than the run, which fetches packages."
            f" Use --deps {plan.dependencies} to continue the run.",
        )
