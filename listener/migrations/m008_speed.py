"""What keeps storing and reading fast with ten million posts."""

from __future__ import annotations

STATEMENTS = (
    # New posts enter the search index by the page, see `pages`.
    "DROP TRIGGER posts_fts_insert",
)
