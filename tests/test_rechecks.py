"""Stored posts are asked after again, edits and deletions follow, and a walk into the past can be interrupted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from listener import pipeline, sources
from listener.cli import main
from listener.config import BrandSettings, Config, PrivacySettings, SourceSettings
from listener.errors import ConfigError, Refused, Retry, Unauthorised
from listener.records import Page, Post
from listener.store import Store

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Settings(BaseModel):
    pass


def post(ident: str, text: str = "Harbour") -> Post:
    return Post("s", ident, text, created_at=NOW - timedelta(days=400))


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A source of one page of posts, which can be asked after them and walks back in pages of two."""
    place = SimpleNamespace(posts={}, asked=[], error=None, walked=[], fails_at=None, wait=5.0)

    def fetch(settings: Any, cursor: Any, get: Any, now: datetime, name: str) -> Iterator[Page]:
        yield Page(tuple(place.posts.values()), {"at": 1})

    def recheck(settings: Any, cursor: Any, native_ids: Any, get: Any, now: datetime, name: str) -> Iterator[Page]:
        assert cursor == {"at": 1}, "it is told how far was read"
        place.asked.append(list(native_ids))
        if place.error:
            raise place.error
        there = [place.posts[ident] for ident in native_ids if ident in place.posts]
        yield Page(tuple(there), deleted=tuple(ident for ident in native_ids if ident not in place.posts))

    def backfill(settings: Any, since: datetime, cursor: Any, get: Any, now: datetime, name: str) -> Iterator[Page]:
        for at in range((cursor or {}).get("at", 0), 6, 2):
            if at == place.fails_at:
                place.fails_at = None
                raise Retry("too often", place.wait)
            place.walked.append(at)
            yield Page((post(f"old {at}"), post(f"old {at + 1}")), {"at": at + 2})

    module = ModuleType("fake_place")
    module.ABOUT, module.Settings = sources.About("b", "none", "l", "t", keep_days=30), Settings
    module.fetch, module.recheck, module.backfill, module.RECHECK_AT_ONCE = fetch, recheck, backfill, 2
    monkeypatch.setitem(sys.modules, "fake_place", module)
    monkeypatch.setattr(sources, "kinds", lambda: {"fake": "fake_place"})
    place.module = module
    return place


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        timezone="UTC", database=tmp_path / "l.db", brands=[BrandSettings(name="Harbour")],
        sources=[SourceSettings(name="s", kind="fake", every="10m")], privacy=PrivacySettings(authors="drop"),
    )  # fmt: skip


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    with pipeline.open_store(config) as store:
        yield store


def collect(store: Store, config: Config, now: datetime) -> Any:
    return pipeline.collect(store, config, "s", None, lambda: now)  # type: ignore[arg-type]


def live(store: Store) -> dict[str, str]:
    return dict(store.connection.execute("SELECT native_id, text FROM posts WHERE deleted_at IS NULL"))


def nothing_new(place: SimpleNamespace) -> None:
    """From now on the source shows nothing by itself, and can be asked after what it showed."""
    place.module.fetch = lambda *_: iter([Page((), unchanged=True)])


def fill(place: SimpleNamespace, *idents: str) -> None:
    place.posts = {ident: post(ident) for ident in idents}


def test_posts_are_asked_after_from_the_next_day_on(place, config, store) -> None:
    fill(place, "1", "2", "3")
    collect(store, config, NOW)
    place.posts.pop("2")
    nothing_new(place)
    collect(store, config, NOW + timedelta(hours=23))
    assert place.asked == []
    run = collect(store, config, NOW + DAY + timedelta(hours=1))
    assert sorted(ident for ids in place.asked for ident in ids) == ["1", "2", "3"]
    assert (run.deleted, run.outcome) == (1, "ok")
    assert set(live(store)) == {"1", "3"}
    assert collect(store, config, NOW + DAY + timedelta(hours=2)).deleted == 0


def test_what_was_deleted_does_not_come_back(place, config, store) -> None:
    fill(place, "1")
    collect(store, config, NOW)
    store.save_page("s", Page((), deleted=("1",)), [], NOW)
    collect(store, config, NOW + timedelta(hours=1))
    assert live(store) == {}


