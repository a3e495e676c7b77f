"""What keeps storing and reading fast with ten million posts."""

from __future__ import annotations

_STARS = tuple(f"stars_{star}" for star in range(1, 6))
_SUMS = ("posts", "abstained", "unread", "score_sum", "score_squares", "feedback", "satisfied", *_STARS, "rating_sum",
         "rating_squares", "late")  # fmt: skip
# The counts of each moment and sentiment side by side in one row, where trends look for them together.
_BESIDE = tuple(
    f"{kind}_{label}"
    for kind, labels in (
        ("moment", ("none", "ltzmot", "zmot", "fmot", "smot", "imot", "tmot")),
        ("sentiment", ("negative", "neutral", "positive")),
    )
    for label in labels
)


def _table(name: str, key: tuple[str, ...], sums: tuple[str, ...]) -> tuple[str, str]:
    columns = [f"{column} TEXT NOT NULL" for column in key] + [
        f"{column} INTEGER NOT NULL DEFAULT 0" for column in sums
    ]
    return (
        f"CREATE TABLE {name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(key)})) WITHOUT ROWID",
        f"CREATE INDEX {name}_empty ON {name} (posts) WHERE posts = 0",
    )


STATEMENTS = (
    # New posts enter the search index by the page, see `pages`.
    "DROP TRIGGER posts_fts_insert",
    # A year of `daily` is some 750,000 rows with twelve sources, which no trend can read in a tenth of a second. These
    # are the same counts with what is not asked for added up already.
    *_table("daily_brands", ("day", "brand"), (*_SUMS, *_BESIDE)),
    *_table("daily_sources", ("source", "day", "brand"), (*_SUMS, *_BESIDE)),
    *_table("daily_touched", ("touchpoint", "source", "day", "brand"), (*_SUMS, *_BESIDE)),
    *_table("daily_moments", ("day", "brand", "moment", "sentiment"), _SUMS),
    # The source first: what asks for moments of some sources reads those alone.
    "DROP TABLE daily",
    *_table("daily", ("source", "day", "brand", "moment", "sentiment"), _SUMS),
    # How many posts of each source are there, which takes a second to count.
    "CREATE TABLE stored (source TEXT PRIMARY KEY, posts INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO stored SELECT source, count(*) FROM posts WHERE deleted_at IS NULL GROUP BY source",
    # The rollups are made anew when the store is opened.
    "DELETE FROM meta WHERE key = 'zone'",
)
