"""The discussions of a GitHub repository, which GraphQL alone shows, to those who have a token."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from listener.errors import Broken, Refused, Retry
from listener.http import Get, read_json
from listener.records import Gap, Page, Post
from listener.sources.github_items import ask, own_words
from listener.sources.markdown import plain_line
from listener.sources.shared import plain, read_date

_PLACE = "api.github.com/graphql"
_AT_ONCE = 20  # with the comments and replies below one reply costs 2 of the 5,000 points an hour
_SAID = "databaseId body url createdAt updatedAt lastEditedAt deletedAt upvoteCount author { __typename login }"
_DISCUSSION = f"""
number title body url createdAt updatedAt lastEditedAt upvoteCount author {{ __typename login }}
comments(last: 50) {{ totalCount pageInfo {{ hasPreviousPage }} nodes {{ {_SAID}
    replies(last: 10) {{ totalCount pageInfo {{ hasPreviousPage }} nodes {{ {_SAID} }} }} }} }}
"""
_LATEST = f"""
query($owner: String!, $name: String!, $after: String) {{ repository(owner: $owner, name: $name) {{
    discussions(first: {_AT_ONCE}, after: $after, orderBy: {{field: UPDATED_AT, direction: DESC}}) {{
        pageInfo {{ hasNextPage endCursor }} nodes {{ {_DISCUSSION} }} }} }} }}
"""
_ONE = f"""
query($owner: String!, $name: String!, $number: Int!) {{ repository(owner: $owner, name: $name) {{
    discussion(number: $number) {{ {_DISCUSSION} }} }} }}
"""


def newest(
    get: Get, token: str, repo: str, since: datetime, now: datetime, name: str, after: str | None = None
) -> Iterator[tuple[Page, datetime | None, str | None, bool]]:
    """Each page, last changed first: when its first discussion changed, the place to go on from, and if it is the last.

    Carries a Gap when a discussion got more comments since then than one reply shows.
    """
    owner, _, project = repo.partition("/")
    while True:
        variables = {"owner": owner, "name": project, "after": after}
        body = ask(get, token, "/graphql", json={"query": _LATEST, "variables": variables}).body
        found = _list(_repository(body), "discussions", body)
        moments = [at for node in found if (at := read_date(node.get("updatedAt"), now))]
        info = _dict(_dict(_repository(body).get("discussions")).get("pageInfo"))
        place = info.get("endCursor")
        after = place if info.get("hasNextPage") is True and isinstance(place, str) and place != after else None
        last = after is None or bool(moments and min(moments) < since)
        gap = next((gap for node in found if (gap := _unseen(node, repo, since, now))), None)
        yield replace(_page(found, body, repo, name, now, since), gap=gap), max(moments, default=None), after, last
        if last:
            return


def again(get: Get, token: str, repo: str, number: str, native_ids: list[str], now: datetime, name: str) -> Page:
    """What became of a discussion and of comments in it. Of comments that one reply does not reach nothing is told."""
    owner, _, project = repo.partition("/")
    variables = {"owner": owner, "name": project, "number": int(number)}
    body = ask(get, token, "/graphql", json={"query": _ONE, "variables": variables}).body
    node = _repository(body, may_be_gone=True).get("discussion")
    if not isinstance(node, dict):
        return Page((), deleted=tuple(native_ids))
    page = _page([node], body, repo, name, now)
    shown = {post.native_id for post in page.posts}
    whole = not any(_dict(each.get("pageInfo")).get("hasPreviousPage") for each in _connections(node))
    there = {f"{repo} discussion {number}", *(_comment_ident(repo, number, said) for said in _said(node))}
    missing = [ident for ident in native_ids if ident not in there] if whole else []
    return replace(
        page,
        posts=tuple(post for post in page.posts if post.native_id in native_ids),
        deleted=(*(ident for ident in page.deleted if ident in native_ids), *missing),
        verified=tuple(ident for ident in native_ids if ident in there - shown - set(page.deleted)),
    )


def parse(payload: bytes, *, repo: str, name: str, now: datetime) -> Page:
    """The discussions of a reply with their comments and replies. Raises Broken, or what the reply tells of."""
    return _page(_list(_repository(payload), "discussions", payload), payload, repo, name, now)


def _page(
    found: list[dict[str, Any]], payload: bytes, repo: str, name: str, now: datetime, since: datetime | None = None
) -> Page:
    posts: dict[str, Post] = {}
    deleted: list[str] = []
    skipped: Counter[str] = Counter()
    for node in found:
        number = node.get("number")
        if type(number) is not int:
            skipped["no id"] += 1
            continue
        ident = f"{repo} discussion {number}"
        for said in (node, *_said(node)):
            own = ident if said is node else _comment_ident(repo, number, said)
            changed = read_date(said.get("updatedAt"), now)
            if said.get("deletedAt"):
                deleted.append(own)
            elif _dict(said.get("author")).get("__typename") == "Bot":
                skipped["written by a bot"] += 1
            elif since and changed and changed < since:
                skipped["older than asked for"] += 1
            elif (post := _post(said, own, ident, name, now)).text:
                posts[own] = post
            else:
                skipped["no text"] += 1
    if found and skipped["no id"] == len(found):
        raise Broken(f"{_PLACE} sends discussions without a number: its format has changed.", payload)
    return Page(tuple(posts.values()), skipped=dict(skipped), deleted=tuple(deleted))


def _post(said: Mapping[str, Any], own: str, ident: str, name: str, now: datetime) -> Post:
    link, votes = said.get("url"), said.get("upvoteCount")
    title = plain_line(said.get("title")) if own == ident else ""
    counts = {"likes": votes, "comments": _dict(said.get("comments") or said.get("replies")).get("totalCount")}
    return Post(
        source=name,
        native_id=own,
        kind="post" if own == ident else "comment",
        title=title,
        text=own_words(said.get("body")) or title,
        url=link if isinstance(link, str) and re.fullmatch(r"https?://\S{1,1000}", link) else "",
        author=plain(_dict(said.get("author")).get("login")),
        created_at=read_date(said.get("createdAt"), now),
        edited_at=read_date(said.get("lastEditedAt"), now),
        engagement={what: n for what, n in counts.items() if type(n) is int and 0 <= n < 2**53},
        parent="" if own == ident else ident,
    )


def _unseen(node: dict[str, Any], repo: str, since: datetime, now: datetime) -> Gap | None:
    """The time in which a discussion got comments that are not among those shown."""
    for each in _connections(node):
        moments = [at for said in _nodes(each) if (at := read_date(said.get("createdAt"), now))]
        if _dict(each.get("pageInfo")).get("hasPreviousPage") is True and moments and min(moments) > since:
            return Gap(
                since, min(moments), f"discussion {node.get('number')} of {repo} got more comments than are shown"
            )
    return None


def _connections(node: dict[str, Any]) -> list[dict[str, Any]]:
    """The comments of a discussion, and the replies to each."""
    comments = _dict(node.get("comments"))
    return [comments, *(_dict(said.get("replies")) for said in _nodes(comments))]


def _said(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Every comment and reply that has an id."""
    said = [each for connection in _connections(node) for each in _nodes(connection)]
    return [each for each in said if type(each.get("databaseId")) is int]


