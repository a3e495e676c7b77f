"""What a person said of a post: it outranks the model, and is kept with its history."""

from __future__ import annotations

STATEMENTS = (
    # A verdict that a person corrected holds what they said, so that every count is right without asking further.
    "ALTER TABLE verdicts ADD COLUMN judged_by TEXT NOT NULL DEFAULT 'model'",
    # One correction holds for a post at a time. `shown` is why the person saw it: only what was drawn at random tells
    # how good the model is. The columns model_... keep what it said then. A label that is NULL is the model's.
    """CREATE TABLE corrections (
        id INTEGER PRIMARY KEY, post_id INTEGER NOT NULL REFERENCES posts ON DELETE CASCADE, text_hash TEXT NOT NULL,
        moment TEXT, sentiment TEXT, touchpoints TEXT, not_brands TEXT NOT NULL DEFAULT '[]',
        place TEXT NOT NULL CHECK (place IN ('terminal', 'page', 'mail')),
        shown TEXT NOT NULL CHECK (shown IN ('uncertain', 'random', 'asked')), at TEXT NOT NULL,
        model TEXT NOT NULL DEFAULT '', model_moment TEXT, model_sentiment TEXT, model_abstained INTEGER,
        ended_at TEXT, ended TEXT CHECK (ended IN ('undone', 'replaced', 'edited', 'deleted'))
    )""",
    "CREATE UNIQUE INDEX corrections_held ON corrections (post_id) WHERE ended_at IS NULL",
    "CREATE INDEX corrections_post ON corrections (post_id)",
    # What the model says of a post whose verdict is a person's.
    """CREATE TABLE overruled (
        post_id INTEGER PRIMARY KEY REFERENCES verdicts ON DELETE CASCADE, moment TEXT NOT NULL,
        sentiment TEXT NOT NULL, score REAL NOT NULL, confidence REAL NOT NULL, abstained INTEGER NOT NULL,
        unread INTEGER NOT NULL, touchpoints TEXT NOT NULL
    )""",
    # Brands that a post names by its words and is not about; `why` is that of the mention it lost.
    """CREATE TABLE disowned (
        post_id INTEGER NOT NULL REFERENCES posts ON DELETE CASCADE, brand TEXT NOT NULL, why TEXT NOT NULL,
        PRIMARY KEY (post_id, brand)
    ) WITHOUT ROWID""",
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
        v.model, v.judged_by, v.judged_at
    FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id WHERE p.deleted_at IS NULL""",
)
