"""The brands and days that there are to choose from, and the choice an address makes of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from listener import trends
from listener.config import Config
from listener.reads import search
from listener.schedule import local_day
from listener.web import asking
from listener.web.asking import Span
from listener.web.site import Site


def brands(reader: sqlite3.Connection, config: Config) -> list[str]:
    """The brands of the configuration, our own first, then others that stored posts name; [""] where there is none."""
    named = sorted(config.brands, key=lambda brand: brand.role != "own")
    known = dict.fromkeys(brand.name for brand in named)
    return [*known, *(name for name in search.brands(reader) if name not in known)] or [""]


def asked(reader: sqlite3.Connection, site: Site, args: Mapping[str, str]) -> tuple[Span, list[str]]:
    """The brand and days that an address asks for, and the brands there are."""
    names = brands(reader, site.config)
    today = local_day(site.clock(), site.config.zone)
    return asking.span(args, names, trends.days(reader)[1], today), names
