"""Which tables people may read with SQL of their own, and the authorizer that holds SQLite to it."""

from __future__ import annotations

import sqlite3
from functools import partial

DATABASE = "data"  # the name under which Datasette shows it
VIEWS = ("posts_view", "trend_daily", "mention_daily", "touchpoint_daily", "pair_daily")
TABLES = (
    "posts", "mentions", "verdicts", "verdict_touchpoints", "daily", "daily_touchpoints", "daily_pairs", "runs", "gaps",
)  # fmt: skip
SHOWN = frozenset((*VIEWS, *TABLES))
LONGEST_VALUE = 8_000_000  # bytes of a text or a row that a query may make
_INDEX = ("posts_fts", "posts_fts_data", "posts_fts_idx", "posts_fts_docsize", "posts_fts_config", "posts_fts_content")
_READABLE = SHOWN | {
    *_INDEX,
    "sqlite_master",
    "sqlite_schema",
}  # and what is in them: the names and columns of all tables
# The names and columns of tables, which Datasette asks for; none of these pragmas changes anything.
_PRAGMAS = {
    "table_info", "table_xinfo", "foreign_key_list", "index_list", "index_info", "index_xinfo", "schema_version",
    "database_list", "data_version",
}  # fmt: skip
_MAY = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_TRANSACTION}


def restrict(connection: sqlite3.Connection) -> None:
    """From now on the connection reads what is shown and nothing else, whatever the query."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    connection.set_authorizer(partial(_allowed, names - _READABLE))


def _allowed(
    hidden: set[str], action: int, first: str | None, second: str | None, _: str | None, __: str | None
) -> int:
    # The last argument names the view through which a table is read. It is of no use: a query may call any part of
    # itself by that name. So a view is shown only where all that it is made of is.
    if action in _MAY:
        allowed = not (action == sqlite3.SQLITE_FUNCTION and second == "load_extension")
    elif action == sqlite3.SQLITE_READ:
        # Rows that are only counted have no column; so counted are parts of the query itself, which have any name.
        allowed = first in _READABLE or (not second and first not in hidden)
    elif action == sqlite3.SQLITE_PRAGMA:
        allowed = first in _PRAGMAS
    elif action == sqlite3.SQLITE_UPDATE:
        allowed = first == "sqlite_master"  # how SQLite takes up a virtual table; the file is open for reading only
    else:
        allowed = False
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
