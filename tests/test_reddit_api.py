"""Reddit with a key: PRAW itself against a server on loopback that imitates www.reddit.com and oauth.reddit.com."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from praw.config import Config

from listener.errors import Broken, Disabled, Refused, Retry, SourceError, Unauthorised
from listener.records import Page
from listener.settings import HttpSettings
from listener.sources import reddit, reddit_api
from loopback import closed_port

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
SECRETS = {
    "client_id": {"env": "LISTENER_TEST_REDDIT_ID"},
    "client_secret": {"env": "LISTENER_TEST_REDDIT_SECRET"},
}
ANSWER = tuple[int, Mapping[str, str], bytes]


class Service:
    """Tokens, listings that end after a thousand, a search that ends after 250, and api/info.

    `answers` are given in place of its own, by path; `headers` go with each reply.
    """

    def __init__(self) -> None:
        self.things: dict[str, dict[str, Any]] = {}
        self.hidden: set[str] = set()  # left out of listings and of api/info
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.answers: dict[str, ANSWER] = {}
        self.headers: dict[str, str] = {}
        self.port = 0

    def submission(self, name: str, at: int, subreddit: str = "travel", **fields: Any) -> None:
        self.things[f"t3_{name}"] = {"title": f"title {name}", "selftext": f"text {name}"}
        self._common(f"t3_{name}", at, subreddit, fields)

    def comment(self, name: str, at: int, subreddit: str = "travel", **fields: Any) -> None:
        self.things[f"t1_{name}"] = {"body": f"text {name}", "parent_id": "t3_s1"}
        self._common(f"t1_{name}", at, subreddit, fields)

    def _common(self, name: str, at: int, subreddit: str, fields: dict[str, Any]) -> None:
        common = {"name": name, "author": "somebody", "created_utc": float(at), "subreddit": subreddit, "score": 1}
        self.things[name] |= {**common, "permalink": f"/r/{subreddit}/comments/{name[3:]}/", **fields}

    @property
    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]

    def answer(self, path: str, told: dict[str, str], headers: dict[str, str]) -> ANSWER:
        self.asked.append((path, told, headers))
        if path in self.answers:
            return self.answers[path]
        if path == "/api/v1/access_token":
            right = base64.b64encode(b"the-id:the-secret").decode()
            if headers["authorization"] != f"Basic {right}":
                return 401, {}, b'{"message": "Unauthorized", "error": 401}'
            token = {"access_token": "the-token", "token_type": "bearer", "expires_in": 86400, "scope": "*"}
            return 200, self.headers, json.dumps(token).encode()
        assert headers["authorization"] == "bearer the-token" and told["raw_json"] == "1"
        return 200, self.headers, json.dumps(self._listing(path.strip("/"), told)).encode()

    def _listing(self, path: str, told: dict[str, str]) -> dict[str, Any]:
        if path == "api/info":
            names = [name for name in told["id"].split(",") if name in self.things and name not in self.hidden]
            return self._reply(names, None)
        assert int(told["limit"]) <= 100
        kind, limit = ("t1", 1000) if path.endswith("comments") else ("t3", 250 if path.endswith("search") else 1000)
        places = path.split("/")[1].split("+") if path.startswith("r/") else None
        found = [
            (thing["created_utc"], name)
            for name, thing in self.things.items()
            if name.startswith(kind) and name not in self.hidden and (places is None or thing["subreddit"] in places)
        ]
        names = [name for _, name in sorted(found, reverse=True)][:limit]
        begin = names.index(told["after"]) + 1 if "after" in told else 0
        shown = names[begin : begin + int(told["limit"])]
        return self._reply(shown, shown[-1] if begin + len(shown) < len(names) else None)

    def _reply(self, names: list[str], after: str | None) -> dict[str, Any]:
        children = [{"kind": name[:2], "data": self.things[name]} for name in names]
        return {"kind": "Listing", "data": {"after": after, "before": None, "children": children}}


def handler_of(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._reply(parts.path, parts.query)

        def do_POST(self) -> None:
            self._reply(self.path, self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _reply(self, path: str, told: str) -> None:
            query = {name: values[0] for name, values in parse_qs(told).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, body = service.answer(path, query, headers)
            self.send_response(status)
            closing = {"Connection": "close"} if self.close_connection else {}  # as prawcore asks for the token
            for name, value in {"Content-Length": str(len(body)), **closing, **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    def slept(seconds: float) -> None:
        raise AssertionError(f"slept {seconds} s: a run has to end and be made again later")

    service = Service()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(service))
    server.daemon_threads = True
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{service.port}"
    monkeypatch.setattr(reddit_api, "SITES", {"reddit_url": url, "oauth_url": url})
    monkeypatch.setattr(reddit_api, "HTTP", HttpSettings(allow_private=["127.0.0.1"], timeout_s=20, max_bytes=500_000))
    monkeypatch.setenv("LISTENER_TEST_REDDIT_ID", "the-id")
    monkeypatch.setenv("LISTENER_TEST_REDDIT_SECRET", "the-secret")
    monkeypatch.setenv("LISTENER_TEST_REDDIT_PASSWORD", "the-password")
    monkeypatch.setattr(time, "sleep", slept)
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def no_get(*_: Any, **__: Any) -> Any:
    raise AssertionError("with a key the feeds are not asked")


def chosen(**settings: Any) -> reddit.Settings:
    return reddit.Settings.model_validate({"subreddits": ["travel"], "comments": False, **SECRETS, **settings})


def walk(cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> Iterator[Page]:
    return reddit.fetch(chosen(**settings), cursor, no_get, now, "reddit")


def run(cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    return list(walk(cursor, now, **settings))


def until_it_fails(pages: Iterator[Page]) -> tuple[list[Page], SourceError]:
    got: list[Page] = []
    with pytest.raises(SourceError) as caught:
        for page in pages:
            got.append(page)
    return got, caught.value


def idents(pages: list[Page]) -> set[str]:
    return {post.native_id for page in pages for post in page.posts}


class TestRequests:
    def test_each_subreddit_and_phrase_has_a_listing_of_its_own(self, service: Service) -> None:
        service.submission("s1", EPOCH - 5)
        service.submission("s2", EPOCH - 6, "hotels")
        service.comment("c1", EPOCH - 7)
        pages = run(subreddits=["travel", "hotels"], comments=True, queries=["Hotel Lumen", "Suites"])
        assert idents(pages) == {"t3_s1", "t3_s2", "t1_c1"}
        assert sorted(service.paths) == [
            "/api/v1/access_token", "/r/hotels/comments", "/r/hotels/new", "/r/travel/comments", "/r/travel/new",
            "/search", "/search",
        ]  # fmt: skip
        searches = [told for path, told, _ in service.asked if path == "/search"]
        assert sorted(told["q"] for told in searches) == ['"Hotel Lumen"', '"Suites"']
        assert {(told["sort"], told["type"], told["limit"]) for told in searches} == {("new", "link", "100")}

    def test_it_says_who_asks_and_does_not_claim_to_be_a_browser(self, service: Service) -> None:
        run()
        agents = {headers["user-agent"] for _, _, headers in service.asked}
        assert len(agents) == 1 and next(iter(agents)).startswith("python:listener:")

    def test_a_key_alone_asks_as_an_app(self, service: Service) -> None:
        run()
        assert service.asked[0][1] == {"grant_type": "client_credentials"}

    def test_a_password_asks_as_that_person(self, service: Service) -> None:
        run(username="acme_listens", password={"env": "LISTENER_TEST_REDDIT_PASSWORD"})
        _, told, headers = service.asked[0]
        assert told == {"grant_type": "password", "username": "acme_listens", "password": "the-password"}
        assert "(by /u/acme_listens)" in headers["user-agent"]

    def test_nothing_but_reading_and_the_token_is_asked_for(self, service: Service) -> None:
        service.submission("s1", EPOCH - 5)
        run(search_in=["hotels"], queries=["Lumen"])
        assert sorted(service.paths) == ["/api/v1/access_token", "/r/hotels/search", "/r/travel/new"]

    def test_no_praw_ini_and_no_variable_sends_the_key_elsewhere(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        elsewhere = f"http://127.0.0.1:{closed_port()}"
        told = f"oauth_url={elsewhere}\nreddit_url={elsewhere}\ncomment_kind=t9\nwindow_size=x\ntimeout=soon\n"
        (tmp_path / "praw.ini").write_text(f"[DEFAULT]\n{told}[other]\n{told}")
        monkeypatch.setattr(Config, "CONFIG", None)  # PRAW reads the files once
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.setenv("praw_site", "other")
        monkeypatch.setenv("praw_client_id", "another")
        monkeypatch.setenv("praw_refresh_token", "another")
        monkeypatch.setenv("praw_check_for_updates", "yes")
        service.submission("s1", EPOCH - 5)
        assert idents(run()) == {"t3_s1"}

    def test_it_reaches_addresses_of_the_open_internet_only(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reddit_api, "HTTP", HttpSettings())
        assert "not an address of the open internet" in str(until_it_fails(walk())[1])
        assert service.asked == []


class TestWalk:
    def test_goes_down_to_the_bookmark_and_no_further(self, service: Service) -> None:
        for number in range(1, 501):
            service.submission(f"s{number}", EPOCH - number * 60)
        pages = run({"marks": {"new travel": [EPOCH - 120 * 60, ["t3_s120"]]}})
        assert {f"t3_s{number}" for number in range(1, 121)} <= idents(pages)
        assert len(service.asked) == 3
        assert pages[-1].cursor == {"marks": {"new travel": [EPOCH - 60, ["t3_s1"]]}}
        assert pages[-1].gap is None

    def test_the_post_of_the_bookmark_may_be_deleted_since(self, service: Service) -> None:
        for number in range(1, 301):
            service.submission(f"s{number}", EPOCH - number * 60)
        service.hidden = {"t3_s150"}
        pages = run({"marks": {"new travel": [EPOCH - 150 * 60, ["t3_s150"]]}})
        assert {f"t3_s{number}" for number in range(1, 150)} <= idents(pages) and pages[-1].gap is None

    def test_a_listing_that_ends_after_a_thousand_leaves_a_gap(self, service: Service) -> None:
        for number in range(1, 1501):
            service.submission(f"s{number}", EPOCH - number * 10)
        pages = run({"marks": {"new travel": [EPOCH - 14000, ["t3_s1400"]]}})
        assert len(idents(pages)) == 1000
        gap = pages[-1].gap
        assert gap and (gap.since, gap.until) == (NOW - timedelta(seconds=14000), NOW - timedelta(seconds=10000))

    def test_a_search_that_ends_after_250_leaves_one_too(self, service: Service) -> None:
        for number in range(1, 401):
            service.submission(f"s{number}", EPOCH - number * 10)
        pages = run(subreddits=[], queries=["Lumen"])
        assert len(idents(pages)) == 250 and pages[-1].gap is not None

    def test_what_was_taken_away_is_deleted(self, service: Service) -> None:
        service.submission("s1", EPOCH - 5, removed_by_category="moderator")
        service.submission("s2", EPOCH - 6, author=None, selftext="[deleted]")
        service.submission("s3", EPOCH - 7, selftext="[removed]")
        service.submission("s4", EPOCH - 8)
        (page,) = run()
        assert page.deleted == ("t3_s1", "t3_s2", "t3_s3") and idents([page]) == {"t3_s4"}

    def test_a_bookmark_of_the_feeds_goes_on_by_the_api(self, service: Service) -> None:
        for number in range(1, 301):
            service.submission(f"s{number}", EPOCH - number * 60, "hotels" if number % 2 else "travel")
        feeds = {"marks": {"new travel": [EPOCH - 3600, ["t3_s60"]], "new hotels": [EPOCH - 3600, ["t3_s60"]]}}
        pages = run(feeds, subreddits=["travel", "hotels"])
        assert {f"t3_s{number}" for number in range(1, 61)} <= idents(pages)
        assert len(service.asked) == 3 and all(page.gap is None for page in pages)

    def test_goes_back_in_time_and_goes_on_where_it_was_stopped(self, service: Service) -> None:
        for number in range(1, 451):
            service.submission(f"s{number}", EPOCH - number * 60)
        found: set[str] = set()
        cursor: Mapping[str, Any] | None = None
        while cursor != {}:
            page = next(reddit.backfill(chosen(), NOW - timedelta(days=1), cursor, no_get, NOW, "reddit"))
            found |= idents([page])
            assert page.cursor is not None
            cursor = json.loads(json.dumps(page.cursor))
        assert len(found) == 450 and service.paths.count("/r/travel/new") == 5


class TestRecheck:
    def ask(self, *names: str) -> list[Page]:
        return list(reddit.recheck(chosen(), None, names, no_get, NOW, "reddit"))

    def test_what_is_gone_what_was_edited_and_what_is_shown_no_more(self, service: Service) -> None:
        service.submission("s1", EPOCH - 5, removed_by_category="deleted")
        service.submission("s2", EPOCH - 6, selftext="now with breakfast", edited=float(EPOCH - 2))
        service.comment("c1", EPOCH - 7, body="[removed]")
        service.submission("s4", EPOCH - 8, promoted=True)
        (page,) = self.ask("t3_s1", "t3_s2", "t1_c1", "t3_s3", "t3_s4")
        assert set(page.deleted) == {"t3_s1", "t1_c1", "t3_s3"}
        (post,) = page.posts
        assert (post.text, post.edited_at) == ("now with breakfast", NOW - timedelta(seconds=2))

    def test_a_hundred_cost_one_request(self, service: Service) -> None:
        for number in range(100):
            service.comment(f"c{number}", EPOCH - number)
        (page,) = self.ask(*(f"t1_c{number}" for number in range(100)))
        assert len(page.posts) == 100
        assert service.paths == ["/api/v1/access_token", "/api/info"]

    def test_a_reply_without_any_of_them_erases_nothing(self, service: Service) -> None:
        (page,) = self.ask("t3_s1", "t3_s2")
        assert page == Page(())
        service.submission("s9", EPOCH - 5)
        service.answers["/api/info"] = (200, {}, json.dumps(service._reply(["t3_s9"], None)).encode())
        assert self.ask("t3_s1", "t3_s2") == [Page(())]

    @pytest.mark.parametrize("status", [403, 404, 429, 503])
    def test_a_failure_is_no_deletion(self, service: Service, status: int) -> None:
        service.answers["/api/info"] = (status, {}, b"{}")
        pages, _ = until_it_fails(reddit.recheck(chosen(), None, ["t3_s1"], no_get, NOW, "reddit"))
        assert pages == []


PAGE = b"<!doctype html><html><head><title>%s</title></head><body></body></html>"


class TestErrors:
    def fails(
        self, service: Service, status: int, body: bytes, headers: Mapping[str, str] | None = None
    ) -> SourceError:
        service.answers["/r/travel/new"] = (status, headers or {}, body)
        return until_it_fails(walk())[1]

    @pytest.mark.parametrize(
        ("status", "body", "headers", "named"),
        [
            (403, b'{"reason": "private", "message": "Forbidden", "error": 403}', {}, "r/travel is private"),
            (403, b'{"reason": "quarantined", "message": "Forbidden", "error": 403}', {}, "r/travel is quarantined"),
            (404, b'{"reason": "banned", "message": "Not Found", "error": 404}', {}, "r/travel is banned"),
            (403, b'{"message": "Forbidden", "error": 403}', {"www-authenticate": "x"}, "r/travel is private, banned"),
            (302, b"", {"location": "https://www.reddit.com/subreddits/search?q=travel"}, "misspelt"),
            (404, b"[]", {}, "misspelt"),
        ],
    )
    def test_a_subreddit_that_is_not_shown_is_named_and_the_others_are_read(
        self, service: Service, status: int, body: bytes, headers: Mapping[str, str], named: str
    ) -> None:
        service.answers["/r/travel/new"] = (status, headers, body)
        service.submission("s1", EPOCH - 5, "hotels")
        pages, error = until_it_fails(walk(subreddits=["travel", "hotels"]))
        assert type(error) is Refused and named in str(error) and error.status == status
        assert idents(pages) == {"t3_s1"}

    @pytest.mark.parametrize(
        ("headers", "after"),
        [
            ({"Retry-After": "17"}, 17),
            ({"Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
            ({"x-ratelimit-remaining": "0.0", "x-ratelimit-used": "100", "x-ratelimit-reset": "41"}, 41),
            ({"Retry-After": "soon"}, None),
            ({}, None),
        ],
    )
    @pytest.mark.parametrize("status", [429, 503])
    def test_reddit_is_tired(
        self, service: Service, status: int, headers: Mapping[str, str], after: float | None
    ) -> None:
        error = self.fails(service, status, b'{"message": "Too Many Requests"}', headers)
        assert isinstance(error, Retry) and (error.after, error.status) == (after, status)
        assert service.paths.count("/r/travel/new") == 1, "prawcore would ask three times"

    def test_after_that_nothing_else_is_asked(self, service: Service) -> None:
        service.answers = dict.fromkeys(["/r/travel/new", "/r/hotels/new"], (429, {}, b"{}"))
        until_it_fails(walk(subreddits=["travel", "hotels"]))
        assert len(service.asked) == 2

    def test_when_the_requests_are_used_up_the_next_one_is_not_made(self, service: Service) -> None:
        for number in range(1, 151):
            service.submission(f"s{number}", EPOCH - number)
        used_up = {"x-ratelimit-remaining": "0.0", "x-ratelimit-used": "100", "x-ratelimit-reset": "540"}
        service.answers["/api/v1/access_token"] = service.answer(
            "/api/v1/access_token", {}, {"authorization": f"Basic {base64.b64encode(b'the-id:the-secret').decode()}"}
        )
        service.asked.clear()
        service.headers = used_up
        pages, error = until_it_fails(walk())
        assert isinstance(error, Retry) and error.after == 540
        assert len(idents(pages)) == 100 and service.paths == ["/api/v1/access_token", "/r/travel/new"]

    @pytest.mark.parametrize("told", ["5.0", "many", ""])
    def test_headers_that_prawcore_trips_over_do_no_harm(self, service: Service, told: str) -> None:
        service.submission("s1", EPOCH - 5)
        service.headers = {"x-ratelimit-remaining": "99", "x-ratelimit-used": told, "x-ratelimit-reset": told}
        assert idents(run()) == {"t3_s1"}

    @pytest.mark.parametrize("challenge", ['Bearer realm="reddit", error="invalid_token"', "odd", ""])
    def test_a_token_that_is_not_taken_ends_the_run(self, service: Service, challenge: str) -> None:
        headers = {"www-authenticate": challenge} if challenge else {}
        refusal = (401, headers, b'{"message": "Unauthorized", "error": 401}')
        service.answers = dict.fromkeys(["/r/travel/new", "/r/hotels/new"], refusal)
        _, error = until_it_fails(walk(subreddits=["travel", "hotels"]))
        assert isinstance(error, Unauthorised) and error.status == 401
        assert len(service.asked) == 2

    def test_a_wrong_secret_is_told_once_and_not_repeated_in_words(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LISTENER_TEST_REDDIT_SECRET", "another-secret")
        _, error = until_it_fails(walk(subreddits=["travel", "hotels", "cities"]))
        assert isinstance(error, Unauthorised) and "client_secret" in str(error)
        assert service.paths == ["/api/v1/access_token"]
        assert "another-secret" not in repr(error) + str(error) and error.__cause__ is None

    @pytest.mark.parametrize(
        ("status", "body"),
        [(200, b'{"error": "invalid_grant"}'), (400, b'{"message": "Bad Request", "error": 400}'), (404, b"")],
    )
    def test_credentials_that_are_refused_in_other_words(self, service: Service, status: int, body: bytes) -> None:
        service.answers["/api/v1/access_token"] = (status, {}, body)
        assert isinstance(until_it_fails(walk())[1], Unauthorised)

    @pytest.mark.parametrize("body", [b"{}", b"[]", b"not JSON", b'{"access_token": 1, "expires_in": "x"}', b""])
    def test_a_token_that_is_none_is_broken(self, service: Service, body: bytes) -> None:
        service.answers["/api/v1/access_token"] = (200, {}, body)
        assert isinstance(until_it_fails(walk())[1], Broken)

    @pytest.mark.parametrize(
        "body", [b"not JSON", b"", b"[]", b'"word"', b"{}", b'{"kind": "Listing", "data": {}}', PAGE % b"Reddit"]
    )
    def test_a_reply_that_is_no_listing_is_broken(self, service: Service, body: bytes) -> None:
        assert isinstance(self.fails(service, 200, body), Broken)

    def test_what_was_sent_is_kept(self, service: Service) -> None:
        assert self.fails(service, 200, b"not JSON").payload == b"not JSON"

    @pytest.mark.parametrize("status", [400, 414, 418])
    def test_a_status_without_meaning_is_broken(self, service: Service, status: int) -> None:
        assert isinstance(self.fails(service, status, b"<html><body><h1>Bad request</h1></body></html>"), Broken)

    def test_what_is_withheld_by_law_is_refused(self, service: Service) -> None:
        assert type(self.fails(service, 451, b"{}")) is Refused

    def test_a_bot_wall_is_told_and_not_asked_again(self, service: Service) -> None:
        wall = (403, {}, PAGE % b"Blocked")
        service.answers = dict.fromkeys(["/r/travel/new", "/r/hotels/new"], wall)
        _, error = until_it_fails(walk(subreddits=["travel", "hotels"]))
        assert type(error) is Refused and "bot wall" in str(error)
        assert len(service.asked) == 2

    def test_a_search_that_is_refused_names_no_subreddit(self, service: Service) -> None:
        service.answers["/search"] = (403, {}, b'{"message": "Forbidden", "error": 403}')
        error = until_it_fails(walk(subreddits=[], queries=["Lumen"]))[1]
        assert type(error) is Refused and "does not let us in" in str(error)

    def test_a_flood_is_broken_and_not_read(self, service: Service) -> None:
        assert "max_bytes" in str(self.fails(service, 200, b"x" * 600_000))

    def test_a_server_that_is_not_there_is_tried_later(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = f"http://127.0.0.1:{closed_port()}"
        monkeypatch.setattr(reddit_api, "SITES", {"reddit_url": gone, "oauth_url": gone})
        error = until_it_fails(walk())[1]
        assert isinstance(error, Retry) and "cannot be reached" in str(error)


class TestWithout:
    def test_praw_it_is_disabled_and_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from listener import sources

        monkeypatch.setitem(sys.modules, "praw", None)
        monkeypatch.delitem(sys.modules, "listener.sources.reddit_api")
        monkeypatch.delattr(sources, "reddit_api")
        with pytest.raises(Disabled, match=r"pip install 'listener-daemon\[reddit\]'"):
            run()

    @pytest.mark.parametrize("which", ["ID", "SECRET", "PASSWORD"])
    def test_a_secret_it_is_disabled_and_nobody_is_asked(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, which: str
    ) -> None:
        monkeypatch.delenv(f"LISTENER_TEST_REDDIT_{which}")
        with pytest.raises(Disabled, match=f"LISTENER_TEST_REDDIT_{which}"):
            run(username="acme_listens", password={"env": "LISTENER_TEST_REDDIT_PASSWORD"})
        assert service.asked == []


def test_no_secret_is_in_what_it_gives(service: Service) -> None:
    service.submission("s1", EPOCH - 5)
    pages = run(username="acme_listens", password={"env": "LISTENER_TEST_REDDIT_PASSWORD"})
    for secret in ("the-id", "the-secret", "the-password", "the-token"):
        assert secret not in repr(pages)
