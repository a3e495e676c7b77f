"""Conformance with recorded replies of a Mastodon server, which are not part of this repository."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from test_recorded import NOW, RECORDED, holds

from listener.errors import Broken, Retry, Unauthorised
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.sources import mastodon, mastodon_lists
from listener.sources.mastodon_posts import parse

FOLDER = RECORDED / "mastodon"
HOST = "lumen.example"
OF_POSTS = re.compile(r"/api/(v1/timelines/(public|tag/\w+)|v1/accounts/\d+/statuses|v1/statuses/\d+|v2/search)")

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded replies at {FOLDER}; set LISTENER_RECORDED to the folder above it"
)


@cache
def exchanges() -> tuple[tuple[str, str, Reply], ...]:
    """(method, address, reply) of everything recorded."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is needed to read these recordings")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def each() -> Iterator[tuple[str, str, Reply]]:
        for file in sorted(FOLDER.rglob("*.yaml")):
            for one in yaml.load(file.read_text("utf-8"), loader)["interactions"]:
                reply, body = one["response"], one["response"]["body"]["string"]
                headers = {name.lower(): values[0] for name, values in reply["headers"].items()}
                raw = body if isinstance(body, bytes) else body.encode()
                yield one["request"]["method"], one["request"]["uri"], Reply(reply["status"]["code"], headers, raw, "")

    return tuple(each())


def asked(pattern: re.Pattern[str]) -> list[tuple[str, Reply]]:
    return [
        (url, reply) for method, url, reply in exchanges() if method == "GET" and pattern.fullmatch(urlsplit(url).path)
    ]


def test_every_reply_with_posts_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    for url, reply in asked(OF_POSTS):
        if reply.status != 200:
            continue
        page = parse(reply.body, host=HOST, name="recorded", now=NOW)
        holds(page)
        counts.update({"replies read": 1, "posts extracted": len(page.posts), **page.skipped})
        for post in page.posts:
            assert post.native_id == post.federated_id and post.native_id.startswith("http")
            assert post.created_at and "@" in post.author and post.url.startswith("http"), url
    errors = Counter(str(reply.status) for _, _, reply in exchanges() if reply.status >= 400)
    with capsys.disabled():
        print(f"\nrecorded mastodon: {dict(counts)}, errors met: {dict(errors)}")
    assert counts == {
        "replies read": 20,
        "posts extracted": 78,
        "not public": 21,
        "author asks programs to stay away": 1,
    }


def test_what_an_instance_says_of_itself_is_no_list_of_posts() -> None:
    told = [reply.body for _, reply in asked(re.compile(r"/api/v2/instance/?"))]
    assert told
    for body in told:
        with pytest.raises(Broken):
            parse(body, host=HOST, name="recorded", now=NOW)


def test_errors_are_what_they_come_to() -> None:
    found: Counter[type] = Counter()
    for _, url, reply in exchanges():
        if reply.status >= 400:
            with pytest.raises((Broken, Retry, Unauthorised)) as caught:
                _judge(reply, url, url)
            expected = {401: Unauthorised, 404: Broken, 422: Broken, 429: Retry}.get(reply.status)
            assert expected is None or type(caught.value) is expected
            assert caught.value.payload == reply.body
            found[type(caught.value)] += 1
    assert found[Unauthorised] >= 1 and found[Broken] >= 2


@pytest.mark.parametrize("status", [401, 422])
def test_a_recorded_refusal_is_a_closed_instance(status: int) -> None:
    refusal = next(reply for _, _, reply in exchanges() if reply.status == status)
    settings = mastodon.Settings.model_validate({"instances": [HOST], "tags": ["lumen"]})
    with pytest.raises(Unauthorised, match="Name another instance"):
        list(mastodon.fetch(settings, None, lambda url, **_: _judge(refusal, url, url), NOW, "recorded"))


def test_a_post_that_is_missing_is_deleted() -> None:
    missing = next(reply for _, reply in asked(re.compile(r"/api/v1/statuses/\d+")) if reply.status == 404)
    uri = f"https://{HOST}/users/x/statuses/1"
    settings = mastodon.Settings.model_validate({"instances": [HOST], "tags": ["lumen"]})
    pages = list(mastodon.recheck(settings, None, [uri], lambda url, **_: _judge(missing, url, url), NOW, "recorded"))
    assert [page.deleted for page in pages] == [(uri,)]


def test_a_recorded_tag_is_walked_to_its_end_by_the_links_of_its_replies() -> None:
    """Forty posts in the recording come in pages of ten; the last reply is empty."""
    replies = asked(re.compile(r"/api/v1/timelines/tag/\w+"))
    assert len(replies) >= 3
    by_position = {parse_qs(urlsplit(url).query).get("max_id", [""])[0]: reply for url, reply in replies}

    def get(url: str, *, params: dict[str, str], **_: Any) -> Response:
        return _judge(by_position[params.get("max_id", "")], url, url)

    reader = mastodon_lists.Reader(get, NOW, "recorded", HOST, "")  # type: ignore[arg-type]
    one = mastodon_lists.List(HOST, tag="lumen")
    walked = list(reader.back(one, NOW.replace(year=2020)))
    held = sum(len(json.loads(reply.body)) for _, reply in replies)
    assert sum(len(reply.page.posts) for reply in walked) == held
    assert [reply.older for reply in walked][-1] == "" and len(walked) == len(replies)


def test_an_edited_post_carries_the_time_of_its_edit() -> None:
    edited = [
        post
        for _, reply in asked(re.compile(r"/api/v1/statuses/\d+"))
        if reply.status == 200
        for post in parse(reply.body, host=HOST, name="recorded", now=NOW).posts
        if post.edited_at
    ]
    assert edited and all(post.created_at and post.edited_at and post.edited_at > post.created_at for post in edited)
