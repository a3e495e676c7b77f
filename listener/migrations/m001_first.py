"""The first schema."""

from __future__ import annotations

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE sources (
        name TEXT PRIMARY KEY, kind TEXT NOT NULL, every_s REAL NOT NULL, enabled INTEGER NOT NULL,
        cursor TEXT, state TEXT NOT NULL DEFAULT 'new', since TEXT, why TEXT NOT NULL DEFAULT '',
        failures INTEGER NOT NULL DEFAULT 0, next_due_at TEXT, last_run_at TEXT, last_success_at TEXT, last_new_at TEXT
    )""",
    # `given_brand` is the brand the source itself named: relinking keeps it, whatever the text says.
    """CREATE TABLE posts (
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, native_id TEXT NOT NULL, kind TEXT NOT NULL, url TEXT NOT NULL,
        title TEXT NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL, created_at TEXT, edited_at TEXT,
        collected_at TEXT NOT NULL, day TEXT NOT NULL, rating_value REAL, rating_best REAL, rating_worst REAL,
        rating REAL, engagement TEXT NOT NULL, parent TEXT NOT NULL, lang TEXT NOT NULL, given_brand TEXT NOT NULL,
        text_hash TEXT NOT NULL, deleted_at TEXT, UNIQUE (source, native_id)
    )""",
    """CREATE TABLE mentions (
        post_id INTEGER NOT NULL REFERENCES posts ON DELETE CASCADE, brand TEXT NOT NULL CHECK (brand <> ''),
        why TEXT NOT NULL, PRIMARY KEY (post_id, brand)
    ) WITHOUT ROWID""",
    """CREATE TABLE verdicts (
        post_id INTEGER PRIMARY KEY REFERENCES posts ON DELETE CASCADE, model TEXT NOT NULL, text_hash TEXT NOT NULL,
        moment TEXT NOT NULL, sentiment TEXT NOT NULL, score REAL NOT NULL, confidence REAL NOT NULL,
        abstained INTEGER NOT NULL, moments TEXT NOT NULL, sentiments TEXT NOT NULL, judged_at TEXT NOT NULL
    )""",
    """CREATE TABLE verdict_touchpoints (
        post_id INTEGER NOT NULL REFERENCES verdicts ON DELETE CASCADE, touchpoint TEXT NOT NULL,
        PRIMARY KEY (post_id, touchpoint)
    ) WITHOUT ROWID""",
    # The queue: live posts without a verdict by the model in charge (meta 'model') on their present text. Asking
    # posts and verdicts instead reads all of both whenever little is pending, which is nearly always.
    """CREATE TABLE pending (
        post_id INTEGER PRIMARY KEY REFERENCES posts ON DELETE CASCADE, at TEXT NOT NULL
    )""",
    # score_sum is in millionths, an integer: adding and taking away stays exact for ever. The source stands last in the
    # key, because trends group by what stands before it and so read the table in order.
    """CREATE TABLE daily (
        day TEXT NOT NULL, brand TEXT NOT NULL, source TEXT NOT NULL, moment TEXT NOT NULL, sentiment TEXT NOT NULL,
        posts INTEGER NOT NULL, abstained INTEGER NOT NULL, score_sum INTEGER NOT NULL, feedback INTEGER NOT NULL,
        satisfied INTEGER NOT NULL, PRIMARY KEY (day, brand, moment, sentiment, source)
    ) WITHOUT ROWID""",
    """CREATE TABLE daily_touchpoints (
        day TEXT NOT NULL, brand TEXT NOT NULL, source TEXT NOT NULL, touchpoint TEXT NOT NULL,
        sentiment TEXT NOT NULL, posts INTEGER NOT NULL, PRIMARY KEY (day, brand, touchpoint, sentiment, source)
    ) WITHOUT ROWID""",
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, started_at TEXT NOT NULL, seconds REAL NOT NULL,
        seen INTEGER NOT NULL, new INTEGER NOT NULL, skipped TEXT NOT NULL, outcome TEXT NOT NULL, error TEXT NOT NULL
    )""",
    """CREATE TABLE gaps (
        source TEXT NOT NULL, since TEXT, until TEXT, why TEXT NOT NULL, noted_at TEXT NOT NULL
    )""",
    """CREATE TABLE digests (
        recipient TEXT NOT NULL, cadence TEXT NOT NULL, period TEXT NOT NULL, state TEXT NOT NULL,
        detail TEXT NOT NULL DEFAULT '', claimed_at TEXT NOT NULL, sent_at TEXT, attempts INTEGER NOT NULL,
        PRIMARY KEY (recipient, cadence, period)
    ) WITHOUT ROWID""",
)

_INDEXES = (
    "CREATE INDEX posts_day ON posts (day, collected_at)",
    "CREATE INDEX posts_newest ON posts (coalesce(created_at, collected_at))",
    "CREATE INDEX posts_source_newest ON posts (source, coalesce(created_at, collected_at)) WHERE deleted_at IS NULL",
    # Counting by source needs an index of plain columns: one on an expression does not cover a query.
    "CREATE INDEX posts_source ON posts (source, collected_at) WHERE deleted_at IS NULL",
    "CREATE INDEX mentions_brand ON mentions (brand, post_id)",
    "CREATE INDEX verdict_touchpoints_touchpoint ON verdict_touchpoints (touchpoint, post_id)",
    "CREATE INDEX pending_newest ON pending (at, post_id)",
    # They hold only rows that fell to zero, so that sweeping those needs no scan.
    "CREATE INDEX daily_empty ON daily (posts) WHERE posts = 0",
    "CREATE INDEX daily_touchpoints_empty ON daily_touchpoints (posts) WHERE posts = 0",
    "CREATE INDEX runs_source ON runs (source, started_at)",
)

