"""The command that serves the page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from listener.cli.shared import FILE, common, say

if TYPE_CHECKING:
    from listener.config import Config

_PASSWORD = "LISTENER_PASSWORD"  # noqa: S105


@click.command(short_help="The page: look, search, correct, in a browser.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=8001, show_default=True, type=click.IntRange(0, 65535), help="Its port; 0 takes a free one."
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="A name under which browsers reach the page, as behind a proxy: page.example.org.",
)
@click.option("--password-file", type=FILE, help=f"The file that holds the page's password (or ${_PASSWORD}).")
@click.option("--certificate", type=FILE, help="A certificate as PEM, for HTTPS; with --key.")
@click.option("--key", type=FILE, help="The key of that certificate.")
@common
def serve(
    config: Config,
    host: str,
    port: int,
    names: tuple[str, ...],
    password_file: Path | None,
    certificate: Path | None,
    key: Path | None,
) -> None:
    """The page: trends as pictures, posts to search, verdicts to correct, sources, digests, and SQL that only reads.

    Only this machine reaches it, unless --host or --name say otherwise, and then it asks for a password. It reads
    beside a running daemon. docs/page.md says how to reach it from elsewhere.
    """
    from listener.daemon import now_utc
    from listener.errors import ListenerError

    if bool(certificate) != bool(key):
        raise click.UsageError("--certificate and --key go together")
    try:
        from listener.web.door import Door
        from listener.web.server import serve as serving
    except ImportError as error:
        raise ListenerError(
            f"the page needs packages that are not here ({error}): pip install 'listener-daemon[serve]'"
        ) from error
    door = Door(host, port, names, _password(password_file))
    pair = (certificate, key) if certificate and key else None
    serving(config, door, now_utc, pair, _tell)


def _password(file: Path | None) -> str:
    if file is None:
        return os.environ.get(_PASSWORD, "")
    from listener.settings.secrets import Secret

    return Secret(file=file).read("the page's password")


def _tell(address: str) -> None:
    click.echo(address)
    say("The page is there until you press Ctrl-C.")


COMMANDS = (serve,)
