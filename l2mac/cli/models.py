"""`models`: models of a server, abilities of one model, resulting settings."""

import json
from collections.abc import Callable
from dataclasses import asdict

import click

from l2mac.cli.exit_codes import MODEL, OK
from l2mac.cli.options import (
    SectionedCommand,
    output_options,
    setting_options,
    settings_from,
)
from l2mac.errors import ModelNotConfigured, ProcessorError
from l2mac.processor.capability_probe import (
    Capability,
    WindowProbe,
    probe_capabilities,
    probe_window,
    window_cost_tokens,
)
from l2mac.processor.model_list import ModelInfo
from l2mac.processor.openai_processor import OpenAIProcessor
from l2mac.runs.wiring import make_processor
from l2mac.safe_text import clean, one_line
from l2mac.settings.presets import PRESETS
from l2mac.settings.settings import Settings

_MARKS = {True: "yes", False: "no ", None: "?  "}
_MOST_LISTED = 50
Say = Callable[[str], None]


@click.command(cls=SectionedCommand)
@setting_options("Model")
@click.option("--presets", is_flag=True, help="List known servers without contacting any server.")
@click.option("--no-probe", is_flag=True, help="List the models and test none.")
@click.option(
    "--probe-context",
    type=click.IntRange(min=1024),
    metavar="TOKENS",
    help="Test the context window with prompts of up to TOKENS tokens.",
)
@output_options
def models(
    *,
    presets: bool,
    no_probe: bool,
    probe_context: int | None,
    quiet: bool,
    as_json: bool,
    **flags: object,
) -> int:
    """List the models of a server, and test one of them.

    The tested model is --model, or the only one of the server. The command prints the settings to
    use. The test costs about a thousand tokens. --probe-context costs up to five times the tokens
    given, and prints the estimate first.

    \b
    Examples:
      l2mac models --preset ollama --model qwen2.5-coder
      l2mac models --base-url http://127.0.0.1:8080/v1 --probe-context 16384
    """
    if presets:
        click.echo(_presets_as_json() if as_json else _preset_lines())
        return OK
    settings = settings_from(flags)
    say = _silent if quiet else _to_stderr
    offers, problem = _offers(settings)
    name = settings.model or (offers[0].name if len(offers) == 1 else "")
    report = {"offers": [asdict(offer) for offer in offers], "problem": problem, "model": name}
    if not as_json:
        click.echo("\n".join(_offer_lines(offers, problem)))
    if no_probe or not name:
        if not name and not no_probe:
            say("Name a model with --model to test it.")
        if as_json:
            click.echo(json.dumps(report))
        return MODEL if problem else OK
    abilities, window = _probed(settings, name, probe_context, say, as_json=as_json)
    declared = next((offer.context_tokens for offer in offers if offer.name == name), None)
    snippet = _snippet(settings, name, abilities, window, declared)
    if as_json:
        tested = {"abilities": [asdict(one) for one in abilities], "settings": snippet}
        click.echo(json.dumps(report | tested | {"window": asdict(window) if window else None}))
    else:
        click.echo("\n" + clean(snippet), nl=False)
    return OK if _protocol(abilities) else MODEL


def _probed(
    settings: Settings, name: str, up_to: int | None, say: Say, *, as_json: bool
) -> tuple[list[Capability], WindowProbe | None]:
    """Test the model, and print each finding when it is there."""
    abilities = []
    with _processor(settings, name) as processor:
        for ability in probe_capabilities(processor):
            abilities.append(ability)
            if not as_json:
                click.echo(f"{_MARKS[ability.works]} {ability.name:10} {clean(ability.text)}")
        window = _window(processor, up_to, say)
    if window is not None and not as_json:
        click.echo(f"{_MARKS[window.limit_found or None]} {'context':10} {window.text}")
    return abilities, window


def _processor(settings: Settings, name: str) -> OpenAIProcessor:
    """Return the client. A failed test is repeated only once."""
    named = settings.model_copy(update={"model": name or "none named"})
    return make_processor(named, max_retries=1)


def _offers(settings: Settings) -> tuple[tuple[ModelInfo, ...], str]:
    try:
        with _processor(settings, settings.model) as processor:
            return processor.list_models(), ""
    except ModelNotConfigured:
        raise
    except ProcessorError as error:
        if not settings.model:
            raise
        return (), str(error)


def _offer_lines(offers: tuple[ModelInfo, ...], problem: str) -> list[str]:
    if problem:
        return [f"The server lists no models. {clean(problem)}"]
    lines = [f"{len(offers)} models:"]
    for offer in offers[:_MOST_LISTED]:
        window = f" (context {offer.context_tokens})" if offer.context_tokens else ""
        lines.append(f"  {clean(offer.name)}{window}")
    if len(offers) > _MOST_LISTED:
        lines.append(f"  and {len(offers) - _MOST_LISTED} more")
    return lines


def _window(processor: OpenAIProcessor, up_to: int | None, say: Say) -> WindowProbe | None:
    if up_to is None:
        return None
    cost = window_cost_tokens(up_to)
    say(f"Testing prompts of up to {up_to} tokens, which sends at most about {cost} tokens.")
    return probe_window(processor, up_to=up_to, progress=say)


def _protocol(abilities: list[Capability]) -> str:
    """Return the tool call format that works, native before JSON, or ''."""
    working = [one.name for one in abilities if one.works and one.name in ("native", "json")]
    return working[0] if working else ""


def _snippet(
    settings: Settings,
    name: str,
    abilities: list[Capability],
    window: WindowProbe | None,
    declared: int | None,
) -> str:
    """Return the resulting settings as TOML; no key is ever among them."""
    lines = [f"# {one_line(name, 100)}, as tested"]
    if settings.preset:
        lines.append(f"preset = {json.dumps(settings.preset)}")
    if settings.base_url and "@" not in settings.base_url:
        lines.append(f"base_url = {json.dumps(settings.base_url)}")
    lines.append(f"model = {json.dumps(name)}")
    if protocol := _protocol(abilities):
        lines.append(f'tool_protocol = "{protocol}"')
    else:
        lines.append("# not usable: neither tool call format works")
    if window:
        tokens, source = window.accepted_tokens, "measured"
    elif declared:
        tokens, source = declared, "declared by the server"
    else:
        tokens, source = 0, "not measured: see --probe-context"
    lines.append(f"context_tokens = {tokens or settings.context_tokens}  # {source}")
    return "\n".join(lines) + "\n"


def _presets_as_json() -> str:
    return json.dumps({name: asdict(one) for name, one in PRESETS.items()})


def _preset_lines() -> str:
    lines = []
    for name, one in PRESETS.items():
        key = f"key in {one.key_variable}" if one.key_variable else "no key"
        address = one.base_url or f"address in {one.url_variable}"
        lines.append(f"{name:22} {address:52} {key}")
        if one.note:
            lines.append(f"{'':22} {one.note}")
    return "\n".join(lines)


def _to_stderr(line: str) -> None:
    click.echo(clean(line), err=True)


def _silent(_: str) -> None:
    """Print nothing."""