def test_each_time_it_waits_a_quarter_of_its_age_and_at_most_four_weeks(place, config, store) -> None:
    fill(place, "1")
    collect(store, config, NOW)
    nothing_new(place)
    waits, last = [], NOW
    for hour in range(0, 24 * 400, 6):
        now = NOW + timedelta(hours=hour)
        place.asked = []
        collect(store, config, now)
        if place.asked:
            waits.append((now - last).days)
            last = now
    assert waits[:4] == [1, 1, 1, 1] and waits[-1] == 28
    assert waits == sorted(waits) and len(waits) < 30


def test_the_past_is_asked_after_in_small_parts(place, config, store) -> None:
    fill(place, *map(str, range(30)))
    collect(store, config, NOW)
    nothing_new(place)
    collect(store, config, NOW + 2 * DAY)
    assert [len(ids) for ids in place.asked] == [2] * pipeline.RECHECKS_A_RUN


def test_a_failed_recheck_is_the_runs_error_and_is_tried_again(place, config, store) -> None:
    fill(place, "1")
    collect(store, config, NOW)
    nothing_new(place)
    place.error = Unauthorised("the key was revoked")
    assert collect(store, config, NOW + 2 * DAY).outcome == "unauthorised"
    place.error = None
    collect(store, config, NOW + 2 * DAY + timedelta(hours=1))
    assert place.asked == [["1"]], "those that cannot be asked after do not keep others waiting"
    collect(store, config, NOW + 4 * DAY)
    assert place.asked == [["1"], ["1"]]


def test_what_a_source_shows_by_itself_need_not_be_asked_after(place, config, store) -> None:
    fill(place, "1")
    for hours in range(0, 24 * 10, 6):
        collect(store, config, NOW + timedelta(hours=hours))
    assert place.asked == []


def test_a_server_that_is_tired_of_being_asked_after_posts_is_no_failed_source(place, config, store) -> None:
    fill(place, "1")
    collect(store, config, NOW)
    nothing_new(place)
    place.error = Retry("too often", 7200.0)
    run = collect(store, config, NOW + 2 * DAY)
    assert (run.outcome, run.error) == ("unchanged", "")
    assert store.due(NOW + 2 * DAY + timedelta(hours=1)) == [], "but it is waited for as it asks"
    place.error = None
    collect(store, config, NOW + 2 * DAY + timedelta(hours=3))
    assert place.asked == [["1"], ["1"]]


def test_one_dead_place_of_several_does_not_keep_stored_posts_from_being_asked_after(place, config, store) -> None:
    fill(place, "1")
    collect(store, config, NOW)

    def fetch(*_: Any) -> Iterator[Page]:
        yield Page((), unchanged=True)
        raise Refused("one forum is closed")

    place.module.fetch = fetch
    run = collect(store, config, NOW + 2 * DAY)
    assert (run.outcome, run.error) == ("refused", "one forum is closed")
    assert place.asked == [["1"]]


def test_posts_of_before_the_source_could_be_asked_are_asked_after_too(place, config, store) -> None:
    fill(place, "1")
    recheck = place.module.recheck
    del place.module.recheck
    collect(store, config, NOW)
    place.module.recheck = recheck
    nothing_new(place)
    collect(store, config, NOW + DAY)
    collect(store, config, NOW + 3 * DAY)
    assert place.asked == [["1"]]


def test_terms_that_let_nobody_keep_unseen_posts_are_kept(place, config, store) -> None:
    pipeline.adopt(store, config, NOW)
    fill(place, "1", "2")
    collect(store, config, NOW)
    nothing_new(place)
    place.module.recheck = lambda settings, cursor, ids, *_: iter(
        [Page((), verified=tuple(i for i in ids if i == "1"))]
    )
    for day in range(1, 30):
        collect(store, config, NOW + day * DAY)
        assert pipeline.purge(store, config, NOW + day * DAY) == {}
    assert pipeline.purge(store, config, NOW + 31 * DAY) == {"s": 1}
    assert set(live(store)) == {"1"}
    assert pipeline.purge(store, config, NOW + 70 * DAY) == {"s": 1}, "a source that fails for good is no excuse"


def test_a_stored_post_whose_edit_names_no_brand_any_more_is_brought_up_to_date(place, config, store) -> None:
    fill(place, "1")
    collect(store, config, NOW)
    place.posts = {"1": post("1", "I was wrong, it was another house"), "2": post("2", "nobody")}
    run = collect(store, config, NOW + timedelta(hours=1))
    assert (run.new, run.edited, run.skipped) == (0, 1, {"no brand named": 2})
    assert live(store) == {"1": "I was wrong, it was another house"}
    assert store.connection.execute("SELECT count(*) FROM mentions").fetchone() == (0,)


