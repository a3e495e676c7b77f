"""Copies of a post are folded, stored posts are asked after again, and a walk into the past has its own bookmark."""

from __future__ import annotations

STATEMENTS = (
    "ALTER TABLE posts ADD COLUMN federated_id TEXT NOT NULL DEFAULT ''",
    # The post that this one repeats; that one is in no cluster but its own. Copies are in no count.
    "ALTER TABLE posts ADD COLUMN copy_of INTEGER REFERENCES posts ON DELETE SET NULL",
    "ALTER TABLE posts ADD COLUMN last_verified_at TEXT",
    # NULL where its source has no way to ask after a post.
    "ALTER TABLE posts ADD COLUMN verify_due_at TEXT",
    "CREATE INDEX posts_federated ON posts (federated_id) WHERE federated_id <> ''",
    "CREATE INDEX posts_url ON posts (url) WHERE url <> '' AND kind IN ('post', 'article')",
    "CREATE INDEX posts_copy_of ON posts (copy_of) WHERE copy_of IS NOT NULL",
    "CREATE INDEX posts_verify ON posts (source, verify_due_at) WHERE verify_due_at IS NOT NULL AND deleted_at IS NULL",
    # Bands of MinHash signatures of posts that repeat no other: texts that share a band are compared word by word.
    """CREATE TABLE signatures (
        band INTEGER NOT NULL, post_id INTEGER NOT NULL REFERENCES posts ON DELETE CASCADE, PRIMARY KEY (band, post_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX signatures_post ON signatures (post_id)",
    "CREATE INDEX runs_new ON runs (source, started_at) WHERE new > 0",
    "ALTER TABLE sources ADD COLUMN backfill TEXT",
    "ALTER TABLE runs ADD COLUMN edited INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0",
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
    WHERE p.deleted_at IS NULL AND p.copy_of IS NULL""",
    "DROP VIEW touchpoint_contributions",
    """CREATE VIEW touchpoint_contributions AS
    SELECT p.id AS post_id, p.day, coalesce(m.brand, '') AS brand, p.source, t.touchpoint, v.sentiment, 1 AS posts
    FROM posts p JOIN verdicts v ON v.post_id = p.id JOIN verdict_touchpoints t ON t.post_id = p.id
    LEFT JOIN mentions m ON m.post_id = p.id WHERE p.deleted_at IS NULL AND p.copy_of IS NULL""",
    "DROP VIEW posts_view",
    """CREATE VIEW posts_view AS
    SELECT p.id, p.source, p.native_id, p.kind, p.url, p.title, p.text, p.author, p.created_at, p.edited_at,
        p.collected_at, p.day, p.rating_value, p.rating_best, p.rating, p.engagement, p.lang, p.copy_of,
        p.last_verified_at,
        (SELECT group_concat(brand, ', ') FROM mentions WHERE post_id = p.id) AS brands,
        v.moment, CASE WHEN v.abstained THEN NULL WHEN v.moment IN ('ltzmot', 'zmot', 'fmot') THEN 'research'
            WHEN v.moment IN ('smot', 'imot') THEN 'transaction' WHEN v.moment = 'tmot' THEN 'feedback'
            WHEN v.moment = 'none' THEN 'none' END AS phase,
        CASE WHEN NOT v.unread THEN v.sentiment END AS sentiment, CASE WHEN NOT v.unread THEN v.score END AS score,
        v.confidence, v.abstained, v.unread, v.language,
        (SELECT group_concat(touchpoint, ', ') FROM verdict_touchpoints WHERE post_id = p.id) AS touchpoints,
        v.model, v.judged_at
    FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id WHERE p.deleted_at IS NULL""",
)
