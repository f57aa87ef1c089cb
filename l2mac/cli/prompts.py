"""`prompts`: what the model is told, kind by kind, and the files that change it."""

import json
import os
from pathlib import Path

import click

from l2mac.cli.options import json_option
from l2mac.domains.loader import DOMAINS, Domain, load_domain, load_domain_file
from l2mac.domains.prompt_set import KINDS, PURPOSES
from l2mac.errors import SettingsError
from l2mac.safe_text import clean

_DOMAIN = click.option(
    "--domain", type=click.Choice(DOMAINS), help="A domain that comes along. Default: codebase."
)
_FILE = click.option(
    "--domain-file", type=click.Path(path_type=Path), help="A file that defines a domain."
)


@click.group
def prompts() -> None:
    """List, show, export and check the prompts of a domain.

    \b
    Make a domain of your own:
      l2mac prompts export --domain book --output my.toml    all of it in one file
      l2mac prompts check my.toml                            after every change
      l2mac run --domain custom --domain-file my.toml ...    use it
    """


@prompts.command("list")
@json_option
def list_kinds(*, as_json: bool) -> None:
    """List the kinds of prompts: what each is for, and the placeholders that it has to use."""
    rows = [
        {"kind": kind, "purpose": PURPOSES[kind], "placeholders": sorted(KINDS[kind])}
        for kind in KINDS
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    width = max(map(len, KINDS))
    for kind, placeholders in KINDS.items():
        click.echo(f"{kind:{width}} {PURPOSES[kind]}")
        if placeholders:
            click.echo(f"{'':{width}} {' '.join(f'${name}' for name in sorted(placeholders))}")


@prompts.command("show")
@click.argument("kind")
@_DOMAIN
@_FILE
@json_option
def show_prompt(kind: str, domain: str | None, domain_file: Path | None, *, as_json: bool) -> None:
    """Show the text of the prompt KIND as it is before its placeholders are filled in."""
    chosen = _chosen(domain, domain_file)
    if kind not in KINDS:
        raise SettingsError(
            "KIND", f"{kind!r} is not a kind of prompt; the kinds are: {', '.join(KINDS)}"
        )
    text = chosen.definition.prompts[kind].strip()
    if as_json:
        content = {"domain": chosen.name, "kind": kind, "purpose": PURPOSES[kind], "text": text}
        click.echo(json.dumps({**content, "placeholders": sorted(KINDS[kind])}))
    else:
        click.echo(clean(text))


@prompts.command("export")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The new file, such as my-domain.toml.",
)
@_DOMAIN
@_FILE
def export_prompts(output: Path, domain: str | None, domain_file: Path | None) -> None:
    """Write a whole domain, prompts, tools and checks, into a new TOML file to start one of your own from."""
    definition = _chosen(domain, domain_file).definition
    text = definition.as_toml("my-domain", extends=domain or DOMAINS[0])
    try:
        fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SettingsError(
            "--output", f"{output} cannot be written: {error.strerror}; name a new file"
        ) from error
    click.echo(
        f"wrote {clean(str(output))}; what you remove from it stays as it is in the domain that it extends"
    )


@prompts.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check_file(file: Path, *, as_json: bool) -> None:
    """Check the FILE of a domain in full, as a run does before it begins."""
    domain = load_domain_file(file)
    definition = domain.definition
    tools = [spec.name for spec in domain.toolbelt.specs]
    checks = [*(definition.checks or ()), *(command.name for command in definition.commands or ())]
    if as_json:
        click.echo(
            json.dumps(
                {"name": domain.name, "tools": tools, "checks": checks, "prompts": sorted(KINDS)}
            )
        )
        return
    click.echo(f"{clean(str(file))} is good: the domain {domain.name}")
    click.echo(f"tools    {clean(', '.join(tools))}")
    click.echo(f"checks   {clean(', '.join(checks))}")


def _chosen(domain: str | None, domain_file: Path | None) -> Domain:
    if domain_file is None:
        return load_domain(domain or DOMAINS[0])
    if domain is not None:
        raise SettingsError("--domain-file", "give either --domain or --domain-file, not both")
    return load_domain_file(domain_file)
