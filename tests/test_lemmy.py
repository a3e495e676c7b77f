"""Lemmy, through a small imitation of instances of 0.19 (API v3) and 1.0 (API v4) that keeps their limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from listener.errors import Broken, Refused, Retry
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.records import Page
from listener.sources import lemmy
from listener.sources.lemmy_posts import parse

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
PAYLOADS = Path(__file__).parent / "payloads" / "lemmy"
HERE, THERE = "pine.example", "harbour.example"


def said(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode(), "")


class Instance:
    """One server of version 0.19 or 1.0. It gives 50 posts a reply; 0.19 gives 10 pages, 1.0 goes on by a cursor.

    1.0 answers as v3 too, always with its newest, as the real one does.
    """

    def __init__(self, host: str, version: str = "0.19.19") -> None:
        self.host, self.version = host, version
        self.posts: dict[int, dict[str, Any]] = {}
        self.comments: dict[int, dict[str, Any]] = {}
        self.pinned: list[int] = []
        self.pages = 10
        self.failing: Callable[[str], Reply | None] = lambda path: None

    def add(self, moment: datetime, kind: str = "post", *, ap_id: str = "", **more: Any) -> str:
        kept = self.posts if kind == "post" else self.comments
        ident = len(self.posts) + len(self.comments) + 1
        ap_id = ap_id or f"https://{self.host}/{kind}/{ident}"
        said = {"name": f"title {ident}", "body": f"text {ident}"} if kind == "post" else {"content": f"text {ident}"}
        kept[ident] = {
            "id": ident,
            "ap_id": ap_id,
            "published": moment,
            "deleted": False,
            "removed": False,
            **said,
            **more,
        }
        return ap_id

    def minutes_ago(self, *minutes: int, kind: str = "post") -> list[str]:
        return [self.add(NOW - timedelta(minutes=n), kind) for n in minutes]

    def view(self, kind: str, item: dict[str, Any], version: int) -> dict[str, Any]:
        fields = {key: value for key, value in item.items() if key != "published"}
        when = item["published"].isoformat().replace("+00:00", "" if version == 3 else "Z")
        shown = {kind: {**fields, "published" if version == 3 else "published_at": when}}
        return {**shown, "creator": {"name": "vera", "actor_id": f"https://{self.host}/u/vera"}, "counts": {"score": 1}}

    def answer(self, path: str, params: Mapping[str, str]) -> Reply:
        if failure := self.failing(path):
            return failure
        new = not self.version.startswith("0.")
        if path.startswith("/api/v4") and not new:
            return said(404, b"")
        version, _, what = path.removeprefix("/api/v").partition("/")
        if what == "site":
            return said(200, {"version": self.version, "site_view": {}})
        if what in ("post", "comment"):
            return self.single(what, int(params["id"]), int(version))
        if not path.startswith("/api/"):
            kept = [
                one for one in (*self.posts.values(), *self.comments.values()) if urlsplit(one["ap_id"]).path == path
            ]
            return said(200, {"id": kept[0]["ap_id"], "type": "Page"}) if kept else said(410, {"type": "Tombstone"})
        assert int(params["limit"]) <= 50
        words = {"New", "All"} if version == "3" else {"new", "all"}
        assert {params["sort"], params["type_"], params.get("listing_type", params["type_"])} == words
        if what != "search" and params["community_name"] != "hotels":
            return said(400, {"error": "couldnt_find_community"})
        return self.lists_v3(what, params, new) if version == "3" else self.list_v4(what, params)

    def single(self, kind: str, ident: int, version: int) -> Reply:
        item = (self.posts if kind == "post" else self.comments).get(ident)
        if item is None:
            return said(400 if version == 3 else 404, {"error": f"couldnt_find_{kind}"})
        return said(200, {f"{kind}_view": self.view(kind, item, version)})

    def sorted(self, kind: str) -> list[dict[str, Any]]:
        kept = self.posts if kind == "post" else self.comments
        newest = sorted(kept.values(), key=lambda one: (one["published"], one["id"]), reverse=True)
        return [one for one in newest if one["id"] in self.pinned] + [
            one for one in newest if one["id"] not in self.pinned
        ]

    def lists_v3(self, what: str, params: Mapping[str, str], new: bool) -> Reply:
        page = 1 if new else int(params.get("page", "1"))
        if page > self.pages:
            return said(400, {"error": "invalid_page"})
        kinds = {"post/list": ["post"], "comment/list": ["comment"], "search": ["post", "comment"]}[what]
        told: dict[str, Any] = {}
        for kind in kinds:
            items, start = self.sorted(kind), (page - 1) * 50
            if "page_cursor" in params:
                start = next(n for n, one in enumerate(items) if f"P{one['id']}" == params["page_cursor"]) + 1
            shown = items[start : start + 50]
            told[f"{kind}s"] = [self.view(kind, one, 3) for one in shown]
            if what == "post/list":
                told["next_page"] = f"P{shown[-1]['id']}" if shown and not new else None
        return said(200, told)

    def list_v4(self, what: str, params: Mapping[str, str]) -> Reply:
        kinds = {"post/list": ["post"], "comment/list": ["comment"], "search": ["post", "comment"]}[what]
        every = [(kind, one) for kind in kinds for one in self.sorted(kind)]
        every.sort(key=lambda each: each[1]["published"], reverse=True)
        start = int(params.get("page_cursor", "0"))
        shown = [{"type_": kind, **self.view(kind, one, 4)} for kind, one in every[start : start + 50]]
        more = {"next_page": str(start + 50)} if len(every) > start + 50 else {}
        return said(200, {"search" if what == "search" else "items": shown, **more})


class Network:
    """The instances by their hosts, reached as by the real door: errors are those of listener.http."""

    def __init__(self, *instances: Instance) -> None:
        self.instances = {one.host: one for one in instances or (Instance(HERE),)}
        self.asked: list[str] = []

    def __getitem__(self, host: str) -> Instance:
        return self.instances[host]

    def __call__(self, url: str, *, params: Mapping[str, str] | None = None, **_: Any) -> Response:
        parts = urlsplit(url)
        self.asked.append(f"{parts.hostname}{parts.path}")
        if parts.hostname not in self.instances:
            raise Retry(f"{parts.hostname} cannot be reached")
        return _judge(self.instances[parts.hostname].answer(parts.path, params or {}), url, url)


SEARCH: dict[str, Any] = {"instances": [HERE], "queries": ["Lumen"]}
COMMUNITY: dict[str, Any] = {"communities": [f"hotels@{HERE}"]}
VERSIONS = pytest.mark.parametrize("version", ["0.19.19", "1.0.0-beta.2"])


def run(get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    chosen = lemmy.Settings.model_validate(settings or SEARCH)
    return list(lemmy.fetch(chosen, cursor, get, now, "lemmy"))


def asked_after(get: Any, *ap_ids: str, **settings: Any) -> Page:
    """All that a re-check says, in one page."""
    pages = list(lemmy.recheck(lemmy.Settings.model_validate(settings or SEARCH), None, ap_ids, get, NOW, "lemmy"))
    assert all(page.cursor is None for page in pages)
    return Page(
        tuple(post for page in pages for post in page.posts),
        deleted=tuple(one for page in pages for one in page.deleted),
        verified=tuple(one for page in pages for one in page.verified),
    )


def ids(pages: list[Page]) -> list[str]:
    return sorted(post.native_id for page in pages for post in page.posts)


def last_cursor(pages: list[Page]) -> Mapping[str, Any] | None:
    return next((page.cursor for page in reversed(pages) if page.cursor is not None), None)


def marks(pages: list[Page]) -> Mapping[str, int]:
    return (last_cursor(pages) or {"marks": {}})["marks"]


class TestParse:
    def page(self, name: str) -> Page:
        return parse((PAYLOADS / name).read_bytes(), host=HERE, name="lemmy", now=NOW)

    def test_a_post(self) -> None:
        post = self.page("posts_v3.json").posts[0]
        assert (post.kind, post.title, post.parent) == ("post", "A night at the Lumen", "")
        assert post.text == "The desk was **kind** & quick, see their page.\nthe view"
        assert post.native_id == post.federated_id == post.url == "https://pine.example/post/10"
        assert post.author == "vera@pine.example"
        assert post.created_at == datetime(2026, 11, 22, 10, 0, 0, 123456, UTC)
        assert post.edited_at == datetime(2026, 11, 22, 10, 30, 0, 500000, UTC)
        assert post.engagement == {"score": 12, "comments": 3}

    def test_a_post_of_an_old_build_that_is_only_a_link(self) -> None:
        post = self.page("posts_v3.json").posts[1]
        assert post.text == post.title == "Lumen has a new roof bar"
        assert post.url == "https://pine.example/post/11" and post.author == "tess@harbour.example"
        assert post.created_at == datetime(2026, 11, 22, 9, 0, tzinfo=UTC), "a time without a zone is UTC"

    def test_what_is_deleted_or_removed_is_gone(self) -> None:
        page = self.page("posts_v3.json")
        assert page.deleted == ("https://pine.example/post/12", "https://pine.example/post/13")
        assert page.skipped == {"no id": 1}
        assert self.page("comments_v3.json").deleted == ("https://pine.example/comment/102",)

    def test_comments(self) -> None:
        first, second = self.page("comments_v3.json").posts
        assert (first.kind, first.title, first.text) == ("comment", "", "I stayed there too. The lift was out.")
        assert (first.parent, second.parent) == ("https://pine.example/post/10", "")
        assert first.engagement == {"score": -2, "comments": 1}

    def test_v4_says_the_same(self) -> None:
        old, new = self.page("search_v3.json"), self.page("search_v4.json")
        assert sorted(old.posts, key=lambda post: post.native_id) == sorted(new.posts, key=lambda post: post.native_id)
        assert new.skipped == {}, "communities and people are no posts that were dropped"
        listed = self.page("posts_v4.json")
        assert listed.posts == self.page("posts_v3.json").posts[:1]
        assert listed.deleted == ("https://pine.example/post/12",)

    @pytest.mark.parametrize("empty", [{"posts": [], "comments": []}, {"items": [], "next_page": None}, {"search": []}])
    def test_nothing_found_is_an_empty_page(self, empty: dict[str, Any]) -> None:
        assert parse(json.dumps(empty).encode(), host=HERE, name="lemmy", now=NOW) == Page(())


class TestVersions:
    def test_one_is_told_from_the_other_by_the_site(self) -> None:
        network = Network(Instance(HERE), Instance(THERE, "1.0.0-beta.2"))
        pages = run(network, instances=[HERE, THERE], queries=["Lumen"])
        assert f"{HERE}/api/v3/search" in network.asked and f"{THERE}/api/v4/search" in network.asked
        assert (last_cursor(pages) or {})["versions"] == {HERE: [3, EPOCH], THERE: [4, EPOCH]}

    def test_an_instance_that_speaks_v4_alone(self) -> None:
        network = Network(Instance(HERE, "1.1.0"))
        network[HERE].failing = lambda path: said(404, b"") if "/v3/" in path else None
        uri = network[HERE].add(NOW - timedelta(minutes=5))
        assert ids(run(network)) == [uri]

    def test_it_is_asked_once_and_again_after_a_day(self) -> None:
        network = Network(Instance(HERE), Instance(THERE))
        settings = {"instances": [HERE, THERE], "queries": ["Lumen", "Hotel Lumen"], **COMMUNITY}
        cursor = last_cursor(run(network, **settings))
        sites = [asked for asked in network.asked if asked.endswith("/site")]
        assert sorted(sites) == [f"{THERE}/api/v3/site", f"{HERE}/api/v3/site"]
        run(network, cursor, NOW + timedelta(hours=23), **settings)
        assert sum(asked.endswith("/site") for asked in network.asked) == 2
        network[HERE].version = "1.0.0"
        pages = run(network, cursor, NOW + timedelta(hours=25), **settings)
        assert (last_cursor(pages) or {})["versions"][HERE][0] == 4

    def test_what_is_no_lemmy_says_so(self) -> None:
        network = Network()
        network[HERE].failing = lambda path: said(404, b"<html><body>not here</body></html>")
        with pytest.raises(Broken, match=r"neither API v3 nor v4.*'feeds'"):
            run(network)


@VERSIONS
class TestWalk:
    def test_the_first_run_looks_back_some_days(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        inside = network[HERE].add(NOW - timedelta(days=2) + timedelta(seconds=5))
        network[HERE].add(NOW - timedelta(days=2, seconds=5))
        assert ids(run(network, **SEARCH, days=2)) == [inside]

    def test_posts_and_comments_are_read_to_the_mark_with_an_hour_of_overlap(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        posts = network[HERE].minutes_ago(*range(1, 200))
        comments = network[HERE].minutes_ago(*range(1, 300), kind="comment")
        mark = EPOCH - 90 * 60
        for settings, keys in ((SEARCH, ["search Lumen"]), (COMMUNITY, ["post/list hotels", "comment/list hotels"])):
            known = {"marks": {f"{HERE} {key}": mark for key in keys}}
            pages = run(network, known, **settings)
            assert ids(pages) == sorted(posts[:150] + comments[:150])
            assert marks(pages) == {f"{HERE} {key}": EPOCH for key in keys}
            assert all(page.gap is None for page in pages)
            assert sum(page.cursor is not None for page in pages) == len(keys)

    def test_no_more_is_asked_for_than_that(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        network[HERE].minutes_ago(*range(1, 450))
        run(network, {"marks": {f"{HERE} search Lumen": EPOCH - 60}})
        assert network.asked.count(f"{HERE}/api/v{3 if version < '1' else 4}/search") == 3

    def test_posts_of_the_second_where_it_ends_are_all_read(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        written = [network[HERE].add(NOW - timedelta(hours=2)) for _ in range(120)]
        assert ids(run(network, {"marks": {f"{HERE} search Lumen": EPOCH - 3600}})) == sorted(written)

    def test_a_post_that_arrives_late_is_found(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        network[HERE].minutes_ago(1)
        cursor = last_cursor(run(network))
        late = network[HERE].add(NOW - timedelta(minutes=55))
        assert late in ids(run(network, cursor, NOW + timedelta(minutes=30)))

    def test_posts_that_come_during_the_walk_take_no_other_from_it(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        written = network[HERE].minutes_ago(*range(1, 180))

        def get(url: str, **told: Any) -> Response:
            network[HERE].add(NOW + timedelta(seconds=len(network.asked)))
            return network(url, **told)

        for settings in (SEARCH, COMMUNITY):
            assert set(written) <= set(ids(run(get, **settings)))

    def test_pinned_posts_do_not_end_the_walk(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        network[HERE].add(NOW - timedelta(days=400))
        network[HERE].pinned = [1]
        written = network[HERE].minutes_ago(*range(1, 120))
        assert ids(run(network, **COMMUNITY)) == sorted(written)

    def test_a_failure_on_the_way_moves_no_mark(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        network[HERE].minutes_ago(*range(1, 200))
        left: list[None] = [None] * 3
        network[HERE].failing = lambda path: left.pop() if left else said(429, {}, {"retry-after": "9"})
        pages = []
        with pytest.raises(Retry) as caught:
            for page in lemmy.fetch(lemmy.Settings(**SEARCH), None, network, NOW, "lemmy"):
                pages.append(page)
        assert caught.value.after == 9
        assert ids(pages) and last_cursor(pages) is None

    def test_a_list_that_failed_keeps_its_mark_when_another_is_finished(self, version: str) -> None:
        network = Network(Instance(HERE, version), Instance(THERE, version))
        network[HERE].minutes_ago(*range(1, 200))
        settings = lemmy.Settings.model_validate({"instances": [HERE, THERE], "queries": ["Lumen"]})
        for minute in (0, 1):  # whichever has its turn first
            left: list[None] = [None] * 3
            network[HERE].failing = lambda path, left=left: left.pop() if left else said(503, b"busy")  # type: ignore[misc]
            pages = []
            with pytest.raises(Retry):
                for page in lemmy.fetch(settings, None, network, NOW + timedelta(minutes=minute), "lemmy"):
                    pages.append(page)
            assert ids(pages) and set(marks(pages)) == {f"{THERE} search Lumen"}

    def test_a_run_is_bounded_and_tells_the_gap(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        for n in range(1, 2200):
            network[HERE].add(NOW - timedelta(seconds=n))
        network[HERE].pages = 1000
        pages = run(network, **SEARCH, days=1)
        gap = pages[-1].gap
        assert len(network.asked) <= 41 and len(ids(pages)) == 2000
        assert gap and gap.since == NOW - timedelta(days=1) and gap.until and gap.until < NOW - timedelta(seconds=1900)
        assert "Lumen" in gap.why and HERE in gap.why
        assert marks(pages) == {f"{HERE} search Lumen": EPOCH}

    def test_a_clock_that_was_set_back_moves_the_mark_back(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        uri = network[HERE].add(NOW - timedelta(minutes=5))
        pages = run(network, {"marks": {f"{HERE} search Lumen": EPOCH + 86400}})
        assert ids(pages) == [uri] and marks(pages) == {f"{HERE} search Lumen": EPOCH}

    def test_backfill_reaches_the_date_and_goes_on_where_it_was_stopped(self, version: str) -> None:
        network = Network(Instance(HERE, version), Instance(THERE, version))
        written = network[HERE].minutes_ago(*range(1, 200)) + network[THERE].minutes_ago(*range(1, 100))
        network[HERE].minutes_ago(*range(400, 500))
        settings = lemmy.Settings.model_validate({"instances": [THERE], "queries": ["Lumen"], **COMMUNITY})
        since, found, cursor, steps = NOW - timedelta(minutes=350), [], None, 0
        while cursor != {}:
            page = next(lemmy.backfill(settings, since, cursor, network, NOW, "lemmy"))
            found += [post.native_id for post in page.posts]
            cursor, steps = json.loads(json.dumps(page.cursor)), steps + 1
            assert not set(cursor.get("at", ())) & set(cursor.get("done", ()))
        assert sorted(found) == sorted(written) and steps > 5


class TestLimits:
    def test_the_last_page_that_0_19_shows_is_a_gap(self) -> None:
        network = Network()
        for n in range(1, 700):
            network[HERE].add(NOW - timedelta(seconds=n), "comment")
        pages = run(network)
        assert len(ids(pages)) == 500 and pages[-1].gap and marks(pages) == {f"{HERE} search Lumen": EPOCH}
        filled = list(lemmy.backfill(lemmy.Settings(**SEARCH), NOW - timedelta(days=1), None, network, NOW, "lemmy"))
        assert len(ids(filled)) == 500 and filled[-2].gap and filled[-1].cursor == {}

    def test_an_instance_without_cursors_is_read_by_pages(self) -> None:
        network = Network()
        written = network[HERE].minutes_ago(*range(1, 130))

        def get(url: str, **told: Any) -> Response:
            response = network(url, **told)
            body = {key: value for key, value in response.json().items() if key != "next_page"}
            return Response(200, url, {}, json.dumps(body).encode())

        assert ids(run(get, **COMMUNITY)) == sorted(written)

    @VERSIONS
    def test_a_list_that_ends_with_a_full_reply(self, version: str) -> None:
        network = Network(Instance(HERE, version))
        written = network[HERE].minutes_ago(*range(1, 51))
        pages = run(network)
        assert ids(pages) == sorted(written) and len(network.asked) == (3 if version < "1" else 2)

    @pytest.mark.parametrize("status", [400, 429])
    def test_a_recheck_that_is_too_often_asks_no_more(self, status: int) -> None:
        network = Network(Instance(HERE), Instance(THERE))
        network[THERE].failing = lambda path: said(status, {"error": "rate_limit_error"})
        assert asked_after(network, f"https://{THERE}/post/1", f"https://{THERE}/post/2") == Page(())
        assert len(network.asked) == 1

    @pytest.mark.parametrize("status", [400, 429])
    def test_the_rate_limit_has_two_statuses(self, status: int) -> None:
        network = Network()
        network[HERE].failing = lambda path: said(status, {"error": "rate_limit_error"})
        with pytest.raises(Retry) as caught:
            run(network)
        assert type(caught.value) is Retry and caught.value.status == status
        network[HERE].failing = lambda path: None
        network[HERE].minutes_ago(*range(1, 200))
        left: list[None] = [None] * 2
        network[HERE].failing = lambda path: left.pop() if left else said(status, {"error": "rate_limit_error"})
        with pytest.raises(Retry):
            run(network)

    @pytest.mark.parametrize(
        ("reply", "error", "words"),
        [
            (said(400, {"error": "instance_is_private"}), Refused, "only to people with an account.*another instance"),
            (said(401, {"error": "not_logged_in"}), Refused, "only to people with an account"),
            (said(403, {"error": "no"}), Refused, "does not let us in"),
            (said(400, {"error": "query_error"}), Broken, "status 400"),
            (said(500, {"error": "no"}), Retry, "fails at present"),
            (said(503, b"<html>busy</html>"), Retry, "fails at present"),
        ],
    )
    def test_errors_are_what_they_come_to(self, reply: Reply, error: type[Exception], words: str) -> None:
        for at in ("/site", "/search"):
            network = Network()
            network[HERE].failing = lambda path, at=at: reply if path.endswith(at) else None  # type: ignore[misc]
            with pytest.raises(error, match=words) as caught:
                run(network)
            assert type(caught.value) is error

    @VERSIONS
    def test_a_community_that_is_not_there(self, version: str) -> None:
        with pytest.raises(Broken, match=r"pine.example knows no community 'hotel' .*Check its name"):
            run(Network(Instance(HERE, version)), communities=[f"hotel@{HERE}"])


class TestInstances:
    def test_a_post_that_two_show_is_given_once(self) -> None:
        network = Network(Instance(HERE), Instance(THERE, "1.0.0"))
        one = network[HERE].add(NOW - timedelta(minutes=5))
        network[THERE].add(NOW - timedelta(minutes=5), ap_id=one)
        assert ids(run(network, instances=[HERE, THERE], queries=["Lumen"], **COMMUNITY)) == [one]

    def test_one_that_fails_does_not_keep_the_others_from_being_read(self) -> None:
        network = Network(Instance(HERE), Instance(THERE))
        network[HERE].failing = lambda path: said(503, b"busy")
        uri = network[THERE].add(NOW - timedelta(minutes=5))
        settings = lemmy.Settings.model_validate({"instances": [HERE, THERE], "queries": ["Lumen", "Hotel"]})
        pages = []
        with pytest.raises(Retry):
            for page in lemmy.fetch(settings, None, network, NOW, "lemmy"):
                pages.append(page)
        assert ids(pages) == [uri] and set(marks(pages)) == {f"{THERE} search Lumen", f"{THERE} search Hotel"}
        assert sum(asked.startswith(HERE) for asked in network.asked) == 1

    def test_marks_of_lists_that_are_no_longer_read_are_forgotten(self) -> None:
        cursor = {"marks": {"gone.example search Lumen": 5}, "versions": {"gone.example": [3, EPOCH]}}
        assert last_cursor(run(Network(), cursor)) == {
            "marks": {f"{HERE} search Lumen": EPOCH},
            "versions": {HERE: [3, EPOCH]},
        }


@VERSIONS
class TestRecheck:
    @pytest.mark.parametrize("kind", ["post", "comment"])
    def test_what_is_deleted_or_changed_on_the_instance_it_is_of(self, version: str, kind: str) -> None:
        network = Network(Instance(HERE), Instance(THERE, version))
        said = "body" if kind == "post" else "content"
        same = network[THERE].add(NOW, kind)
        edited = network[THERE].add(NOW, kind, **{said: "changed"})
        deleted = network[THERE].add(NOW, kind, deleted=True)
        removed = network[THERE].add(NOW, kind, removed=True)
        purged = f"https://{THERE}/{kind}/99"
        told = asked_after(network, same, edited, deleted, removed, purged)
        assert told.deleted == (deleted, removed, purged)
        assert [(post.native_id, post.text) for post in told.posts][1] == (edited, "changed")
        assert told.posts[0].native_id == same
        assert {asked.partition("/")[0] for asked in network.asked} == {THERE}

    def test_one_that_speaks_v4_alone(self, version: str) -> None:
        network = Network(Instance(HERE), Instance(THERE, "1.1.0"))
        network[THERE].failing = lambda path: said(404, b"") if "/v3/" in path else None
        same = network[THERE].add(NOW)
        told = asked_after(network, same, f"https://{THERE}/comment/9")
        assert [post.native_id for post in told.posts] == [same]
        assert told.deleted == (f"https://{THERE}/comment/9",)

    def test_other_software_is_asked_by_the_address_of_the_post(self, version: str) -> None:
        network = Network(Instance(HERE), Instance(THERE, version))
        there = network[THERE].add(NOW, ap_id=f"https://{THERE}/users/vera/statuses/7")
        told = asked_after(network, there, f"https://{THERE}/users/vera/statuses/8")
        assert (told.verified, told.deleted) == ((there,), (f"https://{THERE}/users/vera/statuses/8",))

    @pytest.mark.parametrize(
        "reply",
        [
            said(404, b"<!doctype html><html><body>This domain is for sale</body></html>"),
            said(404, b"404 page not found"), said(401, {"error": "not_logged_in"}),
            said(400, {"error": "instance_is_private"}), said(403, {"error": "no"}),
            said(500, {"error": "couldnt_reach_database"}), said(429, {"error": "rate_limit_error"}),
            said(400, {"error": "rate_limit_error"}), said(200, {"type": "Page"}), said(200, []),
            said(200, {"post_view": {"post": {"id": 12, "ap_id": "https://a.example/post/1"}}}),
        ],
    )  # fmt: skip
    def test_what_is_not_certain_is_no_deletion(self, version: str, reply: Reply) -> None:
        network = Network(Instance(HERE), Instance(THERE, version))
        network[THERE].failing = lambda path: reply
        for path in ("post/12", "comment/12", "notes/abc"):
            assert asked_after(network, f"https://{THERE}/{path}") == Page(())

    def test_one_of_ours_that_fails_is_told_when_the_others_were_asked(self, version: str) -> None:
        network = Network(Instance(HERE, version), Instance(THERE, version))
        network[HERE].failing = lambda path: said(503, b"busy", {"retry-after": "60"})
        there = network[THERE].add(NOW)
        down = [f"https://down.example/post/{n}" for n in (1, 2)]
        for settings in (SEARCH, COMMUNITY):
            pages = []
            chosen = lemmy.Settings.model_validate(settings)
            with pytest.raises(Retry) as caught:
                for page in lemmy.recheck(
                    chosen, None, [f"https://{HERE}/post/1", *down, there], network, NOW, "lemmy"
                ):
                    pages.append(page)
            assert caught.value.after == 60 and ids(pages) == [there]
        assert sum(asked.startswith("down.example") for asked in network.asked) == 2

    @pytest.mark.parametrize(
        "ap_id", ["http://pine.example/post/1", "https://127.0.0.1/post/1", "https://localhost/post/1"]
    )
    def test_nobody_is_asked_at_addresses_that_are_none_of_an_instance(self, version: str, ap_id: str) -> None:
        network = Network()
        assert asked_after(network, ap_id) == Page(()) and network.asked == []


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {}, {"instances": ["pine.example"]}, {"queries": ["Lumen"]}, {"instances": ["pine"], "queries": ["Lumen"]},
            {"instances": ["pine.example"], "queries": [" "]}, {"communities": ["hotels"]},
            {"communities": ["https://pine.example/c/hotels"]}, {"communities": ["hotels@pine"]},
            {"instances": ["pine.example"], "communities": ["hotels@pine.example"]},
        ],
    )  # fmt: skip
    def test_settings_that_would_find_nothing_are_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            lemmy.Settings.model_validate(told)

    def test_what_people_write_is_understood(self) -> None:
        settings = lemmy.Settings.model_validate(
            {
                "instances": ["https://Pine.example/"],
                "queries": ["a  b", "a b"],
                "communities": ["!Hotels@Pine.example"],
            }
        )
        assert (settings.instances, settings.queries) == (["pine.example"], ["a b"])
        assert settings.communities == ["hotels@pine.example"]


FILES = sorted(PAYLOADS.glob("*.json"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = parse(payload, host=HERE, name="lemmy", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ITEM = st.dictionaries(
    st.sampled_from(
        ("name", "body", "content", "published", "published_at", "updated", "deleted", "removed", "path", "score")
    ),
    JSON,
).map(lambda item: {"ap_id": "https://a.example/post/1", "name": "a name", "content": "words", **item})
VIEW = st.fixed_dictionaries({}, optional={
    "post": ITEM | JSON, "comment": ITEM | JSON,
    "counts": st.dictionaries(st.sampled_from(("score", "comments")), JSON) | JSON,
    "creator": st.dictionaries(st.sampled_from(("name", "actor_id", "ap_id")), JSON) | JSON, "type_": JSON,
})  # fmt: skip


@given(st.sampled_from(("posts", "comments", "items", "search")), st.lists(VIEW | JSON, max_size=4))
def test_any_value_in_any_field_is_read_or_broken(key: str, views: list[Any]) -> None:
    try:
        page = parse(json.dumps({key: views}).encode(), host=HERE, name="lemmy", now=NOW)
    except Broken:
        return
    for post in page.posts:
        assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
        (post.text + post.title + post.native_id + post.author + post.url + post.parent).encode()
