"""Posts whose time is over keep their counts and lose their words; authors who asked to be forgotten stay so."""

from __future__ import annotations

STATEMENTS = (
    # Retention: the post is counted as before, and nothing is left of what a person wrote.
    "ALTER TABLE posts ADD COLUMN expired_at TEXT",
    "CREATE INDEX posts_kept ON posts (source, collected_at) WHERE deleted_at IS NULL AND expired_at IS NULL",
    "CREATE INDEX posts_author ON posts (author) WHERE author <> ''",
    # As they are kept in `posts.author`: a keyed hash, or the name where names are kept.
    """CREATE TABLE forgotten (
        source TEXT NOT NULL, author TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (source, author)
    ) WITHOUT ROWID""",
    # Files of ours that hold posts: a person who is to be forgotten stands in them too.
    "CREATE TABLE written_files (path TEXT PRIMARY KEY, kind TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID",
)
