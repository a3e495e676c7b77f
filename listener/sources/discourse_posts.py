"""What Discourse sends: posts of a list, a topic or on their own, and the hits of a search."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeGuard

from listener.errors import Broken, Retry
from listener.http import read_json
from listener.records import Page, Post
from listener.sources.shared import plain, read_date

_LIKE = 2  # Discourse's number for that kind of action
_ASIDE = re.compile(r"(</?aside\b[^>]{0,2000}>)", re.IGNORECASE)
_MAX_MARKUP = 500_000


def parse(payload: bytes, *, forum: str, name: str, now: datetime, title: str = "") -> Page:
    """The posts of /posts.json, of a topic or of a single post; `title` is the topic's, which only the first one tells.

    What was hidden, or taken back by its author, is `deleted`. Raises Broken.
    """
    return page_of(items_of(payload, key_of(forum)), payload, forum, name, now, title)


def items_of(payload: bytes, place: str) -> list[dict[str, Any]]:
    """The posts of a reply as they came. Raises Broken, which names `place`."""
    reply = read_json(payload, place)
    if isinstance(reply, dict):
        stream = reply.get("post_stream")
        found = reply.get("latest_posts", stream.get("posts") if isinstance(stream, dict) else None)
        if isinstance(found, list):
            return [item if isinstance(item, dict) else {} for item in found]
        if "cooked" in reply:
            return [reply]
    raise Broken(f"{place} sends JSON without a list of posts; is it a forum that runs on Discourse?", payload)


def hits_of(payload: bytes, place: str) -> tuple[list[dict[str, Any]], dict[int, str], bool]:
    """The hits of a search, the titles of their topics, and whether there are more. Raises Retry or Broken."""
    reply = read_json(payload, place)
    outcome = reply.get("grouped_search_result") if isinstance(reply, dict) else None
    if not isinstance(outcome, dict):
        raise Broken(f"{place} sends JSON that is no result of a search; does it run on Discourse?", payload)
    if outcome.get("error"):  # with status 200 and no posts
        raise Retry(f"{place} is too busy to search: {plain(outcome['error'])[:200]}", payload=payload)
    posts, topics = (reply.get(key) if isinstance(reply.get(key), list) else [] for key in ("posts", "topics"))
    hits = [hit for hit in posts if isinstance(hit, dict) and is_id(hit.get("id")) and is_id(hit.get("topic_id"))]
    if posts and not hits:
        raise Broken(f"{place} finds posts without an id: its format has changed.", payload)
    known = (topic for topic in topics if isinstance(topic, dict) and is_id(topic.get("id")))
    titles = {topic["id"]: plain(topic.get("title")) for topic in known}
    return hits, titles, outcome.get("more_full_page_results") is True


def page_of(
    items: Sequence[Mapping[str, Any]], payload: bytes, forum: str, name: str, now: datetime, title: str = ""
) -> Page:
    """A page of posts as they came in `payload`. Raises Broken."""
    posts: dict[str, Post] = {}
    deleted: list[str] = []
    skipped: Counter[str] = Counter()
    for item in items:
        native_id = f"{key_of(forum)}/{item.get('id')}"
        if not is_id(item.get("id")):
            skipped["no id"] += 1
        elif item.get("hidden") is True or item.get("user_deleted") is True or item.get("deleted_at"):
            deleted.append(native_id)
        elif item.get("post_type", 1) != 1:
            skipped["notice of the forum"] += 1  # "closed this topic", and what moderators decree
        elif not (post := _post(item, native_id, forum, name, now, title)).text:
            skipped["no text"] += 1
        elif native_id in posts:
            skipped["twice in the reply"] += 1
        else:
            posts[native_id] = post
    if items and skipped["no id"] == len(items):
        raise Broken(f"{key_of(forum)} sends posts without an id: its format has changed.", payload)
    return Page(tuple(posts.values()), skipped=dict(skipped), deleted=tuple(dict.fromkeys(deleted)))


def _post(item: Mapping[str, Any], native_id: str, forum: str, name: str, now: datetime, title: str) -> Post:
    number, topic, slug = item.get("post_number"), item.get("topic_id"), item.get("topic_slug")
    slug = f"{slug}/" if isinstance(slug, str) and re.fullmatch(r"[\w%-]{1,300}", slug) else ""
    actions = item.get("actions_summary")
    done = (each for each in actions if isinstance(each, dict)) if isinstance(actions, list) else ()
    counts = {
        "likes": next((each.get("count") for each in done if each.get("id") == _LIKE), 0),
        "replies": item.get("reply_count"),
    }
    title = (title or plain(item.get("topic_title"))) if number == 1 else ""
    version = item.get("version")
    return Post(
        source=name,
        native_id=native_id,
        kind="post" if number == 1 else "comment",
        title=title,
        text=plain(_own_words(item.get("cooked"))) or title,
        url=f"{forum}/t/{slug}{topic}/{number}" if is_id(topic) and is_id(number) else "",
        author=plain(item.get("username")),
        created_at=read_date(item.get("created_at"), now),
        # `updated_at` moves with every like; the version with edits alone.
        edited_at=read_date(item.get("updated_at"), now) if type(version) is int and version > 1 else None,
        engagement={what: n for what, n in counts.items() if type(n) is int and 0 <= n < 2**31},
    )


def _own_words(cooked: object) -> str:
    """The HTML of a post without its asides: quotes of other posts, and previews of pages that are linked to."""
    depth, kept = 0, []
    for piece in _ASIDE.split(cooked[:_MAX_MARKUP]) if isinstance(cooked, str) else ():
        if piece[:7].lower() == "</aside":
            depth = max(0, depth - 1)
        elif piece[:6].lower() == "<aside":
            depth += 1
        elif not depth:
            kept.append(piece)
    return "".join(kept)


def is_id(value: object) -> TypeGuard[int]:
    """Whether it is a number that names a post, a topic or the place of a post in it."""
    return type(value) is int and 0 < value < 2**53


def key_of(forum: str) -> str:
    """The forum as it stands in ids and messages: its address without https://."""
    return forum.split("://", 1)[-1]
