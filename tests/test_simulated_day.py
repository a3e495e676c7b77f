"""A day and a quiet one after it, with sources that fail, change and delete: stored is what was served."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from simulated import SERVICES, World, opened

from listener import pipeline, sources
from listener.config import BrandSettings, Config, PrivacySettings, SourceSettings
from listener.store import Store

BEGIN = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
OPTIONS = {
    "feeds": {"url": "https://news.example/feed"},
    "hackernews": {"queries": ["Lumen"]},
    "discourse": {"forums": ["https://forum.example"]},
    "steam": {"apps": [7]},
    "mastodon": {"instances": ["one.example", "two.example"], "tags": ["lumen"]},
    "stackexchange": {"sites": ["travel"], "queries": ["Lumen"], "answers": False},
    "github": {"repos": ["lumen/app"]},
    "lemmy": {"communities": ["lumen@lemmy.example"]},
}
A_DAY = {
    "feeds": 150,
    "hackernews": 400,
    "discourse": 900,
    "steam": 700,
    "mastodon": 600,
    "stackexchange": 60,
    "github": 90,
    "lemmy": 250,
}
LAST_FIRST = timedelta(hours=6)  # what was written so long before the first fetch is looked for too


def told(config: Config, world: World, hours: int) -> dict[str, dict[str, int]]:
    """Runs every source as the daemon would, when it is due, for so many hours."""
    runs: dict[str, dict[str, int]] = {}
    end = BEGIN + timedelta(hours=hours)
    random.seed(7)  # the jitter of due times
    with opened(world) as get, pipeline.open_store(config) as store:
        pipeline.adopt(store, config, BEGIN)
        while world.now < end:
            for due in store.due(world.now):
                run = pipeline.collect(store, config, due.name, get, lambda: world.now)
                counts = runs.setdefault(due.name, {})
                counts[run.outcome] = counts.get(run.outcome, 0) + 1
            world.now += timedelta(minutes=2)
    return runs


def native(name: str, stored: str) -> int:
    return int("".join(filter(str.isdigit, stored.rpartition("/")[2])))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_nothing_is_missing_and_nothing_is_there_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    hours = 60
    world = World(
        A_DAY, BEGIN, 24, seed
    )  # then a day and more without new posts, in which all that came is asked after
    config = Config(
        timezone="UTC", database=tmp_path / "l.db", privacy=PrivacySettings(authors="drop"),
        brands=[BrandSettings(name="Lumen")],
        sources=[SourceSettings(name=name, kind=name, every="20m", options=OPTIONS[name]) for name in SERVICES],
    )  # fmt: skip
    for service in world.services.values():
        service.outages = [(start, end) for start, end in service.outages if end < BEGIN + timedelta(hours=46)]
    runs = told(config, world, hours)
    with capsys.disabled():
        for name, service in world.services.items():
            print(f"\nsimulated {name}: {len(service.entries)} posts, replies {service.asked}, runs {runs[name]}")
    with pipeline.open_store(config) as store:
        for name, service in world.services.items():
            compare(store, name, service, world.now)


def compare(store: Store, name: str, service: object, now: datetime) -> None:
    rows = store.connection.execute(
        "SELECT native_id, text, deleted_at IS NOT NULL FROM posts WHERE source = ?", (name,)
    ).fetchall()
    live = [(native(name, ident), text) for ident, text, deleted in rows if not deleted]
    assert len({ident for ident, _ in live}) == len(live), f"{name}: a post is stored twice"
    entries = {each.ident: each for each in service.entries}  # type: ignore[attr-defined]
    for ident, _ in live:
        assert ident in entries, f"{name}: {ident} was never served"
    stored = dict(live)
    follows = sources.can_recheck(name)
    missing = [each.ident for each in entries.values() if each.there(now) and each.ident not in stored]
    assert missing == [], f"{name}: missing {missing}"
    if follows:
        left = [each.ident for each in entries.values() if not each.there(now) and each.ident in stored]
        assert left == [], f"{name}: deleted there and still here {left}"
    check_texts(name, stored, entries, now, follows)


def check_texts(name: str, stored: dict[int, str], entries: dict, now: datetime, follows: bool) -> None:
    stale = [i for i, text in stored.items() if entries[i].there(now) and entries[i].text(now) not in text]
    if follows and name != "hackernews":  # which is asked whether a post is there, and not what it says
        assert stale == [], f"{name}: not as it reads now {stale}"
