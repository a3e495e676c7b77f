"""The doctor: looks at everything the daemon depends on and names the remedy for what is wrong."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from listener import config as configuration
from listener import engine, sources, trends
from listener.alerts import hours
from listener.config import Config
from listener.engine import Judge, checkpoint
from listener.errors import ListenerError
from listener.language import LANGUAGES, base
from listener.mail import delivery, webhooks
from listener.pipeline import CLASSIFY_AT_ONCE as AT_ONCE
from listener.reads import drift, vitals
from listener.schedule import local_day
from listener.text import model_input
from listener.wording import count, listed, span

LEAST_FREE = 500 * 1024**2  # bytes; a busy day of posts is some tens of megabytes
BACKLOG_OLD = timedelta(hours=6)
DIGEST_OLD = timedelta(days=14)  # whether an older digest came is no longer worth asking

_TYPICAL = "We stayed at the hotel by the harbour for two nights and would have liked a quieter room for that price."
_SAMPLE = 64
_TICK_S = 2.0  # until the daemon looks at the queue again
_BUSY = 0.8  # a machine that is busier with verdicts than that has no room for a day with more posts than usual
_DRIFTS = {
    "agreement": "you and the model agree on {} of the posts drawn at random",
    "unsure": "the model is unsure of {} of the posts",
    "unknown words": "{} of the words are none the model knows",
}

State = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: how it is, and what to do about it ("" when nothing is to be done)."""

    what: str
    state: State
    detail: str
    remedy: str = ""


def examine(config: Config, now: datetime) -> Iterator[Finding]:
    """Every finding, one by one, as soon as it is known. Changes nothing."""
    looks: tuple[tuple[str, Callable[[Config, datetime], Iterator[Finding]]], ...] = (
        ("configuration", _configuration),
        ("database", _database),
        ("disk", _disk),
        ("model", _model),
        ("drift", _drift),
        ("daemon", _daemon),
        ("sources", _sources),
        ("mail", _mail),
        ("alerts", _alerts),
    )
    for what, look in looks:
        try:
            yield from look(config, now)
        except ListenerError as error:
            yield Finding(what, "wrong", str(error))


def _configuration(config: Config, now: datetime) -> Iterator[Finding]:
    if config.path is None:
        yield Finding("configuration", "warning", "none found, the defaults are used", "write one with `listener init`")
    else:
        yield Finding("configuration", "ok", f"{config.path}, days end at midnight in {config.zone.key}")
    for warning in configuration.warnings(config):
        yield Finding("configuration", "warning", warning)
    if not config.brands:
        remedy = "add a [[brand]] with the name you listen for"
        yield Finding("brands", "warning", "none configured: posts are counted without a brand", remedy)
    else:
        yield Finding("brands", "ok", ", ".join(f"{brand.name} ({brand.role})" for brand in config.brands))


def _database(config: Config, now: datetime) -> Iterator[Finding]:
    path = config.database
    if not path.exists():
        yield Finding(
            "database", "warning", f"{path} does not exist yet", "`listener collect` or `listener run` makes it"
        )
        return
    with closing(trends.open_reader(path, config.zone)) as reader:
        try:
            (verdict,) = reader.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            verdict = str(error)
        if verdict != "ok":
            yield Finding(
                "database", "wrong", f"{path} is damaged: {verdict}", "restore it from a backup; keep this file aside"
            )
            return
        (posts,) = reader.execute("SELECT count(*) FROM posts WHERE deleted_at IS NULL").fetchone()
        yield Finding("database", "ok", f"{path}: {count(posts, 'post')}, {path.stat().st_size / 1024**2:,.0f} MB")
        yield from _backlog(reader, now)
    for file in sorted({path, *path.parent.glob(f"{path.name}-*"), *path.parent.glob(f"{path.name}.m*")}):
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            told = f"{file} can be read by other users of this machine"
            yield Finding("database", "warning", told, f"chmod 600 {file}")


