"""`models`: what a server offers, what a model can do, and the settings that follow from it."""

import json
from dataclasses import asdict
from typing import Any

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


@click.command(cls=SectionedCommand)
@setting_options("Model")
@click.option(
    "--presets", is_flag=True, help="List the servers that --preset knows, and ask nobody."
)
@click.option("--no-probe", is_flag=True, help="Only list what the server offers.")
@click.option(
    "--probe-context",
    type=click.IntRange(min=1024),
    metavar="TOKENS",
    help="Also try prompts up to so many tokens.",
)
@output_options
def models(
    *,
    presets: bool,
    no_probe: bool,
    probe_context: int | None,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """List what the server offers, try what the model can do, and print the settings to use.

    The model is --model, or the only one offered. Probing costs about a thousand tokens; --probe-context costs up to
    five times the tokens given, and says so first.

    \b
    Examples:
      l2mac models --preset ollama --model qwen2.5-coder
      l2mac models --base-url http://127.0.0.1:8080/v1 --probe-context 16384
    """
    if presets:
        click.echo(
            json.dumps({name: asdict(one) for name, one in PRESETS.items()})
            if as_json
            else _preset_lines()
        )
        return OK
    settings = settings_from(flags)
    say = _silent if quiet else _to_stderr
    offers, problem = _offers(settings)
    name = settings.model or (offers[0].name if len(offers) == 1 else "")
    report: dict[str, Any] = {
        "offers": [asdict(offer) for offer in offers],
        "problem": problem,
        "model": name,
    }
    if not as_json:
        click.echo("\n".join(_offer_lines(offers, problem)))
    if no_probe or not name:
        if not name and not no_probe:
            say("name one with --model to have it tried")
        if as_json:
            click.echo(json.dumps(report))
        return MODEL if problem else OK
    with _processor(settings, name) as processor:
        abilities = []
        for ability in probe_capabilities(processor):
            abilities.append(ability)
            if not as_json:
                click.echo(f"{_MARKS[ability.works]} {ability.name:10} {clean(ability.text)}")
        window = _window(processor, probe_context, say)
    if window is not None and not as_json:
        click.echo(f"{_MARKS[window.limit_found or None]} {'context':10} {window.text}")
    declared = next((offer.context_tokens for offer in offers if offer.name == name), None)
    snippet = _snippet(settings, name, abilities, window, declared)
    if as_json:
        report |= {
            "abilities": [asdict(one) for one in abilities],
            "window": asdict(window) if window else None,
        }
        click.echo(json.dumps(report | {"settings": snippet}))
    else:
        click.echo("\n" + clean(snippet), nl=False)
    return OK if _protocol(abilities) else MODEL


def _processor(settings: Settings, name: str) -> OpenAIProcessor:
    """Give the client; a probe that fails is repeated once only."""
    return make_processor(
        settings.model_copy(update={"model": name or "none named"}), max_retries=1
    )


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
        return [f"the server lists no models: {clean(problem)}"]
    lines = [f"{len(offers)} offered:"]
    for offer in offers[:_MOST_LISTED]:
        window = f" (context {offer.context_tokens})" if offer.context_tokens else ""
        lines.append(f"  {clean(offer.name)}{window}")
    return (
        [*lines, f"  and {len(offers) - _MOST_LISTED} more"]
        if len(offers) > _MOST_LISTED
        else lines
    )


def _window(processor: OpenAIProcessor, up_to: int | None, say: Any) -> WindowProbe | None:
    if up_to is None:
        return None
    say(
        f"trying prompts of up to {up_to} tokens; that sends at most about {window_cost_tokens(up_to)} tokens in all"
    )
    return probe_window(processor, up_to=up_to, progress=say)


def _protocol(abilities: list[Capability]) -> str:
    """Give the way to call tools that works, native before JSON; empty where neither does."""
    working = [one.name for one in abilities if one.works and one.name in ("native", "json")]
    return working[0] if working else ""


def _snippet(
    settings: Settings,
    name: str,
    abilities: list[Capability],
    window: WindowProbe | None,
    declared: int | None,
) -> str:
    """Write the settings that follow; no key is ever among them."""
    lines = [f"# {one_line(name, 100)}, as tried"]
    lines += [f"preset = {json.dumps(settings.preset)}"] if settings.preset else []
    if settings.base_url and "@" not in settings.base_url:
        lines.append(f"base_url = {json.dumps(settings.base_url)}")
    lines.append(f"model = {json.dumps(name)}")
    protocol = _protocol(abilities)
    lines.append(
        f'tool_protocol = "{protocol}"'
        if protocol
        else "# neither way to call tools works: not usable"
    )
    tokens = window.accepted_tokens if window else declared
    why = (
        "measured"
        if window
        else "declared by the server"
        if declared
        else "not measured: see --probe-context"
    )
    lines.append(f"context_tokens = {tokens or settings.context_tokens}  # {why}")
    return "\n".join(lines) + "\n"


def _preset_lines() -> str:
    rows = []
    for name, one in PRESETS.items():
        key = f"key in {one.key_variable}" if one.key_variable else "no key"
        where = one.base_url or f"address in {one.url_variable}"
        rows.append(f"{name:22} {where:52} {key}" + (f"\n{'':22} {one.note}" if one.note else ""))
    return "\n".join(rows)


def _to_stderr(line: str) -> None:
    click.echo(clean(line), err=True)


def _silent(_: str) -> None:
    """Say nothing."""
