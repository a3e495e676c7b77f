"""Corrections: what a person said is what is counted, until they take it back or the text is another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posting import NOW, OSLO, counted_rollup, judge, opened, post, save, stored_rollup, verdict

from listener import trends
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ListenerError
from listener.reads import review, search
from listener.records import Correction, Page
from listener.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "listener.db") as opened_store:
        opened_store.sync_sources([("feed", "feeds", 1800, True)], NOW)
        yield opened_store


def shown(store: Store, native_id: str = "a") -> search.PostRow:
    with closing(trends.open_reader(store.path, OSLO)) as reader:
        return next(row for row in search.posts(reader, limit=100) if row.native_id == native_id)


def counts(store: Store) -> dict[str, Any]:
    with closing(trends.open_reader(store.path, OSLO)) as reader:
        rows = trends.trends(reader)
        return {row.brand: (row.posts, {k: n for k, n in row.moments.items() if n}, row.abstained) for row in rows}


def test_a_correction_counts_at_once_and_an_undo_brings_the_models_verdict_back_whole(store: Store) -> None:
    save(store, post("a"), brands=("Acme",))
    judge(store, moment="zmot", sentiment="neutral", touchpoints=("price", "food"), sure=False)
    before, rollup = shown(store), stored_rollup(store.connection)
    store.correct(1, Correction(moment="tmot", sentiment="negative", touchpoints=("cleanliness",)), NOW)
    row = shown(store)
    assert (row.moment, row.sentiment, row.score, row.touchpoints) == ("tmot", "negative", -1.0, ("cleanliness",))
    assert (row.abstained, row.judged_by, row.model) == (False, "person", "m1")
    assert counts(store) == {"Acme": (1, {"tmot": 1}, 0)}
    assert store.connection.execute("SELECT judged_by, moment FROM posts_view").fetchone() == ("person", "tmot")
    assert store.undo_correction(1, NOW)
    assert shown(store) == before
    assert stored_rollup(store.connection) == rollup
    assert not store.undo_correction(1, NOW)


def test_what_is_left_open_stays_as_said_before_or_as_the_model_says(store: Store) -> None:
    save(store, post("a"))
    judge(store, moment="zmot", sentiment="neutral", touchpoints=("price",))
    store.correct(1, Correction(moment="imot"), NOW)
    store.correct(1, Correction(sentiment="negative", place="page"), NOW)
    row = shown(store)
    assert (row.moment, row.sentiment, row.touchpoints) == ("imot", "negative", ("price",))
    assert store.undo_correction(1, NOW)
    assert (shown(store).moment, shown(store).sentiment) == ("imot", "neutral")
    assert store.undo_correction(1, NOW)
    assert (shown(store).moment, shown(store).judged_by) == ("zmot", "model")
    with closing(trends.open_reader(store.path, OSLO)) as reader:
        told = [(row["place"], row["moment"], row["model_moment"], row["ended"]) for row in review.history(reader, 1)]
    assert told == [("terminal", "imot", "zmot", "undone"), ("page", "imot", "zmot", "undone")]


def test_another_model_changes_what_the_model_says_and_not_what_counts(store: Store) -> None:
    save(store, post("a"))
    judge(store, moment="zmot", touchpoints=("price",))
    store.correct(1, Correction(moment="smot"), NOW)
    assert judge(store, model="m2", moment="none", sentiment="neutral", touchpoints=("food",)) == 1
    row = shown(store)
    assert (row.moment, row.judged_by, row.model, row.touchpoints) == ("smot", "person", "m2", ("food",))
    assert store.count_pending("m2") == 0
    store.undo_correction(1, NOW)
    assert (shown(store).moment, shown(store).model) == ("none", "m2")


def test_a_correction_ends_with_its_text_and_stays_over_a_changed_rating(store: Store) -> None:
    save(store, post("a", "fine"))
    judge(store, moment="zmot")
    store.correct(1, Correction(moment="imot"), NOW)
    save(store, post("a", "fine", engagement={"likes": 4}))
    assert shown(store).moment == "imot"
    save(store, post("a", "fine, and now it came"))
    assert (shown(store).moment, shown(store).judged_by) == ("zmot", "model")
    assert [each.text for each in store.pending("m1", 5)] == ["fine, and now it came"]
    judge(store, moment="tmot")
    assert shown(store).moment == "tmot"
    assert not store.undo_correction(1, NOW)


def test_not_us_takes_the_brand_away_and_survives_a_repeat_and_new_brands(store: Store) -> None:
    save(store, post("a"), brands=("Acme", "Globex"))
    judge(store)
    store.correct(1, Correction(not_brand="Acme"), NOW)
    assert counts(store) == {"Globex": (1, {"tmot": 1}, 0)}
    assert shown(store).judged_by == "model"
    save(store, post("a"), brands=("Acme", "Globex"))
    assert store.relink(lambda _: {"Acme": "its name", "Globex": "its name"}, "others") == 0
    assert counts(store) == {"Globex": (1, {"tmot": 1}, 0)}
    store.undo_correction(1, NOW)
    assert shown(store).brands == {"Acme": "its name", "Globex": "its name"}
    assert stored_rollup(store.connection) == counted_rollup(store.connection)


def test_a_post_that_no_model_has_judged_can_be_corrected_in_full_alone(store: Store) -> None:
    save(store, post("a"), post("b"))
    with pytest.raises(ListenerError, match="both a moment and a sentiment"):
        store.correct(1, Correction(moment="tmot"), NOW)
    store.correct(1, Correction(moment="smot", sentiment="positive"), NOW)
    assert counts(store)[""] == (1, {"smot": 1}, 0)
    assert store.count_pending("m1") == 2
    judge(store, moment="zmot")
    assert shown(store).moment == "smot"
    store.undo_correction(1, NOW)
    assert shown(store).moment == "zmot"
    save(store, post("c"))
    store.correct(3, Correction(moment="smot", sentiment="positive"), NOW)
    store.undo_correction(3, NOW)
    assert shown(store, "c").moment is None


def test_deletion_takes_the_words_and_leaves_nameless_labels(store: Store) -> None:
    save(store, post("a", author="sam"), brands=("Acme",))
    judge(store, moment="zmot")
    store.correct(1, Correction(moment="tmot", not_brand="Acme", shown="random"), NOW)
    store.forget_author("sam", "", NOW)
    assert counts(store) == {}
    kept = store.connection.execute("SELECT moment, text_hash, ended FROM corrections").fetchall()
    assert kept == [("tmot", "", "deleted")]
    assert store.connection.execute("SELECT count(*) FROM disowned").fetchone() == (0,)
    with pytest.raises(ListenerError, match="no post 1 to correct"):
        store.correct(1, Correction(moment="tmot"), NOW)


def test_expiry_keeps_what_the_person_said(store: Store) -> None:
    save(store, post("a"), brands=("Acme", "Globex"))
    judge(store, moment="zmot")
    store.correct(1, Correction(moment="tmot", not_brand="Acme"), NOW)
    store.expire("feed", NOW + timedelta(days=1), NOW)
    assert counts(store) == {"Globex": (1, {"tmot": 1}, 0)}
    assert store.connection.execute("SELECT why FROM disowned").fetchone() == ("",)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (Correction(), "has to say something"),
        (Correction(moment="best"), "'best' is no label; choose one of none, ltzmot"),
        (Correction(touchpoints=("spa",)), "'spa' is no touchpoint"),
        (Correction(not_brand="Initech"), "not linked to the brand 'Initech'"),
        (Correction(moment="tmot", text_hash="0" * 32), "was edited since you saw it"),
    ],
)
def test_a_correction_that_cannot_be_meant_is_refused(store: Store, said: Correction, wrong: str) -> None:
    save(store, post("a"), brands=("Acme",))
    judge(store)
    with pytest.raises(ListenerError, match=wrong):
        store.correct(1, said, NOW)
    assert store.connection.execute("SELECT count(*) FROM corrections").fetchone() == (0,)


said = st.builds(
    Correction,
    moment=st.sampled_from([None, *MOMENTS]),
    sentiment=st.sampled_from([None, *SENTIMENTS]),
    touchpoints=st.none() | st.lists(st.sampled_from(TOUCHPOINTS), max_size=2).map(tuple),
    not_brand=st.sampled_from([None, "Acme", "Globex"]),
)
STEPS = ("correct", "undo", "judge", "edit", "delete", "relink")
steps = st.lists(
    st.tuples(
        st.sampled_from(STEPS),
        st.integers(1, 4),
        said,
        st.booleans(),
    ),
    max_size=14,
)
LONG = "the breakfast queue went round the corner and twice past the lifts before anybody came to help us {}"


@settings(max_examples=30)
@given(steps=steps)
def test_whatever_happens_the_rollups_are_what_the_posts_say(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, Correction, bool]]
) -> None:
    with opened(tmp_path_factory.mktemp("steps") / "listener.db") as store:
        store.sync_sources([("feed", "feeds", 1800, True)], NOW)
        save(store, post("1", LONG.format("")), post("2", LONG.format("")), post("3"), post("4"), brands=("Acme",))
        for number, (step, post_id, said, flag) in enumerate(steps):
            if step == "correct":
                try:
                    store.correct(post_id, said, NOW)
                except ListenerError:
                    continue
            elif step == "undo":
                store.undo_correction(post_id, NOW)
            elif step == "judge":
                model = f"m{number}" if flag else "m1"
                waiting = store.pending(model, 3)
                store.save_verdicts([verdict(each, unread=flag, model=model) for each in waiting], NOW)
            elif step == "edit":
                text = LONG.format("") if flag else f"another text, number {number}"
                store.save_page("feed", Page([post(str(post_id), text)]), [{"Acme": "x", "Globex": "y"}], NOW)
            elif step == "delete":
                store.delete([post_id], NOW)
            else:
                found = {"Acme": "x"} if flag else {"Globex": "y"}
                store.relink(lambda _, found=found: found, str(number))
            assert stored_rollup(store.connection) == counted_rollup(store.connection)
        for post_id in range(1, 5):
            while store.undo_correction(post_id, NOW):
                pass
        assert stored_rollup(store.connection) == counted_rollup(store.connection)
        assert store.connection.execute("SELECT count(*) FROM verdicts WHERE judged_by = 'person'").fetchone() == (0,)
        assert store.connection.execute("SELECT count(*) FROM disowned").fetchone() == (0,)
