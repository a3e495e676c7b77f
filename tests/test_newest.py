"""The first page of a search is that of reading all that fits, whichever of its ways is taken."""

from __future__ import annotations

import itertools
import random
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posting import NOW, OSLO, opened, verdict

from listener import trends
from listener.reads import newest, search
from listener.records import Page, Post
from listener.store import Store

WORDS = ("room", "breakfast", "heating", "parking", "noise")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 posts of all sorts, stored in another order than they were written in; some copied, deleted or unjudged."""
    path, rng = tmp_path_factory.mktemp("newest") / "l.db", random.Random(3)
    with opened(path) as store:
        for at in range(40):
            _page(store, rng, at)
        store.delete([5, 77, 140], NOW)
    return path


def _page(store: Store, rng: random.Random, at: int) -> None:
    source = ("forum", "news", "reviews")[at % 3]
    posts, links = [], []
    for number in range(10):
        text = " ".join(rng.choices(WORDS, (8, 6, 4, 2, 1), k=rng.randint(1, 4)))
        # Some at the same second, some without a time, some in the first hours of a local day.
        written = rng.choice((NOW - timedelta(hours=rng.randint(0, 400)), NOW - timedelta(days=9, minutes=420), None))
        posts.append(Post(source, f"{at}-{number}", text, created_at=written))
        links.append(
            {brand: "name" for brand in ("Harbour", "Lumen") if rng.random() < (0.5 if brand == "Harbour" else 0.02)}
        )
    store.save_page(source, Page(tuple(posts)), links, NOW - timedelta(hours=rng.randint(0, 100)))
    for each in store.pending("m1", 8):
        moment, sentiment = rng.choice(("zmot", "tmot", "none")), rng.choice(("positive", "negative"))
        touchpoints = ("staff",) if rng.random() < 0.3 else ()
        store.save_verdicts([verdict(each, moment, sentiment, touchpoints, sure=rng.random() < 0.8)], NOW)


@pytest.fixture(params=["as released", "in stretches"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "in stretches":
        for name, few in (("_RARE", 1), ("_RARE_BRAND", 1), ("_STRETCH", 3), ("_LONGEST_STRETCH", 50), ("_AT_ONCE", 4)):
            monkeypatch.setattr(newest, name, few)
    return str(request.param)


DAYS = st.none() | st.integers(0, 20).map(lambda back: (NOW - timedelta(days=back)).date())
QUERIES = st.sampled_from(
    ["", "room", "noise", '"heating room"', "room NOT breakfast", "park*", "room OR noise", "lift"]
)


@given(
    query=QUERIES,
    chosen=st.fixed_dictionaries(
        {},
        optional={
            "brand": st.sampled_from(["Harbour", "Lumen"]),
            "moment": st.sampled_from(["zmot", "tmot", "smot"]),
            "sentiment": st.sampled_from(["positive", "negative"]),
            "touchpoint": st.just("staff"),
            "source": st.sampled_from(["forum", "reviews"]),
        },
    ),
    days=st.tuples(DAYS, DAYS),
    limit=st.sampled_from([1, 3, 20, 1000]),
)
def check(
    reader: object, query: str, chosen: dict[str, str], days: tuple[date | None, date | None], limit: int
) -> None:
    since, until = days
    if since and until and since > until:
        since, until = until, since
    everything = search.stream(reader, query, **chosen, since=since, until=until)  # type: ignore[arg-type]
    expected = [row.id for row in itertools.islice(everything, limit)]
    found = search.posts(reader, query, **chosen, since=since, until=until, limit=limit)  # type: ignore[arg-type]
    assert [row.id for row in found] == expected


def test_the_first_page_is_the_beginning_of_everything(database: Path, way: str) -> None:
    with closing(trends.open_reader(database, OSLO)) as reader:
        check(reader)


def test_the_first_and_the_last_day_there_are_can_be_asked_for(database: Path) -> None:
    with closing(trends.open_reader(database, OSLO)) as reader:
        every = search.posts(reader, since=date.min, until=date.max, limit=1000)
        assert len(every) == len(list(search.stream(reader)))
        assert search.posts(reader, since=date.max) == search.posts(reader, until=date.min) == []


def test_times_are_those_the_rows_are_sorted_by(database: Path) -> None:
    with closing(trends.open_reader(database, OSLO)) as reader:
        at: list[datetime] = [row.created_at or row.collected_at for row in search.posts(reader, "room", limit=1000)]
        assert len(at) > 100 and at == sorted(at, reverse=True)
