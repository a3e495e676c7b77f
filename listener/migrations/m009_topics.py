"""Topics of the owner's own, and the posts that speak of them."""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE topics (
        name TEXT PRIMARY KEY, examples TEXT NOT NULL, threshold REAL NOT NULL, added_at TEXT NOT NULL
    ) WITHOUT ROWID""",
    # `right` is the owner's answer: whether the post speaks of the topic; NULL when nobody asked.
    """CREATE TABLE post_topics (
        post_id INTEGER NOT NULL REFERENCES posts ON DELETE CASCADE,
        topic TEXT NOT NULL REFERENCES topics ON DELETE CASCADE, score REAL NOT NULL, right INTEGER,
        PRIMARY KEY (post_id, topic)
    ) WITHOUT ROWID""",
    "CREATE INDEX post_topics_topic ON post_topics (topic, post_id)",
    # On which text, by which model and topics, a post was looked at last.
    """CREATE TABLE topic_marks (
        post_id INTEGER PRIMARY KEY REFERENCES posts ON DELETE CASCADE, key TEXT NOT NULL, text_hash TEXT NOT NULL
    )""",
)
