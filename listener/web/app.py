"""Datasette with our pages in front of it, for one database."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm

from listener.config import Config
from listener.web import plugin
from listener.web.door import Door
from listener.web.forms import equip
from listener.web.shown import DATABASE, SHOWN
from listener.web.site import Site

_HERE = Path(__file__).parent
_SETTINGS = {
    "sql_time_limit_ms": 5000,
    "truncate_cells_html": 240,
    "facet_time_limit_ms": 500,
    "max_returned_rows": 1000,
    "default_page_size": 50,
    "allow_download": False,
    "suggest_facets": False,  # it tries every column of every row; a facet is there for who asks for it
    "default_cache_ttl": 0,
    "num_sql_threads": 3,
}

pm.register(plugin, "listener")


class Tables(Database):  # type: ignore[misc]
    """The database as Datasette sees it: without the tables that are not shown."""

    async def table_names(self) -> list[str]:
        return [name for name in await super().table_names() if name in SHOWN]

    async def foreign_keys_for_table(self, table: str) -> list[dict[str, Any]]:
        return await self._whole(await super().foreign_keys_for_table(table))

    async def get_all_foreign_keys(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        found = await super().get_all_foreign_keys()
        return {
            table: {side: await self._whole(links) for side, links in sides.items()}
            for table, sides in found.items()
            if table in SHOWN
        }

    async def _whole(self, links: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Links to what is shown, with the key that `REFERENCES posts` leaves unsaid, and Datasette does not know."""
        shown = [link for link in links if link["other_table"] in SHOWN]
        return [
            link
            if link["other_column"]
            else {**link, "other_column": (await self.primary_keys(link["other_table"]))[0]}
            for link in shown
        ]


class Page(Datasette):  # type: ignore[misc]
    """The application of one database."""

    def __init__(self, site: Site) -> None:
        self.site = site
        super().__init__(
            template_dir=str(_HERE / "templates"), static_mounts=[("look", str(_HERE / "look"))], settings=_SETTINGS,
            secret=site.secret, metadata={"databases": {DATABASE: {"title": "A query"}}},
        )  # fmt: skip
        self.remove_database("_memory")
        self.add_database(Tables(self, str(site.config.database)), name=DATABASE)
        equip(self.jinja_env, site.config, site.clock)


def _secret(password: str) -> str:
    """What forms and logins are signed with. Of the password, where there is one: a restart logs nobody out."""
    if not password:
        return secrets.token_hex(32)
    return hashlib.scrypt(password.encode(), salt=b"listener page", n=2**14, r=8, p=1).hex()


def build(config: Config, door: Door, clock: Callable[[], datetime]) -> Page:
    """The page of the configured database. Raises StoreError when that cannot be read."""
    site = Site(config, door, clock, _secret(door.password))
    site._read(lambda reader: None)
    return Page(site)
