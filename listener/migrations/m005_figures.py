"""Ratings, spread, late posts and pairs of brands in the rollups; what is known of a model's errors."""

from __future__ import annotations

_STARS = tuple(f"stars_{star}" for star in range(1, 6))
_RATED = " + ".join(_STARS)

# The sum and the sum of squares of a figure give its mean and how sure that is, without a look at the posts. Both are
# in millionths, integers: adding and taking away stays exact for ever. A rating is a share, 0..1; its star is 1..5.
_SUMS = (
    *((column, "daily") for column in ("score_squares", *_STARS, "rating_sum", "rating_squares", "late")),
    *(
        (column, "daily_touchpoints")
        for column in ("score_sum", "score_squares", "rated", "rating_sum", "rating_squares")
    ),
)

_RATING = """coalesce(CAST(round(p.rating * 1000000) AS INTEGER), 0) AS rating_sum,
        coalesce(CAST(round(p.rating * p.rating * 1000000) AS INTEGER), 0) AS rating_squares"""

_SCORE = """CASE WHEN v.unread THEN 0 ELSE CAST(round(v.score * 1000000) AS INTEGER) END AS score_sum,
        CASE WHEN v.unread THEN 0 ELSE CAST(round(v.score * v.score * 1000000) AS INTEGER) END AS score_squares"""

_EACH_STAR = ",\n        ".join(
    f"coalesce(CAST(round(p.rating * 4) AS INTEGER) + 1 = {star}, 0) AS stars_{star}" for star in range(1, 6)
)

# A sum over no rows is NULL, and whoever adds such counts up would lose the rest.
_COUNTED = f"""sum(posts) AS posts,
        coalesce(sum(posts) FILTER (WHERE moment IN ('ltzmot', 'zmot', 'fmot')), 0) AS research,
        coalesce(sum(posts) FILTER (WHERE moment IN ('smot', 'imot')), 0) AS "transaction",
        coalesce(sum(posts) FILTER (WHERE moment = 'tmot'), 0) AS feedback,
        coalesce(sum(posts) FILTER (WHERE moment = 'none'), 0) AS none,
        sum(abstained) AS abstained, sum(unread) AS unread,
        coalesce(sum(posts) FILTER (WHERE sentiment = 'positive'), 0) AS positive,
        coalesce(sum(posts) FILTER (WHERE sentiment = 'neutral'), 0) AS neutral,
        coalesce(sum(posts) FILTER (WHERE sentiment = 'negative'), 0) AS negative,
        sum(score_sum) / 1000000.0 / nullif(sum(posts) - sum(unread), 0) AS score,
        1.0 * sum(satisfied) / nullif(sum(feedback), 0) AS csat, sum(feedback) AS csat_n,
        sum({_RATED}) AS rated, sum(rating_sum) / 1000000.0 / nullif(sum({_RATED}), 0) AS rating,
        sum(late) AS late"""

_VIEWS = (
    "DROP VIEW contributions",
    f"""CREATE VIEW contributions AS
    SELECT p.id AS post_id, p.day, coalesce(m.brand, '') AS brand, p.source,
        CASE WHEN v.abstained THEN '' ELSE v.moment END AS moment,
        CASE WHEN v.unread THEN '' ELSE v.sentiment END AS sentiment, 1 AS posts, v.abstained, v.unread,
        {_SCORE},
        p.rating IS NOT NULL OR (v.moment = 'tmot' AND NOT v.abstained) AS feedback,
        CASE WHEN p.rating IS NOT NULL THEN p.rating >= 0.75
            ELSE v.moment = 'tmot' AND NOT v.abstained AND v.sentiment = 'positive' END AS satisfied,
        {_EACH_STAR},
        {_RATING}, p.late
    FROM posts p JOIN verdicts v ON v.post_id = p.id LEFT JOIN mentions m ON m.post_id = p.id
    WHERE p.deleted_at IS NULL AND p.copy_of IS NULL""",
    "DROP VIEW touchpoint_contributions",
    f"""CREATE VIEW touchpoint_contributions AS
    SELECT p.id AS post_id, p.day, coalesce(m.brand, '') AS brand, p.source, t.touchpoint, v.sentiment, 1 AS posts,
        {_SCORE},
        p.rating IS NOT NULL AS rated, {_RATING}
    FROM posts p JOIN verdicts v ON v.post_id = p.id JOIN verdict_touchpoints t ON t.post_id = p.id
    LEFT JOIN mentions m ON m.post_id = p.id WHERE p.deleted_at IS NULL AND p.copy_of IS NULL""",
    """CREATE VIEW pair_contributions AS
    SELECT p.id AS post_id, p.day, m.brand, o.brand AS other, p.source, 1 AS posts,
        v.moment IN ('ltzmot', 'zmot', 'fmot') AND NOT v.abstained AS research
    FROM posts p JOIN verdicts v ON v.post_id = p.id JOIN mentions m ON m.post_id = p.id
    JOIN mentions o ON o.post_id = p.id AND o.brand > m.brand
    WHERE p.deleted_at IS NULL AND p.copy_of IS NULL""",
    "DROP VIEW trend_daily",
    f"CREATE VIEW trend_daily AS SELECT day, brand,\n        {_COUNTED}\n    FROM daily GROUP BY day, brand",
    f"CREATE VIEW mention_daily AS SELECT day, brand, source,\n        {_COUNTED}\n"
    "    FROM daily GROUP BY day, brand, source",
    "DROP VIEW touchpoint_daily",
    """CREATE VIEW touchpoint_daily AS
    SELECT day, brand, touchpoint, sum(posts) AS posts,
        coalesce(sum(posts) FILTER (WHERE sentiment = 'positive'), 0) AS positive,
        coalesce(sum(posts) FILTER (WHERE sentiment = 'neutral'), 0) AS neutral,
        coalesce(sum(posts) FILTER (WHERE sentiment = 'negative'), 0) AS negative,
        sum(score_sum) / 1000000.0 / sum(posts) AS score,
        sum(rated) AS rated, sum(rating_sum) / 1000000.0 / nullif(sum(rated), 0) AS rating
    FROM daily_touchpoints GROUP BY day, brand, touchpoint""",
    """CREATE VIEW pair_daily AS
    SELECT day, brand, other, sum(posts) AS posts, sum(research) AS research FROM daily_pairs
    GROUP BY day, brand, other""",
)

STATEMENTS = (
    # Came in too late for the digest of its day: on a later day than the one after.
    "ALTER TABLE posts ADD COLUMN late INTEGER NOT NULL DEFAULT 0",
    *(f"ALTER TABLE {table} ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0" for column, table in _SUMS),
    # Two brands in one post, `brand` before `other` in the alphabet.
    """CREATE TABLE daily_pairs (
        day TEXT NOT NULL, brand TEXT NOT NULL, other TEXT NOT NULL, source TEXT NOT NULL, posts INTEGER NOT NULL,
        research INTEGER NOT NULL, PRIMARY KEY (day, brand, other, source)
    ) WITHOUT ROWID""",
    "CREATE INDEX daily_pairs_empty ON daily_pairs (posts) WHERE posts = 0",
    # What a model is known to take for what, counted on posts that people labelled: JSON, see `shares`.
    "CREATE TABLE models (name TEXT PRIMARY KEY, confusion TEXT, noted_at TEXT NOT NULL) WITHOUT ROWID",
    *_VIEWS,
    # Days and rollups are made anew when the store is opened, with what was added to them.
    "DELETE FROM meta WHERE key = 'zone'",
)