_SEARCH = (
    """CREATE VIRTUAL TABLE posts_fts USING fts5 (
        title, text, content='posts', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
    )""",
    """CREATE TRIGGER posts_fts_insert AFTER INSERT ON posts BEGIN
        INSERT INTO posts_fts (rowid, title, text) VALUES (new.id, new.title, new.text);
    END""",
    """CREATE TRIGGER posts_fts_delete AFTER DELETE ON posts BEGIN
        INSERT INTO posts_fts (posts_fts, rowid, title, text) VALUES ('delete', old.id, old.title, old.text);
    END""",
    """CREATE TRIGGER posts_fts_update AFTER UPDATE OF title, text ON posts
    WHEN old.title <> new.title OR old.text <> new.text BEGIN
        INSERT INTO posts_fts (posts_fts, rowid, title, text) VALUES ('delete', old.id, old.title, old.text);
        INSERT INTO posts_fts (rowid, title, text) VALUES (new.id, new.title, new.text);
    END""",
)

_VIEWS = (
    # What one judged post adds to `daily`, one row for each brand it names ('' when it names none). The rollup and the
    # filters that need single posts both read this, so they cannot disagree. 4 of 5 is a rating share of 0.75.
    """CREATE VIEW contributions AS
    SELECT p.id AS post_id, p.day, coalesce(m.brand, '') AS brand, p.source,
        CASE WHEN v.abstained THEN '' ELSE v.moment END AS moment, v.sentiment, 1 AS posts, v.abstained,
        CAST(round(v.score * 1000000) AS INTEGER) AS score_sum,
        p.rating IS NOT NULL OR (v.moment = 'tmot' AND NOT v.abstained) AS feedback,
        CASE WHEN p.rating IS NOT NULL THEN p.rating >= 0.75
            ELSE v.moment = 'tmot' AND NOT v.abstained AND v.sentiment = 'positive' END AS satisfied
    FROM posts p JOIN verdicts v ON v.post_id = p.id LEFT JOIN mentions m ON m.post_id = p.id
    WHERE p.deleted_at IS NULL""",
    """CREATE VIEW touchpoint_contributions AS
    SELECT p.id AS post_id, p.day, coalesce(m.brand, '') AS brand, p.source, t.touchpoint, v.sentiment, 1 AS posts
    FROM posts p JOIN verdicts v ON v.post_id = p.id JOIN verdict_touchpoints t ON t.post_id = p.id
    LEFT JOIN mentions m ON m.post_id = p.id WHERE p.deleted_at IS NULL""",
    """CREATE VIEW posts_view AS
    SELECT p.id, p.source, p.native_id, p.kind, p.url, p.title, p.text, p.author, p.created_at, p.edited_at,
        p.collected_at, p.day, p.rating_value, p.rating_best, p.rating, p.engagement, p.lang,
        (SELECT group_concat(brand, ', ') FROM mentions WHERE post_id = p.id) AS brands,
        v.moment, CASE WHEN v.abstained THEN NULL WHEN v.moment IN ('ltzmot', 'zmot', 'fmot') THEN 'research'
            WHEN v.moment IN ('smot', 'imot') THEN 'transaction' WHEN v.moment = 'tmot' THEN 'feedback'
            WHEN v.moment = 'none' THEN 'none' END AS phase,
        v.sentiment, v.score, v.confidence, v.abstained,
        (SELECT group_concat(touchpoint, ', ') FROM verdict_touchpoints WHERE post_id = p.id) AS touchpoints,
        v.model, v.judged_at
    FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id WHERE p.deleted_at IS NULL""",
    """CREATE VIEW trend_daily AS
    SELECT day, brand, sum(posts) AS posts,
        sum(posts) FILTER (WHERE moment IN ('ltzmot', 'zmot', 'fmot')) AS research,
        sum(posts) FILTER (WHERE moment IN ('smot', 'imot')) AS "transaction",
        sum(posts) FILTER (WHERE moment = 'tmot') AS feedback,
        sum(posts) FILTER (WHERE moment = 'none') AS none,
        sum(abstained) AS abstained,
        sum(posts) FILTER (WHERE sentiment = 'positive') AS positive,
        sum(posts) FILTER (WHERE sentiment = 'neutral') AS neutral,
        sum(posts) FILTER (WHERE sentiment = 'negative') AS negative,
        sum(score_sum) / 1000000.0 / sum(posts) AS score,
        1.0 * sum(satisfied) / nullif(sum(feedback), 0) AS csat, sum(feedback) AS csat_n
    FROM daily GROUP BY day, brand""",
    """CREATE VIEW touchpoint_daily AS
    SELECT day, brand, touchpoint, sum(posts) AS posts,
        sum(posts) FILTER (WHERE sentiment = 'positive') AS positive,
        sum(posts) FILTER (WHERE sentiment = 'neutral') AS neutral,
        sum(posts) FILTER (WHERE sentiment = 'negative') AS negative
    FROM daily_touchpoints GROUP BY day, brand, touchpoint""",
)

STATEMENTS = (*_TABLES, *_INDEXES, *_SEARCH, *_VIEWS)
