"""What keeps a year of touchpoints fast to read, and the marks of copies fast to write, with ten million posts."""

from __future__ import annotations

from listener.migrations.m008_speed import _BESIDE, _SUMS, _table

_EVERY = (*_SUMS, *_BESIDE)

STATEMENTS = (
    # A post counts for its touchpoints as it does elsewhere, so that one rollup has every figure of them.
    "DROP VIEW touchpoint_contributions",
    """CREATE VIEW touchpoint_contributions AS
    SELECT c.*, t.touchpoint FROM contributions c JOIN verdict_touchpoints t ON t.post_id = c.post_id""",
    # By source and sentiment these were a million rows a year. Now `daily_touched` has them by source, and for longer
    # than a month `monthly_touched`; here is what most people ask, without the source.
    "DROP VIEW touchpoint_daily",
    "DROP TABLE daily_touchpoints",
    *_table("daily_touchpoints", ("touchpoint", "day", "brand"), _EVERY),
    *_table("monthly_touched", ("touchpoint", "source", "month", "brand"), _EVERY),
    """CREATE VIEW touchpoint_daily AS
    SELECT day, brand, touchpoint, posts, sentiment_positive AS positive, sentiment_neutral AS neutral,
        sentiment_negative AS negative, score_sum / 1000000.0 / nullif(posts - unread, 0) AS score,
        stars_1 + stars_2 + stars_3 + stars_4 + stars_5 AS rated,
        rating_sum / 1000000.0 / nullif(stars_1 + stars_2 + stars_3 + stars_4 + stars_5, 0) AS rating
    FROM daily_touchpoints""",
    # The hours are worked out where the posts are read for all rollups, see `rollups`.
    "DROP VIEW hourly_contributions",
    "DROP VIEW hourly_touchpoint_contributions",
    # The marks that copies have in common were spread over the whole of their index, so that a page of posts wrote to
    # thousands of places. Now they stand in the order of the weeks they were written in. They are made anew when the
    # store is opened, see `copies`.
    "DROP TABLE signatures",
    "CREATE TABLE signatures (post_id INTEGER PRIMARY KEY, bands TEXT NOT NULL)",
    "CREATE TABLE bands (band INTEGER NOT NULL, post_id INTEGER NOT NULL, PRIMARY KEY (band, post_id)) WITHOUT ROWID",
    "DROP INDEX posts_author",
    # Pieces of the search index are put together when there are twice as many as usual, so that each word is written
    # half as often; at 64 at once, should that not keep up.
    "INSERT INTO posts_fts (posts_fts, rank) VALUES ('automerge', 8)",
    "INSERT INTO posts_fts (posts_fts, rank) VALUES ('crisismerge', 64)",
    # The rollups are made anew when the store is opened.
    "DELETE FROM meta WHERE key = 'zone'",
)
