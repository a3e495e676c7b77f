"""The demo: the sample posts the whole way into a throw-away database, exactly as the daemon would take them."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from listener.config import BrandSettings, Config, PrivacySettings, SourceSettings
from listener.records import Page, Post, Rating
from listener.resources import demo_folder
from listener.schedule import local_day

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


def pages(now: datetime, config: Config) -> list[tuple[SourceSettings, Page]]:
    """The sample posts as pages, a source each, with dates that end yesterday."""
    today = local_day(now, config.zone)
    by_source: dict[str, list[Post]] = {}
    for path in sorted(demo_folder().glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                post = _post(json.loads(line), today, config)
                by_source.setdefault(post.source, []).append(post)
    entries = {name: SourceSettings(name=name, kind="files", keep="all", options={}) for name in by_source}
    return [(entries[name], Page(tuple(posts))) for name, posts in sorted(by_source.items())]


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
