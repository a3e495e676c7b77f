"""The pictures as data, for a script to draw where there is one; the tables on the page say the same."""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from datasette.utils.asgi import Response

from listener import charts, trends
from listener.charts import Spec, Theme
from listener.reads import journey
from listener.web import asking
from listener.web.choice import asked
from listener.web.site import Missing, Site

_NARROWEST, _WIDEST, _USUAL = 300, 1200, 640
_MAKE = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"
_SCRIPT = "text/javascript; charset=utf-8"
_PADDING = 32  # that a picture has of its own, and none on the page
PICTURES = ("journey", "phases", "sentiment", "touchpoints", "voice", "net")


async def picture(site: Site, request: Any) -> Any:
    """A Vega-Lite specification of the width that is asked for, and for a light or a dark page."""
    name = request.url_vars["name"]
    if name not in PICTURES:
        raise Missing(f"there is no picture {name!r}")
    spec = await site.read(lambda reader: _spec(reader, site, name, request.args))
    spec.pop("title", None)  # the page has a heading of its own
    return Response.json({**spec, "background": None, "padding": {"left": 0, "right": 0, "top": 8, "bottom": 4}})


def _spec(reader: sqlite3.Connection, site: Site, name: str, args: Mapping[str, str]) -> Spec:
    span, names = asked(reader, site, args)
    theme: Theme = "dark" if args.get("theme") == "dark" else "light"
    width = max(_NARROWEST, asking.number(args, "width", _USUAL, _WIDEST)) + _PADDING
    if name == "journey":
        return charts.journey(journey.moments(reader, span.over), theme=theme, width=width)
    if name == "touchpoints":
        return charts.touchpoints(journey.touchpoints(reader, span.over), theme=theme, width=width)
    wanted = [each for each in names if each] if name in ("voice", "net") else [span.over.brand]
    over = {"since": span.over.since, "until": span.over.until}
    there = [each for each in wanted if not each or each in trends.brands(reader)]
    by = span.by(journey.total(reader, span.over).posts)
    rows = trends.trends(reader, by=by, brands=there, **over) if there else []
    draw = {"phases": charts.phases, "sentiment": charts.sentiment, "voice": charts.voice, "net": charts.net}[name]
    return draw(rows, theme=theme, width=width)


def script_address() -> str:
    """Where the script is; it changes with its version. Empty where the package that carries it is not installed."""
    try:
        return f"/look/vega.js?v={version('vl-convert-python')}"
    except PackageNotFoundError:
        return ""


async def script(site: Site, request: Any) -> Any:
    """Vega, Vega-Lite and Vega-Embed, from the package that carries them: no other host is asked for anything."""
    whole, packed = await asyncio.to_thread(bundle)
    headers = {"vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, 200, {**headers, "content-encoding": "gzip"}, _SCRIPT)
    return Response(whole, 200, headers, _SCRIPT)


@cache
def bundle() -> tuple[bytes, bytes]:
    """The script, and the same packed. Made once, by a process of its own: it takes seconds, and all threads of a
    process would wait for it.
    """
    made = subprocess.run([sys.executable, "-c", _MAKE], check=True, capture_output=True)  # noqa: S603
    whole = made.stdout
    return whole, gzip.compress(whole, 6, mtime=0)


ROUTES = ((r"/picture/(?P<name>[a-z]+)\.json$", picture), (r"/look/vega\.js$", script))
