"""Every write, and the work that is due: posts and bookmarks, verdicts, the health of sources, the digest ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

from listener import crash
from listener.errors import StoreError, TakenOver
from listener.migrations import BUSY_S, explained, open_for_writing, stamp
from listener.records import Correction, Page, Pending, Post, Run, Saved, Verdict
from listener.tables import agenda, backlog, copies, corrections, days, erasure, judgements, ledger, pages, rechecks
from listener.tables.agenda import Due
from listener.tables.ledger import DigestState
from listener.tables.rows import Authors, Privacy, post_row, storable


class Store:
    """The database, open for writing. One per thread; a context manager that closes it.

    Every method that writes is one transaction. Raises StoreError where a person can help: locked, full, damaged.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, zone: ZoneInfo, privacy: Privacy) -> None:
        self.connection = connection
        self.path = path
        self.zone = zone
        self.privacy = privacy

    @classmethod
    def open(
        cls,
        path: Path | str,
        zone: ZoneInfo,
        *,
        author_key: bytes | None,
        authors: Authors = "hash",
        busy_s: float = BUSY_S,
    ) -> Store:
        """The store at `path`, made or migrated where needed. `zone` decides which local day a post belongs to; when it
        is not the zone the database was written with, all days and rollups are made anew. `busy_s`: how long to wait
        for another writer.

        Raises StoreError: newer schema, not a database, not writable, locked, or no key to hash authors with.
        """
        if authors == "hash" and not author_key:
            raise StoreError(
                "authors are to be kept as keyed hashes and there is no key; "
                'set `key_file` under [privacy], or authors = "drop"'
            )
        path = Path(path)
        store = cls(open_for_writing(path, busy_s), path, zone, Privacy(authors, author_key or b""))
        try:
            store._settle()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """One immediate transaction: committed at the end, rolled back on any error. `durable`: on the disk on return.

        Immediate, because a deferred one that reads before it writes cannot wait for another writer: SQLite refuses it.
        """
        connection = self.connection
        with explained(self.path):
            if durable:
                connection.execute("PRAGMA synchronous = FULL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if durable:
                    connection.execute("PRAGMA synchronous = NORMAL")

    # --- sources: their bookmarks, and when they are due ---

    def sync_sources(self, entries: Iterable[tuple[str, str, float, bool]], now: datetime) -> None:
        """Makes the sources those of the configuration: (name, kind, seconds between fetches, enabled) each.

        A new one is due now. One that left is disabled and keeps its posts and its bookmark. A name that now stands for
        another kind loses the bookmark, which that kind could not read.
        """
        with self.writing() as connection:
            agenda.sync(connection, entries, now)

    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        """The enabled sources that should be fetched now, the longest overdue first."""
        with explained(self.path):
            return agenda.due(self.connection, now, limit)

    def source_state(self, name: str) -> Due | None:
        """One source, due or not; None when the database does not know it."""
        with explained(self.path):
            return agenda.find(self.connection, name)

    def source_kinds(self) -> dict[str, str]:
        """Every source that posts were stored under, and its kind ("import" for files that a person handed in)."""
        with explained(self.path):
            return dict(self.connection.execute("SELECT name, kind FROM sources ORDER BY name").fetchall())

    def finish_run(self, run: Run, next_due: datetime) -> None:
        """Writes down one fetch, and what it says of its source's health."""
        with self.writing() as connection:
            agenda.finish(connection, run, next_due)

    def begin_backfill(self, source: str, since: datetime) -> None:
        """Begins a walk into the past, forgetting another that was not finished."""
        with self.writing() as connection:
            agenda.begin_backfill(connection, source, since)

    def end_backfill(self, source: str) -> None:
        with self.writing() as connection:
            agenda.end_backfill(connection, source)

    def backfill_state(self, source: str) -> dict[str, Any] | None:
        """The bookmark of a walk into the past that was begun and has not ended: {"since", "cursor"}; None without."""
        with explained(self.path):
            return agenda.backfill_state(self.connection, source)

    # --- posts ---

    def save_page(
        self,
        source: str,
        page: Page,
        links: Sequence[Mapping[str, str] | None],
        now: datetime,
        *,
        rechecked: bool = False,
        backfill: bool = False,
    ) -> Saved:
        """Stores a page: posts, the brands they name (`links[i]`: brand -> why, for `page.posts[i]`), bookmark and gap,
        and erases what the source says is gone.

        A post that is known is updated where its text, rating or engagement changed, and waits for a new verdict where
        its text did; links of None stand for a post that is not wanted, and is updated only where it is known. Its
        first date stays, so that a day that was reported does not change under its readers. A post that was deleted
        stays deleted. `rechecked`: the source can be asked after these posts later. `backfill`: the bookmark is that of
        the walk into the past.
        """
        rows = [post_row(source, post, now, self.zone, self.privacy) for post in page.posts]
        for row in rows if rechecked else ():
            row["verify_due_at"] = stamp(now + rechecks.FIRST)
        with self.writing() as connection:
            barred = erasure.forgotten(connection, source)
            taken = [(row, found) for row, found in zip(rows, links, strict=True) if row["author"] not in barred]
            new, edited = pages.save(connection, source, taken, now)
            gone = pages.named(connection, source, page.deleted, page.deleted_below)
            deleted = pages.delete(connection, gone, now)
            known = [row["native_id"] for row in rows if row["native_id"] not in new]
            rechecks.seen(connection, source, [*known, *page.verified], now)
            agenda.move(connection, source, page, now, backfill=backfill)
        return Saved(new=len(new), edited=edited, seen=len(page.posts), deleted=deleted)

    # --- posts asked after again, see `rechecks` ---

    def to_recheck(self, source: str, now: datetime, limit: int) -> list[str]:
        """The native ids of up to `limit` posts that the source is to be asked after, the longest due first."""
        mark = f"rechecks {source}"
        if self._meta(mark) is None:  # posts of before it could be asked
            with self.writing() as connection:
                rechecks.begin(connection, source, now)
                self._set_meta(mark, "1")
        with explained(self.path):
            return rechecks.due(self.connection, source, now, limit)

    def rechecked(self, source: str, native_ids: Sequence[str], now: datetime) -> None:
        """Notes that the source was asked after these: they are due again later."""
        with self.writing() as connection:
            rechecks.asked(connection, source, native_ids, now)

    def purge_unverified(self, source: str, before: datetime, now: datetime) -> int:
        """Erases posts that the source was not seen to show since `before`, as its terms ask; returns how many."""
        return self._in_steps(
            lambda connection: pages.delete(connection, rechecks.unverified(connection, source, before), now)
        )

    def delete(self, post_ids: Iterable[int], now: datetime) -> int:
        """Empties these posts and forgets what was made of them; returns how many.

        Identity and date stay, so that a source that still shows the post cannot bring it back.
        """
        with self.writing() as connection:
            return pages.delete(connection, list(post_ids), now)

    # --- what is not to be kept, see `erasure` ---

    def expire(self, source: str, before: datetime, now: datetime) -> int:
        """Takes the words out of the posts of a source that were collected before then, and keeps their counts."""
        return self._in_steps(lambda connection: erasure.expire(connection, source, before, now))

    def let_runs_go(self, before: datetime) -> int:
        """Deletes the records of fetches that began before then; returns how many."""
        return self._in_steps(lambda connection: erasure.let_runs_go(connection, before))

    def _in_steps(self, step: Callable[[sqlite3.Connection], int]) -> int:
        """Does a step until it finds no more to do, each its own transaction; returns what they come to."""
        done, number = 0, -1
        while number:
            with self.writing() as connection:
                number = step(connection)
            done += number
        return done

    def forget_author(self, name: str, source: str, now: datetime) -> int:
        """Erases the posts of an author at a source, or ("") at all of them, and takes none any more; returns how many.

        Raises StoreError when authors are not kept, so that nobody can tell whose a post is.
        """
        if self.privacy.authors == "drop":
            raise StoreError(
                'authors are not kept ([privacy] authors = "drop"), so nobody can tell which posts are this person\'s; '
                "name the posts themselves: `listener forget --post ADDRESS`"
            )
        sources = [source] if source else self.source_kinds()
        authors = [(each, self.privacy.author(each, storable(name))) for each in sources]
        with self.writing(durable=True) as connection:
            done = pages.delete(connection, erasure.by_author(connection, authors), now)
            for each, author in authors:
                erasure.forget(connection, each, author, now)
        return done

    def forget_post(self, given: str, source: str, now: datetime) -> int:
        """Erases the posts with this address or native id, and their copies, for good; returns how many."""
        with self.writing(durable=True) as connection:
            found = erasure.with_copies(connection, erasure.find(connection, given, source))
            return pages.delete(connection, found, now)

    def note_file(self, path: Path, kind: str, now: datetime) -> None:
        """Remembers a file of ours that holds posts."""
        with self.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO written_files (path, kind, at) VALUES (?, ?, ?)", (str(path), kind, stamp(now))
            )

    def written_files(self) -> list[tuple[Path, str]]:
        """The files of ours that hold posts and are still there, and what kind each is."""
        with explained(self.path):
            rows = self.connection.execute("SELECT path, kind FROM written_files ORDER BY at").fetchall()
        return [(Path(path), kind) for path, kind in rows if Path(path).exists()]

    def relink(self, match: Callable[[Post], Mapping[str, str]], key: str) -> int:
        """Asks `match` again for the brands (brand -> why) of every stored post, unless `key`, which names the brands
        of the configuration, is that of the last time. Returns the number of posts that changed.

        Works in batches, each its own transaction: one that was stopped half way begins again, and does no harm.
        """
        if self._meta("brands") == key:
            return 0
        last, changed = 0, 0
        while True:
            with self.writing() as connection:
                posts = pages.after(connection, last)
                if not posts:
                    self._set_meta("brands", key)
                    return changed
                crash.here("relink.batch")
                last = posts[-1][0]
                changed += pages.relink(connection, posts, match)

    def doubt_links(self, key: str) -> None:
        """To be called after posts were saved that were linked to the brands of `key`: when the last `relink` was for
        other brands, as after an edit that a running daemon has not read yet, the next one looks at every post again.
        """
        if self._meta("brands") not in (None, "", key):
            with self.writing():
                self._set_meta("brands", "")

    # --- verdicts ---

    def pending(self, model: str, limit: int) -> list[Pending]:
        """Up to `limit` posts that have no verdict by `model` on their present text: the newest first, then some of the
        oldest, so that none waits for good.

        The first call for another model than before queues everything that one has not judged.
        """
        if self._meta("model") != model:
            with self.writing() as connection:
                backlog.refill(connection, model)
                self._set_meta("model", model)
        with explained(self.path):
            return backlog.turn(self.connection, limit)

    def count_pending(self, model: str) -> int:
        """How many posts `pending(model)` would come to."""
        with explained(self.path):
            return backlog.count(self.connection, model)

    def save_verdicts(self, verdicts: Sequence[Verdict], now: datetime) -> int:
        """Stores verdicts with their touchpoints and brings the rollups up to date; returns how many were stored.

        A verdict on a text that has changed meanwhile, or on a post that is gone, is dropped.
        """
        with self.writing() as connection:
            return judgements.save(connection, verdicts, now, self._meta("model"))

    def note_model(self, name: str, confusion: str | None, now: datetime) -> None:
        """Remembers what a model is known to take for what (JSON, see `shares`), so that shares can be corrected."""
        with self.writing() as connection:
            judgements.note_model(connection, name, confusion, now)

    def correct(self, post_id: int, said: Correction, now: datetime) -> None:
        """Writes down what a person says of a post, which outranks every model. Raises ListenerError, see there."""
        with self.writing() as connection:
            corrections.correct(connection, post_id, said, now)

    def undo_correction(self, post_id: int, now: datetime) -> bool:
        """Takes back what was last said of a post; returns whether there was anything."""
        with self.writing() as connection:
            return corrections.undo(connection, post_id, now)

    # --- the ledger of digests, alerts and operator mails ---

    def claim_digest(
        self, recipient: str, cadence: str, period: str, now: datetime, *, at_once: bool = False,
        repeatable: bool = False,
    ) -> ledger.Claim:  # fmt: skip
        """Asks to send something once, see `ledger.claim`. On "send" the claim is on the disk before this returns."""
        key = recipient, cadence, period
        with self.writing(durable=True) as connection:
            claim = ledger.claim(connection, key, now, at_once=at_once, repeatable=repeatable)
        crash.here("mail.claimed")
        return claim

    def hand_over_digest(self, recipient: str, cadence: str, period: str, begun: datetime) -> None:
        """Notes, on the disk, that what was begun then goes now. Raises TakenOver when another process does that."""
        with self.writing(durable=True) as connection:
            if not ledger.hand_over(connection, (recipient, cadence, period), begun):
                raise TakenOver
        crash.here("mail.handing")

    def mark_digest(
        self, recipient: str, cadence: str, period: str, state: DigestState, detail: str, now: datetime
    ) -> None:
        """Writes how a digest ended, on the disk; `detail` is for people (the server's answer, the reason)."""
        with self.writing(durable=True) as connection:
            ledger.mark(connection, (recipient, cadence, period), state, detail, now)
        crash.here("mail.marked")

    def digest_periods(self, recipient: str, cadence: str) -> dict[str, str]:
        """Every period of which a digest was begun for this recipient, and its state."""
        with explained(self.path):
            return ledger.periods(self.connection, recipient, cadence)

    def digest_detail(self, recipient: str, cadence: str, period: str) -> str:
        """What was written down for people when this digest ended; "" when it has not."""
        with explained(self.path):
            return ledger.detail(self.connection, (recipient, cadence, period))

    # --- what the database remembers of itself ---

    def started_on(self, day: date) -> date:
        """The first local day on which the daemon ran: `day`, when this is the first time it asks."""
        with self.writing() as connection:
            # The earlier one: a first start under a clock that was ahead would keep all digests back until that day.
            upsert = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = min(value, excluded.value)"
            connection.execute(upsert, ("started_on", day.isoformat()))
        return date.fromisoformat(self._meta("started_on") or "")

    def _meta(self, key: str) -> str | None:
        with explained(self.path):
            row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set_meta(self, key: str, value: str) -> None:
        upsert = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
        self.connection.execute(upsert, (key, value))

    def _settle(self) -> None:
        """Brings up to date what hangs on the time zone, on how copies are marked and on how authors are kept."""
        if self._meta("zone") != str(self.zone):
            with self.writing() as connection:
                days.settle(connection, self.zone)
                self._set_meta("zone", str(self.zone))
        if self._meta("signatures") != copies.METHOD:
            with self.writing() as connection:
                copies.sign_again(connection)
                self._set_meta("signatures", copies.METHOD)
        if self._meta("authors") != self.privacy.mark:
            with self.writing():
                self._set_meta("authors", self.privacy.mark)
