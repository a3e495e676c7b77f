"""The tables and views themselves, for analysts: what there is, and SQL that only reads."""

from __future__ import annotations

from typing import Any

from datasette.views.database import DatabaseView

from listener.web import shown
from listener.web.choice import brands
from listener.web.site import Passed, Shown, Site

_ABOUT = {
    "posts_view": "a post a row, with its brands, verdict and touchpoints",
    "trend_daily": "counts by day and brand",
    "mention_daily": "posts by day and brand",
    "touchpoint_daily": "counts by day, brand and touchpoint",
    "pair_daily": "posts that name two brands, by day",
    "posts": "the posts as they came in",
    "mentions": "which brands a post names, and the words that say so",
    "verdicts": "what the model made of each post, with its probabilities",
    "verdict_touchpoints": "the touchpoints of each post",
    "daily": "the counts behind every trend",
    "daily_touchpoints": "the counts by touchpoint",
    "daily_pairs": "the counts of pairs",
    "runs": "every fetch of every source",
    "gaps": "what a source would not show",
}
EXAMPLE = """SELECT day, posts, research, feedback
FROM trend_daily
WHERE brand = '{brand}'
ORDER BY day DESC
LIMIT 30"""


async def data(site: Site, request: Any) -> Any:
    """The list of tables; with ?sql= Datasette's own answer."""
    if request.args.get("sql"):
        return Passed(DatabaseView)
    (brand, *_) = await site.read(lambda reader: brands(reader, site.config))
    about = {name: _ABOUT[name] for name in (*shown.VIEWS, *shown.TABLES)}
    return Shown("data.html", {"about": about, "example": EXAMPLE.format(brand=brand.replace("'", "''"))})


ROUTES = ((r"/(?P<database>data)(?P<format>)$", data),)
