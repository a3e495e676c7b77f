"""A person corrects a post, or takes it back. Runs inside the caller's transaction.

What they say holds at once in every count, over whatever a model says now or later, until the text of the post is
edited. Every correction stays as a row: the history, the examples to train on, and how often the model was right.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ListenerError
from listener.migrations import stamp
from listener.records import Correction
from listener.tables import overruling, pages, rollups

_POST = """
SELECT p.text_hash, v.model, coalesce(o.unread, v.unread), coalesce(o.moment, v.moment),
    coalesce(o.sentiment, v.sentiment), coalesce(o.abstained, v.abstained)
FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id LEFT JOIN overruled o ON o.post_id = p.id
WHERE p.id = ? AND p.deleted_at IS NULL AND p.expired_at IS NULL
"""

_HELD = "SELECT moment, sentiment, touchpoints, not_brands FROM corrections WHERE post_id = ? AND ended_at IS NULL"

_INSERT = """
INSERT INTO corrections (post_id, text_hash, moment, sentiment, touchpoints, not_brands, place, shown, at, model,
    model_moment, model_sentiment, model_abstained)
VALUES (:post_id, :text_hash, :moment, :sentiment, :touchpoints, :not_brands, :place, :shown, :at, :model,
    :model_moment, :model_sentiment, :model_abstained)
"""

_END = "UPDATE corrections SET ended_at = ?, ended = ? WHERE post_id = ? AND ended_at IS NULL"

# The one before it on the same text holds again.
_RENEW = """
UPDATE corrections SET ended_at = NULL, ended = NULL WHERE id = (
    SELECT max(id) FROM corrections c WHERE post_id = :post AND ended = 'replaced'
        AND text_hash = (SELECT text_hash FROM posts WHERE id = :post)
        AND NOT EXISTS (SELECT 1 FROM corrections WHERE post_id = :post AND id > c.id AND ended IS NOT 'undone'))
"""

# A post that no model has judged yet has a verdict by a person alone.
_UNJUDGED = """
INSERT OR IGNORE INTO verdicts (post_id, model, text_hash, moment, sentiment, score, confidence, abstained, moments,
    sentiments, judged_at, judged_by)
SELECT c.post_id, '', c.text_hash, c.moment, c.sentiment, 0, 1, 0, '{}', '{}', c.at, 'person'
FROM corrections c WHERE c.post_id = ? AND ended_at IS NULL AND c.moment IS NOT NULL AND c.sentiment IS NOT NULL
"""


def correct(connection: sqlite3.Connection, post_id: int, said: Correction, now: datetime) -> None:
    """Writes down what a person said of a post. What they left open stays as they said it before, else the model's.

    Raises ListenerError: no such post, a label or a brand that is none, a text that is not the one they saw, or a post
    that no model has read, which needs both moment and sentiment.
    """
    _check(said)
    row = connection.execute(_POST, (post_id,)).fetchone()
    if row is None:
        raise ListenerError(f"there is no post {post_id} to correct: it was deleted, or its time was over")
    text_hash, model, unread, moment, sentiment, abstained = row
    if said.text_hash not in ("", text_hash):
        raise ListenerError(f"the post {post_id} was edited since you saw it; read it again")
    was = connection.execute(_HELD, (post_id,)).fetchone() or (None, None, None, "[]")
    touchpoints = None if said.touchpoints is None else json.dumps(sorted(set(said.touchpoints), key=TOUCHPOINTS.index))
    lost = list(json.loads(was[3]))
    if said.not_brand and said.not_brand not in lost:
        if said.not_brand not in pages.brands_of(connection, [post_id]).get(post_id, {}):
            raise ListenerError(f"the post {post_id} is not linked to the brand {said.not_brand!r}")
        lost.append(said.not_brand)
    values = {
        "post_id": post_id, "text_hash": text_hash, "moment": said.moment or was[0],
        "sentiment": said.sentiment or was[1], "touchpoints": was[2] if touchpoints is None else touchpoints,
        "not_brands": json.dumps(lost), "place": said.place, "shown": said.shown, "at": stamp(now),
        "model": model or "", "model_moment": moment if model else None,
        "model_sentiment": sentiment if model else None, "model_abstained": abstained if model else None,
    }  # fmt: skip
    labelled = [values[name] for name in ("moment", "sentiment", "touchpoints")]
    if (not model or unread) and any(each is not None for each in labelled) and None in labelled[:2]:
        raise ListenerError(f"no model has read the post {post_id}; give it both a moment and a sentiment")
    with rollups.changing(connection, [post_id]):
        connection.execute(_END, (stamp(now), "replaced", post_id))
        overruling.restore(connection, [post_id])
        connection.execute(_INSERT, values)
        hold(connection, post_id)
    _disown(connection, post_id, lost)


def undo(connection: sqlite3.Connection, post_id: int, now: datetime) -> bool:
    """Takes back what was last said of a post: what was said before holds again, else what the model says.

    Returns whether there was anything to take back.
    """
    if connection.execute(_HELD, (post_id,)).fetchone() is None:
        return False
    with rollups.changing(connection, [post_id]):
        overruling.restore(connection, [post_id])
        connection.execute(_END, (stamp(now), "undone", post_id))
        connection.execute(_RENEW, {"post": post_id})
        hold(connection, post_id)
    held = connection.execute(_HELD, (post_id,)).fetchone()
    _disown(connection, post_id, json.loads(held[3]) if held else [])
    return True


def hold(connection: sqlite3.Connection, post_id: int) -> None:
    """Puts the correction of a post that holds over its verdict. The caller keeps the rollups."""
    connection.execute(_UNJUDGED, (post_id,))
    overruling.outrank(connection, [post_id])


def _disown(connection: sqlite3.Connection, post_id: int, brands: Sequence[str]) -> None:
    """Makes `brands` the ones that the post is not about."""
    known = dict(connection.execute("SELECT brand, why FROM disowned WHERE post_id = ?", (post_id,)).fetchall())
    links = pages.brands_of(connection, [post_id]).get(post_id, {}) | known
    if set(brands) == set(known):
        return
    connection.execute("DELETE FROM disowned WHERE post_id = ?", (post_id,))
    rows = [(post_id, brand, links.get(brand, "")) for brand in brands]
    connection.executemany("INSERT INTO disowned VALUES (?, ?, ?)", rows)
    pages.link_anew(connection, {post_id: {brand: why for brand, why in links.items() if brand not in brands}})


def _check(said: Correction) -> None:
    given = [said.moment, said.sentiment, *(said.touchpoints or ())]
    for label, labels in ((said.moment, MOMENTS), (said.sentiment, SENTIMENTS)):
        if label is not None and label not in labels:
            raise ListenerError(f"{label!r} is no label; choose one of {', '.join(labels)}")
    for label in said.touchpoints or ():
        if label not in TOUCHPOINTS:
            raise ListenerError(f"{label!r} is no touchpoint; choose of {', '.join(TOUCHPOINTS)}")
    if not any(given) and said.touchpoints is None and not said.not_brand:
        raise ListenerError("a correction has to say something: a moment, a sentiment, touchpoints, or a brand")
