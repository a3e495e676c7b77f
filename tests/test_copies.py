"""One text that stands in several places is counted once, whatever becomes of its places."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posting import counted_rollup, judge, stored_rollup

from listener import trends
from listener.reads import search
from listener.records import Page, Post, Rating
from listener.store import Store

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
REVIEW = (
    "We came for two nights in November and the heating in our room never worked, although the desk sent somebody up "
    "three times; the breakfast was lovely and the view over the harbour made up for some of it."
)
NEAR = REVIEW.replace("lovely", "very good")
OTHER = (
    "Does anybody know whether the harbour hotel has parking for a camper van, and what it costs a night? We would "
    "like to book for Easter and could not find a word about it on their site."
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "l.db", UTC_ZONE, author_key=None, authors="drop") as store:
        yield store


def post(ident: str, text: str, **more: object) -> Post:
    return Post(source=str(more.pop("source", "a")), native_id=ident, text=text, created_at=NOW, **more)  # type: ignore[arg-type]


def save(store: Store, *posts: Post, brand: str = "Harbour", now: datetime = NOW) -> None:
    for each in posts:
        store.save_page(each.source, Page((each,)), [{brand: "name"} if brand else {}], now)


def clusters(store: Store) -> dict[str, str | None]:
    """native id -> native id of its original."""
    query = """SELECT p.native_id, o.native_id FROM posts p LEFT JOIN posts o ON o.id = p.copy_of
        WHERE p.deleted_at IS NULL ORDER BY p.id"""
    return dict(store.connection.execute(query).fetchall())


def counted(store: Store) -> int:
    return int(store.connection.execute("SELECT coalesce(sum(posts), 0) FROM daily").fetchone()[0])


def holds(store: Store) -> None:
    """The rollup is what counting the posts gives, and copies point at originals only."""
    assert stored_rollup(store.connection) == counted_rollup(store.connection)
    chained = """SELECT count(*) FROM posts c JOIN posts o ON o.id = c.copy_of
        WHERE o.copy_of IS NOT NULL OR o.deleted_at IS NOT NULL OR c.deleted_at IS NOT NULL"""
    assert store.connection.execute(chained).fetchone() == (0,)


def test_a_text_that_is_nearly_the_same_is_a_copy_of_the_first(store: Store) -> None:
    save(store, post("1", REVIEW), post("2", OTHER), post("3", NEAR, source="b"), post("4", REVIEW, source="c"))
    assert clusters(store) == {"1": None, "2": None, "3": "1", "4": "1"}
    judge(store)
    assert counted(store) == 2
    holds(store)


def test_posts_of_one_page_are_compared_with_each_other(store: Store) -> None:
    page = Page((post("1", REVIEW), post("2", NEAR)))
    store.save_page("a", page, [{"Harbour": "name"}] * 2, NOW)
    assert clusters(store) == {"1": None, "2": "1"}


def test_short_texts_are_two_voices(store: Store) -> None:
    save(
        store,
        post("1", "Great stay, friendly staff, would come again."),
        post("2", "Great stay, friendly staff, would come again."),
    )
    assert clusters(store) == {"1": None, "2": None}


def test_another_rating_or_another_brand_is_another_voice(store: Store) -> None:
    save(store, post("1", REVIEW, rating=Rating(2)), post("2", REVIEW, rating=Rating(5)), post("3", REVIEW))
    save(store, post("4", REVIEW, rating=Rating(2)), brand="Lumen")
    assert set(clusters(store).values()) == {None}


def test_a_rating_that_is_changed_makes_a_voice_of_a_copy_and_a_copy_of_a_voice(store: Store) -> None:
    save(store, post("1", REVIEW, rating=Rating(5)), post("2", REVIEW, rating=Rating(5)))
    judge(store)
    assert clusters(store) == {"1": None, "2": "1"}
    save(store, post("2", REVIEW, rating=Rating(1)))
    assert clusters(store) == {"1": None, "2": None}
    assert stored_rollup(store.connection) == counted_rollup(store.connection)
    save(store, post("1", REVIEW, rating=Rating(1)))
    assert sorted(clusters(store).values(), key=str) in (["1", None], ["2", None])
    assert stored_rollup(store.connection) == counted_rollup(store.connection)


@pytest.mark.parametrize("given", ["1", "2", "3"])
def test_to_forget_a_post_is_to_forget_every_copy_of_it(store: Store, given: str) -> None:
    save(store, *(post(ident, REVIEW, source=f"s{ident}") for ident in "123"))
    assert store.forget_post(given, "", NOW) == 3
    assert not store.connection.execute("SELECT 1 FROM posts WHERE text <> ''").fetchall()


def test_a_federated_id_folds_whatever_the_text(store: Store) -> None:
    save(store, post("x@one", "Harbour!", source="one", federated_id="https://one.example/1"))
    save(store, post("x@two", "Harbour! (edited)", source="two", federated_id="https://one.example/1"))
    assert clusters(store) == {"x@one": None, "x@two": "x@one"}


def test_an_article_of_one_address_folds_by_title_or_beginning(store: Store) -> None:
    url = "https://paper.example/harbour"
    save(
        store, post("1", REVIEW + " " + OTHER, source="paper", kind="article", url=url, title="A night at the Harbour")
    )
    save(
        store, post("2", "The harbour hotel…", source="alerts", kind="article", url=url, title="A night at the harbour")
    )
    save(store, post("3", REVIEW, source="news", kind="article", url=url, title="Elsewhere"))
    save(store, post("4", "Nothing of it, but the address is the same.", source="news", kind="article", url=url))
    assert clusters(store) == {"1": None, "2": "1", "3": "1", "4": None}


def test_reviews_on_one_page_do_not_fold_by_its_address(store: Store) -> None:
    url = "https://shop.example/reviews"
    save(store, post("1", "Lovely.", kind="review", url=url), post("2", "Lovely.", kind="review", url=url))
    assert set(clusters(store).values()) == {None}


def test_when_the_original_is_deleted_its_first_copy_is_counted_in_its_place(store: Store) -> None:
    save(store, post("1", REVIEW), post("2", NEAR, source="b"), post("3", REVIEW, source="c"))
    judge(store)
    assert store.save_page("a", Page((), deleted=("1",)), [], NOW).deleted == 1
    assert clusters(store) == {"2": None, "3": "2"}
    assert counted(store) == 1
    holds(store)
    save(store, post("4", NEAR, source="d"))
    assert clusters(store)["4"] == "2", "the heir is found by later copies"


def test_an_original_that_is_rewritten_leaves_its_copies_and_a_copy_that_is_leaves_its_original(store: Store) -> None:
    save(store, post("1", REVIEW), post("2", REVIEW, source="b"), post("3", REVIEW, source="c"))
    judge(store)
    save(store, post("1", OTHER))
    assert clusters(store) == {"1": None, "2": None, "3": "2"}
    save(store, post("3", OTHER, source="c"))
    assert clusters(store) == {"1": None, "2": None, "3": "1"}
    judge(store)
    assert counted(store) == 2
    holds(store)


def test_a_new_brand_of_one_of_them_parts_the_two(store: Store) -> None:
    save(store, post("1", REVIEW), post("2", REVIEW + " The Lumen is better.", source="b"))
    judge(store)
    assert clusters(store)["2"] == "1"

    def match(post: Post) -> dict[str, str]:
        return {"Lumen": "name"} if "Lumen" in post.text else {"Harbour": "name"}

    store.relink(match, "new")
    assert clusters(store) == {"1": None, "2": None}
    assert counted(store) == 2
    holds(store)


def test_people_are_shown_one_post_and_told_of_its_copies(store: Store) -> None:
    save(store, post("1", REVIEW), post("2", NEAR, source="b"), post("3", REVIEW, source="c"))
    judge(store)
    with closing(trends.open_reader(store.path, UTC_ZONE)) as reader:
        (found,) = search.posts(reader, "heating")
        assert (found.native_id, found.copies) == ("1", ("b", "c"))
        assert [row.native_id for row in search.top_posts(reader, NOW.date(), "Harbour")] == ["1"]
        assert [row.posts for row in trends.trends(reader)] == [1]


def test_old_signatures_are_let_go(store: Store) -> None:
    save(store, post("1", REVIEW))
    later = NOW + timedelta(days=60)
    save(store, post("2", OTHER), now=later)
    save(store, post("3", REVIEW, source="b"), now=later)
    assert clusters(store)["3"] is None
    left = store.connection.execute("SELECT DISTINCT post_id FROM signatures ORDER BY 1").fetchall()
    assert left == [(2,), (3,)]


STEP = st.tuples(st.sampled_from(["save", "delete", "judge"]), st.integers(0, 5), st.integers(0, 2), st.booleans())


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, max_size=14))
def test_whatever_happens_the_counts_are_those_of_counting_anew(
    tmp_path_factory: pytest.TempPathFactory, steps: list
) -> None:
    texts = (REVIEW, NEAR, OTHER)
    path = tmp_path_factory.mktemp("db") / "l.db"
    with Store.open(path, UTC_ZONE, author_key=None, authors="drop") as store:
        for what, ident, text, named in steps:
            if what == "save":
                save(store, post(str(ident), texts[text], source=f"s{ident % 2}"), brand="Harbour" if named else "")
            elif what == "delete":
                store.save_page(f"s{ident % 2}", Page((), deleted=(str(ident),)), [], NOW)
            else:
                judge(store)
        holds(store)


def test_how_many_copies_are_found() -> None:
    """The bands find what the words would say: of texts that have 0.9 in common nearly all, of strangers none."""
    from listener.tables import copies

    rng = random.Random(7)
    words = [f"word{n}" for n in range(3000)]

    def text(changed: int, base: list[str]) -> copies.Text:
        told = list(base)
        for at in rng.sample(range(len(told)), changed):
            told[at] = rng.choice(words)
        return copies.Text("", "", "post", "s", "", None, "2026-11-20T10:00:00Z", (), told)

    found = 0
    for _ in range(300):
        base = [rng.choice(words) for _ in range(60)]
        first, second, stranger = text(0, base), text(1, base), text(0, rng.sample(words, 60))
        found += bool(set(first.bands) & set(second.bands))
        assert not set(first.bands) & set(stranger.bands)
    assert found >= 297
