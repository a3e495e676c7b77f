"""The store: what is saved once stays once, bookmarks move with their posts, rollups are right all the time."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from posting import NOW, OSLO, counted_rollup, judge, opened, post, save, stored_rollup, verdict
from sqlite_utils import Database

from listener.engine.labels import PHASES
from listener.errors import StoreError, TakenOver
from listener.migrations import MIGRATIONS
from listener.records import Gap, Page, Post, Rating, Run
from listener.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "listener.db") as opened_store:
        yield opened_store


def column(store: Store, query: str) -> list[object]:
    return [row[0] for row in store.connection.execute(query)]


# --- posts and bookmarks ---


def test_a_page_is_stored_with_its_bookmark_and_a_repeat_adds_nothing(store: Store) -> None:
    store.sync_sources([("feed", "feeds", 1800, True)], NOW)
    first = save(store, post("a"), post("b"), brands=("Acme",), cursor={"etag": "1"})
    again = save(store, post("b"), post("a"), post("c"), brands=("Acme",), cursor={"etag": "2"})
    assert (first.new, first.edited, first.seen) == (2, 0, 2)
    assert (again.new, again.edited, again.seen) == (1, 0, 3)
    assert store.source_state("feed").cursor == {"etag": "2"}
    assert store.count_pending("m1") == 3


def test_no_cursor_leaves_the_bookmark_where_it_is(store: Store) -> None:
    save(store, post("a"), cursor={"after": "a"})
    save(store, post("b"), cursor=None)
    assert store.source_state("feed").cursor == {"after": "a"}


def test_of_a_post_twice_on_a_page_the_last_one_counts(store: Store) -> None:
    assert save(store, post("a", "first words"), post("a", "last words")).new == 1
    assert [each.text for each in store.pending("m1", 10)] == ["last words"]


def test_an_edited_text_waits_for_a_verdict_and_shows_the_old_one_meanwhile(store: Store) -> None:
    save(store, post("a", "fine"))
    judge(store, sentiment="positive")
    assert save(store, post("a", "no longer fine", edited_at=NOW)).edited == 1
    assert [each.text for each in store.pending("m1", 10)] == ["no longer fine"]
    assert column(store, "SELECT sentiment FROM verdicts") == ["positive"]
    assert column(store, "SELECT sum(posts) FROM daily") == [1]
    judge(store, sentiment="negative")
    assert store.pending("m1", 10) == []
    assert column(store, "SELECT sentiment FROM daily") == ["negative"]


def test_a_changed_rating_moves_the_rollup_and_needs_no_new_verdict(store: Store) -> None:
    save(store, post("a", rating=Rating(5)))
    judge(store)
    assert column(store, "SELECT satisfied FROM daily") == [1]
    assert save(store, post("a", rating=Rating(2), engagement={"likes": 3})).edited == 1
    assert store.count_pending("m1") == 0
    assert column(store, "SELECT satisfied FROM daily") == [0]


def test_more_likes_are_no_reason_to_judge_again(store: Store) -> None:
    save(store, post("a", engagement={"likes": 1}))
    judge(store)
    assert save(store, post("a", engagement={"likes": 2})).edited == 1
    assert store.count_pending("m1") == 0
    assert column(store, "SELECT engagement FROM posts") == ['{"likes": 2}']


def test_the_first_date_of_a_post_stays_but_a_missing_one_is_filled_in(store: Store) -> None:
    save(store, post("a", created_at=None), post("b", created_at=NOW - timedelta(days=3)))
    save(store, post("a", "edited", created_at=NOW - timedelta(days=5)), post("b", "edited", created_at=NOW))
    assert column(store, "SELECT day FROM posts ORDER BY id") == ["2026-11-17", "2026-11-19"]


def test_a_deleted_post_is_not_brought_back(store: Store) -> None:
    save(store, post("a", "private matter", author="Ann", engagement={"likes": 1}), brands=("Acme",))
    judge(store, touchpoints=("staff",))
    assert store.delete([1], NOW) == 1
    assert save(store, post("a", "private matter", author="Ann"), brands=("Acme",)).new == 0
    assert column(store, "SELECT text || author || url FROM posts") == [""]
    assert column(store, "SELECT count(*) FROM posts_fts WHERE posts_fts MATCH 'private'") == [0]
    assert stored_rollup(store.connection) == {}
    assert store.count_pending("m1") == store.count_pending("another") == 0
    assert store.delete([1], NOW) == 0


def test_a_gap_is_noted_once(store: Store) -> None:
    page = Page((), None, gap=Gap(None, NOW, "the listing ends at 1,000 posts"))
    store.save_page("feed", page, [], NOW)
    store.save_page("feed", page, [], NOW + timedelta(hours=1))
    assert column(store, "SELECT noted_at FROM gaps") == ["2026-11-22T06:30:00Z"]


def test_an_error_in_a_page_leaves_no_part_of_it(store: Store) -> None:
    save(store, post("a"), cursor={"at": 1})
    links = [{"Acme": "name"}, {"": "a brand needs a name"}]
    with pytest.raises(sqlite3.IntegrityError):
        store.save_page("feed", Page((post("b"), post("c")), {"at": 2}), links, NOW)
    assert column(store, "SELECT native_id FROM posts") == ["a"]
    assert store.source_state("feed").cursor == {"at": 1}
    assert save(store, post("b")).new == 1  # and the next transaction is not in its way


@pytest.mark.parametrize(
    "odd",
    [
        {"created_at": datetime(1, 1, 1, tzinfo=UTC)},
        {"created_at": datetime(9999, 12, 31, 23, tzinfo=UTC)},
        {"rating": Rating(3, 5, 5)},
        {"rating": Rating(float("nan"))},
        {"author": "half \ud83d of a pair", "title": "\udcff"},
        {"engagement": {"views": 10**30}},
    ],
)
def test_what_no_site_should_send_is_stored_all_the_same(store: Store, odd: dict[str, object]) -> None:
    assert save(store, post("a", **odd), post("b")).new == 2
    assert judge(store) == 2


@pytest.mark.parametrize(("authors", "kept"), [("plain", "Ann"), ("drop", "")])
def test_authors_are_kept_as_the_owner_asked(tmp_path: Path, authors: str, kept: str) -> None:
    with Store.open(tmp_path / "a.db", OSLO, author_key=None, authors=authors) as store:
        save(store, post("a", author="Ann"))
        assert column(store, "SELECT author FROM posts") == [kept]


def test_authors_are_keyed_hashes_by_default(tmp_path: Path) -> None:
    seen = []
    for n, key in enumerate((b"one key", b"one key", b"another")):
        with Store.open(tmp_path / f"{n}.db", OSLO, author_key=key) as store:
            save(store, post("a", author="Ann"), post("b", author="Ann"), post("c", author=""))
            hashes = column(store, "SELECT author FROM posts ORDER BY id")
            assert hashes[0] == hashes[1]
            assert hashes[2] == ""
            seen.append(hashes[0])
    assert len(seen[0]) == 16
    assert seen[0] == seen[1] != seen[2]
    with Store.open(tmp_path / "0.db", OSLO, author_key=b"one key") as store:
        store.save_page("elsewhere", Page((post("a", author="Ann"),)), [{}], NOW)
        assert len(set(column(store, "SELECT author FROM posts WHERE author <> ''"))) == 2  # one Ann is not the other
    with pytest.raises(StoreError, match="key_file"):
        Store.open(tmp_path / "x.db", OSLO, author_key=None)


# --- the queue ---


def test_pending_is_newest_first_and_within_the_limit(store: Store) -> None:
    save(store, *(post(str(n), f"text {n}", created_at=NOW - timedelta(hours=n)) for n in (3, 1, 2)))
    assert [each.text for each in store.pending("m1", 2)] == ["text 1", "text 2"]


def test_no_stream_of_new_posts_keeps_the_old_ones_waiting(store: Store) -> None:
    save(store, *(post(f"old {n}", f"an old text {n}", created_at=NOW - timedelta(days=9, hours=n)) for n in range(6)))
    turns = 0
    while any("old" in each.text for each in store.pending("m1", 100)):
        save(store, *(post(f"{turns} {n}", f"a new text {turns} {n}") for n in range(16)))  # more than one turn judges
        turn = store.pending("m1", 16)
        assert ["new" in each.text for each in turn] == [True] * 14 + [False] * 2
        store.save_verdicts([verdict(each) for each in turn], NOW)
        turns += 1
    assert turns == 3


def test_another_model_judges_everything_anew(store: Store) -> None:
    save(store, post("a"), post("b"))
    judge(store, "m1")
    assert (store.count_pending("m1"), store.count_pending("m2")) == (0, 2)
    assert len(store.pending("m2", 10)) == 2
    save(store, post("c"))
    assert judge(store, "m2") == 3
    assert store.count_pending("m2") == 0
    assert column(store, "SELECT DISTINCT model FROM verdicts") == ["m2"]
    assert len(store.pending("m1", 10)) == 3  # and the old one could be put back


def test_a_verdict_on_an_old_text_or_a_lost_post_is_dropped(store: Store) -> None:
    save(store, post("a", "before"), post("b"))
    old = store.pending("m1", 10)
    save(store, post("a", "after"))
    store.delete([2], NOW)
    assert store.save_verdicts([verdict(each) for each in old], NOW) == 0
    assert [each.text for each in store.pending("m1", 10)] == ["after"]
    assert store.save_verdicts([], NOW) == 0


def test_a_verdict_of_the_model_before_counts_but_the_post_still_waits(store: Store) -> None:
    save(store, post("a"))
    taken = store.pending("m1", 10)
    store.pending("m2", 10)
    assert store.save_verdicts([verdict(taken[0], model="m1")], NOW) == 1
    assert [each.post_id for each in store.pending("m2", 10)] == [1]


def test_an_abstained_verdict_counts_as_a_post_but_in_no_moment(store: Store) -> None:
    save(store, post("a"), brands=("Acme", "Bolt"))
    judge(store, sure=False, sentiment="negative")
    rows = store.connection.execute("SELECT brand, moment, sentiment, posts, abstained, feedback FROM daily").fetchall()
    assert rows == [("Acme", "", "negative", 1, 1, 0), ("Bolt", "", "negative", 1, 1, 0)]


def test_what_could_not_be_read_counts_as_a_post_and_its_rating_counts(store: Store) -> None:
    save(store, post("a"), post("b", rating=Rating(5)), brands=("Acme",))
    judge(store, sentiment="negative", language="de", unread=True)
    count = "SELECT moment, sentiment, posts, abstained, unread, score_sum, feedback, satisfied FROM daily"
    assert store.connection.execute(count).fetchall() == [("", "", 2, 2, 2, 0, 1, 1)]
    kept = "SELECT language, unread, sentiment FROM verdicts"
    assert store.connection.execute(kept).fetchall() == [("de", 1, "negative")] * 2
    seen = "SELECT DISTINCT language, unread, abstained, sentiment, score, phase FROM posts_view"
    assert [tuple(row) for row in store.connection.execute(seen)] == [("de", 1, 1, None, None, None)]
    daily = "SELECT posts, abstained, unread, negative, score FROM trend_daily"
    assert [tuple(row) for row in store.connection.execute(daily)] == [(2, 2, 2, 0, None)]


# --- brands ---


def test_relink_follows_the_configuration_and_keeps_what_the_source_said(store: Store) -> None:
    given_post = post("b", "nothing of the name", brand="Bolt")
    store.save_page("feed", Page((post("a", "Acme is fine"), given_post)), [{}, {"Bolt": "its own column"}], NOW)
    judge(store)
    asked = []

    def match(post: Post) -> dict[str, str]:
        asked.append(post.text)
        return {"Acme": "Acme"} if "Acme" in post.text else {}

    assert store.relink(match, "v1") == 1
    mentions = store.connection.execute("SELECT post_id, brand, why FROM mentions ORDER BY post_id").fetchall()
    assert mentions == [(1, "Acme", "Acme"), (2, "Bolt", "its own column")]
    assert stored_rollup(store.connection) == counted_rollup(store.connection)
    assert column(store, "SELECT brand FROM daily ORDER BY brand") == ["Acme", "Bolt"]
    asked.clear()
    assert store.relink(match, "v1") == 0
    assert asked == []  # the same brands need no second look


def test_a_page_that_links_otherwise_moves_the_rollup(store: Store) -> None:
    save(store, post("a"), brands=("Acme",))
    judge(store)
    assert save(store, post("a"), brands=("Bolt",)).edited == 0
    assert column(store, "SELECT brand FROM daily") == ["Bolt"]


# --- the rollup after anything ---

_BRANDS = st.sets(st.sampled_from(["Acme", "Bolt", "Crux"]), max_size=2)
_NUMBER = st.integers(0, 5)
_STEP = st.one_of(
    st.tuples(st.just("save"), _NUMBER, st.sampled_from(["one", "two"]), st.sampled_from([None, 1, 4, 5]), _BRANDS),
    st.tuples(
        st.just("judge"), _NUMBER, st.sampled_from(["tmot", "zmot", "none"]), st.sampled_from(["positive", "negative"]),
        st.booleans(), st.sets(st.sampled_from(["price", "staff"])), st.sampled_from(["m1", "m2"]),
        st.floats(0.34, 1), st.booleans(),
    ),
    st.tuples(st.just("relink"), st.sampled_from(["one", "two"]), _BRANDS),
    st.tuples(st.just("delete"), _NUMBER),
    st.tuples(st.just("zone"), st.sampled_from(["Europe/Oslo", "Pacific/Auckland", "America/Los_Angeles"])),
)  # fmt: skip


@settings(max_examples=40)
@example([("save", 1, "two", None, set()), ("judge", 1, "tmot", "positive", True, set(), "m1", 0.9, False),
          ("save", 1, "one", None, set()), ("save", 1, "two", None, set())])  # fmt: skip
@given(st.lists(_STEP, min_size=3, max_size=25))
def test_the_rollup_and_the_queue_are_right_after_anything(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple]
) -> None:
    path = tmp_path_factory.mktemp("rollup") / "listener.db"
    store = opened(path)
    store.connection.execute("PRAGMA synchronous = OFF")
    for n, (what, *how) in enumerate(steps):
        if what == "save":
            number, text, rating, brands = how
            made = post(
                str(number), text, rating=rating and Rating(rating), created_at=NOW - timedelta(hours=7 * number)
            )
            save(store, made, brands=tuple(brands))
        elif what == "judge":
            number, moment, sentiment, sure, touchpoints, model, lean, unread = how
            told = () if unread else tuple(touchpoints)
            store.save_verdicts(
                [verdict(each, moment, sentiment, told, sure=sure, model=model, lean=lean, unread=unread)
                 for each in store.pending(model, 99) if each.post_id % 6 == number], NOW,
            )  # fmt: skip
        elif what == "relink":
            word, brands = how
            store.relink(
                lambda post, word=word, brands=brands: dict.fromkeys(brands if post.text == word else (), word),
                f"{n}",
            )
        elif what == "delete":
            store.delete(how, NOW)
        else:
            store.close()
            store = opened(path, ZoneInfo(how[0]))
        assert stored_rollup(store.connection) == counted_rollup(store.connection)
        there = "SELECT count(*) FROM posts WHERE deleted_at IS NULL"
        assert column(store, "SELECT coalesce(sum(posts), 0) FROM stored") == column(store, there)
        in_charge = store.connection.execute("SELECT value FROM meta WHERE key = 'model'").fetchone()
        if in_charge:
            waiting = store.connection.execute(
                "SELECT id FROM posts LEFT JOIN verdicts v ON id = post_id WHERE deleted_at IS NULL"
                " AND (v.model IS NOT ? OR v.text_hash IS NOT posts.text_hash)", in_charge,
            )  # fmt: skip
            assert set(column(store, "SELECT post_id FROM pending")) == {row[0] for row in waiting}
    store.connection.execute("INSERT INTO posts_fts (posts_fts, rank) VALUES ('integrity-check', 1)")
    store.close()


def test_another_time_zone_gives_every_post_its_day_anew(tmp_path: Path) -> None:
    late = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    with opened(tmp_path / "a.db") as store:
        save(store, post("a", created_at=late), brands=("Acme",))
        judge(store)
        assert column(store, "SELECT day FROM daily") == ["2026-11-22"]
    with opened(tmp_path / "a.db", ZoneInfo("America/New_York")) as store:
        assert column(store, "SELECT day FROM posts") == column(store, "SELECT day FROM daily") == ["2026-11-21"]


# --- sources ---


def run_of(outcome: str, **fields: object) -> Run:
    defaults: dict[str, object] = {"seconds": 60.0, "seen": 0, "new": 0, "skipped": {}, "error": ""}
    return Run(source="feed", started_at=NOW, outcome=outcome, **{**defaults, **fields})


def test_sources_are_due_in_their_turn(store: Store) -> None:
    store.sync_sources([("feed", "feeds", 1800, True), ("b", "feeds", 60, True), ("off", "feeds", 60, False)], NOW)
    assert [due.name for due in store.due(NOW)] == ["b", "feed"]
    store.finish_run(run_of("ok"), NOW + timedelta(minutes=30))
    assert [due.name for due in store.due(NOW)] == ["b"]
    assert [due.name for due in store.due(NOW + timedelta(minutes=30))] == ["b", "feed"]
    store.sync_sources([("feed", "feeds", 60, True)], NOW)  # told to come more often, it does not wait out the old time
    assert [due.name for due in store.due(NOW + timedelta(minutes=1))] == ["feed"]


def test_a_clock_that_was_ahead_and_is_put_right_silences_no_source(store: Store) -> None:
    wrong = NOW + timedelta(days=400)
    store.sync_sources([("feed", "feeds", 1800, True)], NOW)
    store.finish_run(replace(run_of("ok"), started_at=wrong), wrong + timedelta(minutes=30))
    assert [due.name for due in store.due(NOW)] == ["feed"]
    store.finish_run(run_of("ok"), NOW + timedelta(minutes=30))
    assert store.due(NOW) == []
    assert store.due(NOW - timedelta(minutes=2)) == [], "a clock that is put right by a little asks nobody too early"


def test_a_name_that_becomes_another_kind_loses_the_bookmark(store: Store) -> None:
    store.sync_sources([("feed", "feeds", 60, True)], NOW)
    save(store, cursor={"etag": "1"})
    store.sync_sources([("feed", "feeds", 60, True)], NOW)
    assert store.source_state("feed").cursor == {"etag": "1"}
    store.sync_sources([("feed", "hackernews", 60, True)], NOW)
    assert store.source_state("feed").cursor is None
    assert store.source_state("nobody") is None


def test_health_tells_state_since_and_why(store: Store) -> None:
    def health() -> tuple:
        query = "SELECT state, since, why, failures, last_success_at, last_new_at FROM sources"
        return store.connection.execute(query).fetchone()

    store.sync_sources([("feed", "feeds", 60, True)], NOW)
    assert health()[0] == "new"
    soon = NOW + timedelta(minutes=1)
    store.finish_run(run_of("ok", seen=2, new=2), soon)
    assert health() == ("ok", "2026-11-22T06:31:00Z", "", 0, "2026-11-22T06:31:00Z", "2026-11-22T06:31:00Z")
    store.finish_run(run_of("refused", error="robots.txt forbids it"), soon)
    store.finish_run(run_of("refused", error="robots.txt forbids it", seconds=3600), soon)
    assert health()[:4] == ("blocked", "2026-11-22T06:31:00Z", "robots.txt forbids it", 2)
    store.finish_run(run_of("broken", error="no entries"), soon)
    assert health()[0::3][:2] == ("broken", 3)
    store.finish_run(run_of("empty"), soon)
    store.finish_run(run_of("unchanged"), soon)
    assert health()[0] == "empty"
    assert health()[3] == 0
    assert column(store, "SELECT count(*) FROM runs") == [6]


# --- the digest ledger ---


def test_a_digest_is_claimed_once(store: Store) -> None:
    key = ("ann@example.org", "daily", "2026-11-21")
    assert store.claim_digest(*key, NOW) == "send"
    store.mark_digest(*key, "failed", "451 try later", NOW)
    assert store.claim_digest(*key, NOW + timedelta(seconds=59)) == "waiting"
    assert store.claim_digest(*key, NOW + timedelta(seconds=60)) == "send"
    store.mark_digest(*key, "sent", "250 ok", NOW)
    assert store.claim_digest(*key, NOW) == "done"
    assert store.claim_digest("ann@example.org", "daily", "2026-11-22", NOW) == "send"
    # The process died here, before the mail went: another one may be at it, and later it is begun again.
    again = NOW + timedelta(minutes=10)
    assert store.claim_digest("ann@example.org", "daily", "2026-11-22", NOW, at_once=True) == "waiting"
    assert store.claim_digest("ann@example.org", "daily", "2026-11-22", again) == "send"
    with pytest.raises(TakenOver):
        store.hand_over_digest("ann@example.org", "daily", "2026-11-22", NOW)  # a slow process comes too late
    store.hand_over_digest("ann@example.org", "daily", "2026-11-22", again)
    # The process died here: nobody knows whether that mail went.
    assert store.claim_digest("ann@example.org", "daily", "2026-11-22", NOW) == "unknown"
    assert store.claim_digest("ann@example.org", "daily", "2026-11-22", NOW) == "unknown"
    store.mark_digest("ann@example.org", "daily", "2026-11-20", "skipped", "nothing to tell", NOW)
    assert store.claim_digest("ann@example.org", "daily", "2026-11-20", NOW) == "done"
    assert store.digest_periods("ann@example.org", "daily") == {
        "2026-11-20": "skipped", "2026-11-21": "sent", "2026-11-22": "unknown",
    }  # fmt: skip
    assert column(store, "SELECT attempts FROM digests WHERE state = 'sent'") == [2]
    assert store.digest_detail(*key) == "250 ok"
    assert store.digest_detail("ann@example.org", "daily", "2026-11-01") == ""


def test_the_claim_is_on_the_disk_before_the_mail_goes(store: Store) -> None:
    seen: list[str] = []
    store.connection.set_trace_callback(seen.append)
    store.claim_digest("ann@example.org", "daily", "2026-11-21", NOW)
    assert seen.index("PRAGMA synchronous = FULL") < seen.index("BEGIN IMMEDIATE") < seen.index("COMMIT")
    assert column(store, "PRAGMA synchronous") == [1]


def test_a_first_day_that_lay_in_the_future_is_corrected(store: Store) -> None:
    assert store.started_on(date(2031, 1, 1)) == date(2031, 1, 1)
    assert store.started_on(date(2026, 11, 22)) == date(2026, 11, 22)


def test_the_first_day_is_remembered(tmp_path: Path) -> None:
    with opened(tmp_path / "a.db") as store:
        assert store.started_on(date(2026, 11, 22)) == date(2026, 11, 22)
    with opened(tmp_path / "a.db") as store:
        assert store.started_on(date(2026, 11, 25)) == date(2026, 11, 22)


# --- the file ---


def test_the_file_is_for_its_owner_only(store: Store) -> None:
    save(store, post("a"))
    files = [Path(f"{store.path}{end}") for end in ("", "-wal", "-shm")]
    assert [stat.S_IMODE(os.stat(file).st_mode) for file in files] == [0o600] * 3
    assert column(store, "PRAGMA journal_mode") == ["wal"]
    assert column(store, "PRAGMA foreign_keys") == [1]


def test_a_database_of_schema_1_opens(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    later = [migration.name for migration in MIGRATIONS._migrations[1:]]
    MIGRATIONS.apply(Database(connection), stop_before=later)
    connection.execute(
        "INSERT INTO posts VALUES (1, 'feed', 'a', 'post', '', '', 'an old text', '', NULL, NULL,"
        " '2026-11-21T23:30:00Z', '2026-11-21', NULL, NULL, NULL, NULL, '{}', '', '', '', 'h', NULL)"
    )
    connection.execute("INSERT INTO pending VALUES (1, '2026-11-21T23:30:00Z')")
    connection.execute(
        "INSERT INTO posts VALUES (2, 'feed', 'b', 'post', '', '', 'a judged text', '', NULL, NULL,"
        " '2026-11-20T10:00:00Z', '2026-11-20', NULL, NULL, NULL, NULL, '{}', '', '', '', 'h', NULL)"
    )
    connection.execute("INSERT INTO verdicts VALUES (2, 'm1', 'h', 'tmot', 'positive', 0.7, 0.7, 0, '{}', '{}', '')")
    connection.execute("INSERT INTO meta VALUES ('model', 'm1')")
    connection.close()
    with opened(tmp_path / "old.db") as store:
        assert column(store, "SELECT language || unread FROM posts_view WHERE id = 2") == ["0"], "read, as before"
        assert [each.text for each in store.pending("m1", 10)] == ["an old text"]
        assert judge(store) == 1
        # made without a zone, so given one
        assert column(store, "SELECT day FROM daily ORDER BY day") == ["2026-11-20", "2026-11-22"]
        assert stored_rollup(store.connection) == counted_rollup(store.connection)


def test_a_newer_or_foreign_database_is_left_untouched(tmp_path: Path) -> None:
    newer, foreign, text = tmp_path / "newer.db", tmp_path / "foreign.db", tmp_path / "notes.txt"
    opened(newer).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("INSERT INTO _sqlite_migrations VALUES (99, 'listener', 'm099_later', '2027-01-01')")
    connection.close()
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE customers (name)")
    connection.close()
    text.write_text("These are my notes, and they are no database at all.\n" * 40)
    for path, why in ((newer, "newer version"), (foreign, "another program"), (text, "not a SQLite database")):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=why):
            opened(path)
        assert path.read_bytes() == before


def test_the_views_for_analysts_know_our_labels(store: Store) -> None:
    save(store, post("a", rating=Rating(4), author="Ann"), brands=("Acme", "Bolt"))
    for moment, phase in PHASES.items():
        store.connection.execute("DELETE FROM meta WHERE key = 'model'")
        store.save_verdicts([verdict(store.pending("m1", 1)[0], moment, touchpoints=("price", "staff"))], NOW)
        seen = store.connection.execute("SELECT phase, brands, touchpoints FROM posts_view").fetchone()
        assert seen == (phase, "Acme, Bolt", "price, staff")
        day = store.connection.execute(
            f'SELECT "{phase}", posts, csat FROM trend_daily WHERE brand = "Acme"'
        ).fetchone()
        assert day == (1, 1, 1.0)
        store.connection.execute("UPDATE verdicts SET model = 'another'")
    assert column(store, "SELECT sum(posts) FROM touchpoint_daily") == [4]
