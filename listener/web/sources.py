"""Sources: how each is doing, what each fetch came to, and what a source would not show."""

from __future__ import annotations

import sqlite3
from typing import Any

from listener.reads import health
from listener.web.site import Missing, Shown, Site

_RUNS = 60


async def listing(site: Site, request: Any) -> Shown:
    now = site.clock()
    return Shown("sources.html", {"sources": await site.read(lambda reader: health.source_health(reader, now))})


async def one(site: Site, request: Any) -> Shown:
    name, now = request.args.get("name") or "", site.clock()

    def look(reader: sqlite3.Connection) -> dict[str, Any] | None:
        found = next((each for each in health.source_health(reader, now) if each.name == name), None)
        if found is None:
            return None
        return {"source": found, "runs": health.runs(reader, name, _RUNS), "gaps": health.gaps(reader, name, _RUNS)}

    context = await site.read(look)
    if context is None:
        raise Missing(f"there is no source {name!r} here")
    return Shown("source.html", context)


ROUTES = ((r"/sources$", listing), (r"/sources/one$", one))