def test_the_posts_of_a_closed_account_go(place, config, store) -> None:
    fill(place, "at://a/1", "at://a/2", "at://ab/1")
    collect(store, config, NOW)
    assert store.save_page("s", Page((), deleted_below=("at://a/",)), [], NOW).deleted == 2
    assert set(live(store)) == {"at://ab/1"}


SINCE = datetime(2025, 1, 1, tzinfo=UTC)


def walk(store: Store, config: Config, **more: Any) -> Any:
    return pipeline.backfill(store, config, "s", more.pop("since", SINCE), None, lambda: NOW, **more)  # type: ignore[arg-type]


def test_a_walk_into_the_past_goes_on_where_the_server_stopped_it(place, config, store) -> None:
    collect(store, config, NOW)
    place.fails_at = 4
    run, after = walk(store, config)
    assert (run.outcome, run.new, after) == ("retry", 4, 5.0)
    run, after = walk(store, config)
    assert (run.outcome, run.new, after) == ("ok", 2, None)
    assert place.walked == [0, 2, 4]
    assert store.backfill_state("s") is None
    assert store.source_state("s").cursor == {"at": 1}, "the bookmark of the daemon stays"


def test_a_walk_that_was_stopped_goes_on_and_another_date_begins_anew(place, config, store) -> None:
    walk(store, config, stop=lambda: True)
    walk(store, config, stop=lambda: True)
    assert place.walked == [0, 2]
    walk(store, config, since=SINCE - DAY, stop=lambda: True)
    assert place.walked == [0, 2, 0]


def test_a_source_that_cannot_walk_back_says_so(place, config, store) -> None:
    del place.module.backfill
    with pytest.raises(ConfigError, match="cannot be asked for older posts"):
        walk(store, config)


# --- the commands ---


@pytest.fixture
def listener(tmp_path: Path, place: SimpleNamespace) -> Any:
    (tmp_path / "c.toml").write_text(
        'timezone = "UTC"\ndatabase = "l.db"\n[privacy]\nauthors = "drop"\n[[brand]]\nname = "Harbour"\n'
        '[[source]]\nname = "s"\nkind = "fake"\n'
    )

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, [*arguments, "--config", str(tmp_path / "c.toml")], catch_exceptions=False)

    return run


def test_collect_since_waits_where_the_server_asks_and_tells_the_whole_walk(place, listener) -> None:
    place.fails_at = 4
    place.wait = 0.01
    told = listener("collect", "s", "--since", "2025-01-01", "--json")
    assert told.exit_code == 0
    (run,) = json.loads(told.stdout)
    assert (run["outcome"], run["new"], run["seen"]) == ("ok", 6, 6)
    assert "Going on in 0 s" in told.stderr
    assert place.walked == [0, 2, 4]


def test_collect_since_needs_a_source_and_one_that_reaches_back(place, listener) -> None:
    assert listener("collect", "--since", "7d").exit_code == 2
    del place.module.backfill
    told = listener("collect", "s", "--since", "7d")
    assert told.exit_code == 1 and "`listener import`" in told.stderr


def test_what_a_source_tells_of_itself_is_shown(place, listener) -> None:
    place.module.status = lambda settings, cursor: f"read up to {cursor['at']}" if cursor else ""
    fill(place, "1")
    listener("collect")
    assert "read up to 1" in listener("sources").stdout
    assert json.loads(listener("sources", "--json").stdout)[0]["status"] == "read up to 1"


def test_a_trial_shows_which_words_named_which_brand_and_stores_nothing(tmp_path, place, listener) -> None:
    fill(place, "1")
    told = listener("sources", "test", "s")
    assert "Harbour (Harbour)" in told.stdout
    assert not (tmp_path / "l.db").exists()


def test_kinds_tell_what_follows_and_what_reaches_back(place, listener) -> None:
    told = CliRunner().invoke(main, ["sources", "kinds"]).stdout
    assert "follows" in told and "reaches" in told
    assert json.loads(CliRunner().invoke(main, ["sources", "kinds", "--json"]).stdout)["fake"]["recheck"] is True
