"""The main job in three verbs: collect, classify_pending, send_digest. Read this file first.

The table is the queue. `collect` adds rows, `classify_pending` drains rows without a verdict, `send_digest` reads rows;
none of them calls another, and each may die at any point and be run again.
"""

from __future__ import annotations

import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

from listener import config as configuration
from listener import digest, log, mail, query, schedule, sources, trends
from listener.config import Config, RecipientSettings, SourceSettings
from listener.engine import Judge
from listener.errors import Broken, Disabled, MailError, Refused, Retry, StoreError, Unauthorised
from listener.http import Get
from listener.ledger import DigestState
from listener.records import Outcome, Page, Post, Run, Verdict
from listener.store import Store
from listener.text import fingerprint, model_input

Clock = Callable[[], datetime]
Match = Callable[[str, str, str], Mapping[str, str]]  # title, text, language -> {brand: why}

CLASSIFY_AT_ONCE = 512  # posts a transaction: large enough to sort by length, small enough to stop within a second


# --- collect ---------------------------------------------------------------------------------------------------------


def collect(
    store: Store,
    config: Config,
    name: str,
    get: Get,
    clock: Clock,
    stop: Callable[[], bool] = bool,
    on_page: Callable[[int], object] = bool,
) -> Run:
    """Fetches one source and stores what it brings, page by page; returns the run that was recorded.

    Never raises for what a source does: that is the run's outcome. A programming error in a source is logged whole and
    becomes the outcome "crashed", so that the other sources go on. `stop` is asked between pages, and a source that was
    stopped is due again at once; `on_page` hears how many posts each page held. Raises StoreError when the database
    cannot be written.
    """
    entry = config.source(name)
    match, brands = brand_matcher(config), _brands_key(config)
    started = clock()
    tally = _Tally()
    after: float | None = None
    stopped = False
    try:
        for page in _pages(store, entry, config.path, get, started):
            page, links = link(page, entry, match)
            tally.add(page, store.save_page(name, page, links, clock()).new)
            store.doubt_links(brands)
            on_page(len(page.posts))
            stopped = stop()
            if stopped:
                break
    except StoreError:
        raise  # it is not the source that failed, and its bookmark has not moved
    except Retry as error:
        after = error.after
        tally.failed("retry", error)
    except Unauthorised as error:
        tally.failed("unauthorised", error)
    except Disabled as error:
        tally.failed("disabled", error)
    except Refused as error:
        tally.failed("refused", error)
    except Broken as error:
        tally.failed("broken", error)
    except Exception as error:  # noqa: BLE001  # a bug in one source must not silence the others
        log.event("source_crashed", logging.ERROR, exc_info=True, source=name)
        tally.failed("crashed", error)
    finished = clock()
    run = tally.run(name, started, max(0.0, (finished - started).total_seconds()))
    state = store.source_state(name)
    failures = (state.failures if state else 0) + 1 if run.error else 0
    due = schedule.next_due(finished, entry.every_s, failures, after, random.random())  # noqa: S311
    store.finish_run(run, finished if stopped else due)
    log.event(
        "collected",
        logging.WARNING if run.error else logging.INFO,
        source=name,
        outcome=run.outcome,
        seen=run.seen,
        new=run.new,
        skipped=sum(run.skipped.values()),
        seconds=round(run.seconds, 2),
        error=run.error,
    )
    return run


def _pages(store: Store, entry: SourceSettings, path: Path | None, get: Get, now: datetime) -> Iterator[Page]:
    settings = sources.settings(entry, path)
    state = store.source_state(entry.name)
    return sources.load(entry.kind).fetch(settings, state.cursor if state else None, get, now, entry.name)


def open_store(config: Config) -> Store:
    """The database of a configuration, open for writing, made or migrated where needed."""
    hashed = config.privacy.authors == "hash"
    key = configuration.author_key(config) if hashed else None
    return Store.open(config.database, config.zone, author_key=key, authors=config.privacy.authors)


