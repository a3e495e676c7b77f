"""Counts by the hour a post was written in, for alerts; and the alerts themselves, one row an event."""

from __future__ import annotations

# `lag`: hours from the hour it was written in to that in which it was collected. By it the count of an earlier week can
# be asked for as it was known then, which is what the present, of which posts are still to come, may be compared with.
_WHEN = """substr(p.created_at, 1, 13) AS hour,
        min(max(strftime('%s', p.collected_at) / 3600 - strftime('%s', p.created_at) / 3600, 0), 168) AS lag"""

_WHAT = "1 AS posts, v.sentiment = 'negative' AND NOT v.unread AS negative, v.unread"

# Posts of untold date would all fall into the hour of their fetch, which after an outage looks like a rise.
_LIVE = "p.created_at IS NOT NULL AND p.deleted_at IS NULL AND p.copy_of IS NULL"

# Two views of one table: SQLite does not carry the choice of some posts into the halves of a union.
_VIEWS = (
    f"""CREATE VIEW hourly_contributions AS
    SELECT p.id AS post_id, coalesce(m.brand, '') AS brand, '' AS touchpoint, {_WHEN}, p.source, {_WHAT}
    FROM posts p JOIN verdicts v ON v.post_id = p.id LEFT JOIN mentions m ON m.post_id = p.id WHERE {_LIVE}""",
    f"""CREATE VIEW hourly_touchpoint_contributions AS
    SELECT p.id AS post_id, coalesce(m.brand, '') AS brand, t.touchpoint, {_WHEN}, p.source, {_WHAT}
    FROM posts p JOIN verdicts v ON v.post_id = p.id JOIN verdict_touchpoints t ON t.post_id = p.id
    LEFT JOIN mentions m ON m.post_id = p.id WHERE {_LIVE}""",
)

STATEMENTS = (
    # `touchpoint` is '' for all posts of a brand; `hour` is UTC, '2026-11-22T06'.
    """CREATE TABLE hourly (
        brand TEXT NOT NULL, touchpoint TEXT NOT NULL, hour TEXT NOT NULL, lag INTEGER NOT NULL, source TEXT NOT NULL,
        posts INTEGER NOT NULL, negative INTEGER NOT NULL, unread INTEGER NOT NULL,
        PRIMARY KEY (brand, touchpoint, hour, lag, source)
    ) WITHOUT ROWID""",
    "CREATE INDEX hourly_empty ON hourly (posts) WHERE posts = 0",
    *_VIEWS,
    *(
        f"INSERT INTO hourly SELECT brand, touchpoint, hour, lag, source, sum(posts), sum(negative), sum(unread)"
        f" FROM {view} GROUP BY brand, touchpoint, hour, lag, source"
        for view in ("hourly_contributions", "hourly_touchpoint_contributions")
    ),
    # An event: what it is about (kind, brand, about), since when, and what it was found by (JSON, see `alerts`).
    # `began_at` is the start of the hours that stood out.
    """CREATE TABLE alerts (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, brand TEXT NOT NULL, about TEXT NOT NULL, began_at TEXT NOT NULL,
        noticed_at TEXT NOT NULL, ended_at TEXT, found TEXT NOT NULL
    )""",
    "CREATE UNIQUE INDEX alerts_open ON alerts (kind, brand, about) WHERE ended_at IS NULL",
    "CREATE INDEX alerts_noticed ON alerts (noticed_at)",
)
