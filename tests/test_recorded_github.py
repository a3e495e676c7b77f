"""Conformance with recorded exchanges with GitHub, which are not part of this repository.

A file holds exchanges of eleven lines: scheme, verb, host, port, path, request headers, request body, status, a list of
response headers as Python writes it, body, and an empty line.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from test_recorded import NOW, RECORDED, holds

from listener.errors import Broken, Retry, SourceError, Unauthorised
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.sources import github, github_discussions
from listener.sources.github_items import ask

FOLDER = RECORDED / "github"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded replies at {FOLDER}; set LISTENER_RECORDED to the folder above it"
)


@dataclass(frozen=True, slots=True)
class Exchange:
    file: str
    path: str
    asked: str
    status: int
    headers: dict[str, str]
    body: bytes

    def answer(self, url: str, **_: Any) -> Response:
        """What `listener.http` makes of it."""
        return _judge(Reply(self.status, self.headers, self.body, ""), url, url)


def exchanges(pattern: str = "*.txt") -> Iterator[Exchange]:
    for file in sorted(FOLDER.glob(pattern)):
        lines = file.read_text("utf-8").split("\n")
        for start in range(0, len(lines) - 9, 11):
            _, _, _, _, path, _, asked, status, headers, body = lines[start : start + 10]
            told = {name.lower(): value for name, value in ast.literal_eval(headers)}
            yield Exchange(file.name, path, asked, int(status), told, body.encode())


def is_list_of_issues(path: str) -> bool:
    return bool(re.match(r"/repos/[^/]+/[^/]+/issues(/\d+)?(/comments)?(\?|$)", path)) or path.startswith("/search/iss")


def test_every_issue_comment_and_discussion_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    for each in exchanges():
        counts["replies read"] += 1
        if each.status >= 400:
            counts["errors met"] += 1
        elif is_list_of_issues(each.path):
            try:
                page = github.parse(each.body, name="recorded", now=NOW)
            except Broken:
                assert each.file == "Issue33.testOpenIssues.txt"  # recorded with nothing left but "id"
                counts["lists without numbers"] += 1
                continue
            holds(page)
            counts.update({"posts extracted": len(page.posts), **page.skipped})
        elif each.path == "/graphql" and '"discussions":' in each.body.decode():
            page = github_discussions.parse(each.body, repo="o/r", name="recorded", now=NOW)
            holds(page)
            counts.update({"posts extracted": len(page.posts), **page.skipped})
    with capsys.disabled():
        print(f"\nrecorded github: {dict(counts)}")
    assert counts["posts extracted"] > 80
    assert counts["pull request"] == 19


ERRORS = {
    "Exceptions.testBadAuthentication.txt": Unauthorised,
    "Exceptions.testNonJsonDataReturnedByGithub.txt": Retry,
    "Exceptions.testUnknownObject.txt": Broken,
    "Retry.testRaisesRetryErrorAfterMaxRetries.txt": Retry,
    "Retry.testReturnsRepoAfter1Retry.txt": Retry,
    "Retry.testReturnsRepoAfter3Retries.txt": Retry,
    "Retry.testShouldNotRetryWhenStatusNotOnList.txt": Broken,
}


@pytest.mark.parametrize(("file", "kind"), ERRORS.items())
def test_each_recorded_error_has_its_consequence(file: str, kind: type[SourceError]) -> None:
    failed = [each for each in exchanges(file) if each.status >= 400]
    assert failed
    for each in failed:
        with pytest.raises(kind) as caught:
            ask(each.answer, "", each.path)  # type: ignore[arg-type]
        assert type(caught.value) is kind
        assert (caught.value.status, caught.value.payload) == (each.status, each.body)


def test_torn_json_is_broken() -> None:
    [torn] = exchanges("Exceptions.testJSONParseError.txt")
    with pytest.raises(Broken):
        github.parse(torn.body, name="recorded", now=NOW)


def test_an_unknown_object_means_deleted() -> None:
    [missing] = [each for each in exchanges("Exceptions.testUnknownObject.txt") if each.status == 404]
    settings = github.Settings(repos=["o/r"])
    [page] = github.recheck(settings, None, ["o/r issue 1"], missing.answer, NOW, "recorded")  # type: ignore[arg-type]
    assert page.deleted == ("o/r issue 1",)


def test_an_issue_and_its_comments() -> None:
    [issue] = [each for each in exchanges("Issue.setUp.txt") if "/issues/28" in each.path]
    [post] = github.parse(issue.body, name="recorded", now=NOW).posts
    assert post.native_id == "pygithub/pygithub issue 28" and post.engagement["reactions"] == 2
    [comments] = exchanges("Issue.testGetComments.txt")
    for said in github.parse(comments.body, name="recorded", now=NOW).posts:
        assert re.fullmatch(r"pygithub/pygithub comment \d+", said.native_id)
        assert (said.kind, said.title) == ("comment", "") and said.author and said.created_at


def test_since_is_sent_as_it_was_recorded() -> None:
    [recorded] = exchanges("Issue.testGetCommentsSince.txt")
    told = parse_qs(urlsplit(recorded.path).query)["since"][0]
    asked: list[dict[str, str]] = []

    def get(url: str, *, params: dict[str, str], **_: Any) -> Response:
        asked.append(params)
        return Response(200, url, {}, b"[]")

    cursor = {"since": {"o/r issues": told, "o/r comments": told}}
    list(github.fetch(github.Settings(repos=["o/r"]), cursor, get, NOW, "recorded"))  # type: ignore[arg-type]
    assert [params["since"] for params in asked] == [told, told]


def test_a_discussion_with_an_answer() -> None:
    [each, *_] = exchanges("RepositoryDiscussion.setUp.txt")
    node = json.loads(each.body)["data"]["node"]
    reply = {"data": {"repository": {"discussions": {"nodes": [node]}}}}
    page = github_discussions.parse(json.dumps(reply).encode(), repo="o/r", name="recorded", now=NOW)
    [post] = page.posts
    assert post.native_id == f"o/r discussion {node['number']}"
    assert post.title == node["title"] and post.text and post.created_at and post.author
