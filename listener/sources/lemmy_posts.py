"""The posts and comments that Lemmy's interface sends, in the shapes of API v3 (0.19) and v4 (1.0)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from listener.errors import Broken
from listener.http import read_json
from listener.records import Page, Post
from listener.sources.fediverse import author, text_of
from listener.sources.markdown import markdown, plain_line
from listener.sources.shared import read_date

_LISTS = ("posts", "comments", "items", "search", "results")  # v4 names its lists anew from one beta to the next
_SINGLE = ("post_view", "comment_view")
_NO_POSTS = ("community", "person", "multi_community")  # what a search of v4 finds beside posts and comments
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]+(?:\s[^()]*)?\)")  # of Markdown; its words are kept


def parse(payload: bytes, *, host: str, name: str, now: datetime) -> Page:
    """The posts and comments of one reply of the instance `host`, and those it shows as deleted. Raises Broken."""
    return page_of(views_of(payload, host), host, name, now)


def views_of(payload: bytes, host: str) -> list[dict[str, Any]]:
    """The views as they came: each a post or comment with its author. Raises Broken where the reply holds none."""
    reply = read_json(payload, host)
    told = reply if isinstance(reply, dict) else {}
    lists = [told[key] for key in _LISTS if isinstance(told.get(key), list)]
    lists += [[told[key]] for key in _SINGLE if isinstance(told.get(key), dict)]
    if not lists:
        raise Broken(f"{host} sends JSON without posts or comments: is it a Lemmy instance?", payload)
    views = [view if isinstance(view, dict) else {} for views in lists for view in views]
    views = [view for view in views if view.get("type_") not in _NO_POSTS]
    if views and not any(text_of(item_of(view).get("ap_id")) for view in views):
        raise Broken(f"{host} sends posts without an ap_id: its format has changed.", payload)
    return views


def item_of(view: Mapping[str, Any]) -> Mapping[str, Any]:
    """The comment of a view, which holds the post it stands under as well; else its post."""
    return next((view[key] for key in ("comment", "post") if isinstance(view.get(key), dict)), {})


def written(view: Mapping[str, Any], now: datetime) -> datetime | None:
    """When it was written. Before 0.19.4 the time comes without its zone, which is UTC."""
    item = item_of(view)
    return read_date(item.get("published_at") or item.get("published"), now)


def page_of(views: list[dict[str, Any]], host: str, name: str, now: datetime) -> Page:
    """The posts among them, those that are gone, and what was left out by reason."""
    posts: dict[str, Post] = {}
    deleted: list[str] = []
    skipped: Counter[str] = Counter()
    for view in views:
        item = item_of(view)
        ap_id = text_of(item.get("ap_id"))
        if not ap_id:
            skipped["no id"] += 1
        elif item.get("deleted") is True or item.get("removed") is True:  # by its author, or by a moderator
            deleted.append(ap_id)
        elif ap_id in posts:
            skipped["twice in the reply"] += 1
        else:
            post = _post(view, ap_id, host, name, now)
            if post.text:
                posts[ap_id] = post
            else:
                skipped["no text"] += 1
    return Page(tuple(posts.values()), skipped=dict(skipped), deleted=tuple(dict.fromkeys(deleted)))


def _post(view: Mapping[str, Any], ap_id: str, host: str, name: str, now: datetime) -> Post:
    item, creator = item_of(view), view["creator"] if isinstance(view.get("creator"), dict) else {}
    comment = isinstance(view.get("comment"), dict)
    title = "" if comment else plain_line(item.get("name"))
    text = _LINK.sub(r"\1", markdown(item.get("content") if comment else item.get("body")))
    return Post(
        source=name,
        native_id=ap_id,
        federated_id=ap_id,
        kind="comment" if comment else "post",
        title=title,
        text=text.strip() or title,
        url=ap_id if ap_id.startswith(("https://", "http://")) else "",
        author=author(text_of(creator.get("name")), creator.get("ap_id") or creator.get("actor_id"), host),
        created_at=written(view, now),
        edited_at=read_date(item.get("updated_at") or item.get("updated"), now),
        engagement=dict(_counts(view, item)),
        parent=_parent(view, item) if comment else "",
    )


def _counts(view: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """v3 keeps the counts beside the post, v4 in it."""
    counts = view["counts"] if isinstance(view.get("counts"), dict) else item
    for what, keys in {"score": ("score",), "comments": ("comments", "child_count")}.items():
        number = next((counts[key] for key in keys if type(counts.get(key)) is int), None)
        if number is not None and abs(number) < 2**53:
            yield what, number


def _parent(view: Mapping[str, Any], comment: Mapping[str, Any]) -> str:
    """The post above a comment of the first level ("0.17"); below that the one above has a local id only."""
    post, path = view.get("post"), str(comment.get("path"))
    return text_of(post.get("ap_id")) if isinstance(post, dict) and path.count(".") == 1 else ""
