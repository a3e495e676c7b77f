"""GitHub, through a small imitation of its REST and GraphQL interfaces: listings by change, ETags, limits, deletion."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from listener.errors import Broken, Disabled, Refused, Retry, SourceError, Unauthorised
from listener.http import Response
from listener.records import Page
from listener.sources import github, github_discussions

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parent / "payloads" / "github"
API = "https://api.github.com"
REPO = "acme/app"
NOT_FOUND = Broken("does not exist (404)", b'{"message": "Not Found"}', 404)


def ago(**told: float) -> datetime:
    return NOW - timedelta(**told)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Hub:
    """Answers as GitHub does: listings by the time of change, a hundred a page, 304 for an ETag it knows."""

    def __init__(self, *changes: datetime) -> None:
        self.issues = dict(enumerate(changes, start=1))
        self.comments: dict[int, datetime] = {}
        self.texts: dict[str, str] = {}
        self.pulls: set[int] = set()
        self.talks: dict[int, tuple[datetime, list[datetime]]] = {}
        self.gone: dict[str, SourceError] = {}
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.heads: list[Mapping[str, str]] = []
        self.failing: dict[str, SourceError] = {}
        self.comments_at_once = 50
        self.incomplete = False

    def __call__(
        self, url: str, *, params: Any, headers: Mapping[str, str], etag: str, gap_s: float | None, json: Any, **_: Any
    ) -> Response:
        path = url.removeprefix(API)
        self.asked.append((path, json["variables"] if json else params or {}))
        self.heads.append(headers)
        for place, error in self.failing.items():
            if path.endswith(place):
                raise error
        if path == "/graphql":
            assert headers["Authorization"].startswith("Bearer ")
            reply: Any = self._talks(json["query"], json["variables"])
        elif path == "/search/issues":
            assert gap_s and gap_s >= 2
            reply = {"incomplete_results": self.incomplete, "items": self._found(params)}
        elif path == f"/repos/{REPO}/issues":
            assert params["state"] == "all" and params["direction"] == "asc"
            reply = self._listed([self._issue(n) for n in self.issues], params["since"], params)
        elif path == f"/repos/{REPO}/issues/comments":
            reply = self._listed([self._comment(n) for n in self.comments], params["since"], params)
        else:
            reply = self._one(path)
        body = _json(reply)
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
        if etag == tag:
            return Response(304, url, {"etag": tag}, b"", unchanged=True)
        return Response(200, url, {"etag": tag}, body)

    def _listed(self, items: list[Any], since: str, params: Mapping[str, str]) -> list[Any]:
        assert params["sort"] == "updated" and params["per_page"] == "100"
        items = sorted((item for item in items if item["updated_at"] >= since), key=lambda item: item["updated_at"])
        page = int(params["page"])
        return items[(page - 1) * 100 : page * 100]

    def _found(self, params: Mapping[str, str]) -> list[Any]:
        asked = re.fullmatch(r'"([^"]+)" in:title,body (is:issue|is:pull-request) updated:>=(\S+)', params["q"])
        assert asked and params["order"] == "asc"
        pulls = asked[2] == "is:pull-request"
        items = [self._issue(n) for n in self.issues if (n in self.pulls) == pulls]
        return self._listed([item for item in items if asked[1] in item["body"]], asked[3], params)

    def _issue(self, number: int) -> dict[str, Any]:
        what = "pull" if number in self.pulls else "issues"
        return {
            "url": f"{API}/repos/{REPO}/issues/{number}", "html_url": f"https://github.com/{REPO}/{what}/{number}",
            "number": number, "title": f"title {number}", "user": {"login": "somebody", "type": "User"},
            "body": self.texts.get(f"issue {number}", f"Lumen {number}"), "updated_at": stamp(self.issues[number]),
            "created_at": "2026-01-01T00:00:00Z", **({"pull_request": {"url": "x"}} if number in self.pulls else {}),
        }  # fmt: skip

    def _comment(self, number: int) -> dict[str, Any]:
        return {
            "url": f"{API}/repos/{REPO}/issues/comments/{number}", "id": number,
            "issue_url": f"{API}/repos/{REPO}/issues/1", "body": self.texts.get(f"comment {number}", f"said {number}"),
            "html_url": f"https://github.com/{REPO}/{'pull' if 1 in self.pulls else 'issues'}/1#issuecomment-{number}",
            "user": {"login": "somebody", "type": "User"}, "updated_at": stamp(self.comments[number]),
            "created_at": stamp(self.comments[number]),
        }  # fmt: skip

    def _one(self, path: str) -> dict[str, Any]:
        place, _, number = path.rpartition("/")
        kind = "comment" if place.endswith("/comments") else "issue"
        if error := self.gone.get(f"{kind} {number}"):
            raise error
        return self._comment(int(number)) if kind == "comment" else self._issue(int(number))

    def _talks(self, query: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        assert f"{asked['owner']}/{asked['name']}" == REPO
        if "discussion(number" in query:
            if asked["number"] not in self.talks:
                error = {"type": "NOT_FOUND", "path": ["repository", "discussion"], "message": "Could not resolve"}
                return {"data": {"repository": {"discussion": None}}, "errors": [error]}
            return {"data": {"repository": {"discussion": self._talk(asked["number"])}}}
        assert "field: UPDATED_AT, direction: DESC" in query
        newest = sorted(self.talks, key=lambda n: self.talks[n][0], reverse=True)
        start = int(asked["after"] or 0)
        info = {"hasNextPage": len(newest) > start + 20, "endCursor": str(start + 20)}
        nodes = [self._talk(n) for n in newest[start : start + 20]]
        return {"data": {"repository": {"discussions": {"pageInfo": info, "nodes": nodes}}}}

    def _talk(self, number: int) -> dict[str, Any]:
        changed, comments = self.talks[number]
        said = [
            {"databaseId": number * 1000 + n, "body": f"said {n}", "createdAt": stamp(at), "updatedAt": stamp(at)}
            for n, at in enumerate(comments)
        ]
        shown = said[-self.comments_at_once :]
        info = {"hasPreviousPage": len(said) > len(shown)}
        return {
            "number": number, "title": f"talk {number}", "body": self.texts.get(f"discussion {number}", "Hello"),
            "createdAt": stamp(changed), "updatedAt": stamp(changed), "author": {"__typename": "User", "login": "a"},
            "comments": {"totalCount": len(said), "pageInfo": info, "nodes": shown},
        }  # fmt: skip


def _json(reply: Any) -> bytes:
    return json.dumps(reply).encode()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "sesame")


TOKEN = {"token": {"env": "A_TOKEN"}}
TALKS = {"repos": [REPO], "discussions": True, **TOKEN}


def chosen(**settings: Any) -> github.Settings:
    return github.Settings.model_validate(settings or {"repos": [REPO]})


def run(get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    return list(github.fetch(chosen(**settings), cursor and json.loads(json.dumps(cursor)), get, now, "hub"))


def until_it_fails(walk: Any) -> tuple[list[Page], SourceError]:
    pages: list[Page] = []
    with pytest.raises(SourceError) as caught:
        for page in walk:
            pages.append(page)
    return pages, caught.value


def idents(pages: list[Page], kind: str = "issue") -> list[int]:
    return sorted(
        int(post.native_id.split()[-1]) for page in pages for post in page.posts if f" {kind} " in post.native_id
    )


class TestParse:
    def page(self, file: str, **more: Any) -> Page:
        return github.parse((PAYLOADS / file).read_bytes(), name="hub", now=NOW, **more)

    def test_an_issue(self) -> None:
        issue, bare = self.page("issues.json").posts
        assert issue.native_id == "lumen/booking issue 41"
        assert (issue.kind, issue.title, issue.author) == ("post", "The app forgets my room", "mira")
        assert issue.text == "Every time I open the **Lumen** app, it asks for my room again."
        assert issue.engagement == {"comments": 1, "reactions": 3}
        assert (issue.created_at, issue.edited_at) == (datetime(2026, 11, 20, 9, tzinfo=UTC), None)
        assert (bare.text, bare.author) == ("Thank you for Lumen", "")

    def test_a_comment_without_what_it_quotes(self) -> None:
        comment = self.page("comments.json").posts[0]
        assert comment.text == "Same for me & my wife since the update."
        assert (comment.kind, comment.title) == ("comment", "")
        assert (comment.native_id, comment.parent) == ("lumen/booking comment 7001", "lumen/booking issue 41")
        assert comment.edited_at == datetime(2026, 11, 21, 9, 45, tzinfo=UTC)
        assert comment.url == "https://github.com/Lumen/Booking/issues/41#issuecomment-7001"

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page("issues.json").skipped == {"pull request": 1, "written by a bot": 1, "no id": 1}
        assert self.page("comments.json").skipped == {"pull request": 1, "no text": 1}

    def test_pull_requests_are_kept_where_they_are_wanted(self) -> None:
        assert "lumen/booking issue 42" in [post.native_id for post in self.page("issues.json", pulls=True).posts]
        assert len(self.page("comments.json", pulls=True).posts) == 2

    def test_an_issue_of_any_repository(self) -> None:
        found = self.page("search.json").posts
        assert [post.native_id for post in found] == ["lumen/booking issue 41", "someone/travel-tools issue 5"]

    def test_a_repository_that_was_renamed_keeps_its_ids(self) -> None:
        assert self.page("issues.json", repo="old/name").posts[0].native_id == "old/name issue 41"

    def test_no_issues_is_an_empty_page(self) -> None:
        assert (
            github.parse(b"[]", name="hub", now=NOW) == github.parse(b'{"items": []}', name="hub", now=NOW) == Page(())
        )

    def test_a_discussion_with_comments_and_replies(self) -> None:
        payload = (PAYLOADS / "discussions.json").read_bytes()
        page = github_discussions.parse(payload, repo="lumen/booking", name="hub", now=NOW)
        talk, comment, reply = page.posts
        assert (talk.native_id, talk.title, talk.text) == (
            "lumen/booking discussion 12",
            "How do you use Lumen?",
            "Tell us & others.",
        )
        assert talk.engagement == {"likes": 4, "comments": 3} and talk.edited_at is not None
        assert comment.native_id == "lumen/booking discussion 12 comment 501"
        assert (reply.text, reply.kind, reply.parent) == ("Me too!", "comment", talk.native_id)
        assert page.deleted == ("lumen/booking discussion 12 comment 503",)
        assert page.skipped == {"written by a bot": 1}


class TestListings:
    def test_issues_and_comments_of_some_days(self) -> None:
        hub = Hub(ago(days=8), ago(days=6))
        hub.comments = {5: ago(hours=1)}
        pages = run(hub)
        assert idents(pages) == [2] and idents(pages, "comment") == [5]

    def test_the_bookmark_goes_back_ten_minutes_from_the_last_change(self) -> None:
        hub = Hub(ago(hours=3))
        pages = run(hub)
        assert pages[-1].cursor == {"since": {f"{REPO} issues": stamp(ago(hours=3, minutes=10))}, "etag": {}}

    def test_a_change_that_is_seen_late_is_not_lost(self) -> None:
        hub = Hub(ago(hours=3))
        cursor = run(hub)[-1].cursor
        hub.issues[2] = ago(hours=3, minutes=5)
        assert 2 in idents(run(hub, cursor))

    def test_nothing_new_is_told_by_the_etag(self) -> None:
        hub = Hub(ago(hours=3))
        hub.comments = {5: ago(hours=2)}
        second = run(hub, run(hub)[-1].cursor)
        third = run(hub, second[-1].cursor)
        assert [page.unchanged for page in third] == [True, True]
        assert third[-1].cursor == second[-1].cursor
        hub.issues[2] = ago(minutes=1)
        fourth = run(hub, third[-1].cursor)
        assert idents(fourth) == [1, 2]
        assert f"{REPO} issues" not in (fourth[-1].cursor or {})["etag"]

    def test_an_edit_brings_the_post_again(self) -> None:
        hub = Hub(ago(hours=3))
        hub.comments = {5: ago(hours=2)}
        cursor = run(hub)[-1].cursor
        hub.comments[5], hub.texts["comment 5"] = ago(minutes=1), "other words"
        assert "other words" in [post.text for page in run(hub, cursor) for post in page.posts]

    def test_more_than_a_page_are_all_read_and_each_page_moves_the_bookmark(self) -> None:
        hub = Hub(*(ago(seconds=9 * n) for n in range(1, 451)))
        pages = run(hub)
        assert idents(pages) == list(range(1, 451))
        marks = [(page.cursor or {})["since"].get(f"{REPO} issues") for page in pages if page.posts]
        assert marks[:-1] == sorted(marks[:-1]) and len(set(marks)) == len(marks)
        assert all(page.gap is None for page in pages)

    def test_what_one_run_leaves_over_is_read_by_the_next(self) -> None:
        hub = Hub(*(ago(seconds=n) for n in range(1, 4001)))
        found, cursor = [], None
        for _ in range(4):
            pages = run(hub, cursor)
            found += pages
            cursor = pages[-1].cursor
        assert sorted(set(idents(found))) == list(range(1, 4001))
        assert all(page.gap is None for page in found)

    def test_after_a_failure_it_goes_on_from_the_last_page(self) -> None:
        hub = Hub(*(ago(seconds=9 * n) for n in range(1, 451)))
        walk = github.fetch(chosen(), None, hub, NOW, "hub")
        while not (first := next(walk)).posts:
            pass
        hub.failing["/issues"] = Retry("busy", after=5)
        _, error = until_it_fails(walk)
        assert isinstance(error, Retry) and error.after == 5
        hub.failing.clear()
        assert sorted(set(idents([first, *run(hub, first.cursor)]))) == list(range(1, 451))

    def test_changes_of_one_second_at_the_edge_of_a_page_are_not_lost(self) -> None:
        hub = Hub(*[ago(seconds=90)] * 95, *[ago(seconds=60)] * 130, *[ago(seconds=30)] * 20)
        assert idents(run(hub)) == list(range(1, 246))

    def test_one_second_with_more_than_a_run_reads_is_a_gap(self) -> None:
        hub = Hub(*[ago(seconds=90)] * 2000, *[ago(seconds=30)] * 20)
        second = run(hub, run(hub)[-1].cursor)
        assert ["in one second" in page.gap.why for page in second if page.gap] == [True]
        assert set(range(2001, 2021)) <= set(idents(run(hub, second[-1].cursor)))

    def test_what_changes_during_the_walk_is_read_at_its_new_place(self) -> None:
        hub = Hub(*(ago(seconds=9 * n) for n in range(1, 151)))
        walk = github.fetch(chosen(), None, hub, NOW, "hub")
        pages = [next(walk)]
        hub.issues[150], hub.texts["issue 150"] = ago(seconds=1), "Lumen, edited"
        pages += list(walk)
        assert "Lumen, edited" in [post.text for page in pages for post in page.posts]
        assert set(range(1, 151)) == set(idents(pages))

    @pytest.mark.parametrize("wrong", [timedelta(days=30), timedelta(days=-3)])
    def test_a_wrong_clock_loses_nothing(self, wrong: timedelta) -> None:
        hub = Hub(ago(hours=30))
        cursor = run(hub, run(hub)[-1].cursor, now=NOW + wrong)[-1].cursor
        hub.issues[2] = ago(minutes=1)
        assert 2 in idents(run(hub, cursor))

    def test_pull_requests_and_their_comments_are_left_out_and_counted(self) -> None:
        hub = Hub(ago(hours=1))
        hub.pulls, hub.comments = {1}, {5: ago(hours=1)}
        pages = run(hub)
        assert [page.skipped for page in pages] == [{"pull request": 1}, {"pull request": 1}]
        pages = run(hub, repos=[REPO], pull_requests=True)
        assert idents(pages) == [1] and idents(pages, "comment") == [5]

    def test_a_repository_that_is_gone_keeps_no_other_from_being_read(self) -> None:
        hub = Hub(ago(hours=1))
        hub.failing["/repos/acme/gone/issues"] = NOT_FOUND
        hub.failing["/repos/acme/gone/issues/comments"] = NOT_FOUND
        pages, error = until_it_fails(github.fetch(chosen(repos=["acme/gone", REPO]), None, hub, NOW, "hub"))
        assert error is NOT_FOUND and idents(pages) == [1]

    def test_the_token_is_a_header_and_in_no_message(self) -> None:
        hub = Hub(ago(hours=1))
        pages = run(hub, repos=[REPO], **TOKEN)
        assert {head["Authorization"] for head in hub.heads} == {"Bearer sesame"}
        assert "sesame" not in str(pages) + str(hub.asked)
        hub.heads.clear()
        run(hub)
        assert all("Authorization" not in head for head in hub.heads)

    def test_a_token_that_is_not_there_asks_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("A_TOKEN")
        hub = Hub()
        with pytest.raises(Disabled, match="A_TOKEN"):
            run(hub, repos=[REPO], **TOKEN)
        assert hub.asked == []


class TestLimits:
    def test_a_limit_told_in_words_alone_is_waited_for(self) -> None:
        hub = Hub()
        said = b'{"message": "You have exceeded a secondary rate limit. Please wait."}'
        hub.failing["/issues"] = Refused("does not let us in (status 403)", said, 403)
        with pytest.raises(Retry) as caught:
            run(hub)
        assert (caught.value.after, caught.value.payload, caught.value.status) == (60, said, 403)

    def test_a_closed_door_is_none(self) -> None:
        hub = Hub()
        hub.failing["/issues"] = closed = Refused("no", b'{"message": "Resource not accessible"}', 403)
        with pytest.raises(Refused) as caught:
            run(hub)
        assert caught.value is closed

    def test_after_a_retry_only_what_has_another_limit_is_asked(self) -> None:
        hub = Hub(ago(hours=1))
        hub.failing["/issues"] = Retry("limit")
        hub.failing["/comments"] = Retry("limit")
        hub.talks = {3: (ago(hours=1), [])}
        settings = chosen(**TALKS, queries=["Lumen"])
        pages, _ = until_it_fails(github.fetch(settings, None, hub, NOW, "hub"))
        core = [path for path, _ in hub.asked if path.startswith("/repos/")]
        assert len(core) == 1 and idents(pages, "discussion") == [3]

    def test_a_token_that_is_not_taken(self) -> None:
        hub = Hub()
        hub.failing["/issues"] = Unauthorised("401", b'{"message": "Bad credentials"}', 401)
        with pytest.raises(Unauthorised):
            run(hub)


class TestSearch:
    def test_issues_of_any_repository_that_hold_the_phrase(self) -> None:
        hub = Hub(ago(hours=2), ago(hours=1))
        hub.texts["issue 2"] = "nothing"
        assert idents(run(hub, queries=["Lumen"])) == [1]
        assert hub.asked[0][1]["q"] == f'"Lumen" in:title,body is:issue updated:>={stamp(ago(days=7))}'

    def test_the_next_run_asks_from_the_bookmark_on(self) -> None:
        hub = Hub(ago(hours=2))
        cursor = run(hub, queries=["Lumen"])[-1].cursor
        run(hub, cursor, queries=["Lumen"])
        assert hub.asked[-1][1]["q"].endswith(f">={stamp(ago(hours=2, minutes=10))}")

    def test_more_than_the_thousand_results_are_reached_by_time(self) -> None:
        hub = Hub(*(ago(seconds=9 * n) for n in range(1, 1501)))
        assert idents(run(hub, queries=["Lumen"])) == list(range(1, 1501))
        assert {params["page"] for _, params in hub.asked} == {"1"}

    def test_a_search_that_gave_up_moves_no_bookmark(self) -> None:
        hub = Hub(ago(hours=2))
        hub.incomplete = True
        pages, error = until_it_fails(github.fetch(chosen(queries=["Lumen"]), None, hub, NOW, "hub"))
        assert isinstance(error, Retry) and idents(pages) == [1]
        assert pages[-1].cursor == {"since": {}, "etag": {}}

    def test_pull_requests_are_searched_for_where_they_are_wanted(self) -> None:
        hub = Hub(ago(hours=2), ago(hours=1))
        hub.pulls = {2}
        assert idents(run(hub, queries=["Lumen"])) == [1]
        assert idents(run(hub, queries=["Lumen"], pull_requests=True)) == [1, 2]

    def test_what_is_read_and_found_is_brought_once(self) -> None:
        hub = Hub(ago(hours=2))
        assert idents(run(hub, repos=[REPO], queries=["Lumen"])) == [1]


class TestDiscussions:
    def test_talks_and_comments_of_some_days(self) -> None:
        hub = Hub()
        hub.talks = {1: (ago(days=9), []), 2: (ago(hours=1), [ago(days=9), ago(hours=1)])}
        pages = run(hub, **TALKS)
        found = [post.native_id for page in pages for post in page.posts]
        assert found == [f"{REPO} discussion 2", f"{REPO} discussion 2 comment 2001"]
        assert (pages[-1].cursor or {})["since"] == {f"{REPO} discussions": stamp(ago(hours=1, minutes=10))}

    def test_the_walk_meets_the_old_mark_and_only_then_moves_it(self) -> None:
        hub = Hub()
        hub.talks = {n: (ago(minutes=n), []) for n in range(1, 201)}
        key = f"{REPO} discussions"
        pages = run(hub, {"since": {key: stamp(ago(minutes=65))}}, **TALKS)
        assert set(range(1, 65)) <= set(idents(pages, "discussion"))
        marks = [(page.cursor or {})["since"][key] for page in pages if "discussion" in str(page.posts)]
        assert marks == [stamp(ago(minutes=65))] * (len(marks) - 1) + [stamp(ago(minutes=11))]
        assert len([path for path, _ in hub.asked if path == "/graphql"]) == 4

    def test_more_than_one_run_reads_is_a_gap(self) -> None:
        hub = Hub()
        hub.talks = {n: (ago(minutes=n), []) for n in range(1, 401)}
        pages = run(hub, **TALKS)
        gap = next(page.gap for page in pages if page.gap)
        assert "--since" in gap.why and gap.since == ago(days=7)

    def test_more_comments_than_a_reply_shows_are_a_gap(self) -> None:
        hub = Hub()
        hub.talks = {2: (ago(hours=1), [ago(minutes=200 - n) for n in range(60)])}
        gap = next(page.gap for page in run(hub, **TALKS) if page.gap)
        assert gap.until == ago(minutes=190) and "discussion 2" in gap.why

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"type": "RATE_LIMITED", "message": "API rate limit exceeded"}, Retry),
            ({"message": "Something went wrong while executing your query."}, Retry),
            ({"type": "INSUFFICIENT_SCOPES", "message": "Your token has not been granted the scopes"}, Refused),
            ({"type": "FORBIDDEN", "message": "Resource not accessible"}, Refused),
            ({"type": "NOT_FOUND", "path": ["repository"], "message": "Could not resolve to a Repository"}, Broken),
            ({"message": "Field 'x' doesn't exist on type 'Discussion'"}, Broken),
        ],
    )
    def test_errors_come_with_status_200(self, error: dict[str, Any], kind: type[SourceError]) -> None:
        payload = _json({"data": None, "errors": [error]})
        with pytest.raises(kind) as caught:
            github_discussions.parse(payload, repo=REPO, name="hub", now=NOW)
        assert type(caught.value) is kind and caught.value.payload == payload


def after(get: Any, *idents: str, **settings: Any) -> list[Page]:
    ids = [f"{REPO} {ident}" for ident in idents]
    return list(github.recheck(chosen(**settings), None, ids, get, NOW, "hub"))


class TestRecheck:
    @pytest.mark.parametrize("status", [404, 410, 451])
    def test_what_is_gone_is_deleted(self, status: int) -> None:
        hub = Hub(NOW, NOW)
        hub.comments = {5: NOW}
        hub.gone = {"issue 1": Broken("gone", b'{"message": "This issue was deleted"}', status), "comment 5": NOT_FOUND}
        pages = after(hub, "issue 1", "issue 2", "comment 5")
        assert [ident for page in pages for ident in page.deleted] == [f"{REPO} issue 1", f"{REPO} comment 5"]
        assert idents(pages) == [2]

    def test_an_edit_is_brought(self) -> None:
        hub = Hub(NOW)
        hub.texts["issue 1"] = "other words"
        assert [post.text for page in after(hub, "issue 1") for post in page.posts] == ["other words"]

    def test_an_issue_that_moved_keeps_its_id(self) -> None:
        moved = {**Hub(NOW)._issue(1), "url": f"{API}/repos/acme/new/issues/77", "number": 77,
                 "html_url": "https://github.com/acme/new/issues/77"}  # fmt: skip
        pages = after(lambda url, **_: Response(200, f"{API}/repositories/9/issues/77", {}, _json(moved)), "issue 1")
        assert [(post.native_id, post.url) for post in pages[0].posts] == [(f"{REPO} issue 1", moved["html_url"])]

    def test_a_page_of_a_proxy_deletes_nothing(self) -> None:
        hub = Hub(NOW)
        hub.gone = {"issue 1": Broken("404", b"<html>Not found</html>", 404)}
        with pytest.raises(Broken):
            after(hub, "issue 1")

    def test_a_limit_deletes_nothing(self) -> None:
        hub = Hub(NOW)
        hub.gone = {"issue 1": Refused("403", b'{"message": "API rate limit exceeded"}', 403)}
        with pytest.raises(Retry):
            after(hub, "issue 1")

    def test_what_says_nothing_any_more_is_verified(self) -> None:
        hub = Hub(NOW)
        hub.comments, hub.texts["comment 5"] = {5: NOW}, "> only a quote"
        assert after(hub, "comment 5") == [Page((), verified=(f"{REPO} comment 5",))]

    def test_a_discussion_and_its_comments_are_one_request(self) -> None:
        hub = Hub()
        hub.talks = {2: (NOW, [NOW, NOW])}
        page = after(hub, "discussion 2", "discussion 2 comment 2000", "discussion 2 comment 2009", **TALKS)[0]
        assert [post.native_id for post in page.posts] == [f"{REPO} discussion 2", f"{REPO} discussion 2 comment 2000"]
        assert page.deleted == (f"{REPO} discussion 2 comment 2009",)
        assert len(hub.asked) == 1

    def test_of_comments_beyond_a_reply_nothing_is_told(self) -> None:
        hub = Hub()
        hub.talks = {2: (NOW, [NOW] * 60)}
        page = after(hub, "discussion 2 comment 2000", "discussion 2 comment 2059", **TALKS)[0]
        assert (page.deleted, [post.native_id for post in page.posts]) == ((), [f"{REPO} discussion 2 comment 2059"])

    def test_a_discussion_that_is_gone_takes_its_comments_along(self) -> None:
        page = after(Hub(), "discussion 2", "discussion 2 comment 2000", **TALKS)[0]
        assert page.deleted == (f"{REPO} discussion 2", f"{REPO} discussion 2 comment 2000")

    def test_without_a_token_nothing_is_told_of_discussions(self) -> None:
        hub = Hub()
        assert after(hub, "discussion 2", "something else") == [] and hub.asked == []


class TestBackfill:
    def back(self, get: Any, cursor: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        return github.backfill(chosen(**settings), ago(days=30), cursor, get, NOW, "hub")

    def test_goes_from_a_date_to_now(self) -> None:
        hub = Hub(*(ago(hours=n) for n in range(1, 1001)))
        hub.comments = {n: ago(hours=n) for n in range(1, 1001)}
        pages = list(self.back(hub))
        assert sorted(set(idents(pages))) == sorted(set(idents(pages, "comment"))) == list(range(1, 721))
        assert pages[-1] == Page((), cursor={})

    def test_goes_on_where_it_failed(self) -> None:
        hub = Hub(*(ago(hours=n) for n in range(1, 1001)))
        pages, kept = [], 0
        for page in self.back(hub):
            pages.append(page)
            kept += bool(page.posts)
            if kept == 3:
                break
        hub.asked.clear()
        pages += list(self.back(hub, json.loads(json.dumps(pages[-1].cursor))))
        assert sorted(set(idents(pages))) == list(range(1, 721))
        assert min(params["since"] for path, params in hub.asked if path.endswith("/issues")) > stamp(ago(hours=430))

    def test_discussions_go_on_where_it_failed_too(self) -> None:
        hub = Hub()
        hub.talks = {n: (ago(hours=n), []) for n in range(1, 101)}
        pages = []
        for page in self.back(hub, **TALKS):
            pages.append(page)
            if idents(pages, "discussion"):
                break
        hub.asked.clear()
        pages += list(self.back(hub, json.loads(json.dumps(pages[-1].cursor)), **TALKS))
        assert sorted(idents(pages, "discussion")) == list(range(1, 101))
        assert [asked["after"] for path, asked in hub.asked if path == "/graphql"] == ["20", "40", "60", "80"]

    def test_what_is_done_is_not_asked_for_again(self) -> None:
        hub = Hub(ago(days=2))
        last = list(self.back(hub))[-2]
        hub.asked.clear()
        assert list(self.back(hub, last.cursor)) == [Page((), cursor={})] and hub.asked == []


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {"days": 3},
            {"repos": ["acme"]},
            {"repos": ["acme/app/issues"]},
            {"queries": ['""']},
            {"queries": ["x" * 151]},
            {"repos": [REPO], "token": "sesame"},
            {"repos": [REPO], "discussions": True},
            {"queries": ["Lumen"], "discussions": True, **TOKEN},
        ],
    )
    def test_settings_that_would_find_nothing_are_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            github.Settings.model_validate(told)

    def test_a_repository_may_be_named_by_its_address(self) -> None:
        assert chosen(repos=["https://github.com/Acme/App/", "acme/app"]).repos == ["acme/app"]


LISTS = [PAYLOADS / name for name in ("issues.json", "comments.json", "search.json")]


@given(st.sampled_from(LISTS).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = github.parse(payload, name="hub", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


@given(mutated((PAYLOADS / "discussions.json").read_bytes()))
def test_any_discussions_are_read_or_broken(payload: bytes) -> None:
    try:
        page = github_discussions.parse(payload, repo=REPO, name="hub", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "url", "html_url", "issue_url", "number", "id", "title", "body", "user", "comments", "reactions", "created_at",
    "updated_at", "pull_request",
)  # fmt: skip


def written(page: Page) -> None:
    for post in page.posts:
        assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
        (post.text + post.native_id + post.author + post.title + post.parent + post.url).encode()


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), max_size=4), st.booleans())
def test_any_value_in_any_field_is_read_or_broken(items: list[dict[str, Any]], sound: bool) -> None:
    if sound:  # far enough to reach the other fields
        items = [
            {**item, "url": f"{API}/repos/{REPO}/issues/{n}", "number": n, "body": "words"}
            for n, item in enumerate(items, start=1)
        ]
    try:
        written(github.parse(_json(items), name="hub", now=NOW))
    except Broken:
        return


SAID = (
    "number", "databaseId", "title", "body", "url", "createdAt", "updatedAt", "lastEditedAt", "deletedAt",
    "upvoteCount", "author", "replies", "comments",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(SAID), JSON), st.dictionaries(st.sampled_from(SAID), JSON), JSON)
def test_any_value_in_any_field_of_a_discussion(talk: dict[str, Any], said: dict[str, Any], info: Any) -> None:
    node = {"number": 1, **talk, "comments": {"nodes": [{"databaseId": 2, **said}], "pageInfo": info}}
    reply = {"data": {"repository": {"discussions": {"nodes": [node], "pageInfo": info}}}}
    walk = github_discussions.newest(
        lambda url, **_: Response(200, url, {}, _json(reply)), "t", REPO, ago(days=1), NOW, "hub"
    )
    try:
        for page, *_ in walk:
            written(page)
    except Broken:
        return
