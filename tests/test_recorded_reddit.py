"""Conformance with recorded replies of Reddit, which are not part of this repository: feeds, and cassettes of PRAW."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from test_recorded import NOW, RECORDED, holds

from listener.errors import Broken, Refused, SourceError, Unauthorised
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.records import Page
from listener.sources import reddit, reddit_api
from listener.sources.reddit_posts import Listing

FOLDER = RECORDED / "reddit"
TOKEN = b'{"access_token": "a", "token_type": "bearer", "expires_in": 3600, "scope": "*"}'

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded replies at {FOLDER}; set LISTENER_RECORDED to the folder above it"
)


def interactions(file: Path) -> Iterator[tuple[str, Reply]]:
    """(address asked for, reply) of a cassette, tokens left out."""
    for each in json.loads(file.read_bytes())["interactions"]:
        told = each["response"]
        headers = {name.lower(): values[0] for name, values in told["headers"].items()}
        body = (told["body"].get("string") or "").encode()
        if "access_token" not in each["request"]["uri"]:
            yield each["request"]["uri"], Reply(told["status"]["code"], headers, body, headers.get("location", ""))


def recorded(name: str) -> tuple[str, Reply]:
    return next(interactions(FOLDER / f"{name}.json"))


def listings(body: bytes) -> Iterator[bytes]:
    """The listings of a reply: it is one, or a thread, which is a list of two."""
    try:
        reply = json.loads(body)
    except ValueError:
        return
    for each in reply if isinstance(reply, list) else [reply]:
        if isinstance(each, dict) and each.get("kind") == "Listing":
            yield json.dumps(each).encode()


def test_every_listing_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    broken = []
    for file in sorted(FOLDER.glob("*.json")):
        for _, reply in interactions(file):
            for listing in listings(reply.body):
                counts["replies read"] += 1
                try:
                    page = reddit.parse(listing, name="recorded", now=NOW)
                except Broken:
                    broken.append(file.stem)
                    continue
                holds(page)
                counts.update({"posts extracted": len(page.posts), "deleted": len(page.deleted)})
                counts.update({why: n for why, n in page.skipped.items() if n})
    with capsys.disabled():
        print(f"\nrecorded reddit: {dict(counts)}, broken: {broken}")
    assert broken == ["TestComment.test_refresh__raises_exception"]  # an id changed by hand, which no id can be
    assert counts["replies read"] >= 30
    assert counts["posts extracted"] >= 900 and counts["deleted"] >= 30
    assert not counts["no text"]


LISTINGS = {
    "TestSubredditListings.test_new": (100, 0), "TestSubredditListings.test_comments": (100, 0),
    "TestSubredditStreams.test_submissions": (100, 0), "TestRedditorListings.test_comments__new": (100, 0),
    "TestListingGenerator.test_no_items": (0, 0), "TestReddit.test_info": (61, 6),
    "TestComment.test_refresh__deleted_comment": (0, 1),
}  # fmt: skip


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Reply]:
    """The replies that PRAW gets from now on, in place of the network, after a token."""
    replies: list[Reply] = []

    def exchange(session: object, request: Any, *_: object) -> Reply:
        return Reply(200, {}, TOKEN, "") if request.url.endswith("access_token") else replies.pop(0)

    monkeypatch.setattr(reddit_api, "exchange", exchange)
    monkeypatch.setenv("LISTENER_TEST_REDDIT", "a-key")
    return replies


SETTINGS = reddit.Settings.model_validate(
    {
        "subreddits": ["travel"],
        "client_id": {"env": "LISTENER_TEST_REDDIT"},
        "client_secret": {"env": "LISTENER_TEST_REDDIT"},
    }
)


def by_praw(path: str) -> tuple[Page, str]:
    with reddit_api.connect(SETTINGS, NOW, "recorded") as api:
        return api.listing(Listing(path, ("new travel",), 0), "")


@pytest.mark.parametrize(("name", "posts", "deleted"), [(name, *numbers) for name, numbers in LISTINGS.items()])
def test_a_known_listing_through_praw(told: list[Reply], name: str, posts: int, deleted: int) -> None:
    _, reply = recorded(name)
    told.append(reply)
    page, after = by_praw("r/travel/new")
    assert (len(page.posts), len(page.deleted)) == (posts, deleted)
    children = json.loads(reply.body)["data"]["children"]
    raw = {child["data"]["name"]: child["data"] for child in children if child["kind"] in ("t1", "t3")}
    for post in page.posts:
        thing = raw[post.native_id]
        assert (post.title, post.author) == (" ".join(thing.get("title", "").split()), thing["author"])
        assert post.created_at is not None and post.created_at.timestamp() == thing["created_utc"]
        assert post.engagement["score"] == thing["score"]
        assert post.url.endswith(thing.get("permalink", ""))
    assert after == (json.loads(reply.body)["data"]["after"] or "")


def test_info_names_all_that_it_still_shows(told: list[Reply]) -> None:
    for _, reply in list(interactions(FOLDER / "TestReddit.test_info.json")):
        told.append(reply)
    addresses = [address for address, _ in interactions(FOLDER / "TestReddit.test_info.json")]
    missing = 0
    with reddit_api.connect(SETTINGS, NOW, "recorded") as api:
        for address in addresses:
            asked = parse_qs(urlsplit(address).query)["id"][0].split(",")
            body = told[0].body
            page = api.info(asked)
            shown = {child["data"]["name"] for child in json.loads(body)["data"]["children"]}
            assert set(asked) - shown == set(page.deleted) - shown
            missing += len(set(asked) - shown)
    assert missing == 3


ERRORS: Mapping[str, tuple[str, type[SourceError]]] = {
    "TestAuthImplicit.test_implicit__with_invalid_token": ("", Unauthorised),
    "TestSubredditQuarantine.test_opt_in": ("r/travel", Refused),
    "TestRedditorListings.test_saved__in_read_only_mode": ("", Refused),
    "TestWikiPage.test_invalid_page": ("r/travel", Refused),
    "TestComment.test_resolve_from_share_url": ("r/travel", Refused),
    "TestReddit.test_bad_request_without_json_text_html_response": ("r/travel", Broken),
    "TestReddit.test_bad_request_without_json_text_plain_response": ("r/travel", Broken),
    "TestReddit.test_bare_badrequest": ("r/travel", Broken),
    "TestUser.test_pin__deleted_submission": ("", Broken),
}


def test_every_recorded_error_is_the_right_one(told: list[Reply], capsys: pytest.CaptureFixture[str]) -> None:
    met: Counter[str] = Counter()
    for name, (place, kind) in ERRORS.items():
        _, reply = recorded(name)
        told[:] = [reply]
        with pytest.raises(SourceError) as caught:
            by_praw(f"{place}/new" if place else "search")
        assert type(caught.value) is kind, name
        assert (caught.value.status, caught.value.payload) == (reply.status, reply.body), name
        met[f"{reply.status} {kind.__name__}"] += 1
    with capsys.disabled():
        print(f"\nrecorded reddit: errors met: {dict(met)}")
    named = {file.stem for file in FOLDER.glob("*.json") for _, reply in interactions(file) if reply.status >= 400}
    assert named <= set(ERRORS)


FEEDS = {"listing.rss": (25, 0), "search.rss": (25, 0), "thread.rss": (32, 2), "reddit_2017.xml": (1, 0)}


@pytest.mark.parametrize(("name", "posts", "deleted"), [(name, *numbers) for name, numbers in FEEDS.items()])
def test_feeds(name: str, posts: int, deleted: int) -> None:
    page = reddit.parse((FOLDER / "rss" / name).read_bytes(), name="recorded", now=NOW)
    holds(page)
    assert (len(page.posts), len(page.deleted), page.skipped) == (posts, deleted, {})
    for post in page.posts:
        assert post.author and post.created_at and post.url.startswith("https://www.reddit.com/r/")


WALLS = ["old_reddit_network_policy_block", "old_reddit_over18_interstitial", "reddit_shreddit_shell"]


@pytest.mark.parametrize("name", WALLS)
@pytest.mark.parametrize("status", [200, 403])
def test_a_wall_is_told_by_either_way(told: list[Reply], name: str, status: int) -> None:
    reply = Reply(status, {"content-type": "text/html"}, (FOLDER / "blocked-html" / f"{name}.html").read_bytes(), "")

    def get(url: str, **_: Any) -> Response:
        return _judge(reply, url, url)

    feeds = SETTINGS.model_copy(update={"client_id": None, "client_secret": None})
    with pytest.raises(Refused, match="bot wall"):
        list(reddit.fetch(feeds, None, get, NOW, "recorded"))
    told.append(reply)
    with pytest.raises(Refused, match="bot wall"):
        by_praw("r/travel/new")
