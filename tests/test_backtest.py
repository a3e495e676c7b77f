"""A brand query tried on stored posts: counts by part, samples, and the precision from a person's answers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from listener import backtest
from listener.backtest import Answer, Hit, choose, precision
from listener.cli import branding, main
from listener.query import compile_query
from listener.reads.counts import wilson

TEXTS = (
    *("The Harbour was quiet" for _ in range(16)),
    *("Lumen was loud" for _ in range(4)),
    "Harbour beside the river",
    "a river without a name",
)


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LISTENER_DB", "LISTENER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    # A number of its own makes no post a copy of another.
    rows = [
        {"id": str(n), "title": f"Number {n}", "text": f"{text} {n} {n * n}", "created_at": "2026-11-20T09:00:00Z"}
        for n, text in enumerate(TEXTS)
    ]
    Path("posts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("listener.toml").write_text('timezone = "UTC"\ndatabase = "listener.db"\n')
    listener("import", "posts.jsonl", "--source", "survey")
    return tmp_path


def listener(*arguments: str, answers: str = "", code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments, input=answers)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def tried(*arguments: str, answers: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(listener("brands", "test", *arguments, "--json", answers=answers).stdout)
    return found


# --- which hits are judged ---


def hits(**found_by: int) -> list[Hit]:
    """So many hits of each part, told apart by their ids."""
    parts = [number for number, many in enumerate(found_by.values()) for _ in range(many)]
    return [Hit(post_id, (part,)) for post_id, part in enumerate(parts)]


def test_every_hit_has_the_same_chance_to_be_judged() -> None:
    all_hits = hits(a=5, b=2)
    drawn = Counter(hit.post_id for seed in range(2000) for hit in choose(all_hits, 3, seed))
    assert drawn.total() == 6000
    for hit in all_hits:
        assert 760 < drawn[hit.post_id] < 955, "3 of 7, within six standard deviations"


def test_the_parts_come_in_proportion_and_the_first_few_are_a_random_few() -> None:
    all_hits = hits(a=80, b=20)
    firsts = []
    for seed in range(300):
        chosen = choose(all_hits, 10, seed)
        assert len(set(chosen)) == 10
        assert Counter(hit.parts for hit in chosen) == {(0,): 8, (1,): 2}
        firsts.append(chosen[0].parts)
    assert 25 < firsts.count((1,)) < 95, "a fifth, within five standard deviations"


def test_a_seed_draws_the_same_hits_again_and_few_hits_are_all_judged() -> None:
    all_hits = hits(a=30, b=5)
    assert choose(all_hits, 9, 1) == choose(all_hits, 9, 1) != choose(all_hits, 9, 2)
    assert sorted(hit.post_id for hit in choose(all_hits, 99, 3)) == list(range(35))
    assert choose([], 5, 0) == []


def test_precision_leaves_out_what_was_skipped() -> None:
    first, second = Hit(1, (0,)), Hit(2, (0, 1))
    answers = [Answer(first, True), Answer(first, None), Answer(second, False), Answer(second, True)]
    assert precision(answers) == wilson(2, 3)
    assert precision(answers, 1) == wilson(1, 2)
    assert precision(answers[1:2]).value is None


# --- what is shown ---


def test_counts_and_samples_by_part(at: Path) -> None:
    found = tried("harbour OR lumen OR nowhere", "--limit", "6")
    assert (found["posts"], found["hits"]) == (22, 21)
    assert found["parts"] == {"harbour": 17, "lumen": 4, "nowhere": 0}
    assert Counter(sample["part"] for sample in found["samples"]) == {"harbour": 3, "lumen": 3}
    assert {tuple(sample["terms"]) for sample in found["samples"]} == {("Harbour",), ("Lumen",)}
    assert tried("harbour", "--limit", "0")["samples"] == []
    assert "judged" not in found


def test_a_part_that_bars_shows_what_it_takes_away_and_no_more(at: Path) -> None:
    for query in ("harbour NOT river", "harbour NOT NEAR/3 river"):
        found = tried(query)
        bars = query.removeprefix("harbour ")
        assert found["hits"] == 16 and found["parts"] == {"harbour": 17, bars: 1}, "one post of the river names nothing"
        taken = [sample for sample in found["samples"] if sample["part"] == bars]
        assert [sample["text"].split(" 20")[0] for sample in taken] == ["Harbour beside the river"]
    assert "(takes these away)" in listener("brands", "test", "harbour NOT NEAR/3 river").stdout


def test_a_query_sees_source_title_and_language_of_stored_posts(at: Path) -> None:
    assert tried('title:"number 3"')["hits"] == 1
    assert tried("source:survey lumen")["hits"] == 4 and tried("lumen -source:survey")["hits"] == 0
    assert tried("lang:en harbour")["hits"] == 17


def test_a_query_by_author_needs_names_that_are_kept(at: Path) -> None:
    refused = listener("brands", "test", "harbour author:ann", code=1).stderr
    assert '[privacy] authors = "hash"' in refused and refused.endswith("          ^\n")
    with Path("listener.toml").open("a") as file:
        file.write('[privacy]\nauthors = "plain"\n')
    assert tried("harbour author:ann")["hits"] == 0


# --- a person's answers ---


def test_answers_give_a_precision_with_its_interval_and_by_part(at: Path) -> None:
    found = tried("harbour OR lumen", "--judge", "10", answers="y\nY\nno\n yes \ns\nq\n")
    judged = found["judged"]
    assert (judged["judged"], judged["right"], judged["skipped"]) == (4, 3, 1)
    exact = wilson(3, 4)
    assert judged["precision"] == {"value": 0.75, "low": exact.low, "high": exact.high}
    assert [answer["right"] for answer in judged["answers"]] == [True, True, False, True, None]
    assert sum(part["judged"] for part in judged["parts"].values()) == 4
    again = tried("harbour OR lumen", "--judge", "10", answers="y\ny\ny\n")
    asked = [answer["native_id"] for answer in judged["answers"]]
    assert [answer["native_id"] for answer in again["judged"]["answers"]] == asked[:3], "the seed is the same"


def test_a_person_sees_hits_one_at_a_time_and_the_estimate_at_the_end(at: Path) -> None:
    shown = listener("brands", "test", "harbour OR lumen", "--judge", "5", answers="y\ny\nn\ny\ny\n")
    assert "1 of 5: 2026-11-20, survey; found by" in shown.stderr and "5 of 5" in shown.stderr
    assert "Is this about the brand?" in shown.stderr and "Is this" not in shown.stdout
    assert "80% 38-96" in shown.stdout and "all hits" in shown.stdout
    alone = listener("brands", "test", "harbour", "--judge", "2", answers="y\ny\n").stdout
    assert "all hits" in alone and alone.count("harbour") == 1, "of a single part nothing is said twice"


@pytest.mark.parametrize("answers", ["", "q\n", "what\n\nmaybe\n", "\n"])
def test_without_an_answer_it_ends_cleanly_and_estimates_nothing(at: Path, answers: str) -> None:
    shown = listener("brands", "test", "harbour", "--judge", "5", answers=answers)
    assert "No answer, so no estimate." in shown.stderr
    judged = tried("harbour", "--judge", "5", answers=answers)["judged"]
    assert judged["judged"] == 0 and judged["precision"] == {"value": None, "low": None, "high": None}


def test_input_that_is_no_text_or_not_there_ends_it(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(main, ["brands", "test", "harbour", "--judge", "5"], input=b"y\n\xff\xfe\n")
    assert result.exit_code == 0, result.output
    monkeypatch.setattr("sys.stdin", None)
    assert branding._answer() == ""
    monkeypatch.undo()
    monkeypatch.chdir(at)
    assert tried("nowhere", "--judge", "5", answers="y\n")["judged"]["judged"] == 0, "no hit, nothing to ask"


def test_a_slip_of_the_keyboard_is_asked_again(at: Path) -> None:
    judged = tried("harbour", "--judge", "3", answers="u\ny\n?\nn\ny\n")["judged"]
    assert (judged["judged"], judged["right"]) == (3, 2)


def test_samples_hold_a_post_once_and_no_more_than_asked() -> None:
    class Row:
        """As much of a stored post as a query asks for."""

        source, native_id, title, author, lang = "survey", "1", "", "", ""

        def __init__(self, ident: int, text: str) -> None:
            self.id, self.text = ident, text

    rows: Any = [Row(n, "harbour lumen") for n in range(8)]
    found = backtest.run(compile_query("harbour OR lumen"), rows, 5)
    assert [sample.post.id for sample in found.samples] == [0, 1, 2, 3, 4]
    assert {hit.parts for hit in found.hits} == {(0, 1)}