def _backlog(reader: sqlite3.Connection, now: datetime) -> Iterator[Finding]:
    waiting = trends.waiting(reader)
    (oldest,) = reader.execute(
        "SELECT min(collected_at) FROM pending JOIN posts ON posts.id = pending.post_id"
    ).fetchone()
    if waiting and oldest and now - datetime.fromisoformat(oldest) > BACKLOG_OLD:
        remedy = "start the daemon (`listener run`), or drain the queue by hand with `listener classify`"
        yield Finding("queue", "warning", f"{waiting:,} posts wait for a verdict, the oldest since {oldest}", remedy)
    else:
        yield Finding("queue", "ok", f"{count(waiting, 'post')} waiting for a verdict")


def _disk(config: Config, now: datetime) -> Iterator[Finding]:
    folder = config.database.parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    state: State = "ok" if free >= LEAST_FREE else "wrong"
    remedy = "" if state == "ok" else "free some space, or move the database ([database] in the configuration)"
    yield Finding("disk", state, f"{free / 1024**3:,.1f} GB free in {folder}", remedy)


def _model(config: Config, now: datetime) -> Iterator[Finding]:
    for head, chosen in config.model.heads.items():
        yield Finding(f"model {head}", "ok", f"{checkpoint.read(head, chosen)}; on {engine.place(chosen)}")
    classifier = engine.load(config.model)
    (scores,) = classifier.classify([model_input("", "Is the hotel by the harbour worth the price?")])
    yield Finding("model", "ok", f"{classifier.model} answers (a question before buying is judged {scores.moment!r})")
    if config.database.exists():
        yield _pace(classifier, config, now)
    judged = listed([LANGUAGES.get(language, language) for language in classifier.languages])
    yield Finding("languages", "ok", f"posts in {judged} are judged, those in other languages are not")
    for brand in config.brands:
        for language in sorted({base(tag) for tag in brand.locales} - {"", *classifier.languages}):
            told = f"{brand.name} is listened for in {LANGUAGES[language]}, which no model here knows"
            yield Finding("languages", "warning", told, f'give it one: [model.languages] {language} = "FOLDER"')


def _pace(classifier: Judge, config: Config, now: datetime) -> Finding:
    """How far the verdicts may lag behind the posts on this machine, by what it judges in a moment."""
    texts = [model_input("", f"{_TYPICAL} ({number})") for number in range(_SAMPLE)]
    began = time.perf_counter()
    classifier.classify(texts)
    rate = _SAMPLE / max(1e-6, time.perf_counter() - began)
    with closing(trends.open_reader(config.database, config.zone)) as reader:
        waiting, came = vitals.read(reader, now).waiting, vitals.came_in(reader, now)
    told = (
        f"some {rate:,.0f} posts a second are judged here: a new one within {_seconds(_TICK_S + AT_ONCE / rate)}"
        + (f", the last of the {waiting:,} that wait within {_seconds(_TICK_S + waiting / rate)}" if waiting else "")
        + f"; {came:,} came in within 24 hours, {came / (rate * 86400):.1%} of what can be judged in that time"
    )
    if came > _BUSY * rate * 86400:
        remedy = "give the daemon more cores ([model] threads), or fetch from fewer places: the oldest wait ever longer"
        return Finding("pace", "warning", told, remedy)
    return Finding("pace", "ok", told)


def _seconds(number: float) -> str:
    return f"{number:.0f} s" if number < 120 else span(timedelta(seconds=number))


def _drift(config: Config, now: datetime) -> Iterator[Finding]:
    if not config.database.exists():
        return
    with closing(trends.open_reader(config.database, config.zone)) as reader:
        found = drift.drift(reader, local_day(now, config.zone), engine.vocabulary(config.model))
    for each in found:
        before, lately = each.before.value, each.lately.value
        if lately is None:
            continue
        told = f"{_DRIFTS[each.what].format(f'{lately:.1%}')} in the last 30 days ({each.lately.n:,})"
        told += f", {before:.1%} in the 90 before ({each.before.n:,})" if before is not None else ""
        remedy = "`listener review` asks you about them, and `listener train` learns from that" if each.worse else ""
        yield Finding("drift", "warning" if each.worse else "ok", told, remedy)


