"""The language of a post, and posts that no model could read."""

from __future__ import annotations

# `unread`: no model here could read the post (another language, or no words), so that it is in no count but that of
# posts. Its sentiment is kept with the verdict and is not one of the counted.
STATEMENTS = (
    "ALTER TABLE verdicts ADD COLUMN language TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE verdicts ADD COLUMN unread INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE daily ADD COLUMN unread INTEGER NOT NULL DEFAULT 0",
    "DROP VIEW contributions",
    """CREATE VIEW contributions AS
    SELECT p.id AS post_id, p.day, coalesce(m.brand, '') AS brand, p.source,
        CASE WHEN v.abstained THEN '' ELSE v.moment END AS moment,
        CASE WHEN v.unread THEN '' ELSE v.sentiment END AS sentiment, 1 AS posts, v.abstained, v.unread,
        CASE WHEN v.unread THEN 0 ELSE CAST(round(v.score * 1000000) AS INTEGER) END AS score_sum,
        p.rating IS NOT NULL OR (v.moment = 'tmot' AND NOT v.abstained) AS feedback,
        CASE WHEN p.rating IS NOT NULL THEN p.rating >= 0.75
            ELSE v.moment = 'tmot' AND NOT v.abstained AND v.sentiment = 'positive' END AS satisfied
    FROM posts p JOIN verdicts v ON v.post_id = p.id LEFT JOIN mentions m ON m.post_id = p.id
    WHERE p.deleted_at IS NULL""",
    "DROP VIEW posts_view",
    """CREATE VIEW posts_view AS
    SELECT p.id, p.source, p.native_id, p.kind, p.url, p.title, p.text, p.author, p.created_at, p.edited_at,
        p.collected_at, p.day, p.rating_value, p.rating_best, p.rating, p.engagement, p.lang,
        (SELECT group_concat(brand, ', ') FROM mentions WHERE post_id = p.id) AS brands,
        v.moment, CASE WHEN v.abstained THEN NULL WHEN v.moment IN ('ltzmot', 'zmot', 'fmot') THEN 'research'
            WHEN v.moment IN ('smot', 'imot') THEN 'transaction' WHEN v.moment = 'tmot' THEN 'feedback'
            WHEN v.moment = 'none' THEN 'none' END AS phase,
        CASE WHEN NOT v.unread THEN v.sentiment END AS sentiment, CASE WHEN NOT v.unread THEN v.score END AS score,
        v.confidence, v.abstained, v.unread, v.language,
        (SELECT group_concat(touchpoint, ', ') FROM verdict_touchpoints WHERE post_id = p.id) AS touchpoints,
        v.model, v.judged_at
    FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id WHERE p.deleted_at IS NULL""",
    "DROP VIEW trend_daily",
    """CREATE VIEW trend_daily AS
    SELECT day, brand, sum(posts) AS posts,
        sum(posts) FILTER (WHERE moment IN ('ltzmot', 'zmot', 'fmot')) AS research,
        sum(posts) FILTER (WHERE moment IN ('smot', 'imot')) AS "transaction",
        sum(posts) FILTER (WHERE moment = 'tmot') AS feedback,
        sum(posts) FILTER (WHERE moment = 'none') AS none,
        sum(abstained) AS abstained, sum(unread) AS unread,
        sum(posts) FILTER (WHERE sentiment = 'positive') AS positive,
        sum(posts) FILTER (WHERE sentiment = 'neutral') AS neutral,
        sum(posts) FILTER (WHERE sentiment = 'negative') AS negative,
        sum(score_sum) / 1000000.0 / nullif(sum(posts) - sum(unread), 0) AS score,
        1.0 * sum(satisfied) / nullif(sum(feedback), 0) AS csat, sum(feedback) AS csat_n
    FROM daily GROUP BY day, brand""",
)
