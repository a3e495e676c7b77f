"""The `listener` command. Each file here holds the commands of one errand and imports what is heavy only when run."""

from __future__ import annotations

import sys

import click

from listener import __version__
from listener.cli import (
    alarming,
    archiving,
    branding,
    collecting,
    evaluating,
    keeping,
    mailing,
    model,
    models,
    operating,
    reading,
    reviewing,
    serving,
    sourcing,
    topics,
)
from listener.errors import ListenerError


class _Errors(click.Group):
    """Says a ListenerError in one line instead of a traceback: exit 1. Usage errors stay click's: exit 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ListenerError as error:
            click.echo(f"listener: {error}", err=True)
        except BrokenPipeError:  # the reader of a pipe has seen enough, as `| head` does
            sys.stderr.close()
        except OSError as error:
            if not error.filename:  # not about a file of the person's: a mistake of ours
                raise
            click.echo(f"listener: {error.filename}: {error.strerror}", err=True)
        except KeyboardInterrupt:
            click.echo("\nlistener: stopped; what was finished is stored", err=True)
            ctx.exit(130)
        return ctx.exit(1)


@click.group(cls=_Errors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="listener")
def main() -> None:
    """Hears what customers say in public about a brand, and at which moment of truth they say it.

    \b
    Begin with    listener demo       the whole way on sample posts, offline
    then          listener init       writes a configuration to edit
    and           listener run        the daemon: collects, classifies, mails
    When in doubt listener doctor     says what is wrong and what to do

    Progress and errors go to stderr, data to stdout. Exit code 0 is done, 1 is something wrong that was said, 2 is a
    command that was not understood.
    """


for _errand in (
    operating,
    collecting,
    sourcing,
    reading,
    reviewing,
    serving,
    alarming,
    branding,
    keeping,
    archiving,
    mailing,
    model,
    models,
    topics,
    evaluating,
):
    for _command in _errand.COMMANDS:
        main.add_command(_command)
