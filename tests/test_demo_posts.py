"""The demo posts: well-formed, each its own, every day covered, and showing what the product is for."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from listener.query import brand_query

FOLDER = Path(__file__).resolve().parent.parent / "data" / "demo"
FIELDS = {"id", "day_offset", "time", "kind", "title", "text", "author", "url", "source"}


@pytest.fixture(scope="module")
def demo() -> list[dict[str, Any]]:
    files = sorted(FOLDER.glob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z']+", text.lower()))


def test_every_post_is_well_formed(demo: list[dict[str, Any]]) -> None:
    for post in demo:
        assert set(post) - {"rating"} == FIELDS, post["id"]
        assert post["day_offset"] in range(21), post["id"]
        assert re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", post["time"]), post["id"]
        assert post["kind"] in ("post", "comment", "review", "article"), post["id"]
        assert post["source"] in ("forum", "reviews", "news", "social"), post["id"]
        assert post["url"].startswith("https://example.com/"), post["id"]
        assert post["text"].strip() and post["author"].strip(), post["id"]
        assert ("rating" in post) == (post["source"] == "reviews"), post["id"]
        assert post.get("rating", 3) in range(1, 6), post["id"]


def test_ids_and_texts_are_unique_but_for_the_article_that_papers_copied(demo: list[dict[str, Any]]) -> None:
    assert len(demo) >= 300
    assert max(Counter(post["id"] for post in demo).values()) == 1
    assert max(Counter(post["url"] for post in demo).values()) == 1
    again = {text: count for text, count in Counter(post["text"] for post in demo).items() if count > 1}
    assert list(again.values()) == [3]
    assert {post["kind"] for post in demo if post["text"] in again} == {"article"}


def test_no_post_is_another_one_with_words_exchanged(demo: list[dict[str, Any]]) -> None:
    texts = {post["text"]: words(post["text"]) for post in demo}
    long = [(text, bag) for text, bag in texts.items() if len(bag) > 8]
    for i, (text, bag) in enumerate(long):
        for other, other_bag in long[i + 1 :]:
            assert len(bag & other_bag) < 0.6 * len(bag | other_bag), (text, other)


def test_every_day_is_covered_and_yesterday_has_its_event(demo: list[dict[str, Any]]) -> None:
    days = Counter(post["day_offset"] for post in demo)
    assert set(days) == set(range(21))
    assert min(days.values()) >= 8
    event = brand_query("", [], '"Saltmarsh Quay" (queue* OR key* OR breakfast OR card* OR locked OR lock OR door)')
    burst = Counter(post["day_offset"] for post in demo if event.match(f"{post['title']} {post['text']}"))
    assert burst.pop(0) >= 10
    assert max(burst.values(), default=0) <= 3, "on other days it is no event"


def test_both_brands_are_named_and_sometimes_together(demo: list[dict[str, Any]]) -> None:
    own = brand_query("Harbour & Pine", [], "")
    competitor = brand_query("Lumen Stays", [], "")
    named = Counter((bool(own.match(text)), bool(competitor.match(text))) for text in map(_whole, demo))
    assert named[True, False] > 100
    assert named[False, True] > 40
    assert named[True, True] >= 10
    assert named[False, False] >= 10, "not everything a listener meets is about a brand"


def _whole(post: dict[str, Any]) -> str:
    return f"{post['title']} {post['text']}"


def test_the_odd_ones_are_there(demo: list[dict[str, Any]]) -> None:
    lengths = sorted(len(post["text"].split()) for post in demo)
    assert lengths[-1] >= 400
    assert sum(150 <= length <= 320 for length in lengths) >= 4
    assert sum(length < 15 for length in lengths) >= 20
    assert any(not re.search(r"\w", post["text"]) for post in demo), "one of emoji only"
    assert any({"wir", "und", "nicht", "das"} & words(post["text"]) and "Frühstück" in post["text"] for post in demo)
