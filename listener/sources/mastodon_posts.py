"""The statuses that Mastodon's interface sends, read as posts."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Any

from listener.errors import Broken
from listener.http import read_json
from listener.records import Page, Post
from listener.sources.fediverse import author, text_of
from listener.sources.shared import plain, read_date

_OPTED_OUT = re.compile(r"#no(bot|index)\b", re.IGNORECASE)
_COUNTS = {"likes": "favourites_count", "boosts": "reblogs_count", "comments": "replies_count"}


def parse(payload: bytes, *, host: str, name: str, now: datetime) -> Page:
    """The posts of a timeline, of a search, or of one status, as the instance `host` sends them. Raises Broken."""
    return page_of(statuses_of(payload, host), host, name, now)


def statuses_of(payload: bytes, host: str) -> list[dict[str, Any]]:
    """The statuses as they came. Raises Broken where the reply is none that holds them."""
    reply = read_json(payload, host)
    if isinstance(reply, dict):
        reply = [reply] if "uri" in reply else reply.get("statuses")
    if not isinstance(reply, list):
        raise Broken(f"{host} sends JSON without a list of statuses: is it a Mastodon instance?", payload)
    statuses = [one if isinstance(one, dict) else {} for one in reply]
    if reply and not any(text_of(one.get("uri")) for one in statuses):
        raise Broken(f"{host} sends statuses without a uri: its format has changed.", payload)
    return statuses


def page_of(statuses: list[dict[str, Any]], host: str, name: str, now: datetime) -> Page:
    """The posts among them, and what was left out by reason."""
    posts: dict[str, Post] = {}
    skipped: Counter[str] = Counter()
    for status in statuses:
        why = _unwanted(status)
        post = None if why else _post(status, host, name, now)
        if post is None:
            skipped[why] += 1
        elif not post.text:
            skipped["no text"] += 1  # pictures alone
        elif post.native_id in posts:
            skipped["twice in the reply"] += 1
        else:
            posts[post.native_id] = post
    return Page(tuple(posts.values()), skipped=dict(skipped))


def _unwanted(status: dict[str, Any]) -> str:
    """Why a status is left out, "" for one that is not."""
    if not text_of(status.get("uri")):
        return "no id"
    if status.get("reblog"):
        return "boost"
    if status.get("visibility") != "public":
        return "not public"
    account = status.get("account")
    if isinstance(account, dict) and (account.get("noindex") is True or _OPTED_OUT.search(plain(account.get("note")))):
        return "author asks programs to stay away"
    return ""


def _post(status: dict[str, Any], host: str, name: str, now: datetime) -> Post:
    uri, url = text_of(status.get("uri")), text_of(status.get("url"))
    title = plain(status.get("spoiler_text"))
    numbers = {what: status.get(key) for what, key in _COUNTS.items()}
    account = status["account"] if isinstance(status.get("account"), dict) else {}
    known_as, _, home = text_of(account.get("acct")).partition("@")
    return Post(
        source=name,
        native_id=uri,
        federated_id=uri,
        kind="comment" if status.get("in_reply_to_id") else "post",
        title=title,
        text=plain(status.get("content")) or title,
        url=next((address for address in (url, uri) if address.startswith(("https://", "http://"))), ""),
        author=author(known_as, account.get("url"), home or host),
        created_at=read_date(status.get("created_at"), now),
        edited_at=read_date(status.get("edited_at"), now),
        engagement={what: n for what, n in numbers.items() if type(n) is int and abs(n) < 2**53},
        lang=text_of(status.get("language"))[:35],
    )
