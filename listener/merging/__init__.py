"""The database of another machine into ours: by the same identities, each post once, however often it is done.

Both may have met a post. Then the newer text and engagement count, the first date stays, a verdict by our model in
charge goes before others, and what either of them erased is erased. Every batch of posts is one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from listener.errors import StoreError
from listener.merging import writing
from listener.merging.joining import Row, Version, dated, joined
from listener.migrations import BUSY_S, explained, refuse, state
from listener.store import Store
from listener.tables import agenda, erasure, pages

_AT_ONCE = 500  # posts a transaction

# A brand that a person said the post is not about is named by it all the same.
_BELONGING = """
    (SELECT json_group_object(brand, why) FROM (SELECT brand, why FROM mentions WHERE post_id = p.id
        UNION ALL SELECT brand, why FROM disowned WHERE post_id = p.id)) AS brands,
    (SELECT json_group_array(touchpoint) FROM verdict_touchpoints WHERE post_id = p.id) AS touchpoints"""

_THEIRS = f"""
SELECT p.*, o.source AS original_source, o.native_id AS original_id,
    {_BELONGING}
FROM posts p LEFT JOIN posts o ON o.id = p.copy_of WHERE p.id > ? ORDER BY p.id LIMIT ?
"""  # noqa: S608  # SQL of ours

_OURS = f"""
SELECT p.*, NULL AS original_source, NULL AS original_id,
    {_BELONGING}
FROM json_each(?) asked JOIN posts p
    ON p.source = json_extract(asked.value, '$[0]') AND p.native_id = json_extract(asked.value, '$[1]')
"""  # noqa: S608

_VERDICTS = "SELECT * FROM verdicts WHERE post_id IN (SELECT value FROM json_each(?))"
_OVERRULED = "SELECT * FROM overruled WHERE post_id IN (SELECT value FROM json_each(?))"
_CORRECTIONS = "SELECT * FROM corrections WHERE post_id IN (SELECT value FROM json_each(?)) ORDER BY at, id"

_ANY_AUTHOR = "SELECT 1 FROM posts WHERE author <> '' UNION ALL SELECT 1 FROM forgotten LIMIT 1"
_KNOW_SOURCE = "INSERT OR IGNORE INTO sources (name, kind, every_s, enabled) VALUES (?, ?, 0, 0)"
_KNOW_MODEL = "INSERT OR IGNORE INTO models (name, confusion, noted_at) VALUES (?, ?, ?)"
_FORGET = "INSERT OR IGNORE INTO forgotten (source, author, at) VALUES (?, ?, ?)"

TakeAuthor = Callable[[str, str], str]  # source and author as they keep it -> as we keep it


@dataclass
class Merged:
    """What came of a merge, in posts; `verdicts` are those that were taken."""

    seen: int = 0
    new: int = 0
    updated: int = 0
    deleted: int = 0
    expired: int = 0
    verdicts: int = 0
    forgotten: int = 0  # left out: their authors are to be forgotten here

    def as_json(self) -> dict[str, int]:
        return asdict(self)


def merge(store: Store, other: Path, now: datetime, on_posts: Callable[[int], object] = bool) -> Merged:
    """Brings everything that another database holds into `store`. Done again it changes nothing; one that was stopped
    may be begun again. The links to brands are to be asked for anew afterwards, see `Store.relink`.

    Raises StoreError: not to be read, of another version, `store` itself, or with authors hashed with another key.
    """
    if other.exists() and other.samefile(store.path):
        raise StoreError(f"{other} is the database to merge into; name another one")
    merged = Merged()
    with _opened(other) as reader:
        take = _author_taker(store, reader, other)
        with store.writing() as connection:
            merged.deleted += _bring_the_rest(connection, reader, take, now)
        last = 0
        while rows := reader.execute(_THEIRS, (last, _AT_ONCE)).fetchall():
            last = rows[-1]["id"]
            theirs = [
                replace(each, row={**each.row, "author": take(each.row["source"], each.row["author"])})
                for each in _versions(reader, rows)
            ]
            with store.writing() as connection:
                _bring(connection, theirs, store, now, merged)
            on_posts(len(rows))
    store.doubt_links("merged")
    return merged


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Another database, read only and in one state, while its own daemon may go on."""
    if not path.exists():
        raise StoreError(f"there is no database at {path}")
    with explained(path):
        reader = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
        with closing(reader):
            found = state(reader)
            refuse(found, path)
            if found != "current":
                raise StoreError(
                    f"{path} has not the tables of this version; run `listener purge` with its own --config"
                )
            reader.row_factory = sqlite3.Row
            reader.execute("BEGIN")
            yield reader


def _author_taker(store: Store, reader: sqlite3.Connection, other: Path) -> TakeAuthor:
    """How the other database's authors become ours. Raises StoreError when they cannot."""
    row = reader.execute("SELECT value FROM meta WHERE key = 'authors'").fetchone()
    theirs = row[0] if row else ""
    ours = store.privacy
    if ours.authors == "drop" or theirs == "plain":
        return ours.author
    if theirs in ("drop", ours.mark) or not reader.execute(_ANY_AUTHOR).fetchone():
        return lambda source, author: author
    if not theirs:
        raise StoreError(f"{other} does not say how it keeps authors; run `listener purge` with its own --config")
    raise StoreError(
        f"the authors in {other} are hashed with another key than those in {store.path}, so that one who is to be "
        "forgotten could not be told. Give all machines one key ([privacy] key_file) before they begin; databases of "
        "different keys can be read together with DuckDB (docs/scale.md)"
    )


