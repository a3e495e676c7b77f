"""What GitHub sends over REST: issues and their comments; and how it is asked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from listener.errors import Broken, Refused, Retry
from listener.http import Get, Response, read_json
from listener.records import Page, Post
from listener.sources.markdown import markdown, plain_line
from listener.sources.shared import plain, read_date

API = "https://api.github.com"
_PLACE = "api.github.com"
_PAUSE_S = 60  # what GitHub asks of those whom it does not tell how long to wait
_REPO = re.compile(r"/repos/([\w.-]+/[\w.-]+)/issues/")
_NUMBER = re.compile(r"/issues/(\d{1,15})$")
_QUOTED = re.compile(r"^ {0,3}>.*$", re.MULTILINE)  # Markdown's mark of what another one wrote


def ask(
    get: Get,
    token: str,
    path: str,
    params: Mapping[str, str] | None = None,
    *,
    etag: str = "",
    gap_s: float | None = None,
    json: Any = None,
) -> Response:
    """A reply of the interface. Raises what `get` raises; a limit that is told in words alone is a Retry as well."""
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        return get(API + path, params=params, headers=headers, etag=etag, gap_s=gap_s, json=json)
    except Refused as error:
        told = error.payload.lower()
        if error.status != 403 or not (b"rate limit" in told or b"abuse detection" in told):
            raise
        why = f"{_PLACE} says that we ask too often (403)."
        raise Retry(why, _PAUSE_S, error.payload, error.status) from error


def parse(payload: bytes, *, name: str, now: datetime, repo: str = "", pulls: bool = False) -> Page:
    """The issues or comments of a list, of a search, or a single one. Raises Broken.

    `repo` is "owner/name" in lower case, where it is known which one was asked for; `pulls` keeps pull requests too.
    """
    return page_of(items_of(payload), payload, name, now, repo, pulls)


def items_of(payload: bytes) -> list[dict[str, Any]]:
    """The issues or comments of a reply as they came. Raises Broken; Retry where a search gave up midway."""
    reply = read_json(payload, _PLACE)
    if isinstance(reply, dict) and "url" in reply:
        return [reply]
    items = reply.get("items") if isinstance(reply, dict) else reply
    if not isinstance(items, list):
        told = plain(reply.get("message"))[:200] if isinstance(reply, dict) else ""
        raise Broken(f"{_PLACE} sends JSON without a list of issues or comments. {told}".strip(), payload)
    return [item if isinstance(item, dict) else {} for item in items]


def page_of(
    items: Sequence[Mapping[str, Any]], payload: bytes, name: str, now: datetime, repo: str = "", pulls: bool = False
) -> Page:
    """A page of issues or comments as they came in `payload`. Raises Broken."""
    posts: dict[str, Post] = {}
    skipped: Counter[str] = Counter()
    for item in items:
        user = item.get("user")
        ident = _ident(item, repo)
        if not ident:
            skipped["no id"] += 1
        elif not pulls and _is_pull(item):
            skipped["pull request"] += 1
        elif isinstance(user, dict) and user.get("type") == "Bot":
            skipped["written by a bot"] += 1
        elif not (post := _post(item, ident, name, now)).text:
            skipped["no text"] += 1
        elif ident in posts:
            skipped["twice in the reply"] += 1
        else:
            posts[ident] = post
    if items and skipped["no id"] == len(items):
        raise Broken(f"{_PLACE} sends issues or comments without a number: its format has changed.", payload)
    return Page(tuple(posts.values()), skipped=dict(skipped))


def _ident(item: Mapping[str, Any], repo: str) -> str:
    """ "owner/name issue 12" or "owner/name comment 3456", "" for what is neither."""
    address = item.get("url")
    found = _REPO.search(address) if isinstance(address, str) else None
    if found is None:
        return ""
    comment = _is_comment(item)
    number = item.get("id") if comment else item.get("number")
    known = type(number) is int and 0 < number < 2**53
    return f"{repo or found[1].lower()} {'comment' if comment else 'issue'} {number}" if known else ""


def _is_comment(item: Mapping[str, Any]) -> bool:
    return "/issues/comments/" in str(item.get("url"))


def _is_pull(item: Mapping[str, Any]) -> bool:
    pull = item.get("pull_request")
    if isinstance(pull, dict):
        return any(pull.values())
    return "/pull/" in str(item.get("html_url"))  # all that a comment tells of it


def _post(item: Mapping[str, Any], ident: str, name: str, now: datetime) -> Post:
    comment, user, link, reactions = (
        _is_comment(item), item.get("user"), item.get("html_url"), item.get("reactions"),
    )  # fmt: skip
    created, updated = (read_date(item.get(key), now) for key in ("created_at", "updated_at"))
    title = "" if comment else plain_line(item.get("title"))
    of = _NUMBER.search(str(item.get("issue_url")))
    counts = {
        "comments": item.get("comments"),
        "reactions": reactions.get("total_count") if isinstance(reactions, dict) else None,
    }
    return Post(
        source=name,
        native_id=ident,
        kind="comment" if comment else "post",
        title=title,
        text=own_words(item.get("body")) or title,
        url=link if isinstance(link, str) and re.fullmatch(r"https?://\S{1,1000}", link) else "",
        author=plain(user.get("login")) if isinstance(user, dict) else "",  # absent: the account is deleted
        created_at=created,
        edited_at=updated if comment and updated != created else None,  # that of an issue moves with every comment
        engagement={what: n for what, n in counts.items() if type(n) is int and 0 <= n < 2**53},
        parent=f"{ident.split()[0]} issue {of[1]}" if comment and of else "",
    )


def own_words(body: object) -> str:
    """The text of a body in Markdown without the lines it quotes, which are another's, and without HTML comments."""
    return markdown(_QUOTED.sub("", body[:500_000])) if isinstance(body, str) else ""
