"""Weeks of posts in a database, as a daemon would have collected and judged them, for tests of alerts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from posting import verdict

from listener.records import Page, Post
from listener.store import Store

ZONE = ZoneInfo("Europe/Vienna")
BRAND = "Harbour"
NOW = datetime(2026, 11, 18, 10, 7, tzinfo=UTC)  # a Wednesday
WORDS = (
    "room",
    "view",
    "breakfast",
    "lobby",
    "garden",
    "pool",
    "staff",
    "street",
    "evening",
    "coffee",
    "window",
    "bed",
)


class Weeks:
    """A store whose one source was asked every hour for some weeks before NOW."""

    def __init__(self, path: Path, weeks: int = 6) -> None:
        self.store = Store.open(path, ZONE, author_key=b"k" * 32)
        self.random = random.Random(7)
        self.number = 0
        self.store.sync_sources([("forum", "feeds", 3600, True)], NOW)
        self.begin = NOW.replace(minute=0) - timedelta(weeks=weeks, hours=2)
        with self.store.writing() as connection:
            connection.executemany(
                "INSERT INTO runs (source, started_at, seconds, seen, new, skipped, outcome, error)"
                " VALUES ('forum', ?, 1, 1, 1, '{}', 'ok', '')",
                [(f"{self.begin + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}",) for hour in range(weeks * 168 + 2)],
            )

    @classmethod
    def again(cls, path: Path) -> Weeks:
        """Weeks that were stored before, to say more in."""
        weeks = cls.__new__(cls)
        weeks.store = Store.open(path, ZONE, author_key=b"k" * 32)
        weeks.random = random.Random(8)
        weeks.number = 1_000_000
        return weeks

    def ordinary(self, a_day: int = 48) -> None:
        """Posts at random, day and night, one in ten of them negative."""
        days = (NOW - self.begin).days + 1
        times = sorted(self.begin + timedelta(hours=24 * days * self.random.random()) for _ in range(days * a_day))
        texts = [" ".join(self.random.sample(WORDS, 5)) for _ in times]
        for negative in (False, True):
            chosen = [n for n in range(len(times)) if (n % 10 == 0) == negative and times[n] < NOW]
            self.say([times[n] for n in chosen], [texts[n] for n in chosen], negative=negative)

    def say(
        self,
        times: list[datetime],
        texts: list[str],
        *,
        negative: bool = False,
        touchpoints: tuple[str, ...] = (),
        brand: str = BRAND,
        lag: timedelta = timedelta(minutes=10),
        collected: datetime | None = None,
    ) -> None:
        """Stores these posts, each by another author, each collected `lag` after it was written, or all of them at once
        at `collected`, and judges them.
        """
        by_hour: dict[datetime, list[Post]] = {}
        for at, text in zip(times, texts, strict=True):
            self.number += 1
            post = Post(
                "forum", f"p{self.number}", text, author=f"author {self.number}", created_at=at,
                url=f"https://forum.example/{self.number}", engagement={"likes": self.number % 7},
            )  # fmt: skip
            hour = (at + lag).replace(minute=59, second=0, microsecond=0)
            by_hour.setdefault(collected or hour, []).append(post)
        for came, posts in by_hour.items():
            self.store.save_page("forum", Page(tuple(posts)), [{brand: "its name"}] * len(posts), came)
        self.judge(negative=negative, touchpoints=touchpoints)

    def judge(self, *, negative: bool = False, touchpoints: tuple[str, ...] = ()) -> None:
        """Gives every post that waits the same verdict."""
        while waiting := self.store.pending("m1", 5000):
            sentiment = "negative" if negative else "neutral"
            self.store.save_verdicts([verdict(p, sentiment=sentiment, touchpoints=touchpoints) for p in waiting], NOW)

    def spike(self, number: int, hours: float = 3, text: str = "", **options: object) -> None:
        """So many posts more in the last whole hours before NOW."""
        end = NOW.replace(minute=0)
        times = [end - timedelta(hours=hours * (n + 0.5) / number) for n in range(number)]
        texts = [text or " ".join(self.random.sample(WORDS, 5)) for _ in times]
        self.say(times, [f"{each} {n}" for n, each in enumerate(texts)], lag=timedelta(0), **options)  # type: ignore[arg-type]
