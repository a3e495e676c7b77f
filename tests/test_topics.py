"""Topics of the owner's own: found by example, measured by yes and no, gone with their posts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from posting import NOW, judge, opened, post, save

from listener import config, tagging, topics
from listener.cli import main
from listener.engine.topics import THRESHOLD
from listener.errors import ListenerError
from listener.store import Store
from listener.trends import open_reader

KEYS = (
    "The key card stopped working on the second night", "Our room key would not open the door",
    "Had to get the key card coded again at the desk", "Both key cards dead when we came back",
    "Locked out of the room, the card reader only blinked red",
)  # fmt: skip
EXAMPLES = ("My key card does not open the door", "the room key failed")
OTHERS = [
    f"{what} {how}"
    for what in ("The breakfast eggs were", "The pool was", "Our taxi was", "The curtains were", "The bar music was")
    for how in ("cold", "lovely", "too loud for us", "late on both days", "better than the last time", "not worth it",
                "as in the pictures", "closed again")
]  # fmt: skip


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "listener.toml").write_text(
        'timezone = "Europe/Oslo"\ndatabase = "listener.db"\n[model]\nthreads = 1\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(at: Path) -> Iterator[Store]:
    with opened(at / "listener.db") as opened_store:
        opened_store.sync_sources([("feed", "feeds", 1800, True)], NOW)
        posts = [post(f"k{n}", text) for n, text in enumerate(KEYS)]
        save(opened_store, *posts, *(post(f"o{n}", text) for n, text in enumerate(OTHERS)))
        judge(opened_store)
        with opened_store.writing() as connection:
            topics.add(connection, "key card", EXAMPLES, THRESHOLD, NOW)
        yield opened_store


def look(store: Store) -> int:
    ready = tagging.tagger(store, config.load(Path("listener.toml")))
    assert ready is not None
    return sum(tagging.tag(store, ready))


def tagged(store: Store) -> set[str]:
    query = "SELECT native_id FROM post_topics JOIN posts ON id = post_id"
    return {row[0] for row in store.connection.execute(query)}


def test_posts_like_the_examples_are_found_once_and_again_when_their_text_changes(store: Store) -> None:
    assert look(store) == len(KEYS) + len(OTHERS)
    found = tagged(store)
    assert len([each for each in found if each.startswith("k")]) >= 4
    assert not [each for each in found if each.startswith("o")]
    assert look(store) == 0
    save(store, post("k0", "The pool was closed again"), post("o0", "The key card did not open our door, twice"))
    assert "k0" not in tagged(store)
    judge(store)
    assert look(store) == 2
    assert "o0" in tagged(store) and "k0" not in tagged(store)


def test_another_definition_is_looked_for_everywhere_and_answers_stay(store: Store) -> None:
    look(store)
    with closing(open_reader(store.path, store.zone)) as reader:
        asked = topics.to_ask(reader, "key card", 2)
        with store.writing() as connection:
            topics.answer(connection, asked[0], "key card", True)
            topics.answer(connection, asked[1], "key card", False)
            topics.add(connection, "key card", KEYS, THRESHOLD, NOW)
        assert look(store) == len(KEYS) + len(OTHERS)
        (topic,) = topics.listed(reader)
        assert topic.precision.n == 2 and topic.precision.value == 0.5
        shown = topics.of(reader, "key card", 100)
        assert asked[0] in shown and asked[1] not in shown
        assert not set(asked) & set(topics.to_ask(reader, "key card", 100))


def test_topics_go_with_their_posts_and_when_taken_away(store: Store) -> None:
    look(store)
    store.delete([1], NOW)
    assert "k0" not in tagged(store)
    with store.writing() as connection:
        with pytest.raises(ListenerError, match="no topic 'pool'; there are: key card"):
            topics.remove(connection, "pool")
        topics.remove(connection, "key card")
    assert tagged(store) == set()
    assert tagging.tagger(store, config.load(Path("listener.toml"))) is None


@pytest.mark.parametrize(("name", "examples"), [("", ["x y"]), ("a", []), ("a", ["…", " "])])
def test_a_topic_needs_a_name_and_something_to_know_it_by(store: Store, name: str, examples: list[str]) -> None:
    with store.writing() as connection, pytest.raises(ListenerError, match="a topic needs a name"):
        topics.add(connection, name, examples, 0.3, NOW)


def test_the_commands_add_tag_show_judge_and_list(at: Path, store: Store) -> None:
    def listener(*words: str, answers: str = "", code: int = 0) -> Any:
        run = CliRunner().invoke(main, ["topics", *words], input=answers, catch_exceptions=False)
        assert run.exit_code == code, run.output
        return run

    assert "45 posts looked at" in listener("tag").stderr
    listener("add", "pool", "-e", "the pool was closed", "-e", "pool too cold", "--threshold", "0.25")
    assert "45 posts looked at" in listener("tag").stderr
    shown = json.loads(listener("show", "pool", "--json").stdout)
    assert shown and all("pool" in each["text"] for each in shown)
    assert "by 3 answers of yours" in listener("judge", "pool", "--limit", "4", answers="y\nn\ns\ny\n").stderr
    listed = {row["name"]: row for row in json.loads(listener("--json").stdout)}
    assert (listed["pool"]["precision"]["n"], round(listed["pool"]["precision"]["value"], 2)) == (3, 0.67)
    assert listed["key card"]["precision"]["value"] is None
    of_pool = {each["id"] for each in json.loads(listener("show", "pool", "--json").stdout)}
    found = CliRunner().invoke(main, ["posts", "--topic", "pool", "--limit", "100", "--json"], catch_exceptions=False)
    assert {each["id"] for each in json.loads(found.stdout)} == of_pool
    counted = CliRunner().invoke(main, ["trends", "--topic", "pool", "--json"], catch_exceptions=False)
    judged = {row[0] for row in store.connection.execute("SELECT post_id FROM verdicts")}
    assert sum(row["posts"] for row in json.loads(counted.stdout)) == len(of_pool & judged)
    wrong = CliRunner().invoke(main, ["trends", "--topic", "pol"])
    assert wrong.exit_code == 1 and "did you mean 'pool'?" in wrong.stderr
    listener("remove", "pool")
    assert "there is no topic 'pool'" in listener("show", "pool", code=1).stderr
    assert "key card" in listener().stdout
