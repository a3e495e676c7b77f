"""Conformance with recorded real replies of X, which are not part of this repository.

Read from LISTENER_RECORDED, or ../shared/recorded beside the checkout; skipped where there are none.
"""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from listener.errors import Broken, SourceError
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.records import Page
from listener.sources import x
from listener.sources.x_posts import second_of

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RECORDED = Path(os.environ.get("LISTENER_RECORDED") or Path(__file__).resolve().parents[2] / "shared" / "recorded")
FOLDER = RECORDED / "x-twitter"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded replies at {FOLDER}; set LISTENER_RECORDED to their folder"
)


def replies(pattern: str) -> Iterator[tuple[str, str, bytes, dict[str, str]]]:
    """(file, address, body, headers) of each reply in the cassettes whose name fits."""
    yaml = pytest.importorskip("yaml", reason="the recorded replies of X are YAML")
    for file in sorted(FOLDER.glob(pattern)):
        for exchange in yaml.safe_load(file.read_text("utf-8"))["interactions"]:
            body = exchange["response"]["body"]["string"]
            body = body.encode() if isinstance(body, str) else body
            body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
            headers = {name.lower(): value[0] for name, value in exchange["response"]["headers"].items()}
            yield file.name, exchange["request"]["uri"], body, headers


def holds(page: Page) -> None:
    """What is true of every page, whatever came in."""
    assert len({post.native_id for post in page.posts}) == len(page.posts)
    for post in page.posts:
        assert post.text.strip() and "&amp;" not in post.text
        assert post.native_id in post.url


SEARCHES = ("test_*search_recent_tweets.yaml", "test_*search_all_tweets.yaml")
LISTS = ("*mentions.yaml", "*users_tweets.yaml", "*get_tweets.yaml", "*quote_tweets.yaml", "*list_tweets.yaml")


def test_every_list_of_posts_is_read_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    for name, address, body, _ in replies("*.yaml"):
        counts["replies"] += 1
        try:
            page = x.parse(body, name="recorded", now=NOW)
        except Broken:
            counts["no posts in it"] += 1
            assert "tweets_count" in name or "compliance" in name, address
            continue
        holds(page)
        counts.update(posts=len(page.posts), **page.skipped)
    with capsys.disabled():
        print(f"\nrecorded x: {dict(counts)}")
    assert counts["replies"] == 24 and counts["posts"] > 100


@pytest.mark.parametrize("pattern", [*SEARCHES, *LISTS])
def test_posts_of_a_known_reply(pattern: str) -> None:
    found = [(name, x.parse(body, name="recorded", now=NOW)) for name, _, body, _ in replies(pattern)]
    assert found and all(page.posts for _, page in found)


def test_a_walk_over_the_recorded_searches() -> None:
    token = {"file": str(Path(__file__).parent / "payloads" / "x" / "contract.toml")}
    chosen = x.Settings.model_validate({"queries": ["tweepy"], "token": token, "daily_posts_cap": 100})
    for body in [body for pattern in SEARCHES for _, _, body, _ in replies(pattern)]:
        newest = max(int(post.native_id) for post in x.parse(body, name="recorded", now=NOW).posts)
        recorded_at = datetime.fromtimestamp(second_of(newest) + 60, UTC)
        answers = [b'{"meta": {"result_count": 0}}', body]
        asked: list[dict[str, str]] = []
        get: Any = partial(_answer, answers, asked)
        pages = list(x.fetch(chosen, None, get, recorded_at, "recorded"))
        idents = [int(post.native_id) for page in pages for post in page.posts]
        assert idents == sorted(idents, reverse=True) and len(idents) > 1
        assert asked[1]["until_id"] == str(min(idents))
        assert x.spent(pages[-1].cursor).startswith(f"{len(idents)} of 100")


def _answer(answers: list[bytes], asked: list[dict[str, str]], url: str, **told: Any) -> Response:
    asked.append(told["params"])
    return Response(200, url, {}, answers.pop())


def test_ids_tell_the_time() -> None:
    """Against the time at which each recorded search was answered: its newest post is a little older."""
    for _, _, body, headers in replies("test_*search_recent_tweets.yaml"):
        answered = datetime.strptime(headers["date"].replace("UTC", "+0000"), "%a, %d %b %Y %H:%M:%S %z")
        newest = max(int(post.native_id) for post in x.parse(body, name="recorded", now=NOW).posts)
        assert 10 < answered.timestamp() - second_of(newest) < 86400


def test_the_older_interface_is_told_from_this_one() -> None:
    with pytest.raises(Broken):
        x.parse((FOLDER / "testsearchtweets.json").read_bytes(), name="recorded", now=NOW)


def test_a_used_up_limit_is_waited_for_by_the_headers_x_sends() -> None:
    _, address, _, headers = next(replies("test_client_search_recent_tweets.yaml"))
    with pytest.raises(SourceError) as caught:
        _judge(Reply(429, {**headers, "x-rate-limit-remaining": "0"}, b"", ""), address, address)
    assert getattr(caught.value, "after", None) == 0  # the recorded reset has long passed
