"""What is called unusual: exact chances, history as it was known, causes, one alert an event."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alerted import BRAND, NOW, ZONE, Weeks
from hypothesis import given
from hypothesis import strategies as st

from listener import alerting, trends
from listener.alerts import causes, hours, notices, unusual
from listener.config import Config
from listener.records import Page, Post
from listener.tables import events
from listener.tables.events import Event


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six ordinary weeks, as bytes to begin from."""
    path = tmp_path_factory.mktemp("weeks") / "listener.db"
    weeks = Weeks(path)
    weeks.ordinary()
    with closing(weeks.store):
        weeks.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def weeks(filled: Path, tmp_path: Path) -> Iterator[Weeks]:
    path = tmp_path / "listener.db"
    path.write_bytes(filled.read_bytes())
    found = Weeks.again(path)
    with closing(found.store):
        yield found


def config(weeks: Weeks, **tables: Any) -> Config:
    return Config.model_validate(
        {"timezone": str(ZONE), "database": str(weeks.store.path), "brand": [{"name": BRAND}]} | tables
    )


def noticed(weeks: Weeks, now: datetime = NOW, **tables: Any) -> list[Event]:
    with closing(trends.open_reader(weeks.store.path, ZONE)) as reader:
        return alerting.unnoted(reader, config(weeks, **tables), now)


# --- the test of a count ---


@given(st.integers(0, 40), st.integers(0, 60), st.integers(1, 8), st.integers(1, 30))
def test_the_chance_is_that_of_a_beta_binomial(seen: int, past: int, weeks: int, shape: int) -> None:
    """Counted from the other side: the ways to spread so many posts over urns (Pólya), in whole numbers."""
    number, other = seen + past, weeks * shape

    def ways(posts: int, urns: int) -> int:
        return math.comb(posts + urns - 1, posts)

    at_least = sum(ways(k, shape) * ways(number - k, other) for k in range(seen, number + 1))
    assert unusual.chance(seen, past, weeks, float(shape)) == pytest.approx(
        at_least / ways(number, shape + other), rel=1e-6
    )


def test_much_variation_from_week_to_week_makes_the_same_count_less_unusual() -> None:
    rng = np.random.default_rng(3)
    steady = rng.poisson(20, (9, 168)).astype(float)
    restless = (steady * np.repeat(rng.lognormal(0, 0.5, (9, 7)), 24, axis=1)).round()
    assert unusual.variation(steady[1:], 3) < 0.05 < 0.15 < unusual.variation(restless[1:], 3)
    for weeks in (steady, restless):
        weeks[0, :3] = 2.5 * weeks[1:, :3].mean()
    calm, wild = unusual.look(steady, 3), unusual.look(restless, 3)
    assert calm and wild and calm.p < 1e-9 and wild.p > 1e-5


def test_three_earlier_weeks_tell_nothing() -> None:
    weeks = np.ones((5, 168))
    weeks[0, :6] = 50
    assert [look.window_h for look in unusual.looks(weeks, 5)] == [1, 3, 6, 24]
    weeks[4, 2] = np.nan  # an hour in which nobody collected
    assert [look.window_h for look in unusual.looks(weeks, 5)] == [1]


def test_in_a_quiet_month_there_are_no_more_false_alarms_than_allowed() -> None:
    """Five brands that vary as the test supposes, with ten a month allowed: four of them for mentions."""
    rng = np.random.default_rng(11)
    rules, alarms = alerting.Rules(false_alarms=10), 0
    for rate in (0.2, 1, 5, 20, 80):
        counts = rng.negative_binomial(8, 8 / (8 + rate), 9 * 168 + 720).astype(float)
        open_h = 0
        for now in range(9 * 168, 9 * 168 + 720):
            rows = np.array([counts[now - 168 * k - 167 : now - 168 * k + 1][::-1] for k in range(9)])
            if open_h:
                look = unusual.look(rows, open_h)
                open_h = open_h if look and look.p <= unusual.BACK else 0
                continue
            for look in unusual.looks(rows, 5):
                if look.p < rules.threshold("mentions", 5, look.window_h):
                    alarms, open_h = alarms + 1, look.window_h
                    break
    assert alarms <= 8  # of four expected at most; nine or more come in 2 % of such months


# --- the test of a part ---


