"""Mastodon, through a small imitation of several instances that keeps the real ones' limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from listener.errors import Broken, Disabled, Refused, Retry, Unauthorised
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.records import Page
from listener.sources import mastodon, mastodon_lists
from listener.sources.mastodon_posts import parse

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parent / "payloads" / "mastodon"
TOKEN = "a-token-that-is-none"
HERE, THERE = "lumen.example", "harbour.example"


def snowflake(moment: datetime, n: int = 0) -> int:
    return (int(moment.timestamp() * 1000) << 16) + n


class Instance:
    """One server. It shows 40 posts of a tag at most, by their ids, and its search to people with its token alone."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.statuses: dict[int, dict[str, Any]] = {}
        self.closed = 0  # the status with which it turns away people without a token
        self.timelines: dict[str, str] | None = None  # what a 4.5 says of its lists of tags
        self.failing: Callable[[str], Reply | None] = lambda path: None

    def add(self, moment: datetime, *, home: str = "", uri: str = "", n: int = 0, ident: int = 0, **more: Any) -> str:
        home, ident = home or self.host, ident or snowflake(moment, n)
        account = {"acct": "vera" if home == self.host else f"vera@{home}", "url": f"https://{home}/@vera", "note": ""}
        uri = uri or f"https://{home}/users/vera/statuses/{snowflake(moment, n)}"
        self.statuses[ident] = {
            "id": str(ident), "uri": uri, "url": f"https://{home}/@vera/{ident}", "created_at": moment.isoformat(),
            "content": f"<p>text of {moment.isoformat()} {n}</p>", "visibility": "public", "reblog": None,
            "account": account, "edited_at": None, **more,
        }  # fmt: skip
        return uri

    def minutes_ago(self, *minutes: float) -> list[str]:
        return [self.add(NOW - timedelta(minutes=n)) for n in minutes]

    def answer(self, path: str, params: Mapping[str, str], signed_in: bool) -> Reply:
        if failure := self.failing(path):
            return failure
        if path == "/api/v2/instance":
            access = {"configuration": {"timelines_access": {"hashtag_feeds": self.timelines}}}
            return said(200, access if self.timelines else {"domain": self.host})
        if self.closed and not signed_in:
            return said(self.closed, {"error": "This method requires an authenticated user"})
        if path.startswith("/api/v1/statuses/"):
            found = self.statuses.get(int(path.rpartition("/")[2]))
            return said(200, found) if found else said(404, {"error": "Record not found"})
        if path.startswith("/api/v1/timelines/tag/"):
            assert set(params) <= {"limit", "min_id", "max_id"} and int(params["limit"]) <= 40
            return self.timeline(path, params)
        if path == "/api/v2/search":
            return self.search(params, signed_in)
        found = next((one for one in self.statuses.values() if urlsplit(one["uri"]).path == path), None)
        return said(200, {"id": found["uri"], "type": "Note"}) if found else said(404, None)

    def timeline(self, path: str, params: Mapping[str, str]) -> Reply:
        idents = sorted((one for one in self.statuses if self.timelines is None), reverse=True)
        if "min_id" in params:
            idents = [one for one in idents if one > int(params["min_id"])][-40:]
        elif "max_id" in params:
            idents = [one for one in idents if one < int(params["max_id"])]
        shown = idents[:40]
        url = f"https://{self.host}{path}?limit=40"
        link = f'<{url}&max_id={shown[-1]}>; rel="next", <{url}&min_id={shown[0]}>; rel="prev"' if shown else ""
        return said(200, [self.statuses[one] for one in shown], {"link": link} if link else {})

    def search(self, params: Mapping[str, str], signed_in: bool) -> Reply:
        if not signed_in:
            return said(401, {"error": "The access token is invalid"})
        assert params["type"] == "statuses" and int(params["limit"]) <= 40
        if params.get("resolve") == "true":
            shown = [one for one in self.statuses.values() if one["uri"] == params["q"]]
        else:
            offset = int(params.get("offset", "0"))
            shown = [self.statuses[one] for one in sorted(self.statuses, reverse=True)][offset : offset + 40]
        return said(200, {"accounts": [], "hashtags": [], "statuses": shown})


def said(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, headers or {}, b"" if body is None else json.dumps(body).encode(), "")


