"""Brands: the query of each, and a query tried on stored posts before it is used."""

from __future__ import annotations

import sqlite3
from itertools import islice
from typing import Any

from listener import backtest
from listener import query as language
from listener.errors import ListenerError
from listener.reads import search
from listener.web.site import Shown, Site

_POSTS = 20_000  # the newest, so that an answer comes within seconds
_SAMPLES = 24
_LONGEST_QUERY = 5000


async def brands(site: Site, request: Any) -> Shown:
    """The brands of the configuration; with ?query=, what that finds."""
    authors = site.config.privacy.authors
    own = [(each, each.query or str(" OR ".join(f'"{word}"' for word in (each.name, *each.aliases)))) for each in
           site.config.brands]  # fmt: skip
    given = (request.args.get("query") or "").strip()
    context: dict[str, Any] = {"own": own, "given": given, "tried": None, "said": ""}
    if not given:
        return Shown("brands.html", context)
    try:
        if len(given) > _LONGEST_QUERY:
            raise ListenerError(f"the query is longer than {_LONGEST_QUERY} letters")
        compiled = language.compile_query(given, authors)
    except ListenerError as error:
        return Shown("brands.html", {**context, "said": str(error)}, 400)

    def look(reader: sqlite3.Connection) -> backtest.Backtest:
        return backtest.run(compiled, islice(search.stream(reader), _POSTS), _SAMPLES)

    tried = await site.read(look)
    return Shown("brands.html", {**context, "tried": tried, "all": tried.posts < _POSTS})


ROUTES = ((r"/brands$", brands),)
