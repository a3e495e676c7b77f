"""A period taken apart: by part, by brand, by what hurts, by what changed. Every figure is counted a second way."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from posting import NOW, OSLO, judge, opened, post

from listener import trends
from listener.errors import ListenerError
from listener.reads.filters import Filters, rows_of
from listener.records import Page, Rating
from listener.store import Store

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TODAY = date(2026, 11, 22)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "listener.db") as opened_store:
        yield opened_store


@pytest.fixture
def reader(store: Store) -> Iterator[sqlite3.Connection]:
    with closing(trends.open_reader(store.path, OSLO)) as connection:
        yield connection


class Teller:
    """Stores posts with the verdict they are to have."""

    def __init__(self, store: Store) -> None:
        self.store, self.number = store, 0

    def __call__(
        self, count: int, moment: str = "tmot", sentiment: str = "positive", *, brands: tuple[str, ...] = ("Acme",),
        source: str = "feed", days: int = 0, stars: float | None = None, touchpoints: tuple[str, ...] = (),
        collected: datetime = NOW, text: str = "The room was spotless",
    ) -> None:  # fmt: skip
        made = []
        for _ in range(count):
            self.number += 1
            rating = Rating(stars) if stars else None
            made.append(
                post(str(self.number), f"{text} {self.number}", created_at=NOON - timedelta(days=days), rating=rating)
            )
        links = [dict.fromkeys(brands, "its name")] * count
        self.store.save_page(source, Page(tuple(made)), links, collected)
        judge(self.store, moment=moment, sentiment=sentiment, touchpoints=touchpoints)


@pytest.fixture
def tell(store: Store) -> Teller:
    return Teller(store)


def test_a_period_comes_apart_by_every_part(reader: sqlite3.Connection, tell: Teller) -> None:
    tell(12, "zmot", "neutral", source="forum")
    tell(6, "tmot", "negative", stars=1, touchpoints=("staff", "price"))
    tell(2, "fmot", "positive", stars=5, touchpoints=("price",))

    def told(per: trends.Per, **how: object) -> dict[str, tuple[int, float | None]]:
        return {part.part: (part.posts, part.share.value) for part in trends.parts(reader, per, "month", **how)}

    assert told("source") == {"forum": (12, 0.6), "feed": (8, 0.4)}
    assert told("moment") == {"zmot": (12, 0.6), "fmot": (2, 0.1), "tmot": (6, 0.3)}
    assert list(told("phase").items()) == [("research", (14, 0.7)), ("feedback", (6, 0.3))]
    assert told("sentiment") == {"negative": (6, 0.3), "neutral": (12, 0.6), "positive": (2, 0.1)}
    assert told("touchpoint") == {"price": (8, 0.4), "staff": (6, 0.3)}
    assert told("rating") == {"1": (6, 0.75), "5": (2, 0.25)}
    assert told("touchpoint", touchpoints=["staff"]) == {"staff": (6, 0.3)}
    assert told("source", ratings=[5]) == {"feed": (2, 0.1)}
    assert told("phase", phases=["feedback"]) == {"feedback": (6, 0.3)}
    price, _ = trends.parts(reader, "touchpoint", "month")
    assert (price.negative, price.neutral, price.positive) == (6, 0, 2)
    assert price.net.value == pytest.approx(-0.5)


def test_ratings_have_their_own_filter_mean_and_stars(reader: sqlite3.Connection, tell: Teller) -> None:
    tell(6, stars=1)
    tell(4, stars=4)
    tell(5)
    (row,) = trends.trends(reader)
    assert row.stars == (6, 0, 0, 4, 0)
    assert (row.rating.n, row.rating.value) == (10, pytest.approx(0.3))
    assert [each.posts for each in trends.trends(reader, ratings=[1, 2])] == [6]
    assert [each.posts for each in trends.trends(reader, phases=["feedback"], ratings=[4])] == [4]


def test_posts_that_came_after_their_digest_are_counted_on_their_day_and_said_to_be_late(
    reader: sqlite3.Connection, tell: Teller
) -> None:
    tell(3, days=1)
    tell(2, days=9)
    assert [(row.period, row.posts, row.late) for row in trends.trends(reader)] == [
        ("2026-11-13", 2, 2), ("2026-11-21", 3, 0),
    ]  # fmt: skip


def test_share_of_voice_is_of_all_brands(reader: sqlite3.Connection, tell: Teller) -> None:
    tell(6, brands=("Acme",))
    tell(3, "zmot", brands=("Acme", "Bolt"))
    tell(50, brands=())
    voices = {each.brand: (each.posts, each.share.value) for each in trends.voice(reader, "week")}
    assert voices == {"Acme": (9, 0.75), "Bolt": (3, 0.25)}
    (own,) = trends.voice(reader, "week", brands=["Bolt"])
    assert own.share.value == 0.25, "a filter chooses what is shown, not what it is a share of"


def test_pairs_are_brands_that_one_post_names(reader: sqlite3.Connection, tell: Teller) -> None:
    tell(2, "zmot", brands=("Acme", "Bolt"))
    tell(3, "tmot", brands=("Acme", "Bolt"), source="forum")
    tell(4, "tmot", brands=("Bolt", "Cog"))
    tell(9, brands=("Cog",))
    found = [(each.brand, each.other, each.posts, each.research) for each in trends.pairs(reader)]
    assert found == [("Acme", "Bolt", 5, 2), ("Bolt", "Cog", 4, 0)]
    assert [each.other for each in trends.pairs(reader, brands=["Cog"])] == ["Cog"]
    assert [each.posts for each in trends.pairs(reader, sources=["forum"])] == [3]
    assert trends.pairs(reader, touchpoints=["staff"]) == trends.pairs(reader, touchpoints=["staff", "comfort"])
    assert [each.posts for each in trends.pairs(reader, moments=["zmot"])] == [2]


def test_the_contact_that_hurts_stands_first_and_is_told_from_chance(reader: sqlite3.Connection, tell: Teller) -> None:
    tell(40, "tmot", "positive", stars=5)
    tell(20, "tmot", "negative", stars=1, touchpoints=("arrival",))
    tell(15, "tmot", "positive", stars=5, touchpoints=("food",))
    tell(3, "tmot", "negative", touchpoints=("payment",))
    # A source where everybody is angry says nothing against what is spoken of there.
    tell(30, "tmot", "negative", source="complaints", touchpoints=("location",))
    tell(30, "tmot", "negative", source="complaints")
    found = {each.touchpoint: each for each in trends.impact(reader)}
    assert next(iter(found)) == "arrival"
    arrival = found["arrival"]
    assert arrival.score.high < 0 and arrival.weight.high < 0
    assert arrival.rating.value == pytest.approx(-4.0), "in stars of five"
    assert arrival.weight.value == pytest.approx(arrival.score.value * arrival.share)
    assert found["food"].score.low > 0
    assert found["location"].score.low < 0 < found["location"].score.high
    assert found["location"].score.value == pytest.approx(0)
    assert not found["payment"].score.enough, "three posts tell nothing"
    assert found["location"].rating.value is None, "nobody rated there"


def test_a_change_is_one_only_when_its_interval_says_so(reader: sqlite3.Connection, tell: Teller) -> None:
    draw = random.Random(5)
    for days in range(28):
        lately = days < 14
        tell(draw.randint(8, 12) + (14 if lately else 0), "tmot", "positive", days=days)
        tell(draw.randint(1, 3), "tmot", "negative", days=days, touchpoints=("staff",) if lately else ())
        tell(2, "zmot", "neutral", days=days, brands=("Bolt",))
    found = {
        (each.brand, each.figure): each
        for each in trends.changes(reader, TODAY - timedelta(days=13), TODAY)
    }  # fmt: skip
    volume = found["Acme", "posts a day"]
    assert volume.clear and volume.difference.low < 14 < volume.difference.high
    assert volume.before == pytest.approx(12, abs=1.5) and volume.after == pytest.approx(26, abs=1.5)
    assert found["Acme", "about staff"].clear
    assert not found["Bolt", "posts a day"].clear
    assert not found["Bolt", "research"].clear
    assert not found["Acme", "feedback"].clear, "all of it is feedback, as before"


def test_too_little_is_not_compared(reader: sqlite3.Connection, tell: Teller) -> None:
    tell(3, days=8)
    tell(2, "tmot", "negative", days=1)
    changed = trends.changes(reader, TODAY - timedelta(days=6), TODAY)
    assert changed and not any(each.clear for each in changed if each.figure != "posts a day")


def test_months_and_days_add_up_to_every_period(reader: sqlite3.Connection, tell: Teller) -> None:
    """A long period is read by the month where it is whole; what comes out is what the days alone say."""
    draw = random.Random(4)
    for _ in range(300):
        about = tuple(draw.sample(("staff", "price", "food"), 2))
        tell(1, source=draw.choice("ab"), days=draw.randrange(200), touchpoints=about)
    begin = date(2026, 5, 1)
    for since, until in (
        (1, 200), (0, 30), (0, 31), (13, 15), (2, 29), (20, 90), (10, 75), (25, 35), (5, 40), (31, 60), (31, 61),
        (30, 61), (None, 70), (20, None),
    ):  # fmt: skip
        first, last = (None if day is None else begin + timedelta(days=day) for day in (since, until))
        chosen = Filters(since=first, until=last, brands=["Acme"])
        told: Counter[tuple[str, str]] = Counter()
        for sign, view, piece in chosen.spans():
            for touchpoint, source, posts in rows_of(reader, SPOKEN, piece, view):
                told[touchpoint, source] += sign * posts
        alone = {tuple(each)[:2]: each[2] for each in rows_of(reader, SPOKEN, chosen, "touchpoint_contributions")}
        assert +told == alone and alone, (since, until)
    assert [view for _, view, _ in chosen.spans()] == ["touchpoint_months", "touchpoint_contributions"]


SPOKEN = "SELECT touchpoint, source, sum(posts) FROM {table} WHERE {which} GROUP BY 1, 2"


def test_the_parts_of_one_sentiment_are_those_of_its_posts(reader: sqlite3.Connection, tell: Teller) -> None:
    tell(40, touchpoints=("staff",), sentiment="negative")
    tell(15, touchpoints=("staff", "price"), sentiment="positive")
    rows = trends.parts(reader, "touchpoint", "month", sentiments=["positive"])
    assert [(row.part, row.posts, row.negative, row.positive) for row in rows] == [
        ("price", 15, 0, 15),
        ("staff", 15, 0, 15),
    ]


def test_a_wrong_name_is_told_everywhere(reader: sqlite3.Connection, tell: Teller) -> None:
    tell(1)
    for ask in (
        lambda **how: trends.parts(reader, "source", "day", **how),
        lambda **how: trends.voice(reader, "day", **how),
        lambda **how: trends.impact(reader, **how),
        lambda **how: trends.pairs(reader, **how),
        lambda **how: trends.questions(reader, **how),
        lambda **how: trends.changes(reader, TODAY, TODAY, **how),
    ):
        with pytest.raises(ListenerError, match="did you mean 'Acme'"):
            ask(brands=["Acmee"])
    with pytest.raises(ListenerError, match="there is no phase 'reserch'; there are: none, research"):
        trends.trends(reader, phases=["reserch"])