def adopt(store: Store, config: Config, now: datetime) -> int:
    """Makes the database agree with the configuration: its sources, and the brands that stored posts are linked to.

    Returns how many posts are linked otherwise than before.
    """
    store.sync_sources([(entry.name, entry.kind, entry.every_s, entry.enabled) for entry in config.sources], now)
    return relink(store, config)


def relink(store: Store, config: Config) -> int:
    """Links stored posts anew when the brands of the configuration changed; returns how many posts changed."""
    if config.path is None and not config.brands:
        return 0  # a command without a configuration knows no brands, and takes none away
    return store.relink(brand_matcher(config), _brands_key(config))


def _brands_key(config: Config) -> str:
    return fingerprint(*(brand.model_dump_json() for brand in config.brands))


def brand_matcher(config: Config) -> Match:
    """The function that tells which configured brands a post names, and by which words.

    A brand with `locales` takes no post that is known to be in another language.
    """
    by_words = query.matcher([(brand.name, brand.role, brand.aliases, brand.query) for brand in config.brands])
    spoken = {brand.name: {tag.partition("-")[0].lower() for tag in brand.locales} for brand in config.brands}

    def match(title: str, text: str, lang: str) -> dict[str, str]:
        language = lang.partition("-")[0].lower()
        found = by_words(title, text)
        return {
            brand: why for brand, why in found.items() if not (language and spoken[brand]) or language in spoken[brand]
        }

    return match


def link(page: Page, entry: SourceSettings, match: Match) -> tuple[Page, list[Mapping[str, str]]]:
    """Links every post of a page to the brands it names, and drops posts that name none where the source asks for that.

    Returns the page that is left and, beside each of its posts, {brand: why}.
    """
    keep_all = (entry.keep or sources.load(entry.kind).ABOUT.keep) == "all"
    kept: list[Post] = []
    links: list[Mapping[str, str]] = []
    for post in page.posts:
        post = replace(post, brand=post.brand or entry.brand)
        brands = dict(match(post.title, post.text, post.lang))
        if post.brand:
            brands.setdefault(post.brand, f"source {entry.name}")
        if brands or keep_all:
            kept.append(post)
            links.append(brands)
    dropped = len(page.posts) - len(kept)
    skipped = {**page.skipped, "no brand named": dropped} if dropped else page.skipped
    return replace(page, posts=tuple(kept), skipped=skipped), links


class _Tally:
    """Counts a run while its pages come in."""

    def __init__(self) -> None:
        self.seen = self.new = 0
        self.skipped: Counter[str] = Counter()
        self.pages = self.unchanged = 0
        self.outcome: Outcome | None = None
        self.error = ""

    def add(self, page: Page, new: int) -> None:
        self.seen += len(page.posts)
        self.new += new
        self.skipped.update(page.skipped)
        self.pages += 1
        self.unchanged += page.unchanged

    def failed(self, outcome: Outcome, error: Exception) -> None:
        self.outcome = outcome
        self.error = str(error) or type(error).__name__

    def run(self, name: str, started: datetime, seconds: float) -> Run:
        outcome: Outcome = self.outcome or (
            "ok"
            if self.seen or self.skipped
            else "unchanged"
            if self.pages and self.unchanged == self.pages
            else "empty"
        )
        return Run(name, started, seconds, self.seen, self.new, dict(self.skipped), outcome, self.error)


# --- classify --------------------------------------------------------------------------------------------------------


