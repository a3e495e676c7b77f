"""Commands about what is kept: backup, export, purge, forget."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listener.cli.reading import filters, single
from listener.cli.shared import as_json, common, progress, say

if TYPE_CHECKING:
    from listener.config import Config

_FORMATS = (".jsonl", ".csv", ".parquet")


@click.command(short_help="Copies the database while it is in use.")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@common
def backup(config: Config, file: Path | None) -> None:
    """Copies the database to FILE (else backups/listener-DATE.db beside it), whole and examined, while it is in use.

    The daemon need not stop. To go back, stop it and put the copy in the database's place. Keep the key of the authors'
    hashes (listener.key) with it: without the key, authors cannot be told again.
    """
    from listener import backups, crash, pipeline
    from listener.daemon import now_utc

    now = now_utc()
    if not config.database.exists():
        raise click.UsageError(f"there is no database at {config.database} to copy")
    out = file or config.database.parent / "backups" / f"listener-{now.astimezone(config.zone):%Y-%m-%d-%H%M%S}.db"
    with pipeline.open_store(config) as store:
        store.note_file(out.absolute(), "backup", now)  # noted first: the copy then knows of itself as well
        crash.here("backup.noted")
        with progress("copying", None) as advance:
            done = 0

            def tell(copied: int, total: int) -> None:
                nonlocal done
                advance(copied - done)
                done = copied

            backups.copy(config.database, out, tell)
    click.echo(out)
    key = config.privacy.key_file or config.database.parent / "listener.key"
    if config.privacy.authors == "hash":
        say(f"Keep a copy of {key} as well, in another place: it tells authors again.")


@click.command(short_help="Posts and verdicts as JSON Lines, CSV or Parquet.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("query", default="")
@filters
@common
def export(config: Config, file: Path, query: str, **chosen: Any) -> None:
    """Writes posts with their verdicts to FILE, newest first; its ending says how: .jsonl, .csv or .parquet.

    QUERY and the filters are those of `listener posts`. Texts that a spreadsheet would run are quoted in CSV. Parquet
    needs the package pyarrow (the extra `parquet`).
    """
    from listener import exports, pipeline
    from listener import trends as reading
    from listener.daemon import now_utc
    from listener.reads import search

    if file.suffix not in _FORMATS:
        raise click.BadParameter(f"{file.name} should end in one of {', '.join(_FORMATS)}", param_hint="FILE")
    with (
        closing(reading.open_reader(config.database, config.zone)) as reader,
        progress("exporting", None) as advance,
    ):
        rows = search.stream(reader, query, **single(chosen))
        number = exports.write(file, (row.as_json() for row in rows), advance)
    with pipeline.open_store(config) as store:
        store.note_file(file.absolute(), "export", now_utc())
    click.echo(file)
    say(f"{number:,} posts. It holds what people wrote; `listener forget` tells of it, and cannot change it.")


@click.command(short_help="Erases what is past its keep_days, now.")
@click.option("--json", "json_", is_flag=True, help="How many posts of which source, as JSON.")
@common
def purge(config: Config, json_: bool) -> None:
    """Erases the words, authors and addresses of posts that are past their keep_days; their counts stay in the trends.

    The daemon does this every hour by itself.
    """
    from listener import pipeline
    from listener.daemon import now_utc

    with pipeline.open_store(config) as store:
        gone = pipeline.purge(store, config, now_utc())
    if json_:
        as_json(gone)
        return
    for name, number in gone.items():
        click.echo(f"{name}: {number:,} posts")
    limits = [config.privacy.keep_days, *(entry.keep_days for entry in config.sources)]
    if not any(limits):
        say("No keep_days is set, under [privacy] or a [[source]]: everything is kept.")
    elif not gone:
        say("Nothing is past its keep_days.")


@click.command(short_help="Erases an author, or a post, for good.")
@click.option("--author", default="", help="The author's name, as the source shows it.")
@click.option("--post", "given", default="", help="The address of a post, or its id at the source.")
@click.option("--source", default="", help="At this source only; else at all of them.")
@common
def forget(config: Config, author: str, given: str, source: str) -> None:
    """Erases all posts of an author, or one post with its copies, for good: they are not taken again.

    Does the same in the backups that `listener backup` made and that are still where they were. Exports, saved digests
    and mails cannot be changed from here; it names the files.
    """
    from listener import crash, pipeline
    from listener.daemon import now_utc
    from listener.errors import ConfigError
    from listener.settings import nearest
    from listener.wording import count

    if bool(author) == bool(given):
        raise click.UsageError("say whom or what: --author NAME, or --post ADDRESS")
    now = now_utc()

    def erase(config: Config) -> int:
        with pipeline.open_store(config) as store:
            if source and source not in store.source_kinds():
                raise ConfigError(f"there is no source {source!r}{nearest(source, store.source_kinds())}")
            if author:
                return store.forget_author(author, source, now)
            return store.forget_post(given, source, now)

    done = erase(config)
    crash.here("forget.database")
    say(f"{count(done, 'post')} erased." if done else "No stored post fits.")
    with pipeline.open_store(config) as store:
        files = store.written_files()
    for path, kind in files:
        if kind == "backup":
            number = erase(config.model_copy(update={"database": path, "privacy": _with_key(config)}))
            say(f"{path}: {count(number, 'post')} erased in this backup.")
    left = [str(path) for path, kind in files if kind != "backup"]
    digests = config.database.parent / "digests"
    if left := left + ([f"{digests}/"] if digests.is_dir() else []):
        say("These files of ours may still hold their words; delete them, or make them again:")
        for name in left:
            click.echo(name)


def _with_key(config: Config) -> Any:
    """The privacy settings with the key named: a backup lies in another folder, where no key is."""
    key = config.privacy.key_file or config.database.parent / "listener.key"
    return config.privacy.model_copy(update={"key_file": key})


COMMANDS = (backup, export, purge, forget)
