"""What people read: trends, days and what is usual, posts found by words, the health of sources."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from posting import NOW, OSLO, judge, opened, post, save

from listener import trends
from listener.engine.labels import MOMENTS, PHASES, SENTIMENTS
from listener.errors import ListenerError, StoreError
from listener.reads import search
from listener.records import Gap, Page, Rating, Run
from listener.store import Store

TODAY = date(2026, 11, 22)
SUNDAY_NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "listener.db") as opened_store:
        yield opened_store


@pytest.fixture
def reader(store: Store) -> Iterator[sqlite3.Connection]:
    with closing(trends.open_reader(store.path, OSLO)) as connection:
        yield connection


@pytest.fixture
def tell(store: Store) -> Callable[..., None]:
    """Stores posts of a day with one verdict: tell("zmot", "positive", 3, days=7, brand="Acme", touchpoints=...)."""
    numbers = iter(range(10_000))

    def told(
        moment: str, sentiment: str, count: int = 1, *, days: int = 0, brand: str = "Acme", sure: bool = True,
        touchpoints: tuple[str, ...] = (), language: str = "", unread: bool = False, **fields: Any,
    ) -> None:  # fmt: skip
        at = SUNDAY_NOON - timedelta(days=days)
        made = [post(str(next(numbers)), **{"created_at": at, **fields}) for _ in range(count)]
        save(store, *made, brands=(brand,) if brand else ())
        how = {"sure": sure, "touchpoints": touchpoints, "language": language, "unread": unread}
        judge(store, moment=moment, sentiment=sentiment, **how)

    return told


# --- trends ---


def test_a_row_is_as_the_manual_says(reader: sqlite3.Connection, tell: Callable[..., None]) -> None:
    tell("zmot", "neutral", 3)
    tell("fmot", "positive", 1)
    tell("imot", "negative", 1)
    tell("tmot", "positive", 2)
    tell("tmot", "negative", 1)
    tell("none", "neutral", 2, rating=Rating(2))
    tell("tmot", "positive", 2, sure=False)
    (row,) = trends.trends(reader)
    shown = row.as_json()
    assert list(shown) == [
        "period", "brand", "posts", "moments", "research", "transaction", "feedback", "none", "zmot_share",
        "tmot_share", "positive", "neutral", "negative", "net_sentiment", "score", "csat", "abstained", "unread",
        "late", "net", "research_share", "feedback_share", "negative_share", "positive_share", "corrected", "rating",
        "stars",
    ]  # fmt: skip
    assert json.loads(json.dumps(shown)) == shown
    assert (row.period, row.brand, row.posts, row.abstained) == ("2026-11-22", "Acme", 12, 2)
    assert row.moments == {"none": 2, "ltzmot": 0, "zmot": 3, "fmot": 1, "smot": 0, "imot": 1, "tmot": 3}
    assert (row.research, row.transaction, row.feedback, row.none) == (4, 1, 3, 2)
    assert row.sentiments == {"negative": 2, "neutral": 5, "positive": 5}
    assert shown["net_sentiment"] == pytest.approx(3 / 7)
    assert shown["score"] == pytest.approx(0.7 * (5 - 2) / 12)
    assert shown["zmot_share"]["value"] == pytest.approx(3 / 10)  # the two that abstained are in no denominator
    assert (row.csat.n, row.csat.value) == (5, pytest.approx(2 / 5))  # three tmot, two rated
    assert shown["csat"] == {"value": None, "low": None, "high": None, "n": 5}, "five answers are not enough data"


def test_a_share_of_nothing_is_null(reader: sqlite3.Connection, tell: Callable[..., None]) -> None:
    tell("zmot", "neutral", sure=False)
    shown = trends.trends(reader)[0].as_json()
    assert shown["tmot_share"] == {"value": None, "low": None, "high": None}
    assert shown["csat"] == {"value": None, "low": None, "high": None, "n": 0}
    assert shown["net_sentiment"] is None
    assert shown["score"] == 0.0


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # Newcombe 1998, table I, method 3 (Wilson without continuity correction)
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_the_literature(part: int, whole: int, low: float, high: float) -> None:
    share = trends.wilson(part, whole)
    assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_its_share(part: int, whole: int) -> None:
    share = trends.wilson(min(part, whole), whole)
    assert 0 <= share.low <= share.value <= share.high <= 1


@given(st.dates(date(1971, 1, 1), date(2199, 12, 31)))
@example(date(2027, 1, 3))
@example(date(2024, 12, 30))
def test_weeks_are_iso_weeks(day: date) -> None:
    from listener.reads.counts import PERIODS

    with closing(sqlite3.connect(":memory:")) as connection:
        (week,) = connection.execute(f"SELECT {PERIODS['week']} FROM (SELECT ? AS day)", (day.isoformat(),)).fetchone()
    year, number, _ = day.isocalendar()
    assert week == f"{year}-W{number:02}"


def test_periods_and_brands_make_the_rows(reader: sqlite3.Connection, tell: Callable[..., None]) -> None:
    tell("zmot", "neutral")
    tell("zmot", "neutral", 2, days=1, brand="Bolt")
    tell("zmot", "neutral", 3, days=30, brand="")

    def rows(**how: Any) -> list[tuple[str, str, int]]:
        return [(row.period, row.brand, row.posts) for row in trends.trends(reader, **how)]

    assert rows() == [("2026-10-23", "", 3), ("2026-11-21", "Bolt", 2), ("2026-11-22", "Acme", 1)]
    assert rows(by="week") == [("2026-W43", "", 3), ("2026-W47", "Acme", 1), ("2026-W47", "Bolt", 2)]
    assert rows(by="month") == [("2026-10", "", 3), ("2026-11", "Acme", 1), ("2026-11", "Bolt", 2)]
    assert rows(since=date(2026, 11, 21), until=date(2026, 11, 21)) == [("2026-11-21", "Bolt", 2)]
    assert rows(brands=["Acme"]) == [("2026-11-22", "Acme", 1)]
    assert rows(moments=["tmot"]) == []


def test_the_rollup_and_single_posts_give_the_same_trends(store: Store, reader: sqlite3.Connection) -> None:
    draw = random.Random(7)
    for n in range(300):
        made = post(
            str(n), f"word{n % 5} common", created_at=SUNDAY_NOON - timedelta(days=draw.randrange(20)),
            rating=draw.choice([None, Rating(2), Rating(5)]),
        )  # fmt: skip
        brands = draw.sample(["Acme", "Bolt"], draw.randrange(3))
        store.save_page(f"s{n % 2}", Page((made,)), [dict.fromkeys(brands, "name")], NOW)
        judge(
            store, moment=draw.choice(MOMENTS), sentiment=draw.choice(SENTIMENTS), sure=draw.random() < 0.8,
            touchpoints=("price",), lean=draw.uniform(0.4, 0.9),
        )  # fmt: skip
    filters: list[dict[str, Any]] = [
        {}, {"by": "month"}, {"by": "week", "brands": ["Acme"]}, {"sources": ["s1"]}, {"moments": ["tmot", "zmot"]},
        {"sentiments": ["negative"]}, {"since": date(2026, 11, 10), "until": date(2026, 11, 15)},
    ]  # fmt: skip
    for how in filters:
        rolled = trends.trends(reader, **how)
        assert rolled
        assert trends.trends(reader, **how, query="common") == rolled
        assert trends.trends(reader, **how, touchpoints=["price"]) == rolled
    assert trends.trends(reader, touchpoints=["staff"]) == []
    assert sum(row.posts for row in trends.trends(reader, query="word3", brands=["Acme", ""])) < 61


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"brands": ["Acmee"]}, "no brand 'Acmee' in the database; did you mean 'Acme'"),
        ({"brands": ["xyz"]}, "no brand 'xyz' in the database; there are: Acme"),
        ({"sources": ["fed"]}, "did you mean 'feed'"),
        ({"moments": ["zmott"]}, "did you mean 'zmot'"),
        ({"sentiments": ["Positive"]}, "did you mean 'positive'"),
        ({"touchpoints": ["prices"]}, "did you mean 'price'"),
        ({"since": date(2026, 11, 2), "until": date(2026, 11, 1)}, "begins on 2026-11-02 .* on 2026-11-01; swap"),
        ({"query": "AND room"}, "cannot be read: an operator or a parenthesis is out of place"),
    ],
)
def test_a_wrong_filter_is_named_with_its_remedy(
    reader: sqlite3.Connection, tell: Callable[..., None], how: dict[str, Any], message: str
) -> None:
    tell("zmot", "neutral")
    with pytest.raises(ListenerError, match=message):
        trends.trends(reader, **how)
    single = {name.removesuffix("s"): value[0] for name, value in how.items() if isinstance(value, list)}
    with pytest.raises(ListenerError, match=message):
        trends.posts(reader, **(single or how))


def test_posts_in_other_languages_are_posts_and_nothing_else(
    reader: sqlite3.Connection, tell: Callable[..., None]
) -> None:
    tell("tmot", "positive", 3)
    tell("tmot", "negative", 2, language="de", unread=True)
    tell("zmot", "negative", 1, sure=False)
    (row,) = trends.trends(reader)
    assert (row.posts, row.abstained, row.unread, row.feedback) == (6, 3, 2, 3)
    assert row.sentiments == {"negative": 1, "neutral": 0, "positive": 3}
    assert row.score == pytest.approx((3 * 0.7 - 0.7) / 4)
    assert sum(each.posts for each in trends.trends(reader, sentiments=["negative"])) == 1
    assert [each.posts for each in trends.trends(reader, query="room")] == [6], "counted post by post"
    assert len(trends.posts(reader, sentiment="negative")) == 1
    assert trends.top_posts(reader, TODAY, "Acme", sentiment="negative")[0].unread is False
    (german, _) = [each for each in trends.posts(reader) if each.unread]
    assert (german.language, german.abstained, german.sentiment, german.score, german.phase) == (
        "de", True, None, None, None,
    )  # fmt: skip


def test_the_usual_share_of_criticism_is_of_what_was_read(
    reader: sqlite3.Connection, tell: Callable[..., None]
) -> None:
    for week in range(1, 9):
        tell("tmot", "negative", 1, days=7 * week)
        tell("tmot", "positive", 1, days=7 * week)
        tell("tmot", "negative", 6, days=7 * week, language="de", unread=True)
    usual = trends.usual(reader, TODAY, "Acme")
    assert (usual.posts_mean, usual.negative_mean, usual.negative_high) == (8, 0.5, 0.5)


# --- days ---


def test_a_day_is_counted_also_when_it_is_empty(reader: sqlite3.Connection, tell: Callable[..., None]) -> None:
    assert trends.days(reader) == (None, None)
    tell("tmot", "positive", 2)
    tell("zmot", "neutral", 2, days=3)
    day = trends.day_totals(reader, TODAY, "Acme")
    assert (day.day, day.brand, day.posts, day.feedback, day.csat.value) == (TODAY, "Acme", 2, 2, 1.0)
    empty = trends.day_totals(reader, TODAY, "Nobody")
    assert (empty.posts, empty.net_sentiment, empty.csat.value, empty.score) == (0, None, None, None)
    assert set(empty.moments) == set(MOMENTS)
    assert set(PHASES.values()) == {"research", "transaction", "feedback", "none"}
    assert trends.days(reader) == (date(2026, 11, 19), TODAY)
    assert trends.brands(reader) == ["Acme"]


def test_a_post_near_midnight_belongs_to_the_local_day(store: Store, reader: sqlite3.Connection) -> None:
    save(store, post("a", created_at=datetime(2026, 11, 21, 23, 10, tzinfo=UTC)), brands=("Acme",))
    judge(store)
    assert trends.day_totals(reader, TODAY, "Acme").posts == 1


def test_usual_is_the_same_weekday(reader: sqlite3.Connection, tell: Callable[..., None]) -> None:
    for week, count in enumerate((4, 6, 8, 2), start=1):
        tell("tmot", "negative", count, days=7 * week)
        tell("zmot", "positive", 2, days=7 * week)
        tell("zmot", "positive", 50, days=7 * week - 3)  # Wednesdays are another matter
    tell("tmot", "negative", 99)  # and so is the day itself
    usual = trends.usual(reader, TODAY, "Acme")
    assert (usual.days, usual.posts_mean, usual.posts_low, usual.posts_high) == (4, 7.0, 4, 10)
    assert usual.feedback_mean == pytest.approx(20 / 28)
    assert (usual.feedback_low, usual.feedback_high) == (0.5, 0.8)
    assert usual.research_mean == pytest.approx(8 / 28)
    assert usual.negative_mean == pytest.approx(20 / 28)
    assert trends.usual(reader, TODAY, "Acme", weeks=3).days == 28  # three Sundays are too few


def test_a_short_history_is_taken_by_the_day_and_a_shorter_one_not_at_all(
    reader: sqlite3.Connection, tell: Callable[..., None]
) -> None:
    assert trends.usual(reader, TODAY, "Acme").posts_mean is None
    tell("zmot", "neutral", 10, days=6)
    none = trends.usual(reader, TODAY, "Acme")
    assert (none.days, none.posts_mean, none.posts_high, none.research_low) == (0, None, None, None)
    tell("zmot", "neutral", 10, days=10)
    usual = trends.usual(reader, TODAY, "Acme")
    # Days without a post are days all the same, and have no share.
    assert (usual.days, usual.posts_mean, usual.posts_low, usual.posts_high) == (10, 2.0, 0, 10)
    assert (usual.research_mean, usual.research_low) == (1.0, 1.0)


def test_touchpoints_of_a_day_beside_what_is_usual(reader: sqlite3.Connection, tell: Callable[..., None]) -> None:
    for days in range(1, 11):
        tell("tmot", "negative", 2, days=days, touchpoints=("price",))
    tell("tmot", "negative", 3, touchpoints=("price", "staff"))
    tell("tmot", "positive", 1, touchpoints=("staff",))
    first, second = trends.touchpoint_totals(reader, TODAY, "Acme")
    assert first == trends.TouchpointTotal("staff", 4, 1, 0, 3, 0.0)
    assert second == trends.TouchpointTotal("price", 3, 0, 0, 3, 2.0)
    assert trends.touchpoint_totals(reader, TODAY, "Bolt") == []
    silent = trends.touchpoint_totals(reader, TODAY + timedelta(days=1), "Acme")
    assert [(each.touchpoint, each.posts) for each in silent] == [("price", 0), ("staff", 0)]
    assert silent[0].usual_posts and silent[0].usual_posts > 0, "what nobody speaks of today has its usual"


def test_the_worst_is_read_first(reader: sqlite3.Connection, tell: Callable[..., None]) -> None:
    tell("tmot", "positive", text="lovely")
    tell("tmot", "negative", text="bad")
    tell("tmot", "negative", text="bad and one star", rating=Rating(1))
    tell("tmot", "negative", text="bad and much read", engagement={"likes": 900, "comments": 80})
    tell("zmot", "negative", text="a worried question")
    tell("tmot", "negative", text="yesterday", days=1)
    tell("tmot", "negative", text="unsure", sure=False)

    def texts(**how: Any) -> list[str]:
        return [row.text for row in trends.top_posts(reader, TODAY, "Acme", **how)]

    worst = ["bad and one star", "bad and much read", "bad"]
    assert texts(moment="tmot", sentiment="negative") == worst
    assert texts(moment="tmot", sentiment="negative", limit=2) == worst[:2]
    assert texts(order="recent", limit=2) == ["unsure", "a worried question"]
    assert texts(limit=99)[-1] == "lovely"


def test_late_posts_are_those_of_the_brands_that_are_counted(store: Store, reader: sqlite3.Connection) -> None:
    words = "we stayed for three nights and the room was cold and the staff were kind to us"
    save(store, post("a"), brands=("Acme",))
    later = NOW + timedelta(hours=1)
    save(store, post("b", words), post("c", f"{words} all"), brands=("Acme",), now=later)  # one is a copy
    save(store, post("d", "about another"), brands=("Bolt",), now=later)
    judge(store)
    assert trends.late(reader, TODAY, NOW, ["Acme"]) == 1
    assert trends.late(reader, TODAY, NOW, ["Acme", "Bolt"]) == 2
    assert trends.late(reader, TODAY, NOW, ["Acme"], ["feed"]) == 1
    assert trends.late(reader, TODAY, NOW, ["Acme"], ["forum"]) == 0
    assert trends.late(reader, TODAY, NOW + timedelta(hours=2), ["Acme"]) == 0


def test_late_posts_and_waiting_posts_are_counted(store: Store, reader: sqlite3.Connection) -> None:
    save(store, post("a"), now=NOW)
    judge(store)
    save(store, post("b"), post("c"), now=NOW + timedelta(hours=1))
    assert trends.late(reader, TODAY, NOW, ["Acme"]) == 0, "not counted yet"
    assert trends.waiting(reader) == 2
    assert (trends.count_pending(reader, "m1"), trends.count_pending(reader, "m2")) == (2, 3)
    store.pending("m2", 1)
    assert (trends.waiting(reader), trends.count_pending(reader, "m2")) == (2, 3)


# --- posts ---


def test_a_post_is_shown_with_all_that_is_known(store: Store, reader: sqlite3.Connection) -> None:
    made = post("a", "Rude at check-in", title="Never again", url="https://example.org/1", rating=Rating(2, 1, 5),
                engagement={"likes": 3}, lang="en", kind="review")  # fmt: skip
    save(store, made, brands=("Acme",))
    (bare,) = trends.posts(reader)
    assert (bare.moment, bare.phase, bare.abstained, bare.touchpoints, bare.rating) == (None, None, None, (), 0.25)
    judge(store, sentiment="negative", touchpoints=("arrival", "staff"))
    (row,) = trends.posts(reader)
    assert (row.moment, row.phase, row.sentiment, row.abstained, row.model) == (
        "tmot",
        "feedback",
        "negative",
        False,
        "m1",
    )
    assert row.brands == {"Acme": "its name"}
    assert row.touchpoints == ("arrival", "staff")
    assert row.created_at == made.created_at
    shown = json.loads(json.dumps(row.as_json()))
    assert shown["created_at"] == "2026-11-22T04:30:00Z"
    assert shown["day"] == "2026-11-22"
    assert shown["edited_at"] is None


def test_posts_are_found_by_words_and_filters(
    store: Store, reader: sqlite3.Connection, tell: Callable[..., None]
) -> None:
    tell("tmot", "negative", text="The check-in took an hour", touchpoints=("arrival",))
    tell("zmot", "neutral", text="Is the café open on Sunday?", brand="Bolt", days=1)
    tell("tmot", "positive", text="An hour in the pool: lovely", days=2)
    tell("tmot", "positive", text="Perhaps an hour", sure=False, days=3)

    def found(query: str = "", **how: Any) -> list[str]:
        return [row.text.split()[0] + row.text.split()[1] for row in trends.posts(reader, query, **how)]

    assert found() == ["Thecheck-in", "Isthe", "Anhour", "Perhapsan"]
    assert found(limit=1) == ["Thecheck-in"]
    assert [row.text.split()[0] for row in search.stream(reader)] == ["The", "Is", "An", "Perhaps"]
    assert found("hour") == ["Thecheck-in", "Anhour", "Perhapsan"]
    assert found("hour", moment="tmot") == ["Thecheck-in", "Anhour"]
    assert found("hour", since=date(2026, 11, 20), until=date(2026, 11, 21)) == ["Anhour"]
    assert found(brand="Bolt") == found("cafe") == found(moment="zmot") == found(sentiment="neutral") == ["Isthe"]
    assert found(touchpoint="arrival", source="feed") == ["Thecheck-in"]
    for query, texts in {
        "check-in": ["Thecheck-in"],
        '"an hour"': ["Thecheck-in", "Anhour", "Perhapsan"],
        '"hour an"': [],
        "love*": ["Anhour"],
        "hour pool": ["Anhour"],
        "hour AND pool": ["Anhour"],
        "cafe OR pool": ["Isthe", "Anhour"],
        "hour NOT pool": ["Thecheck-in", "Perhapsan"],
        "hour AND NOT pool": ["Thecheck-in", "Perhapsan"],
        "hour (pool OR took)": ["Thecheck-in", "Anhour"],
        "(pool OR took) lovely": ["Anhour"],
        "hour !!! 🔥": ["Thecheck-in", "Anhour", "Perhapsan"],
        "text:hour": [],
        "open?": ["Isthe"],
        '"lov"*': ["Anhour"],
    }.items():
        assert found(query) == texts, query


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ('"an hour', "a quotation mark is not closed"),
        ("NOT hour", "out of place"),
        ("hour OR", "out of place"),
        ("(hour", "out of place"),
        ("hour )", "out of place"),
        ("!!!", "it holds no word"),
        ('""', "it holds no word"),
    ],
)
def test_a_search_that_cannot_be_read_says_how_to_write_it(reader: sqlite3.Connection, query: str, why: str) -> None:
    with pytest.raises(ListenerError, match=rf"cannot be read: .*{why}.*prefix\*"):
        trends.posts(reader, query)


_SIGNS = [*'ab "*()-:^+{}.,!\0é🔥_', " AND ", " OR ", " NOT ", "NEAR(", "\ud800"]


@given(st.lists(st.sampled_from(_SIGNS), max_size=12).map("".join))
@example("*")
@example('a "" b')
@example('a AND "!" OR b')
def test_any_search_is_answered_or_explained(tmp_path_factory: pytest.TempPathFactory, query: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any-search.db"
    if not path.exists():
        opened(path).close()
    with closing(trends.open_reader(path, OSLO)) as reader:
        try:
            assert trends.posts(reader, query) == []
        except ListenerError as error:
            assert "cannot be read" in str(error)


# --- sources, and the reader itself ---


def test_the_health_of_sources_is_told(store: Store, reader: sqlite3.Connection) -> None:
    store.sync_sources([("feed", "feeds", 60, True), ("away", "feeds", 60, False)], NOW)
    page = Page((post("a"), post("b")), gap=Gap(None, NOW, "the listing ends at 1,000"))
    store.save_page("feed", page, [{}, {}], NOW - timedelta(days=2))
    save(store, post("c"))
    for n, skipped in enumerate(({"no text": 5}, {"no text": 1, "no brand named": 2}, {"no text": 2})):
        run = Run("feed", NOW - timedelta(days=2 - n), 1.5, 3, 1, skipped, "ok" if n < 2 else "broken", "no entries")
        store.finish_run(run, NOW + timedelta(hours=1))
    feed, away = trends.source_health(reader, NOW)
    assert (feed.name, feed.kind, feed.enabled, feed.posts, feed.posts_24h, feed.gaps) == (
        "feed",
        "feeds",
        True,
        3,
        1,
        1,
    )
    assert (feed.state, feed.why, feed.failures) == ("broken", "no entries", 1)
    assert feed.since == NOW + timedelta(seconds=1)
    assert feed.next_due_at == NOW + timedelta(hours=1)
    assert feed.skipped == {"no text": 2}
    assert (away.name, away.enabled, away.state, away.posts, away.skipped) == ("away", False, "new", 0, {})
    assert [health.posts_24h for health in trends.source_health(reader)] == [1, 0]


def test_a_reader_says_what_it_cannot_read(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="no tables of this version yet"):
        trends.open_reader(tmp_path / "empty.db", OSLO)
    store.connection.execute("INSERT INTO _sqlite_migrations VALUES (99, 'listener', 'm099_later', '2027-01-01')")
    with pytest.raises(StoreError, match="newer version"):
        trends.open_reader(store.path, OSLO)
    store.connection.execute("DELETE FROM _sqlite_migrations WHERE id = 99")
    trends.open_reader(store.path, ZoneInfo("Asia/Tokyo")).close()
    assert "are those of Europe/Oslo, not of Asia/Tokyo" in caplog.text
