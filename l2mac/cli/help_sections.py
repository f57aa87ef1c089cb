"""Help in sections: a command with forty options is read by what they are about."""

from collections.abc import Sequence

import click

from l2mac.cli.options import SHARED

_OWN = "Options"


class SectionedCommand(click.Command):
    """A command whose own options come first in its help, and the shared ones behind them, section by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each in its section."""
        rows: dict[str, list[tuple[str, str]]] = {section: [] for section in (_OWN, *SHARED)}
        section_of = {name: section for section, names in SHARED.items() for name in names}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                rows[section_of.get(parameter.name or "", _OWN)].append(record)
        for section, records in rows.items():
            if records:
                _write(formatter, section, records)


def _write(
    formatter: click.HelpFormatter, section: str, records: Sequence[tuple[str, str]]
) -> None:
    with formatter.section(section):
        formatter.write_dl(records)
