"""The result of a backfill into the database: posts with the verdicts they have, so that nothing is judged twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from listener import linking
from listener.archives.reading import OURS
from listener.config import Config, SourceSettings
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ListenerError
from listener.records import Page, Post, Rating, Scores, Verdict
from listener.store import Store
from listener.tables import agenda, erasure, judgements, pages
from listener.tables.rows import Privacy, post_row

_ROWS = 500  # a transaction

_KNOWN = """
SELECT p.native_id, p.id, p.text_hash, CASE WHEN v.text_hash = p.text_hash THEN v.model END
FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id
WHERE p.source = ? AND p.native_id IN (SELECT value FROM json_each(?)) AND p.deleted_at IS NULL
"""


@dataclass
class Taken:
    """What came of an import of results."""

    seen: int = 0
    new: int = 0
    edited: int = 0
    verdicts: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    sources: set[str] = field(default_factory=set)

    def __add__(self, other: Taken) -> Taken:
        return Taken(
            self.seen + other.seen, self.new + other.new, self.edited + other.edited, self.verdicts + other.verdicts,
            self.skipped + other.skipped, self.sources | other.sources,
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        return {
            "sources": sorted(self.sources), "seen": self.seen, "new": self.new, "edited": self.edited,
            "verdicts": self.verdicts, "skipped": dict(self.skipped),
        }  # fmt: skip


def is_result(path: Path) -> bool:
    """Whether this is a folder that `listener backfill` wrote."""
    return (path / "_backfill").is_dir()


def parts(folder: Path) -> list[Path]:
    """The parts of a result, oldest day first.

    Raises ListenerError where a backfill has not finished with an input: the rest of its rows would be missed.
    """
    for note in sorted((folder / "_backfill").glob("*.json")):
        try:
            state = json.loads(note.read_bytes())["state"]
        except (ValueError, KeyError) as error:
            raise ListenerError(f"{note}: not written by `listener backfill`; run the same backfill again") from error
        if state != "done":
            raise ListenerError(f"{folder}: a backfill was stopped while it wrote here; run it again to its end first")
    return sorted(folder.glob("day=*/part-*.parquet"))


def take(
    store: Store, config: Config, part: Path, name: str, brand: str, now: datetime, on_rows: Callable[[int], object]
) -> Taken:
    """Stores the posts of one part with their verdicts; `name` is the source, or "" for the one that the backfill was
    told. Done again it adds nothing.

    A verdict by the model in charge stands, and the post does not wait; one by another model waits for the one in
    charge, and replaces no verdict of that one. Raises ListenerError when the part cannot be read, or holds authors
    that were hashed with another key.
    """
    match, taken = linking.brand_matcher(config), Taken()
    for about, rows in _read(part):
        authors = any(row["author"] for row in rows)
        privacy = _privacy(config, about, part, store) if authors else store.privacy
        by_source: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_source.setdefault(name or row["source"], []).append(row)
        for source, own in by_source.items():
            entry = SourceSettings(name=source, kind="files", brand=brand, keep="all")
            _store(store, entry, own, privacy, match, now, taken)
            taken.sources.add(source)
        on_rows(len(rows))
    store.doubt_links(linking.brands_key(config))
    return taken


def _read(part: Path) -> Iterator[tuple[Mapping[str, str], list[dict[str, Any]]]]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(part) as file:
            told = (file.schema_arrow.metadata or {}).get(OURS)
            if told is None:
                raise ListenerError(f"{part}: not written by `listener backfill`; take it out of the folder")
            about = json.loads(told)
            for batch in file.iter_batches(batch_size=_ROWS):
                yield about, batch.to_pylist()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ListenerError(f"{part}: damaged ({error}); run the same backfill again, or copy it anew") from error


def _privacy(config: Config, about: Mapping[str, str], part: Path, store: Store) -> Privacy:
    """How the authors of a part are to be taken: as they stand there where they are hashed already."""
    ours = store.privacy
    if ours.authors == "drop" or about["authors"] in ("drop", "plain"):
        return ours
    if (ours.authors, ours.key_mark) == ("hash", about["key"]):
        return Privacy("plain", b"")
    raise ListenerError(
        f"{part}: its authors were hashed with another key than that of {config.database}, so that those who are to be "
        "forgotten could not be told; run the backfill again with the same --config or --db, which name the key"
    )


def _store(
    store: Store,
    entry: SourceSettings,
    rows: list[dict[str, Any]],
    privacy: Privacy,
    match: linking.Match,
    now: datetime,
    taken: Taken,
) -> None:
    """One transaction: posts, brands and verdicts together, so that no daemon judges them in between."""
    page, links = linking.link(Page(tuple(_post(row) for row in rows)), entry, match)
    posts = [post_row(entry.name, post, now, store.zone, privacy) for post in page.posts]
    said = {post["native_id"]: (row["model"], post["text_hash"], row) for post, row in zip(posts, rows, strict=True)}
    with store.writing() as connection:
        barred = erasure.forgotten(connection, entry.name)
        kept = [(post, found) for post, found in zip(posts, links, strict=True) if post["author"] not in barred]
        agenda.know(connection, entry.name)
        new, edited = pages.save(connection, entry.name, kept, now)
        in_charge = connection.execute("SELECT value FROM meta WHERE key = 'model'").fetchone()
        model = in_charge[0] if in_charge else None
        verdicts = []
        for native_id, post_id, text_hash, judge in connection.execute(_KNOWN, (entry.name, json.dumps(list(said)))):
            by, of, row = said[native_id]
            if of == text_hash and judge not in (by, model or by):
                verdicts.append(Verdict(post_id, by, text_hash, _scores(row)))
        taken.verdicts += judgements.save(connection, verdicts, now, model)
    taken.seen += len(rows)
    taken.new += len(new)
    taken.edited += edited
    if len(kept) < len(posts):
        taken.skipped["its author is to be forgotten"] += len(posts) - len(kept)


def _post(row: Mapping[str, Any]) -> Post:
    rated = None not in (row["rating_value"], row["rating_worst"], row["rating_best"])
    return Post(
        source=row["source"],
        native_id=row["native_id"],
        text=row["text"],
        kind=row["kind"],
        title=row["title"],
        url=row["url"],
        author=row["author"],
        created_at=row["created_at"],
        rating=Rating(row["rating_value"], row["rating_worst"], row["rating_best"]) if rated else None,
        lang=row["lang"],
        brand=row["brand"],
    )


def _scores(row: Mapping[str, Any]) -> Scores:
    return Scores(
        moments={label: row["moments"][label] for label in MOMENTS},
        sentiments={label: row["sentiments"][label] for label in SENTIMENTS},
        touchpoints=tuple(label for label in TOUCHPOINTS if label in row["touchpoints"]),
        confidence=row["confidence"],
        abstained=row["abstained"],
        language=row["language"],
        unread=row["unread"],
    )