def _comment_ident(repo: str, number: object, said: Mapping[str, Any]) -> str:
    return f"{repo} discussion {number} comment {said['databaseId']}"


def _repository(payload: bytes, *, may_be_gone: bool = False) -> dict[str, Any]:
    """The repository of a reply, whose errors come with status 200; {} where it, or what was asked for, is gone."""
    reply = read_json(payload, _PLACE)
    errors = reply.get("errors") if isinstance(reply, dict) else None
    for error in errors if isinstance(errors, list) else ():
        kind, told = _dict(error).get("type"), plain(_dict(error).get("message"))[:300]
        if kind == "NOT_FOUND" and may_be_gone:
            return {}
        if kind == "RATE_LIMITED" or re.search("rate limit|something went wrong", told, re.IGNORECASE):
            raise Retry(f"{_PLACE} cannot answer now: {told}", payload=payload)
        if kind in ("FORBIDDEN", "INSUFFICIENT_SCOPES"):
            raise Refused(f"{_PLACE} does not let us in: {told} Check the token.", payload)
        raise Broken(f"{_PLACE}: {told or 'an error without a message'}", payload)
    found = _dict(_dict(reply).get("data")).get("repository")
    if not isinstance(found, dict):
        raise Broken(f"{_PLACE} sends JSON without a repository: its format has changed.", payload)
    return found


def _list(repository: Mapping[str, Any], what: str, payload: bytes) -> list[dict[str, Any]]:
    nodes = _dict(repository.get(what)).get("nodes")
    if not isinstance(nodes, list):
        raise Broken(f"{_PLACE} sends JSON without a list of {what}: its format has changed.", payload)
    return [_dict(node) for node in nodes]


def _nodes(connection: Mapping[str, Any]) -> list[dict[str, Any]]:
    nodes = connection.get("nodes")
    return [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