def _bring_the_rest(connection: sqlite3.Connection, reader: sqlite3.Connection, take: TakeAuthor, now: datetime) -> int:
    """Sources, gaps, what is known of models, authors to be forgotten; returns how many posts were erased for these."""
    for statement, query in (
        (_KNOW_SOURCE, "SELECT name, kind FROM sources"),
        (_KNOW_MODEL, "SELECT name, confusion, noted_at FROM models"),
    ):
        connection.executemany(statement, [tuple(row) for row in reader.execute(query)])
    gaps = reader.execute("SELECT source, since, until, why, noted_at FROM gaps")
    connection.executemany(agenda.NOTE_GAP, [dict(row) for row in gaps])
    theirs = reader.execute("SELECT source, author, at FROM forgotten").fetchall()
    forgotten = [(source, author, at) for source, name, at in theirs if (author := take(source, name))]
    gone = erasure.by_author(connection, [(source, author) for source, author, _ in forgotten])
    connection.executemany(_FORGET, forgotten)
    return pages.delete(connection, gone, now)


def _bring(
    connection: sqlite3.Connection, theirs: Sequence[Version], store: Store, now: datetime, merged: Merged
) -> None:
    """One batch of their posts, with all that belongs to them."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'model'").fetchone()
    in_charge = found[0] if found else None
    barred = {source: erasure.forgotten(connection, source) for source in {each.row["source"] for each in theirs}}
    ours = _ours(connection, theirs)
    over = [ours[each.key].row["id"] for each in theirs if each.key in ours and _outlived(ours[each.key], each)]
    if over:
        merged.expired += erasure.empty(connection, over, now)
        ours = _ours(connection, theirs)
    new: list[Version] = []
    changed: list[tuple[Version, Version]] = []
    gone: list[int] = []
    for version in theirs:
        mine, deleted = ours.get(version.key), version.row["deleted_at"]
        if version.row["author"] in barred[version.row["source"]] and not deleted:
            merged.forgotten += 1
            if mine and not mine.row["deleted_at"]:
                gone.append(mine.row["id"])  # ours came without its author, who is known now
        elif mine is None:
            new.append(dated(version, store.zone))
        elif mine.row["deleted_at"]:
            continue
        elif deleted:
            gone.append(mine.row["id"])
        elif (after := joined(mine, version, in_charge, store.zone)) != mine:
            changed.append((mine, after))
    merged.seen += len(theirs)
    merged.new += len(new)
    merged.updated += sum((mine.row, mine.brands) != (after.row, after.brands) for mine, after in changed)
    merged.deleted += pages.delete(connection, gone, now)
    merged.verdicts += writing.write(connection, new, changed)


def _outlived(mine: Version, theirs: Version) -> bool:
    """Whether the words of a post are kept here whose time was over there."""
    live = not (mine.row["deleted_at"] or mine.row["expired_at"])
    return bool(live and theirs.row["expired_at"] and not theirs.row["deleted_at"])


def _ours(connection: sqlite3.Connection, theirs: Sequence[Version]) -> dict[tuple[str, str], Version]:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    rows = cursor.execute(_OURS, (json.dumps([each.key for each in theirs]),)).fetchall()
    return {each.key: each for each in _versions(connection, rows)}


def _versions(database: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[Version]:
    cursor = database.cursor()
    cursor.row_factory = sqlite3.Row
    ids = json.dumps([row["id"] for row in rows])
    verdicts, overruled, corrections = (
        _by_post(cursor.execute(query, (ids,))) for query in (_VERDICTS, _OVERRULED, _CORRECTIONS)
    )
    found = []
    for each in rows:
        row = dict(each)
        post_id, original = row["id"], (row.pop("original_source"), row.pop("original_id"))
        brands, touchpoints = json.loads(row.pop("brands")), json.loads(row.pop("touchpoints"))
        (verdict,) = verdicts.get(post_id, [None])
        if verdict:
            verdict["touchpoints"] = sorted(touchpoints)
            for said in overruled.get(post_id, []):  # what the model says, where a person said otherwise
                verdict |= {**said, "judged_by": "model", "touchpoints": sorted(json.loads(said["touchpoints"]))}
            verdict = verdict if verdict["model"] else None  # a person alone has judged it
        history = tuple(corrections.get(post_id, []))
        found.append(Version(row, brands, verdict, history, original if original[0] is not None else None))
    return found


def _by_post(rows: Iterable[sqlite3.Row]) -> dict[int, list[Row]]:
    """Rows that belong to posts, without the numbers that are others in each database."""
    found: dict[int, list[Row]] = {}
    for each in rows:
        row = dict(each)
        row.pop("id", None)
        found.setdefault(row.pop("post_id"), []).append(row)
    return found