def _daemon(config: Config, now: datetime) -> Iterator[Finding]:
    from filelock import FileLock, Timeout

    lock = Path(f"{config.database}.lock")
    try:
        if lock.exists():  # opening would make it, perhaps as a user whose files the daemon may not write
            with FileLock(lock, timeout=0):
                pass
    except Timeout:
        yield Finding("daemon", "ok", "running")
    except OSError as error:
        yield Finding("daemon", "wrong", f"{lock} cannot be opened: {error}", "run as the user that owns the database")
    else:
        yield Finding(
            "daemon",
            "warning",
            "not running",
            "start it with `listener run`, or as a service (config/listener.service)",
        )


def _sources(config: Config, now: datetime) -> Iterator[Finding]:
    sources.check(config)
    enabled = [entry.name for entry in config.sources if entry.enabled]
    if not enabled:
        yield Finding(
            "sources", "warning", "none configured", "add a [[source]]; `listener sources kinds` tells what there is"
        )
        return
    if not config.database.exists():
        yield Finding("sources", "ok", f"{len(enabled)} configured, none fetched yet")
        return
    with closing(trends.open_reader(config.database, config.zone)) as reader:
        known = {each.name: each for each in trends.source_health(reader)}
    for name in enabled:
        health = known.get(name)
        if health is None or health.last_run_at is None:
            yield Finding(f"source {name}", "warning", "not fetched yet", f"`listener collect {name}` fetches it now")
        elif health.state in ("ok", "empty"):
            yield Finding(f"source {name}", "ok", f"{health.state}, {count(health.posts, 'post')}")
        else:
            remedy = f"try `listener sources test {name}`"
            yield Finding(
                f"source {name}",
                "warning" if health.state == "silent" else "wrong",
                f"{health.state}: {health.why}",
                remedy,
            )


def _mail(config: Config, now: datetime) -> Iterator[Finding]:
    if not config.recipients:
        yield Finding(
            "mail", "warning", "nobody gets the digest", "add a [[recipient]], or read it with `listener digest`"
        )
        return
    way = delivery.way(config.mail)
    if way == "files" and not config.mail.via:
        yield Finding("mail", "warning", "no mail server: digests are written to files", "set [mail] host")
        return
    config.mail.password()
    by = {"smtp": f"{config.mail.host}:{config.mail.port}", "sendmail": config.mail.sendmail, "files": "files"}[way]
    if way == "sendmail" and not os.access(config.mail.sendmail, os.X_OK):
        yield Finding("mail", "wrong", f"{by} is no program that can be run", "set [mail] sendmail")
    yield Finding("mail", "ok", f"{count(len(config.recipients), 'recipient')} by {by}")
    if config.database.exists():
        with closing(trends.open_reader(config.database, config.zone)) as reader:
            for recipient, cadence, period, state, detail in reader.execute(
                "SELECT recipient, cadence, period, state, detail FROM digests "
                "WHERE state IN ('failed', 'unknown') AND period >= ? ORDER BY period",
                ((now - DIGEST_OLD).date().isoformat(),),
            ):
                if cadence not in ("daily", "weekly"):
                    remedy = "`listener alerts` shows what it was about, `listener alerts --send` sends a trial"
                elif state == "failed":
                    remedy = f"`listener digest --date {period} --send` tries again"
                else:
                    remedy = f"ask whether it came; `listener digest --date {period} --to {recipient}` sends a copy"
                what = "digest" if cadence in ("daily", "weekly") else cadence
                yield Finding("mail", "wrong", f"{what} of {period} to {recipient}: {state} ({detail})", remedy)


def _alerts(config: Config, now: datetime) -> Iterator[Finding]:
    if not config.alerts.enabled:
        yield Finding("alerts", "ok", "switched off")
        return
    for webhook in config.webhooks:
        webhooks.check(webhook)
        yield Finding(
            f"webhook {webhook.name}", "ok", "its address and secret are there; `listener alerts --send` tries it"
        )
    if not config.database.exists():
        return
    with closing(trends.open_reader(config.database, config.zone)) as reader:
        frame = hours.frame(reader, now, config.zone)
    if frame is None:
        yield Finding("alerts", "ok", "no source was asked for four weeks yet, so what is usual cannot be told")
    else:
        yield Finding("alerts", "ok", f"{count(len(frame.ends) - 1, 'week')} of history tell what is usual")