def parts(rng: np.random.Generator, rate: float, share: float, spread: float, hours: int) -> tuple[Any, Any]:
    """Posts by the hour, and the negative ones: a share that varies from day to day."""
    whole = rng.poisson(rate, hours).astype(float)
    days = (
        rng.beta(share / spread, (1 - share) / spread, hours // 24 + 1) if spread else np.full(hours // 24 + 1, share)
    )
    return whole, rng.binomial(whole.astype(int), np.repeat(days, 24)[:hours]).astype(float)


def rows(series: Any, now: int) -> Any:
    return np.array([series[now - 168 * k - 167 : now - 168 * k + 1][::-1] for k in range(9)])


def test_a_part_of_posts_that_are_alike_proves_less_than_as_many_independent_ones() -> None:
    rng, found = np.random.default_rng(5), {}
    for spread in (0.0, 0.05):
        whole, part = parts(rng, 40, 0.2, spread, 9 * 168)
        part[-24:] = np.round(0.3 * whole[-24:])
        look = unusual.share_look(rows(part, 9 * 168 - 1), rows(whole, 9 * 168 - 1), 24)
        assert look is not None
        found[spread] = look.p
    assert found[0.0] < 1e-4 < 1e-2 < found[0.05]


@pytest.mark.parametrize(("rate", "spread"), [(0.3, 0.0), (2, 0.02), (30, 0.02), (200, 0.01)])
def test_the_chance_of_a_part_is_no_smaller_than_it_is(rate: float, spread: float) -> None:
    """In quiet weeks a chance of p comes up in p of independent looks at most; here one look a day."""
    rng, number, seen = np.random.default_rng(9), 0, {0.05: 0, 0.005: 0}
    whole, part = parts(rng, rate, 0.25, spread, (9 * 7 + 1500) * 24)
    for now in range(9 * 168 + 23, len(whole), 24):
        look = unusual.share_look(rows(part, now), rows(whole, now), 24)
        assert look is not None
        number += 1
        for p in seen:
            seen[p] += look.p <= p
    for p, times in seen.items():
        assert times <= p * number + 3 * math.sqrt(p * number), (p, times, number)


@pytest.mark.parametrize("part", [np.zeros((9, 168)), np.full((9, 168), np.nan)])
def test_of_nothing_no_part_is_told(part: Any) -> None:
    assert list(unusual.share_looks(part, part, 1)) == []
    assert unusual.share_look(part, part, 24) is None


# --- what is found in a database ---


def test_ordinary_weeks_and_few_posts_are_no_alert(weeks: Weeks) -> None:
    assert noticed(weeks) == []
    weeks.spike(4)
    assert noticed(weeks) == []


def test_a_rise_is_found_with_its_words_sources_and_posts(weeks: Weeks) -> None:
    weeks.spike(30, text="the refund never came")
    weeks.spike(12, text="a walk by the sea")
    (event,) = noticed(weeks)
    assert (event.kind, event.brand) == ("mentions", BRAND)
    assert event.found["seen"] > 42 > 20 > event.found["usual"] and event.found["window_h"] == 3
    assert {"refund", "never", "came"} & {term for term, _ in event.found["terms"]}
    assert event.found["sources"] == [["forum", event.found["sources"][0][1]]] and len(event.found["posts"]) == 5
    with closing(trends.open_reader(weeks.store.path, ZONE)) as reader:
        told = notices.notice(reader, event, ZONE, NOW)
    assert told.what.startswith(f"{BRAND}: {event.found['seen']} mentions in 3 hours, usually about ")
    assert all(post.url.startswith("https://forum.example/") for post in told.posts)


def test_old_posts_that_come_in_late_are_no_rise(weeks: Weeks) -> None:
    """A source that shows two hundred older posts at once: they were written in the weeks before."""
    times = [NOW - timedelta(hours=2 * n + 30) for n in range(200)]
    weeks.say(times, [f"room view lobby {n}" for n in range(200)], lag=timedelta(hours=0), collected=NOW)
    assert noticed(weeks) == []


def test_posts_of_untold_date_are_no_rise(weeks: Weeks) -> None:
    """A source that tells no dates, asked again after an outage: all that was written meanwhile comes at once."""
    posts = tuple(Post("forum", f"undated {n}", f"room view lobby {n}", author=f"a{n}") for n in range(80))
    links = [{BRAND: "its name"}] * len(posts)
    weeks.store.save_page("forum", Page(posts), links, NOW - timedelta(minutes=30))
    weeks.judge()
    assert noticed(weeks) == []


def test_the_present_is_compared_with_what_was_known_then(weeks: Weeks) -> None:
    """A source that is always a day late: its posts of the last hours are still to come, and were so in every week."""
    end = NOW.replace(minute=0)
    times = [end - timedelta(weeks=k, minutes=10 * n + 1) for k in range(1, 6) for n in range(18)]
    weeks.say(times, [f"lobby garden {n}" for n in range(len(times))], lag=timedelta(days=1))
    weeks.spike(40)
    (event,) = noticed(weeks)
    assert event.found["usual"] < 10, "posts that came a day later were taken for known at the time"


def test_a_source_that_is_new_takes_no_part(weeks: Weeks) -> None:
    weeks.store.connection.execute("DELETE FROM runs WHERE started_at < '2026-10-28'")
    weeks.spike(60)
    assert noticed(weeks) == []
    with closing(trends.open_reader(weeks.store.path, ZONE)) as reader:
        assert not alerting.can_look(reader, config(weeks), NOW)


def test_weeks_in_which_nobody_collected_are_left_out(weeks: Weeks) -> None:
    weeks.store.connection.execute("DELETE FROM runs WHERE started_at BETWEEN '2026-11-11' AND '2026-11-12'")
    with closing(trends.open_reader(weeks.store.path, ZONE)) as reader:
        frame = hours.frame(reader, NOW, ZONE)
        assert frame is not None
        counts = hours.weeks(reader, frame, BRAND, "", "posts")
    assert len(frame.ends) == 7 and np.isnan(counts[1, :8]).all() and not np.isnan(counts[2]).any()


def test_hours_are_those_of_the_clock_on_the_wall() -> None:
    """Clocks went back on 25 October 2026 in Vienna: ten in the morning was eight in UTC before, and is nine now."""
    import sqlite3

    with closing(sqlite3.connect(":memory:")) as reader:
        reader.execute("CREATE TABLE sources (name, every_s, enabled)")
        reader.execute("CREATE TABLE runs (source, started_at)")
        reader.execute("INSERT INTO sources VALUES ('forum', 3600, 1)")
        reader.execute("INSERT INTO runs VALUES ('forum', '2026-09-01T00:00:00Z')")
        frame = hours.frame(reader, datetime(2026, 10, 28, 10, 7, tzinfo=UTC), ZONE)
    assert frame is not None and frame.hour == datetime(2026, 10, 28, 9, tzinfo=UTC)
    assert frame.ends[0] - frame.ends[1] == 169 and frame.ends[1] - frame.ends[2] == 168


def test_more_criticism_is_found_where_posts_are_as_many_as_ever(weeks: Weeks) -> None:
    weeks.spike(9, hours=6, text="cold soup again", negative=True, touchpoints=("food",))
    found = {event.kind: event for event in noticed(weeks)}
    assert "mentions" not in found and "negative" in found and "touchpoint" not in found
    figures = found["negative"].found
    assert figures["share"] > 2 * figures["usual_share"]
    assert "soup" in " ".join(term for term, _ in figures["terms"])


def test_a_larger_part_that_is_negative_is_found_where_posts_vary_too_much_to_tell_by_their_number(
    weeks: Weeks,
) -> None:
    """Every other day five times the posts: so many negative ones are nothing new, so large a part of all is."""
    end = NOW.replace(minute=0)
    for day in range(0, 6 * 7, 2):
        times = [end - timedelta(hours=24 * day + n + 1, minutes=5) for n in range(24) for _ in range(8)]
        bad = len(times) * (3 if day == 0 else 1) // 8
        weeks.say(times[bad:], ["a walk by the sea"] * (len(times) - bad))
        weeks.say(times[:bad], ["cold soup again"] * bad, negative=True)
    found = {event.kind: event for event in noticed(weeks)}
    figures = found["negative"].found
    assert figures["share"] > 2 * figures["usual_share"]


def test_criticism_of_one_touchpoint_is_found_in_a_brand_with_much_of_it(weeks: Weeks) -> None:
    end = NOW.replace(minute=0)
    times = [end - timedelta(hours=n, minutes=5) for n in range(1, 6 * 168) for _ in range(4)]
    weeks.say(times, ["a noisy street at night"] * len(times), negative=True, touchpoints=("location",))
    weeks.spike(24, hours=24, text="cold soup again", negative=True, touchpoints=("food",))
    assert [(event.kind, event.about) for event in noticed(weeks) if event.kind != "topic"] == [("touchpoint", "food")]


def test_a_new_topic_needs_several_authors_and_to_be_new(weeks: Weeks) -> None:
    end = NOW.replace(minute=0)
    times = [end - timedelta(hours=n + 1) for n in range(8)]
    weeks.say(times, [f"{word} and bedbugs" for word in ("room", "view", "bed", "lobby", "pool", "wall", "sun", "rug")])
    (event,) = noticed(weeks)
    assert (event.kind, event.about, event.found["authors"]) == ("topic", "bedbugs", 8)
    assert "“bedbugs” in 8 posts by 8 authors, hardly seen before" in notices.what(event)


def test_one_author_makes_no_topic_and_a_known_word_is_none(weeks: Weeks) -> None:
    said = [causes.Said(n, "forum", "ann", frozenset({"bedbugs"}), 0, True, False) for n in range(9000, 9020)]
    with closing(trends.open_reader(weeks.store.path, ZONE)) as reader:
        assert causes.topics(reader, said, 4, 1e-3) == []
        known = [causes.Said(n, "forum", f"a{n}", frozenset({"breakfast"}), 0, True, False) for n in range(9000, 9020)]
        assert causes.topics(reader, known, 4, 1e-3) == []


@given(st.text(max_size=300))
def test_any_text_has_terms_that_the_search_can_be_asked_for(weeks_reader: Any, text: str) -> None:
    for term in causes.terms(text):
        weeks_reader.execute("SELECT rowid FROM posts_fts WHERE posts_fts MATCH ? LIMIT 1", (f'"{term}"',)).fetchall()


@pytest.fixture(scope="module")
def weeks_reader(filled: Path) -> Iterator[Any]:
    with closing(trends.open_reader(filled, ZONE)) as reader:
        yield reader


# --- one alert an event ---


def kinds(weeks: Weeks) -> list[tuple[str, bool]]:
    return [
        (each.kind, each.ended_at is None) for each in events.since(weeks.store.connection, NOW - timedelta(days=90))
    ]


def test_an_event_is_one_alert_until_it_is_over_and_the_cool_down_with_it(weeks: Weeks) -> None:
    weeks.spike(40)
    assert alerting.look(weeks.store, config(weeks), NOW) == 1
    assert alerting.look(weeks.store, config(weeks), NOW) == 0, "the same hour twice"
    later = NOW + timedelta(hours=1)
    assert alerting.look(weeks.store, config(weeks), later) == 0 and kinds(weeks) == [("mentions", True)]
    # Nobody writes any more; three hours later the count is back.
    for hour in range(2, 6):
        alerting.look(weeks.store, config(weeks), NOW + timedelta(hours=hour))
    assert kinds(weeks) == [("mentions", False)]
    end = NOW.replace(minute=0) + timedelta(hours=6)
    again = [end - timedelta(minutes=n + 1) for n in range(60)]
    weeks.say(again, [f"garden {n}" for n in range(60)], lag=timedelta(0))
    assert alerting.look(weeks.store, config(weeks), end + timedelta(minutes=7)) == 0, "within the cool-down"
    quick = config(weeks, alerts={"cool_down": "10m"})
    assert alerting.look(weeks.store, quick, end + timedelta(hours=1, minutes=7)) == 1


def test_the_hours_of_an_event_are_not_what_is_usual_later(weeks: Weeks) -> None:
    weeks.spike(40)
    alerting.look(weeks.store, config(weeks), NOW)
    for hour in range(1, 6):
        alerting.look(weeks.store, config(weeks), NOW + timedelta(hours=hour))
    past = events.since(weeks.store.connection, NOW - timedelta(days=1))
    assert past[0].ended_at is not None
    weeks.store.connection.execute(
        "INSERT INTO runs (source, started_at, seconds, seen, new, skipped, outcome, error)"
        " VALUES ('forum', '2026-11-25T09:50:00Z', 1, 1, 1, '{}', 'ok', '')"
    )
    with closing(trends.open_reader(weeks.store.path, ZONE)) as reader:
        frame = hours.frame(reader, NOW + timedelta(weeks=1), ZONE)
        assert frame is not None
        plain = hours.weeks(reader, frame, BRAND, "", "posts")
        masked = hours.weeks(reader, frame, BRAND, "", "posts", [(past[0].began_at, past[0].ended_at)])
    assert plain[1, :3].sum() >= 40 and np.isnan(masked[1, :3]).all() and not np.isnan(masked[1, 4:]).any()


def test_switched_off_it_looks_at_nothing(weeks: Weeks) -> None:
    weeks.spike(40)
    assert alerting.look(weeks.store, config(weeks, alerts={"enabled": False}), NOW) == 0 and kinds(weeks) == []
