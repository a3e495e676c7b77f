"""How things are written on the page: the filters and words that templates use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from listener.config import Config
from listener.engine.labels import MOMENT_NAMES, MOMENTS, PHASES, SENTIMENTS, TOUCHPOINTS
from listener.migrations import moment_of
from listener.reads.counts import Interval
from listener.reads.search import PostRow
from listener.web import asking
from listener.wording import capital, count, cut, short_day, span, web_address
from listener.wording import clock as said_clock

STEPS = {"ltzmot": "Trigger", "zmot": "Research", "fmot": "First sight", "smot": "Purchase", "imot": "Waiting",
         "tmot": "Feedback"}  # fmt: skip
MOMENT_WORDS = {**STEPS, "none": "None"}
SENTIMENT_WORDS = {"negative": "Negative", "neutral": "Neutral", "positive": "Positive"}
_LOOK = Path(__file__).parent / "look"


def equip(jinja: Any, config: Config, clock: Callable[[], datetime]) -> None:
    """Gives the templates of an application their filters."""

    def when(moment: datetime | None) -> str:
        """ "Tue 24 Nov 2026, 08:10", in the configured zone."""
        if moment is None:
            return "never"
        local = moment.astimezone(config.zone)
        return f"{day(local.date())}, {local:%H:%M}"

    def lately(moment: datetime | None) -> str:
        """ "08:10" of today, "yesterday 23:40", "Thu 19 Nov, 08:10"."""
        return said_clock(moment, clock().astimezone(config.zone).date(), config.zone) if moment else "never"

    def stamped(text: str) -> str:
        return when(moment_of(text))

    jinja.filters.update(
        stamped=stamped, lately=lately,
        count=count, cut=cut, day=day, when=when, share=share, net=net, per_cent=per_cent, signed=signed,
        web=web_address, capital=capital, touchpoint=touchpoint, parts=parts, span=span, brand=brand,
    )  # fmt: skip
    jinja.globals.update(
        look=look_address, moment_words=MOMENT_WORDS, moment_names=MOMENT_NAMES, sentiment_words=SENTIMENT_WORDS,
        phases=PHASES, all_touchpoints=TOUCHPOINTS, all_moments=MOMENTS,
        all_sentiments=SENTIMENTS, judged=judged, query=query,
    )  # fmt: skip


@cache
def look_address(name: str) -> str:
    """The address of a file of ours; it changes with the file, which browsers may keep for ever."""
    return f"/look/{name}?v={hashlib.sha256((_LOOK / name).read_bytes()).hexdigest()[:12]}"


def day(at: date) -> str:
    """ "Tue 24 Nov 2026"."""
    return f"{short_day(at)} {at.year}"


def query(of: Mapping[str, Any], **more: Any) -> str:
    return asking.query({**of, **more})


def brand(name: str) -> str:
    return name or "posts that name no brand"


def share(of: Interval) -> str:
    """ "21% (18 to 24)"; of few posts nothing is said."""
    if of.value is None or of.low is None or of.high is None:
        return "–"
    return f"{of.value:.0%} ({of.low * 100:.0f} to {of.high * 100:.0f})" if of.enough else "too few"


def net(of: Interval) -> str:
    """ "+0.21", or that there are too few posts to say it."""
    return signed(of.value) if of.enough or of.value is None else "too few"


def per_cent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def signed(value: float | None) -> str:
    """ "+0.21", with a minus that is one."""
    return "–" if value is None else f"{value:+.2f}".replace("-", "−")


def touchpoint(name: str) -> str:
    return {"website_app": "website or app"}.get(name, name)


def parts(sentiments: Mapping[str, int], of: int = 0) -> list[tuple[str, float, float]]:
    """The bar of some sentiments: (sentiment, where it begins, how long it is), in per cent of `of` posts."""
    whole = of or sum(sentiments.values())
    found, at = [], 0.0
    for name in ("negative", "neutral", "positive"):
        length = 100 * sentiments.get(name, 0) / whole if whole else 0.0
        if length:
            found.append((name, round(at, 2), round(length, 2)))
        at += length
    return found


def judged(post: PostRow) -> str:
    """What was made of a post, in a word or two: its moment, or why it has none."""
    if post.moment is None:
        return "Waiting for a verdict"
    if post.unread:
        return "Not read"
    return "Unsure" if post.abstained else MOMENT_WORDS[post.moment]