class Network:
    """The instances by their hosts, reached as by the real door: errors are those of listener.http."""

    def __init__(self, *hosts: str) -> None:
        self.instances = {host: Instance(host) for host in hosts or (HERE,)}
        self.asked: list[str] = []

    def __getitem__(self, host: str) -> Instance:
        return self.instances[host]

    def __call__(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None, **_: Any
    ) -> Response:
        parts, sent = urlsplit(url), dict(headers or {})
        assert parts.scheme == "https" and TOKEN not in url + str(params)
        assert "Authorization" not in sent or parts.hostname == HERE
        self.asked.append(f"{parts.hostname}{unquote(parts.path)}")
        if parts.hostname not in self.instances:
            raise Retry(f"{parts.hostname} cannot be reached")
        signed_in = sent.get("Authorization") == f"Bearer {TOKEN}"
        return _judge(self.instances[parts.hostname].answer(parts.path, params or {}, signed_in), url, url)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("LUMEN_TOKEN", TOKEN)
    return {"env": "LUMEN_TOKEN"}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of 6 requests, and a search that counts to 400, instead of 60 and 10,000."""
    monkeypatch.setattr(mastodon, "_REQUESTS", 6)
    monkeypatch.setattr(mastodon_lists, "_DEEPEST", 400)


def chosen(**settings: Any) -> mastodon.Settings:
    named = {} if "queries" in settings else {"tags": ["lumen"]}
    return mastodon.Settings.model_validate({"instances": [HERE], **named, **settings})


def run(get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    return list(mastodon.fetch(chosen(**settings), cursor, get, now, "fedi"))


def filled(get: Any, since: datetime, cursor: Mapping[str, Any] | None = None, **settings: Any) -> list[Page]:
    return list(mastodon.backfill(chosen(**settings), since, cursor, get, NOW, "fedi"))


def asked_after(get: Any, *uris: str, **settings: Any) -> Page:
    """All that a re-check says, in one page."""
    pages = list(mastodon.recheck(chosen(**settings), None, uris, get, NOW, "fedi"))
    assert all(page.cursor is None for page in pages)
    return Page(
        tuple(post for page in pages for post in page.posts),
        deleted=tuple(one for page in pages for one in page.deleted),
        verified=tuple(one for page in pages for one in page.verified),
    )


def uris(pages: list[Page]) -> list[str]:
    return sorted(post.native_id for page in pages for post in page.posts)


def last_cursor(pages: list[Page]) -> Mapping[str, Any] | None:
    return next((page.cursor for page in reversed(pages) if page.cursor is not None), None)


class TestParse:
    def page(self) -> Page:
        return parse((PAYLOADS / "timeline.json").read_bytes(), host=HERE, name="fedi", now=NOW)

    def test_a_post(self) -> None:
        post = self.page().posts[0]
        assert post.text == (
            "Breakfast at #Lumen was cold & late.\nSee https://www.example.com/long/address\nWe will not be back."
        )
        assert (post.kind, post.title, post.author, post.lang) == ("post", "", "vera@lumen.example", "en")
        assert post.native_id == post.federated_id == "https://lumen.example/users/vera/statuses/117659743027200001"
        assert post.url == "https://lumen.example/@vera/117659743027200001"
        assert post.created_at == datetime(2026, 11, 22, 11, 0, tzinfo=UTC)
        assert post.edited_at == datetime(2026, 11, 22, 11, 20, tzinfo=UTC)
        assert post.engagement == {"likes": 5, "boosts": 1, "comments": 2}

    def test_a_reply_from_elsewhere_with_a_warning(self) -> None:
        post = self.page().posts[1]
        assert (post.kind, post.title, post.author, post.lang) == (
            "comment",
            "a hotel story",
            "otto@harbour.example",
            "de",
        )
        assert post.native_id.startswith("https://harbour.example/")

    def test_a_post_without_a_web_page_is_known_by_its_uri(self) -> None:
        assert self.page().posts[2].url == self.page().posts[2].native_id

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page().skipped == {
            "boost": 1, "not public": 1, "author asks programs to stay away": 2, "no text": 1,
        }  # fmt: skip

    def test_an_author_has_one_name_on_every_instance(self) -> None:
        there = parse((PAYLOADS / "harbour.json").read_bytes(), host=THERE, name="fedi", now=NOW)
        assert there.posts[1].author == self.page().posts[1].author
        assert there.posts[1].native_id == self.page().posts[1].native_id

    def test_nothing_found_is_an_empty_page(self) -> None:
        assert parse(b"[]", host=HERE, name="fedi", now=NOW) == Page(())
        assert parse(b'{"statuses": [], "accounts": []}', host=HERE, name="fedi", now=NOW) == Page(())

    def test_one_of_many_without_an_id_is_counted(self) -> None:
        status = json.loads((PAYLOADS / "harbour.json").read_bytes())[0]
        page = parse(json.dumps([{"id": "1"}, 7, status, status]).encode(), host=HERE, name="fedi", now=NOW)
        assert len(page.posts) == 1 and page.skipped == {"no id": 2, "twice in the reply": 1}


class TestTags:
    def test_the_first_run_looks_back_some_days(self) -> None:
        network = Network()
        inside = network[HERE].add(NOW - timedelta(days=2) + timedelta(seconds=5))
        network[HERE].add(NOW - timedelta(days=2, seconds=5))
        assert uris(run(network, days=2)) == [inside]

    def test_more_than_a_reply_shows_are_all_read_and_the_last_page_sets_the_mark(self) -> None:
        network = Network()
        written = network[HERE].minutes_ago(*range(1, 200))
        pages = run(network)
        assert uris(pages) == sorted(written)
        assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
        assert pages[-1].cursor == {"marks": {f"{HERE} #lumen": str(snowflake(NOW - timedelta(minutes=61)))}}
        assert all(page.gap is None for page in pages)

    def test_the_next_run_goes_on_from_the_mark(self) -> None:
        network = Network()
        network[HERE].minutes_ago(200, 300)
        cursor = last_cursor(run(network))
        new = network[HERE].minutes_ago(*range(1, 100))
        pages = run(network, cursor)
        assert set(new) <= set(uris(pages))
        assert len(uris(pages)) <= len(new) + 2
        assert run(network, last_cursor(pages))[-1].cursor == last_cursor(pages), "a quiet run leaves the mark"

    def test_a_post_that_comes_late_from_another_instance_is_found(self) -> None:
        network = Network()
        network[HERE].minutes_ago(1)
        cursor = last_cursor(run(network))
        late = network[HERE].add(NOW - timedelta(minutes=50), home=THERE)
        assert late in uris(run(network, cursor, NOW + timedelta(minutes=10)))

    def test_posts_that_come_during_the_walk_are_read_by_the_next(self) -> None:
        network = Network()
        written = network[HERE].minutes_ago(*range(1, 100))
        during: list[str] = []

        def get(url: str, **told: Any) -> Response:
            response = network(url, **told)
            if not during:
                during.append(network[HERE].add(NOW + timedelta(seconds=1)))
            return response

        pages = run(get)
        assert set(written) <= set(uris(pages))
        assert during[0] in uris(run(network, last_cursor(pages), NOW + timedelta(minutes=5)))

    def test_posts_of_one_millisecond_at_the_edge_of_a_reply_are_not_lost(self) -> None:
        network = Network()
        same = [network[HERE].add(NOW - timedelta(minutes=5), n=n) for n in range(100)]
        assert uris(run(network)) == sorted(same)
        assert uris(run(network, {"marks": {f"{HERE} #lumen": str(snowflake(NOW - timedelta(hours=1)))}})) == sorted(
            same
        )

    def test_a_first_run_that_fails_on_the_way_begins_again(self) -> None:
        network = Network()
        network[HERE].minutes_ago(*range(1, 100))
        pages, error = self.until_it_fails(network, None, after=2)
        assert isinstance(error, Retry) and error.after == 17
        assert pages and last_cursor(pages) is None

    def test_a_later_run_that_fails_goes_on_where_it_was(self) -> None:
        network = Network()
        written = network[HERE].minutes_ago(*range(1, 200))
        begin = {"marks": {f"{HERE} #lumen": str(snowflake(NOW - timedelta(days=1)))}}
        pages, _ = self.until_it_fails(network, begin, after=2)
        rest = run(network, last_cursor(pages))
        assert set(uris(pages)) | set(uris(rest)) == set(written)
        assert len(uris(pages)) == 80 and not set(uris(pages)) & set(uris(rest))

    @pytest.mark.parametrize("runs_that_fail", [1, 2])
    def test_a_walk_that_was_broken_off_keeps_the_hour_of_overlap(self, runs_that_fail: int) -> None:
        network = Network()
        network[HERE].minutes_ago(90)
        cursor = last_cursor(run(network, None, NOW - timedelta(minutes=80)))
        written = network[HERE].minutes_ago(*(n / 4 for n in range(4, 200)))
        for _ in range(runs_that_fail):
            pages, _ = self.until_it_fails(network, cursor, after=1)
            cursor = last_cursor(pages)
        network[HERE].failing = lambda path: None
        late = network[HERE].add(NOW - timedelta(minutes=45, seconds=7), home=THERE)
        pages = run(network, cursor, NOW)
        assert late not in uris(pages) and written[0] in uris(pages)
        end = last_cursor(pages)
        assert end == {"marks": {f"{HERE} #lumen": str(snowflake(NOW - timedelta(minutes=61)))}}
        assert late in uris(run(network, end, NOW + timedelta(minutes=5)))

    def test_a_walk_that_takes_several_runs_does_not_go_back_beyond_its_begin(self, short: None) -> None:
        network = Network()
        network[HERE].minutes_ago(*(n / 40 for n in range(1, 600)))
        cursor: Mapping[str, Any] | None = {"marks": {f"{HERE} #lumen": str(snowflake(NOW - timedelta(minutes=20)))}}
        begin = cursor
        for second in range(3):
            cursor = last_cursor(run(network, cursor, NOW + timedelta(seconds=second)))
        assert cursor == begin

    @staticmethod
    def until_it_fails(network: Network, cursor: Any, after: int) -> tuple[list[Page], Retry]:
        left = [None] * after
        tired = said(429, {"error": "Too many requests"}, {"retry-after": "17"})
        network[HERE].failing = lambda path: left.pop() if left else tired
        pages = []
        with pytest.raises(Retry) as caught:
            for page in mastodon.fetch(chosen(), cursor, network, NOW, "fedi"):
                pages.append(page)
        network[HERE].failing = lambda path: None
        return pages, caught.value

    def test_a_run_is_bounded_and_the_next_goes_on_without_a_gap(self, short: None) -> None:
        network = Network()
        written = [network[HERE].add(NOW - timedelta(seconds=n)) for n in range(1, 300)]
        cursor: Any = {"marks": {f"{HERE} #lumen": str(snowflake(NOW - timedelta(hours=1)))}}
        found: set[str] = set()
        for _ in range(2):
            pages = run(network, cursor)
            found |= set(uris(pages))
            cursor = last_cursor(pages)
            assert all(page.gap is None for page in pages)
        assert found == set(written)
        assert network.asked.count(f"{HERE}/api/v1/timelines/tag/lumen") <= 2 * 6

    def test_a_first_run_that_cannot_reach_back_far_enough_says_so(self, short: None) -> None:
        network = Network()
        for n in range(1, 260):
            network[HERE].add(NOW - timedelta(seconds=n))
        pages = run(network, days=1)
        gap = pages[-1].gap
        assert len(uris(pages)) == 240 and pages[-1].cursor
        assert gap and gap.since == NOW - timedelta(days=1) and gap.until and gap.until < NOW - timedelta(seconds=190)
        assert "lumen" in gap.why and HERE in gap.why

    def test_a_clock_that_was_set_back_loses_nothing(self) -> None:
        network = Network()
        network[HERE].minutes_ago(1)
        cursor = last_cursor(run(network))
        new = network[HERE].add(NOW + timedelta(minutes=3))
        pages = run(network, cursor, NOW - timedelta(days=30))
        assert new in uris(pages)
        later = network[HERE].add(NOW + timedelta(minutes=6))
        assert later in uris(run(network, last_cursor(pages), NOW + timedelta(minutes=10)))

    def test_an_id_of_the_future_does_not_blind_us(self) -> None:
        network = Network()
        network[HERE].add(NOW - timedelta(minutes=5), ident=snowflake(NOW + timedelta(days=3650)))
        cursor = last_cursor(run(network))
        new = network[HERE].add(NOW + timedelta(minutes=5))
        assert new in uris(run(network, cursor, NOW + timedelta(minutes=10)))

    def test_a_mark_of_the_future_is_given_up(self) -> None:
        network = Network()
        cursor: Any = {"marks": {f"{HERE} #lumen": str(snowflake(NOW + timedelta(days=3650)))}}
        cursor = last_cursor(run(network, cursor))
        new = network[HERE].add(NOW + timedelta(minutes=5))
        assert new in uris(run(network, cursor, NOW + timedelta(minutes=10)))

    def test_where_a_reply_goes_on_is_told_by_its_links(self) -> None:
        network = Network()
        written = network[HERE].minutes_ago(*range(1, 100))

        def get(url: str, **told: Any) -> Response:
            response = network(url, **told)
            without = [{**status, "id": "of another kind"} for status in response.json()]
            return Response(200, url, response.headers, json.dumps(without).encode())

        pages = run(get)
        assert uris(pages) == sorted(written)
        new = network[HERE].add(NOW + timedelta(minutes=1))
        assert new in uris(run(get, last_cursor(pages), NOW + timedelta(minutes=5)))

    def test_ids_that_are_no_dates_are_gone_on_from_as_they_are(self) -> None:
        network = Network()
        for n in range(1, 100):
            network[HERE].add(NOW - timedelta(minutes=100 - n), ident=n)
        pages = run(network)
        assert pages[-1].cursor == {"marks": {f"{HERE} #lumen": "99"}}
        new = network[HERE].add(NOW, ident=100)
        assert uris(run(network, last_cursor(pages))) == [new]

    def test_a_server_without_links_is_walked_by_its_ids(self) -> None:
        network = Network()
        written = network[HERE].minutes_ago(*range(1, 100))

        def get(url: str, **told: Any) -> Response:
            response = network(url, **told)
            return Response(200, url, {}, response.body)

        pages = run(get)
        assert uris(pages) == sorted(written) and last_cursor(pages)
        new = [network[HERE].add(NOW + timedelta(seconds=n)) for n in range(1, 100)]
        assert set(new) <= set(uris(run(get, last_cursor(pages), NOW + timedelta(minutes=5))))

    def test_a_server_that_always_shows_the_same_is_not_asked_for_ever(self) -> None:
        network = Network()
        written = network[HERE].minutes_ago(*range(1, 100))

        def get(url: str, **told: Any) -> Response:
            return network(url, **{**told, "params": {"limit": "40"}})

        pages = run(get)
        assert uris(pages) == sorted(written[:40]) and len(network.asked) == 2
        assert run(get, last_cursor(pages))[-1].cursor == last_cursor(pages) and len(network.asked) == 4

    def test_an_empty_list_has_no_mark_and_the_other_lists_keep_theirs(self) -> None:
        network = Network(HERE, THERE)
        network[HERE].minutes_ago(1)
        pages = run(network, instances=[HERE, THERE])
        assert set((last_cursor(pages) or {})["marks"]) == {f"{HERE} #lumen"}

    def test_marks_of_lists_that_are_no_longer_read_are_forgotten(self) -> None:
        network = Network()
        network[HERE].minutes_ago(1)
        pages = run(network, {"marks": {"gone.example #lumen": "5", f"{HERE} #other": "6"}})
        assert set((last_cursor(pages) or {})["marks"]) == {f"{HERE} #lumen"}


class TestInstances:
    def test_a_post_that_two_show_is_given_once(self) -> None:
        network = Network(HERE, THERE)
        one = network[HERE].add(NOW - timedelta(minutes=5))
        network[THERE].add(NOW - timedelta(minutes=5), home=HERE, ident=snowflake(NOW - timedelta(minutes=4)))
        other = network[THERE].add(NOW - timedelta(minutes=9))
        assert uris(run(network, instances=[HERE, THERE])) == sorted((one, other))

    def test_a_copy_that_knows_of_an_edit_is_given_as_well(self) -> None:
        network = Network(HERE, THERE)
        moment, edited = NOW - timedelta(minutes=5), (NOW - timedelta(minutes=2)).isoformat()
        uri = network[HERE].add(moment)
        network[THERE].add(moment, home=HERE, uri=uri, edited_at=edited, content="<p>edited</p>")
        even, odd = (run(network, None, NOW + timedelta(minutes=n), instances=[HERE, THERE]) for n in (0, 1))
        for pages in (even, odd):  # whichever has its turn first
            assert [post.text for page in pages for post in page.posts][-1] == "edited"

    def test_one_that_fails_does_not_keep_the_others_from_being_read(self) -> None:
        network = Network(HERE, THERE)
        network[HERE].closed = 401
        uri = network[THERE].add(NOW - timedelta(minutes=5))
        for minute in (0, 1):
            pages = []
            with pytest.raises(Unauthorised):
                settings = chosen(instances=[HERE, THERE])
                for page in mastodon.fetch(settings, None, network, NOW + timedelta(minutes=minute), "fedi"):
                    pages.append(page)
            assert uris(pages) == [uri]
            assert set((last_cursor(pages) or {})["marks"]) == {f"{THERE} #lumen"}

    def test_one_that_is_tired_is_left_alone(self) -> None:
        network = Network()
        network[HERE].failing = lambda path: said(429, {"error": "Too many requests"})
        with pytest.raises(Retry):
            run(network, tags=["lumen", "lumenhotel", "hotellumen"])
        assert len(network.asked) == 1


class TestClosed:
    @pytest.mark.parametrize("status", [401, 422])
    def test_an_instance_without_open_tags_says_what_to_do(self, status: int) -> None:
        network = Network()
        network[HERE].closed = status
        with pytest.raises(
            Unauthorised, match=r"lumen.example shows tags only to people.*another instance.*token"
        ) as caught:
            run(network)
        assert caught.value.status == status and b"authenticated" in caught.value.payload

    def test_the_token_of_an_account_opens_it(self, token: dict[str, str]) -> None:
        network = Network(HERE, THERE)
        network[HERE].closed = 401
        uri = network[HERE].add(NOW - timedelta(minutes=5))
        assert uris(run(network, instances=[HERE, THERE], token=token)) == [uri]

    @pytest.mark.parametrize("status", [401, 403, 422])
    def test_a_token_that_is_not_taken(self, token: dict[str, str], status: int) -> None:
        network = Network()
        network[HERE].failing = lambda path: said(status, {"error": "The access token was revoked"})
        with pytest.raises(Unauthorised, match=r"does not let our token.*scope 'read'") as caught:
            run(network, token=token)
        assert TOKEN not in str(caught.value)

    def test_a_token_that_is_not_there(self) -> None:
        with pytest.raises(Disabled, match=r"\[\[source\]\] token: .*NO_SUCH_TOKEN"):
            run(Network(), token={"env": "NO_SUCH_TOKEN"})

    def test_lists_that_are_switched_off_are_no_empty_lists(self) -> None:
        network = Network()
        network[HERE].minutes_ago(5)
        cursor = last_cursor(run(network))
        network[HERE].timelines = {"local": "disabled", "remote": "disabled"}
        for known in (None, cursor):
            with pytest.raises(Refused, match="switched its lists of tags off"):
                run(network, known)

    def test_really_empty_lists_are(self) -> None:
        network = Network()
        assert uris(run(network, tags=["lumen", "lumenhotel"])) == []
        assert network.asked.count(f"{HERE}/api/v2/instance") == 1
        network[HERE].failing = lambda path: said(404, {"error": "Not Found"}) if path.endswith("instance") else None
        assert uris(run(network)) == []

    @pytest.mark.parametrize(
        ("status", "error"), [(403, Refused), (404, Broken), (410, Broken), (429, Retry), (500, Retry), (503, Retry)]
    )
    def test_other_failures_are_what_they_always_are(self, status: int, error: type[Exception]) -> None:
        network = Network()
        network[HERE].failing = lambda path: said(status, {"error": "no"})
        with pytest.raises(error) as caught:
            run(network)
        assert type(caught.value) is error


class TestSearch:
    def test_it_asks_the_first_instance_for_the_phrase(self, token: dict[str, str]) -> None:
        network = Network(HERE, THERE)
        seen: list[Mapping[str, str]] = []

        def get(url: str, **told: Any) -> Response:
            seen.append(told["params"])
            return network(url, **told)

        uri = network[HERE].add(NOW - timedelta(minutes=5))
        pages = run(get, instances=[HERE, THERE], queries=['Hotel  "Lumen"'], token=token)
        assert uris(pages) == [uri]
        assert seen[0]["q"] == '"Hotel Lumen"' and set(network.asked) == {f"{HERE}/api/v2/search"}
        assert pages[-1].cursor == {"marks": {f"{HERE} Hotel Lumen": int(NOW.timestamp())}}

    def test_all_pages_are_read_down_to_the_mark_with_an_hour_of_overlap(self, token: dict[str, str]) -> None:
        network = Network()
        written = network[HERE].minutes_ago(*range(1, 300))
        mark = {"marks": {f"{HERE} Lumen": int((NOW - timedelta(minutes=90)).timestamp())}}
        pages = run(network, mark, queries=["Lumen"], token=token)
        assert uris(pages) == sorted(written[:150])
        assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
        assert pages[-1].cursor == {"marks": {f"{HERE} Lumen": int(NOW.timestamp())}}

    def test_no_more_is_asked_for_than_that(self, token: dict[str, str]) -> None:
        network = Network()
        network[HERE].minutes_ago(*range(1, 450))
        run(network, {"marks": {f"{HERE} Lumen": int(NOW.timestamp()) - 60}}, queries=["Lumen"], token=token)
        assert len(network.asked) == 3

    def test_a_search_that_failed_keeps_its_mark(self, token: dict[str, str]) -> None:
        network = Network()
        network[HERE].minutes_ago(*range(1, 200))
        settings = chosen(tags=["lumen"], queries=["Lumen"], token=token)
        searched: list[str] = []

        def fails_at_the_third_search(path: str) -> Reply | None:
            searched.extend([path] if path.endswith("/search") else [])
            return said(500, {"error": "busy"}) if len(searched) == 3 else None

        network[HERE].failing = fails_at_the_third_search
        for minute in (0, 1):  # whichever has its turn first
            searched.clear()
            pages = []
            with pytest.raises(Retry):
                for page in mastodon.fetch(settings, None, network, NOW + timedelta(minutes=minute), "fedi"):
                    pages.append(page)
            assert uris(pages) and f"{HERE} Lumen" not in (last_cursor(pages) or {"marks": {}})["marks"]

    def test_more_than_a_run_reads_is_a_gap(self, token: dict[str, str], short: None) -> None:
        network = Network()
        for n in range(1, 260):
            network[HERE].add(NOW - timedelta(seconds=n))
        last = run(network, queries=["Lumen"], token=token)[-1]
        assert last.gap and "Lumen" in last.gap.why and last.cursor

    def test_a_clock_that_was_set_back_moves_the_mark_back(self, token: dict[str, str]) -> None:
        network = Network()
        uri = network[HERE].add(NOW - timedelta(minutes=5))
        pages = run(network, {"marks": {f"{HERE} Lumen": int(NOW.timestamp()) + 86400}}, queries=["Lumen"], token=token)
        assert uris(pages) == [uri]
        assert pages[-1].cursor == {"marks": {f"{HERE} Lumen": int(NOW.timestamp())}}


class TestBackfill:
    def test_it_reaches_the_date_and_no_further(self) -> None:
        network = Network()
        written = network[HERE].minutes_ago(*range(1, 300))
        pages = filled(network, NOW - timedelta(minutes=250))
        assert uris(pages) == sorted(written[:250])
        assert pages[-1].cursor == {}
        assert [page.cursor == {} for page in pages[:-1]] == [False] * (len(pages) - 1)

    def test_it_goes_on_where_it_was_stopped(self) -> None:
        network = Network(HERE, THERE)
        written = network[HERE].minutes_ago(*range(1, 200)) + network[THERE].minutes_ago(*range(1, 100))
        found: list[str] = []
        cursor: Any = None
        while cursor != {}:
            page = next(
                mastodon.backfill(
                    chosen(instances=[HERE, THERE]), NOW - timedelta(days=1), cursor, network, NOW, "fedi"
                )
            )
            found += [post.native_id for post in page.posts]
            cursor = json.loads(json.dumps(page.cursor))
            assert not set(cursor.get("at", ())) & set(cursor.get("done", ()))
        assert sorted(found) == sorted(written)

    def test_an_instance_that_fails_is_asked_again_from_its_place(self) -> None:
        network = Network(HERE, THERE)
        written = network[HERE].minutes_ago(*range(1, 200)) + network[THERE].minutes_ago(*range(1, 100))
        left: list[None] = [None] * 3
        network[HERE].failing = lambda path: left.pop() if left else said(503, {"error": "busy"})
        pages: list[Page] = []
        with pytest.raises(Retry):
            for page in mastodon.backfill(
                chosen(instances=[HERE, THERE]), NOW - timedelta(days=1), None, network, NOW, "fedi"
            ):
                pages.append(page)
        assert last_cursor(pages) != {}
        network[HERE].failing = lambda path: None
        rest = filled(network, NOW - timedelta(days=1), last_cursor(pages), instances=[HERE, THERE])
        assert sorted(uris(pages) + uris(rest)) == sorted(written)

    def test_the_search_reaches_as_far_as_it_counts(self, token: dict[str, str], short: None) -> None:
        network = Network()
        for n in range(1, 500):
            network[HERE].add(NOW - timedelta(seconds=n))
        pages = filled(network, NOW - timedelta(days=1), queries=["Lumen"], token=token)
        assert len(uris(pages)) == 400
        assert pages[-2].gap and pages[-1].cursor == {}
        pages = filled(network, NOW - timedelta(seconds=350), queries=["Lumen"], token=token)
        assert len(uris(pages)) == 350 and pages[-2].gap is None, "the date was reached before the end"


class TestRecheck:
    def test_what_is_deleted_changed_or_hidden_on_the_instance_it_is_of(self) -> None:
        network = Network(HERE, THERE)
        gone, same, edited, hidden, opted_out, emptied = network[THERE].minutes_ago(1, 2, 3, 4, 5, 6)
        theirs = {one["uri"]: one for one in network[THERE].statuses.values()}
        del network[THERE].statuses[int(gone.rpartition("/")[2])]
        theirs[edited].update(content="<p>changed</p>", edited_at=NOW.isoformat())
        theirs[hidden].update(visibility="private")
        theirs[opted_out]["account"]["note"] = "<p>#<span>nobot</span></p>"
        theirs[emptied].update(content="")
        told = asked_after(network, gone, same, edited, hidden, opted_out, emptied)
        assert sorted(told.deleted) == sorted((gone, hidden, opted_out, emptied))
        assert [(post.native_id, post.text) for post in told.posts][1] == (edited, "changed")
        assert told.posts[0].native_id == same and told.posts[1].edited_at == NOW
        assert {asked.partition("/")[0] for asked in network.asked} == {THERE}

    def test_both_spellings_of_a_uri_name_the_id(self) -> None:
        network = Network(THERE)
        for uri in (f"https://{THERE}/users/vera/statuses/12", f"https://{THERE}/ap/users/5/statuses/12"):
            assert asked_after(network, uri).deleted == (uri,)
        assert network.asked == [f"{THERE}/api/v1/statuses/12"] * 2

    def test_other_software_is_asked_by_the_address_of_the_post(self) -> None:
        network = Network(HERE, THERE)
        there = network[THERE].add(NOW, uri=f"https://{THERE}/notes/abc")
        told = asked_after(network, there, f"https://{THERE}/notes/gone")
        assert (told.verified, told.deleted) == ((there,), (f"https://{THERE}/notes/gone",))

    def test_with_a_token_the_first_instance_shows_it(self, token: dict[str, str]) -> None:
        network = Network(HERE, THERE)
        uri = f"https://{THERE}/notes/abc"
        network[HERE].add(NOW, uri=uri, content="<p>as it is known here</p>")
        told = asked_after(network, uri, f"https://{THERE}/notes/gone", token=token)
        assert [post.text for post in told.posts] == ["as it is known here"]
        assert told.deleted == (f"https://{THERE}/notes/gone",)

    def test_a_first_instance_that_is_tired_is_not_asked_again_and_is_told(self, token: dict[str, str]) -> None:
        network = Network(HERE, THERE)
        network[HERE].failing = lambda path: said(429, {"error": "Too many requests"})
        there = network[THERE].add(NOW, uri=f"https://{THERE}/notes/abc")
        pages = []
        with pytest.raises(Retry):
            gone = f"https://{THERE}/notes/gone"
            for page in mastodon.recheck(chosen(token=token), None, [there, gone], network, NOW, "fedi"):
                pages.append(page)
        assert [page.verified + page.deleted for page in pages] == [(there,), (gone,)]
        assert sum(asked.startswith(HERE) for asked in network.asked) == 1

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(404, {}, b"<!doctype html><html><body>This domain is for sale</body></html>", ""),
            Reply(404, {}, b"404 page not found", ""),
            said(401, {"error": "This method requires an authenticated user"}),
            said(403, {"error": "no"}),
            said(500, {"error": "no"}),
            said(200, {"id": "1", "uri": "https://other.example/users/x/statuses/1", "content": "another"}),
            said(200, {"id": "1", "type": "Note"}),
            said(200, []),
        ],
    )
    @pytest.mark.parametrize("path", ["users/vera/statuses/12", "notes/abc"])
    def test_what_is_not_certain_is_no_deletion(self, reply: Reply, path: str) -> None:
        network = Network(HERE, THERE)
        network[THERE].failing = lambda path: reply
        told = asked_after(network, f"https://{THERE}/{path}")
        assert (told.posts, told.deleted, told.verified) == ((), (), ())

    def test_a_tombstone_is_one(self) -> None:
        network, uri = Network(THERE), f"https://{THERE}/notes/abc"
        for reply in (said(200, {"id": uri, "type": "Tombstone"}), said(410, {"id": uri, "type": "Tombstone"})):
            network[THERE].failing = lambda path, reply=reply: reply  # type: ignore[misc]
            assert asked_after(network, uri).deleted == (uri,)

    def test_an_instance_that_is_down_is_passed_over_and_asked_once(self) -> None:
        network = Network(HERE)
        here = network[HERE].minutes_ago(5)[0]
        down = [f"https://down.example/users/x/statuses/{n}" for n in (1, 2)]
        told = asked_after(network, *down, here)
        assert [post.native_id for post in told.posts] == [here]
        assert sum(asked.startswith("down.example") for asked in network.asked) == 1

    def test_one_of_ours_that_is_down_is_told_when_the_others_were_asked(self) -> None:
        network = Network(HERE, THERE)
        network[HERE].failing = lambda path: said(503, {"error": "busy"}, {"retry-after": "60"})
        there = network[THERE].minutes_ago(5)[0]
        pages = []
        with pytest.raises(Retry) as caught:
            uris = [f"https://{HERE}/users/x/statuses/1", there]
            for page in mastodon.recheck(chosen(), None, uris, network, NOW, "fedi"):
                pages.append(page)
        assert caught.value.after == 60 and len(pages) == 1

    @pytest.mark.parametrize(
        "uri",
        [
            "tag:lumen.example,2017-01-01:objectId=1:objectType=Status", "http://lumen.example/users/x/statuses/1",
            "https://127.0.0.1/users/x/statuses/1", "https://localhost/users/x/statuses/1", "https://[::1]/notes/1",
            "https://2130706433/notes/1", "https://lumen.example:22/notes/1", "https://user@lumen.example/notes/1",
        ],
    )  # fmt: skip
    def test_nobody_is_asked_at_addresses_that_are_none_of_an_instance(self, uri: str) -> None:
        network = Network()
        assert asked_after(network, uri) == Page(())
        assert network.asked == []


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {}, {"instances": ["lumen.example"]}, {"instances": [], "tags": ["lumen"]},
            {"instances": ["lumen"], "tags": ["lumen"]}, {"instances": ["lumen.example/tags"], "tags": ["lumen"]},
            {"instances": ["http://lumen.example"], "tags": ["lumen"]},
            {"instances": ["127.0.0.1"], "tags": ["lumen"]}, {"instances": ["lumen.example"], "tags": ["Hotel Lumen"]},
            {"instances": ["lumen.example"], "tags": ["#"]}, {"instances": ["lumen.example"], "tags": ["2026"]},
            {"instances": ["lumen.example"], "queries": ["Lumen"]},
            {"instances": ["lumen.example"], "queries": ['""'], "token": {"env": "X"}},
            {"instances": ["lumen.example"], "tags": ["lumen"], "token": "a-token"},
        ],
    )  # fmt: skip
    def test_settings_that_would_find_nothing_are_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            mastodon.Settings.model_validate(told)

    def test_what_people_write_is_understood(self) -> None:
        told = {
            "instances": ["https://Lumen.Example/", "lumen.example"],
            "tags": ["#HotelLumen", "hotellumen", "Café_1"],
        }
        settings = mastodon.Settings.model_validate(told)
        assert settings.instances == ["lumen.example"]
        assert settings.tags == ["hotellumen", "café_1"]


FILES = sorted(PAYLOADS.glob("*.json"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = parse(payload, host=HERE, name="fedi", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "id", "uri", "url", "account", "content", "spoiler_text", "visibility", "language", "created_at", "edited_at",
    "reblog", "in_reply_to_id", "favourites_count",
)  # fmt: skip
ACCOUNT = st.dictionaries(st.sampled_from(("acct", "url", "note", "noindex")), JSON | st.just("https://a.example/@b"))
STATUS = st.dictionaries(st.sampled_from(FIELDS), JSON | ACCOUNT).map(
    lambda status: {"visibility": "public", "uri": "https://a.example/1", "content": "text", "reblog": None, **status}
)


@given(st.lists(STATUS | JSON, max_size=4))
def test_any_value_in_any_field_is_read_or_broken(statuses: list[Any]) -> None:
    try:
        page = parse(json.dumps(statuses).encode(), host=HERE, name="fedi", now=NOW)
    except Broken:
        return
    for post in page.posts:
        assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
        (post.text + post.title + post.native_id + post.author + post.url + post.lang).encode()
