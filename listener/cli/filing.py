"""What commands that read files share: which column is what, and the source that this makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from listener.config import Config, SourceSettings


def column_options(command: Any) -> Any:
    """The options that say how the columns of a file are to be read."""
    for option in reversed(
        (
            click.option("--brand", default="", help="Every post belongs to this brand, named or not."),
            click.option(
                "--preset",
                default="",
                help="Whose export it is: appstore, booking, google, survey, tripadvisor, trustpilot or generic; "
                "without it that is told from the names of the columns.",
            ),
            click.option(
                "--column",
                "columns",
                multiple=True,
                metavar="FIELD=HEADER",
                help="Which column is what, as text='Review body'. May be repeated.",
            ),
            click.option("--dayfirst", is_flag=True, help="Dates are day first (3/11/2026 is 3 November)."),
            click.option(
                "--timezone", default="", help="Time zone of dates that name none; else that of the configuration."
            ),
        )
    ):
        command = option(command)
    return command


def files_entry(
    config: Config,
    name: str,
    files: Sequence[Path | str],
    *,
    brand: str,
    preset: str,
    columns: Sequence[str],
    dayfirst: bool,
    timezone: str,
) -> SourceSettings:
    """The source of kind "files" that these options describe.

    Raises ConfigError naming the option that cannot be used, and click's BadParameter.
    """
    from listener.config import SourceSettings

    mapping = {}
    for pair in columns:
        field, equals, header = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} should be FIELD=HEADER, as text='Review body'", param_hint="--column")
        mapping[field.strip()] = header.strip()
    options: dict[str, Any] = {"paths": [str(file.absolute() if isinstance(file, Path) else file) for file in files]}
    options |= {"preset": preset} if preset else {}
    options |= {"columns": mapping} if mapping else {}
    options |= {"dayfirst": True} if dayfirst else {}
    options |= {"timezone": timezone or str(config.zone)}
    entry = SourceSettings(name=name, kind="files", brand=brand, keep="all", options=options)
    _check(config, entry)
    return entry


def check_brand(config: Config, brand: str) -> None:
    """Raises ConfigError for a brand that is not configured: a mistyped one would be stored as a new one."""
    from listener.errors import ConfigError
    from listener.settings import nearest

    names = [each.name for each in config.brands]
    if brand and names and brand not in names:
        raise ConfigError(
            f"--brand: there is no [[brand]] called {brand!r}"
            + (nearest(brand, names) or f"; there are: {', '.join(names)}")
        )


def _check(config: Config, entry: SourceSettings) -> None:
    """Raises ConfigError naming the option that cannot be used."""
    from listener import sources as registry
    from listener.errors import ConfigError

    check_brand(config, entry.brand)
    try:
        registry.settings(entry, config.path)
    except ConfigError as error:  # it names a table of the configuration, where this came from the command line
        said = str(error).rpartition(f'[[source]] "{entry.name}" ')[2]
        raise ConfigError(f"--{said.replace('columns', 'column', 1)}") from error
