"""Posts: found by words and filters, and one of them with the reasons for what was made of it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import Any

from listener.engine.labels import MOMENTS, PHASES, SENTIMENTS, TOUCHPOINTS
from listener.errors import ListenerError
from listener.migrations import stamp
from listener.reads import dossier, search
from listener.reads.search import PostRow
from listener.web import asking
from listener.web.choice import brands
from listener.web.site import Missing, Moved, Shown, Site

_A_PAGE = 25
_NAMES = ("brand", "phase", "moment", "sentiment", "touchpoint", "source")
LONGEST_TEXT = 20_000  # letters of a post that a page shows


async def listing(site: Site, request: Any) -> Shown:
    return await site.read(lambda reader: _listing(reader, site, request.args))


def _listing(reader: sqlite3.Connection, site: Site, args: Mapping[str, str]) -> Shown:
    chosen = {name: args.get(name) or None for name in _NAMES}
    words = (args.get("q") or "").strip()
    context: dict[str, Any] = {
        "q": words,
        "chosen": chosen,
        "since": args.get("since", ""),
        "until": args.get("until", ""),
        "brands": [name for name in brands(reader, site.config) if name],
        "sources": [name for (name,) in reader.execute("SELECT name FROM sources ORDER BY name")],
        "moments": MOMENTS,
        "phases": tuple(dict.fromkeys(PHASES.values())),
        "sentiments": SENTIMENTS,
        "touchpoints": TOUCHPOINTS,
        "posts": [],
        "said": "",
        "older": "",
    }
    try:
        since, until, before = asking.day(args, "since"), asking.day(args, "until"), _before(args.get("before", ""))
        found = search.posts(
            reader, words, **chosen, since=since, until=until, before=before, limit=_A_PAGE + 1
        )  # fmt: skip
    except ListenerError as error:
        return Shown("posts.html", {**context, "said": str(error)}, 400)
    shown = found[:_A_PAGE]
    asked = {"q": words, **chosen, "since": args.get("since"), "until": args.get("until")}
    context |= {"posts": shown, "asked": asking.query(asked), "later": bool(before)}
    if len(found) > _A_PAGE:
        context["older"] = asking.query({**asked, "before": _mark(shown[-1])})
    return Shown("posts.html", context)


def _mark(post: PostRow) -> str:
    """The place of a post in the list, for the address of the page that follows."""
    return f"{stamp(post.created_at or post.collected_at)}~{post.id}"


def _before(given: str) -> tuple[str, int] | None:
    if not given:
        return None
    mark = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)~(\d{1,18})", given, re.ASCII)
    if mark is None:
        raise ListenerError("this page of the list is not there; begin again with the newest posts")
    return mark[1], int(mark[2])


async def one(site: Site, request: Any) -> Any:
    """One post, its verdict and its copies; the address of a copy leads to the post that is counted."""
    post_id = int(request.url_vars["id"])
    found = await site.read(lambda reader: dossier.find(reader, post_id))
    if found is None:
        raise Missing("there is no such post, or it was deleted or its time was over and its words were erased")
    if found.post.id != post_id:
        return Moved(f"/posts/{found.post.id}")
    moments = sorted(found.moments.items(), key=lambda item: -item[1])
    return Shown(
        "post.html",
        {
            "post": found.post,
            "text": found.post.text[:LONGEST_TEXT],
            "left": max(0, len(found.post.text) - LONGEST_TEXT),
            "moments": moments,
            "sentiments": [(name, found.sentiments[name]) for name in SENTIMENTS if name in found.sentiments],
            "copies": found.copies,
            "judged_at": found.judged_at,
        },
    )


ROUTES = ((r"/posts$", listing), (r"/posts/(?P<id>\d{1,15})$", one))
