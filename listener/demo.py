"""The demo: the sample posts the whole way into a throw-away database, exactly as the daemon would take them."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from listener import linking
from listener.config import BrandSettings, Config, MailSettings, PrivacySettings, SourceSettings
from listener.records import Page, Post, Rating, Run
from listener.resources import demo_folder
from listener.schedule import local_day
from listener.store import Store

BRANDS = (
    BrandSettings(name="Harbour & Pine", role="own", aliases=["Harbour and Pine", "HarbourPine"]),
    BrandSettings(name="Lumen Stays", role="competitor", aliases=["LumenStays"]),
)


def config(base: Config, database: Path) -> Config:
    """The user's configuration with the demo's brands and a database of its own."""
    return base.model_copy(
        update={
            "brands": list(BRANDS),
            "sources": [],
            "recipients": [],
            "mail": MailSettings(),
            "database": database,
            "privacy": PrivacySettings(authors="drop"),
        }
    )


def fresh_database(folder: Path) -> Path:
    """The path of a new database in `folder`; that of an earlier demo is removed, so that its dates are today's."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("demo.db*"):
        old.unlink()
    return folder / "demo.db"


def store_posts(store: Store, config: Config, now: datetime) -> int:
    """Stores the sample posts, with dates that end yesterday, as one fetch of each source; returns how many."""
    by_source: dict[str, list[Post]] = {}
    today = local_day(now, config.zone)
    for path in sorted(demo_folder().glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                post = _post(json.loads(line), today, config)
                by_source.setdefault(post.source, []).append(post)
    store.sync_sources([(name, "files", 86400.0, True) for name in by_source], now)
    match = linking.brand_matcher(config)
    for name, posts in by_source.items():
        entry = SourceSettings(name=name, kind="files", keep="all")
        page, links = linking.link(Page(tuple(posts)), entry, match)
        saved = store.save_page(name, page, links, now)
        run = Run(name, now, 0.0, saved.seen, saved.new, {}, "ok")
        store.finish_run(run, now + timedelta(days=1))
    return sum(map(len, by_source.values()))


def yesterday(now: datetime, config: Config) -> date:
    return local_day(now, config.zone) - timedelta(days=1)


def _post(row: dict[str, Any], today: date, config: Config) -> Post:
    day = today - timedelta(days=1 + row["day_offset"])
    written = datetime.combine(day, time.fromisoformat(row["time"]), config.zone)
    return Post(
        source=row["source"],
        native_id=row["id"],
        kind=row.get("kind", "post"),
        title=row.get("title", ""),
        text=row["text"],
        author=row.get("author", ""),
        url=row.get("url", ""),
        created_at=written,
        rating=Rating(float(row["rating"])) if row.get("rating") is not None else None,
    )