def classify_pending(
    store: Store, classifier: Judge, clock: Clock, stop: Callable[[], bool] = bool, at_most: int | None = None
) -> Iterator[int]:
    """Drains the queue, newest posts first; yields the number of verdicts stored after every transaction."""
    done = 0
    while not stop() and (at_most is None or done < at_most):
        waiting = store.pending(classifier.model, CLASSIFY_AT_ONCE)
        if not waiting:
            return
        texts = [model_input(post.title, post.text) for post in waiting]
        scores = classifier.classify(texts, [post.lang for post in waiting])
        verdicts = [
            Verdict(post.post_id, classifier.model, post.text_hash, score)
            for post, score in zip(waiting, scores, strict=True)
        ]
        store.save_verdicts(verdicts, clock())
        done += len(verdicts)
        yield len(verdicts)


# --- digest ----------------------------------------------------------------------------------------------------------

_NOBODY = "Listener <listener@localhost>"  # who a digest is from that leaves this machine by no mail server
DigestOutcome = Literal["sent", "skipped", "done", "waiting", "failed", "unknown"]


def build_digest(
    database: Path, config: Config, recipient: RecipientSettings | None, day: date, now: datetime
) -> digest.Digest:
    """The digest of a local day, for a recipient or (None) for everybody. Reads only."""
    zone = config.zone_of(recipient) if recipient else config.zone
    wanted = set(recipient.brands) if recipient and recipient.brands else {brand.name for brand in config.brands}
    own = [brand.name for brand in config.brands if brand.role == "own" and brand.name in wanted]
    rivals = [brand.name for brand in config.brands if brand.role == "competitor" and brand.name in wanted]
    with closing(trends.open_reader(database, config.zone)) as reader:
        return digest.build(reader, own, rivals, day, now, zone)


def digest_files(config: Config, day: date, now: datetime, folder: Path) -> tuple[Path, Path, Path]:
    """Writes the digest of a local day for everybody to `folder`, as .eml, .html and .txt; returns their paths."""
    rendered = digest.render(build_digest(config.database, config, None, day, now))
    sender = config.mail.sender or _NOBODY
    return mail.write_files(mail.compose(rendered, sender, "you@localhost", day, "daily", now), folder, day)


def send_digest(
    store: Store, config: Config, recipient: RecipientSettings, day: date, clock: Clock, *, at_once: bool = False
) -> DigestOutcome:
    """Sends the digest of a day to one recipient, at most once whatever happens on the way.

    After a failure it waits, longer each time, unless `at_once`.

    The ledger row is committed before the mail goes. A mail server that may or may not have taken the mail leaves
    "unknown", which is shown and not repeated: one digest too few is better than the same one every minute.
    """
    now, key = clock(), (recipient.email, recipient.cadence, day.isoformat())
    claim = store.claim_digest(*key, now, at_once=at_once)
    if claim != "send":
        return claim
    try:
        built = build_digest(store.path, config, recipient, day, now)
        sender = config.mail.sender or _NOBODY
        message = mail.compose(digest.render(built), sender, recipient.email, day, recipient.cadence, now)
    except Exception as error:
        # What could not be built was certainly not sent: the ledger says so, and the error goes on to be seen.
        store.mark_digest(*key, "failed", f"{type(error).__name__}: {error}", clock())
        raise
    state: DigestState = "skipped"
    detail = ""
    if not (built.quiet and recipient.quiet == "skip"):
        state, detail = _deliver(message, config, day, recipient.email)
    store.mark_digest(*key, state, detail, clock())
    level = logging.INFO if state in ("sent", "skipped") else logging.ERROR
    log.event("digest", level, day=key[2], state=state, error=detail if level == logging.ERROR else "")
    return state


def _deliver(message: EmailMessage, config: Config, day: date, recipient: str) -> tuple[DigestState, str]:
    """Hands a digest to the mail server, or keeps it as files where none is configured: its state, and why."""
    try:
        if not config.mail.host:
            folder = config.database.parent / "digests" / re.sub(r"[^\w.@+-]", "_", recipient)
            return "sent", str(mail.write_files(message, folder, day)[1])
        mail.send(message, config.mail)
    except MailError as error:
        return ("failed" if error.certain else "unknown"), str(error)
    return "sent", ""
