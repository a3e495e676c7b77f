"""Review: posts that a person should look at, one after the other, what they say of each, and what that says of the
model. A correction counts at once, in every trend.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Literal

from listener.engine.labels import TOUCHPOINTS
from listener.errors import ListenerError
from listener.reads import dossier
from listener.reads import review as reviewing
from listener.reads.review import Queued
from listener.records import Correction
from listener.schedule import local_day
from listener.web import asking
from listener.web.choice import brands
from listener.web.site import Missing, Moved, Shown, Site

_QUEUE = 20
_LONGEST_TEXT = 5000  # letters
_MOST_SKIPPED = 200
_WRONG = {
    "moment": "Choose the moment that is right, and save.",
    "sentiment": "Choose the sentiment that is right, and save.",
    "brand": "If it is not about the brand, say so below.",
}
_FILTERS = ("brand", "source", "moment")


async def queue(site: Site, request: Any) -> Shown:
    """The next post of the queue, and how far one has come."""
    return await site.read(lambda reader: _next(reader, site, request.args))


def _next(reader: sqlite3.Connection, site: Site, args: Mapping[str, str]) -> Shown:
    chosen: dict[str, Any] = {name: args.get(name) or None for name in _FILTERS}
    skipped = [each for each in (args.get("skip") or "").split(",") if each.isdigit()][-_MOST_SKIPPED:]
    said = args.get("said", "")
    context: dict[str, Any] = {
        "chosen": chosen,
        "brands": [name for name in brands(reader, site.config) if name],
        "sources": [name for (name,) in reader.execute("SELECT name FROM sources ORDER BY name")],
        "today": dossier.said_on(reader, local_day(site.clock(), site.config.zone), site.config.zone),
        "said": _post(reader, int(said)) if said.isdigit() and len(said) < 16 else None,
        "agreement": reviewing.agreement(reader),
    }
    try:
        found = reviewing.queue(reader, **chosen, limit=_QUEUE + len(skipped))
    except ListenerError as error:
        return Shown("review.html", {**context, "wrong": str(error), "left": 0, "next": None}, 400)
    waiting = [each for each in found if str(each.post.id) not in skipped]
    back = asking.query({**chosen, "skip": ",".join(skipped)})
    context |= {"left": min(len(waiting), _QUEUE), "skipped": len(skipped), "back": back, "next": None}
    if waiting:
        later = ",".join([*skipped, str(waiting[0].post.id)])
        context |= {"next": _asked(waiting[0]), "skip": asking.query({**chosen, "skip": later})}
    return Shown("review.html", context)


def _asked(queued: Queued) -> dict[str, Any]:
    """What the form needs. Of a post that was drawn at random the model's guess is not told: it would lead a person."""
    post, told = queued.post, queued.why == "uncertain"
    return {
        "post": post,
        "text": post.text[:_LONGEST_TEXT],
        "cut": len(post.text) > _LONGEST_TEXT,
        "shown": queued.why,
        "text_hash": queued.text_hash,
        "moments": queued.moments if told else {},
        "moment": max(queued.moments, key=lambda name: queued.moments[name]) if told and queued.moments else "",
        "sentiment": max(queued.sentiments, key=lambda name: queued.sentiments[name])
        if told and queued.sentiments
        else "",
        "touchpoints": post.touchpoints if told else (),
        "guessed": told,
    }


async def one(site: Site, request: Any) -> Any:
    """A post that was looked up, here or by a link in a mail: its verdict as a form; with POST, what is said."""
    post_id = int(request.url_vars["id"])
    if request.method == "POST":
        return await _correct(site, request, post_id)
    return await site.read(lambda reader: _look(reader, post_id, request.args))


def _look(reader: sqlite3.Connection, post_id: int, args: Mapping[str, str]) -> Any:
    found = dossier.find(reader, post_id)
    if found is None:
        raise Missing("there is no such post: it was deleted, or its time was over and its words were erased")
    post = found.post
    if post.id != post_id:
        return Moved(f"/review/{post.id}{asking.query(dict(args.items()) if args else {})}")
    asked = {
        "post": post,
        "text": post.text[:_LONGEST_TEXT],
        "cut": len(post.text) > _LONGEST_TEXT,
        "shown": "asked",
        "text_hash": found.text_hash,
        "moments": found.moments,
        "moment": post.moment or "",
        "sentiment": post.sentiment or "",
        "touchpoints": post.touchpoints,
        "guessed": True,
    }
    context = {
        "next": asked,
        "history": reviewing.history(reader, post.id),
        "said": post if args.get("said") else None,
        "place": "mail" if args.get("wrong") in _WRONG else "page",  # the links of a digest say what is wrong
        "wrong": _WRONG.get(args.get("wrong") or "", ""),
    }
    return Shown("review_one.html", context)


async def _correct(site: Site, request: Any, post_id: int) -> Any:
    form = await request.post_vars()
    said, now = _said(form), site.clock()
    await site.write(lambda store: store.correct(post_id, said, now))
    return Moved(_back(form, post_id))


async def undo(site: Site, request: Any) -> Any:
    post_id = int(request.url_vars["id"])
    if request.method != "POST":
        return Moved(f"/review/{post_id}")
    now = site.clock()
    if not await site.write(lambda store: store.undo_correction(post_id, now)):
        raise ListenerError(
            "there is nothing to take back: nobody has corrected this post, or it was taken back before"
        )
    return Moved(f"/review/{post_id}")


def _said(form: Mapping[str, str]) -> Correction:
    """What a form says. Touchpoints count as said where they are not those that were shown."""
    touchpoints: tuple[str, ...] | None = tuple(name for name in TOUCHPOINTS if form.get(f"touchpoint_{name}"))
    if touchpoints == tuple(name for name in TOUCHPOINTS if name in (form.get("had") or "").split()):
        touchpoints = None
    shown: Literal["uncertain", "random", "asked"] = "asked"
    match form.get("shown"):
        case "uncertain":
            shown = "uncertain"
        case "random":
            shown = "random"
    return Correction(
        moment=form.get("moment") or None,
        sentiment=form.get("sentiment") or None,
        touchpoints=None if form.get("not_brand") else touchpoints,
        not_brand=form.get("not_brand") or None,
        place="mail" if form.get("place") == "mail" else "page",
        shown=shown,
        text_hash=(form.get("text_hash") or "")[:64],
    )


def _back(form: Mapping[str, str], post_id: int) -> str:
    """Where a form leads: the queue it came from, else the post."""
    back = form.get("back")
    if back is None:
        return f"/review/{post_id}?said=1"
    given = asking.pairs(back)
    kept = {name: given.get(name) for name in (*_FILTERS, "skip")}
    return f"/review{asking.query({**kept, 'said': post_id})}"


def _post(reader: sqlite3.Connection, post_id: int) -> Any:
    found = dossier.find(reader, post_id)
    return found and found.post


ROUTES = ((r"/review$", queue), (r"/review/(?P<id>\d{1,15})$", one), (r"/review/(?P<id>\d{1,15})/undo$", undo))
