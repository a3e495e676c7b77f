"""The three verbs with a source, a model and a mail server that do what the test says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest
from pydantic import BaseModel

from listener import pipeline
from listener import sources as registry
from listener.config import BrandSettings, Config, MailSettings, PrivacySettings, RecipientSettings, SourceSettings
from listener.engine.labels import MOMENTS
from listener.errors import Broken, MailError, ModelError, Refused, Retry, StoreError
from listener.records import Page, Post, Scores
from listener.sources import About
from listener.store import Store

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Settings(BaseModel):
    """None."""


@pytest.fixture
def fake(monkeypatch) -> SimpleNamespace:
    """A kind of source, `fake`, whose fetch yields or raises what `script` holds."""
    module = ModuleType("fake_source")
    state = SimpleNamespace(script=[], cursors=[])

    def fetch(settings, cursor, get, now, name) -> Iterator[Page]:
        state.cursors.append(cursor)
        for step in state.script:
            if isinstance(step, Exception):
                raise step
            yield step

    module.ABOUT, module.Settings, module.fetch = About("b", "none", "l", "t"), Settings, fetch
    monkeypatch.setitem(sys.modules, "fake_source", module)
    monkeypatch.setattr(registry, "kinds", lambda: {"fake": "fake_source"})
    return state


def config(tmp_path: Path, **more: object) -> Config:
    brands = [BrandSettings(name="Harbour", locales=["de"]), BrandSettings(name="Lumen", role="competitor")]
    settings = {"timezone": "UTC", "database": tmp_path / "l.db", "brands": brands,
                "sources": [SourceSettings(name="s", kind="fake", every="10m")],
                "privacy": PrivacySettings(authors="drop")}  # fmt: skip
    return Config(**(settings | more))


def post(ident: str, text: str, **more: object) -> Post:
    return Post(source="s", native_id=ident, text=text, created_at=NOW, **more)


def collect(made: Config, store: Store):
    return pipeline.collect(store, made, "s", None, lambda: NOW)


def stored(store: Store, query: str) -> list[tuple]:
    return store.connection.execute(query).fetchall()


def test_a_post_is_stored_once_and_linked_to_every_brand_it_names(tmp_path, fake):
    made = config(tmp_path)
    fake.script = [Page((post("1", "Harbour or Lumen?"), post("2", "neither")), {"at": 1})]
    with pipeline.open_store(made) as store:
        run = collect(made, store)
        assert (run.outcome, run.seen, run.new, run.skipped) == ("ok", 1, 1, {"no brand named": 1})
        assert stored(store, "SELECT brand FROM mentions ORDER BY 1") == [("Harbour",), ("Lumen",)]
        assert store.source_state("s").cursor == {"at": 1}


def test_a_source_that_belongs_to_a_brand_needs_no_match_and_stays_linked(tmp_path, fake):
    made = config(tmp_path, sources=[SourceSettings(name="s", kind="fake", brand="Harbour")])
    fake.script = [Page((post("1", "lovely breakfast"),))]
    with pipeline.open_store(made) as store:
        collect(made, store)
        assert stored(store, "SELECT brand FROM mentions") == [("Harbour",)]
        assert pipeline.relink(store, made) == 0
        assert stored(store, "SELECT brand FROM mentions") == [("Harbour",)]


@pytest.mark.parametrize(("lang", "linked"), [("de", 1), ("de-AT", 1), ("", 1), ("en", 0), ("fr-CA", 0)])
def test_a_brand_with_locales_takes_no_post_known_to_be_in_another_language(tmp_path, fake, lang, linked):
    made = config(tmp_path)
    fake.script = [Page((post("1", "Harbour", lang=lang),))]
    with pipeline.open_store(made) as store:
        assert collect(made, store).new == linked


@pytest.mark.parametrize(
    ("error", "outcome", "state", "wait"),
    [
        (Retry("too often", 7200), "retry", "retrying", timedelta(hours=2)),
        (Retry("down"), "retry", "retrying", timedelta(minutes=10)),
        (Refused("robots.txt"), "refused", "blocked", timedelta(minutes=10)),
        (Broken("no feed"), "broken", "broken", timedelta(minutes=10)),
        (KeyError("oops"), "crashed", "crashed", timedelta(minutes=10)),
    ],
)
def test_a_failure_keeps_what_came_before_it_and_says_what_it_is(tmp_path, fake, error, outcome, state, wait):
    made = config(tmp_path)
    fake.script = [Page((post("1", "Harbour"),), {"at": 1}), error]
    with pipeline.open_store(made) as store:
        store.sync_sources([("s", "fake", 600, True)], NOW)
        run = collect(made, store)
        assert (run.outcome, run.new) == (outcome, 1) and run.error
        ((told, due),) = stored(store, "SELECT state, next_due_at FROM sources")
        assert told == state and datetime.fromisoformat(due) >= NOW + wait
        assert store.source_state("s").cursor == {"at": 1}
        fake.script = [Page((), unchanged=True)]
        assert collect(made, store).outcome == "unchanged"
        assert fake.cursors[-1] == {"at": 1}
        assert stored(store, "SELECT state, failures FROM sources") == [("ok", 0)]


def test_a_database_that_cannot_be_written_is_not_the_sources_fault(tmp_path, fake):
    made = config(tmp_path)
    fake.script = [Page((post("1", "Harbour " * 20_000),), {"at": 1})]
    with pipeline.open_store(made) as store:
        store.sync_sources([("s", "fake", 600, True)], NOW)
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        store.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreError, match="full"):
            collect(made, store)
        assert store.source_state("s").cursor is None
        assert stored(store, "SELECT state FROM sources") == [("new",)]
        store.connection.execute("PRAGMA max_page_count = 1000000")
        assert collect(made, store).new == 1


class Model:
    """Judges everything as feedback."""

    model = "fake-1"

    def classify(self, texts, kinds=(), hints=()):
        moments = dict.fromkeys(MOMENTS, 0.0) | {"tmot": 1.0}
        sentiments = {"negative": 0.0, "neutral": 0.0, "positive": 1.0}
        return [Scores(moments, sentiments, ("staff",), 1.0, False) for _ in texts]


def test_a_place_that_is_dead_does_not_put_off_the_others_of_its_source(tmp_path, fake):
    made = config(tmp_path)
    with pipeline.open_store(made) as store:
        for _ in range(6):
            fake.script = [Page((post("1", "Harbour"),)), Broken("one of two is gone")]
            assert collect(made, store).outcome == "broken"
        ((failures, due),) = stored(store, "SELECT failures, next_due_at FROM sources")
        assert failures == 6, "the trouble is not forgotten"
        assert NOW + timedelta(minutes=10) <= datetime.fromisoformat(due) <= NOW + timedelta(minutes=11)
        fake.script = [Broken("both are gone")]
        collect(made, store)
        ((due,),) = stored(store, "SELECT next_due_at FROM sources")
        assert datetime.fromisoformat(due) >= NOW + timedelta(hours=6)


def test_the_queue_is_drained_in_steps_and_stops_when_told(tmp_path, fake, monkeypatch):
    monkeypatch.setattr(pipeline, "CLASSIFY_AT_ONCE", 4)
    made = config(tmp_path)
    fake.script = [Page(tuple(post(str(n), f"Harbour {n}") for n in range(10)))]
    with pipeline.open_store(made) as store:
        collect(made, store)
        steps = pipeline.classify_pending(store, Model(), lambda: NOW)
        assert next(steps) == 4
        assert sum(pipeline.classify_pending(store, Model(), lambda: NOW, at_most=4)) == 4
        assert list(steps) == [2]
        assert list(pipeline.classify_pending(store, Model(), lambda: NOW)) == []
        assert stored(store, "SELECT sum(posts) FROM daily") == [(10,)]


def test_the_model_is_told_which_posts_are_reviews(tmp_path, fake):
    class Told(Model):
        def classify(self, texts, kinds=(), hints=()):
            self.told = dict(zip(texts, kinds, strict=True))
            return super().classify(texts)

    made, model = config(tmp_path), Told()
    fake.script = [Page((post("1", "Harbour, nice", kind="review"), post("2", "Harbour, closed?", kind="comment")))]
    with pipeline.open_store(made) as store:
        collect(made, store)
        list(pipeline.classify_pending(store, model, lambda: NOW))
    assert model.told == {"Harbour, nice": "review", "Harbour, closed?": "comment"}


def test_where_memory_runs_out_it_goes_on_with_fewer_at_once(tmp_path, fake, caplog):
    class Small(Model):
        asked: ClassVar[list[int]] = []

        def classify(self, texts, kinds=(), hints=()):
            self.asked.append(len(texts))
            if len(texts) > self.fit:
                raise MemoryError
            return super().classify(texts, kinds, hints)

    made, model = config(tmp_path), Small()
    fake.script = [Page(tuple(post(str(n), f"Harbour {n}") for n in range(13)))]
    with pipeline.open_store(made) as store:
        collect(made, store)
        model.fit = 0
        with pytest.raises(ModelError, match="memory does not suffice to judge a single post"):
            list(pipeline.classify_pending(store, model, lambda: NOW))
        assert store.count_pending("fake-1") == 13, "what was not judged still waits"
        model.fit = 3
        assert list(pipeline.classify_pending(store, model, lambda: NOW)) == [13]
        assert stored(store, "SELECT count(*), sum(posts) FROM verdicts, daily") == [(13, 13 * 13)]
    assert max(model.asked) == 13 and "memory_short" in caplog.messages


@pytest.fixture
def reader(tmp_path, fake):
    """A configuration with a recipient, a day with a post, and a mail server that does what `answer` says."""
    recipient = RecipientSettings(email="anna@example.org")
    mail = MailSettings(host="mail.example.org", sender="Listener <l@example.org>")
    made = config(tmp_path, recipients=[recipient], mail=mail)
    fake.script = [Page((post("1", "Harbour"),))]
    with pipeline.open_store(made) as store:
        collect(made, store)
        list(pipeline.classify_pending(store, Model(), lambda: NOW))
    return made


def send(made: Config, now: datetime = NOW, **more: object) -> str:
    with pipeline.open_store(made) as store:
        return pipeline.send_digest(store, made, made.recipients[0], date(2026, 11, 22), lambda: now, **more)


def test_a_digest_goes_once(reader, monkeypatch):
    sent = []
    monkeypatch.setattr("listener.mail.send", lambda message, _, going: sent.append(message))
    assert [send(reader), send(reader)] == ["sent", "done"]
    assert len(sent) == 1 and sent[0]["To"] == "anna@example.org"


def test_a_refused_mail_is_tried_again_later_each_time(reader, monkeypatch):
    answers = [MailError("451 greylisted"), MailError("451 greylisted"), None]

    def answer(message, settings, going):
        found = answers.pop(0)
        if found:
            raise found

    monkeypatch.setattr("listener.mail.send", answer)
    assert send(reader) == "failed"
    assert send(reader, NOW + timedelta(seconds=30)) == "waiting"
    assert send(reader, NOW + timedelta(seconds=61)) == "failed"
    assert send(reader, NOW + timedelta(seconds=150)) == "waiting"
    assert send(reader, NOW + timedelta(seconds=150), at_once=True) == "sent"


def test_a_mail_that_may_have_arrived_is_not_sent_again(reader, monkeypatch):
    def lost(message, settings, going):
        raise MailError("the line broke after DATA", certain=False)

    monkeypatch.setattr("listener.mail.send", lost)
    assert [send(reader), send(reader), send(reader, at_once=True)] == ["unknown"] * 3


def test_a_process_that_dies_while_sending_leaves_unknown(reader, monkeypatch):
    def killed(message, settings, going):
        going()
        raise SystemExit

    monkeypatch.setattr("listener.mail.send", killed)
    with pytest.raises(SystemExit):
        send(reader)
    assert send(reader) == "unknown"


def test_a_process_that_dies_before_the_text_goes_leaves_it_to_the_next(reader, monkeypatch):
    with monkeypatch.context() as first:
        first.setattr("listener.mail.send", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            send(reader)
    sent = []
    monkeypatch.setattr("listener.mail.send", lambda message, _, going: (going(), sent.append(message)))
    assert [send(reader), send(reader, NOW + timedelta(minutes=9))] == ["waiting", "waiting"], "it may be at it still"
    assert send(reader, NOW + timedelta(minutes=10)) == "sent"
    assert len(sent) == 1


def test_a_digest_that_cannot_be_built_is_failed_not_lost(reader, monkeypatch):
    monkeypatch.setattr("listener.digest.render", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        send(reader)
    monkeypatch.undo()
    monkeypatch.setattr("listener.mail.send", lambda message, *_: None)
    assert send(reader, NOW + timedelta(minutes=2)) == "sent"


def test_without_a_mail_server_digests_are_kept_as_files(reader):
    made = reader.model_copy(update={"mail": MailSettings()})
    assert send(made) == "sent"
    assert {path.suffix for path in (made.database.parent / "digests" / "anna@example.org").iterdir()} == {
        ".eml",
        ".html",
        ".txt",
    }


def test_a_folder_that_takes_no_digest_is_a_failure_that_is_tried_again(reader):
    made = reader.model_copy(update={"mail": MailSettings()})
    blocked = made.database.parent / "digests"
    blocked.write_text("in the way")
    assert send(made) == "failed"
    blocked.unlink()
    assert send(made, NOW + timedelta(minutes=2)) == "sent"


def test_a_source_that_was_stopped_is_due_again_at_once(tmp_path, fake):
    made = config(tmp_path)
    fake.script = [Page((post("1", "Harbour"),), {"at": 1}), Page((post("2", "Harbour"),), {"at": 2})]
    with pipeline.open_store(made) as store:
        pipeline.collect(store, made, "s", None, lambda: NOW, lambda: True)
        assert stored(store, "SELECT native_id FROM posts") == [("1",)]
        assert stored(store, "SELECT next_due_at FROM sources") == [("2026-11-22T12:00:00Z",)]


def test_posts_linked_by_an_older_configuration_are_linked_anew(tmp_path, fake):
    """A command reads the edited brands while the daemon, which has not read them yet, goes on storing posts."""
    old, new = config(tmp_path), config(tmp_path, brands=[BrandSettings(name="Harbour"), BrandSettings(name="Pine")])
    with pipeline.open_store(old) as store:
        pipeline.relink(store, new)
        fake.script = [Page((post("1", "Harbour or Pine"),))]
        collect(old, store)
        assert pipeline.relink(store, new) == 1
        assert stored(store, "SELECT brand FROM mentions ORDER BY 1") == [("Harbour",), ("Pine",)]
        assert pipeline.relink(store, Config(timezone="UTC", database=old.database)) == 0, "no configuration, no brands"
        assert len(stored(store, "SELECT 1 FROM mentions")) == 2
