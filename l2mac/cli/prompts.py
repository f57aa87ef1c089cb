"""`prompts`: the prompts of a domain by kind, and the files that replace them."""

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
    "--domain", type=click.Choice(DOMAINS), help="Shipped domain. Default: codebase."
)
_FILE = click.option(
    "--domain-file", type=click.Path(path_type=Path), help="File that defines a domain."
)


@click.group
def prompts() -> None:
    """List, show, export and check the prompts of a domain.

    \b
    Define your own domain:
      l2mac prompts export --domain book --output my.toml    write a domain into one file
      l2mac prompts check my.toml                            check the file after every change
      l2mac run --domain custom --domain-file my.toml ...    use the domain
    """


@prompts.command("list")
@json_option
def list_kinds(*, as_json: bool) -> None:
    """List the kinds of prompts, with their purpose and required placeholders."""
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
    """Show the text of the prompt KIND with its placeholders."""
    chosen = _chosen(domain, domain_file)
    if kind not in KINDS:
        raise SettingsError(
            "KIND", f"KIND {kind!r} is not a kind of prompt. The kinds are: {', '.join(KINDS)}."
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
    help="New file, such as my-domain.toml.",
)
@_DOMAIN
@_FILE
def export_prompts(output: Path, domain: str | None, domain_file: Path | None) -> None:
    """Write prompts, tools and checks of a domain into a new TOML file.

    The file is a start for your own domain.
    """
    definition = _chosen(domain, domain_file).definition
    text = definition.as_toml("my-domain", extends=domain or DOMAINS[0])
    try:
        fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        problem = f"--output {output} cannot be written: {error.strerror}. Name a new file."
        raise SettingsError("--output", problem) from error
    click.echo(f"wrote {clean(str(output))}")
    click.echo("Entries that you remove from the file are taken from the domain that it extends.")


@prompts.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check_file(file: Path, *, as_json: bool) -> None:
    """Check the file of a domain in full, as a run does before it starts."""
    domain = load_domain_file(file)
    definition = domain.definition
    tools = [spec.name for spec in domain.toolbelt.specs]
    checks = [*(definition.checks or ()), *(command.name for command in definition.commands or ())]
    if as_json:
        facts = {"name": domain.name, "tools": tools, "checks": checks, "prompts": sorted(KINDS)}
        click.echo(json.dumps(facts))
        return
    click.echo(f"{clean(str(file))} is valid: domain {domain.name}")
    click.echo(f"tools    {clean(', '.join(tools))}")
    click.echo(f"checks   {clean(', '.join(checks))}")


def _chosen(domain: str | None, domain_file: Path | None) -> Domain:
    if domain_file is None:
        return load_domain(domain or DOMAINS[0])
    if domain is not None:
        problem = "--domain and --domain-file exclude each other. Use one of them."
        raise SettingsError("--domain-file", problem)
    return load_domain_file(domain_file)
