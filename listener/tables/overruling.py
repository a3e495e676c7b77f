"""A person's word over the model's: put over verdicts, taken off them again. Runs inside the caller's transaction.

A corrected verdict holds what the person said, and `overruled` keeps what the model says, so that every reader of
verdicts is right and nothing is lost. Whoever calls this keeps the rollups, see `rollups.changing`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from listener.migrations import stamp

Links = Mapping[str, str]  # brand -> why a post was linked to it
Ended = Literal["undone", "replaced", "edited", "deleted"]

_STASH = """
INSERT OR REPLACE INTO overruled (post_id, moment, sentiment, score, confidence, abstained, unread, touchpoints)
SELECT post_id, moment, sentiment, score, confidence, abstained, unread,
    (SELECT json_group_array(touchpoint) FROM verdict_touchpoints t WHERE t.post_id = v.post_id)
FROM verdicts v WHERE post_id IN (SELECT value FROM json_each(:posts)) AND judged_by = 'model' AND model <> ''
    AND EXISTS (SELECT 1 FROM corrections c WHERE c.post_id = v.post_id AND ended_at IS NULL)
"""

_OUTRANK = """
UPDATE verdicts SET judged_by = 'person', moment = coalesce(c.moment, verdicts.moment),
    sentiment = coalesce(c.sentiment, verdicts.sentiment),
    score = CASE c.sentiment WHEN 'positive' THEN 1.0 WHEN 'neutral' THEN 0.0 WHEN 'negative' THEN -1.0
        ELSE verdicts.score END,
    confidence = CASE WHEN c.moment IS NULL THEN verdicts.confidence ELSE 1.0 END,
    abstained = verdicts.abstained AND c.moment IS NULL,
    unread = verdicts.unread AND c.moment IS NULL AND c.sentiment IS NULL
FROM corrections c WHERE c.post_id = verdicts.post_id AND c.ended_at IS NULL
    AND coalesce(c.moment, c.sentiment, c.touchpoints) IS NOT NULL
    AND c.post_id IN (SELECT value FROM json_each(:posts))
"""

_RETOUCH = (
    """DELETE FROM verdict_touchpoints WHERE post_id IN (SELECT value FROM json_each(:posts)) AND post_id IN
    (SELECT post_id FROM corrections WHERE ended_at IS NULL AND touchpoints IS NOT NULL)""",
    """INSERT INTO verdict_touchpoints SELECT post_id, value FROM corrections, json_each(touchpoints)
    WHERE ended_at IS NULL AND touchpoints IS NOT NULL AND post_id IN (SELECT value FROM json_each(:posts))""",
)

_RESTORE = (
    """UPDATE verdicts SET judged_by = 'model', moment = o.moment, sentiment = o.sentiment, score = o.score,
        confidence = o.confidence, abstained = o.abstained, unread = o.unread
    FROM overruled o WHERE o.post_id = verdicts.post_id
        AND verdicts.post_id IN (SELECT value FROM json_each(:posts))""",
    """DELETE FROM verdict_touchpoints WHERE post_id IN (SELECT value FROM json_each(:posts))
    AND post_id IN (SELECT post_id FROM overruled)""",
    """INSERT INTO verdict_touchpoints SELECT post_id, value FROM overruled, json_each(touchpoints)
    WHERE post_id IN (SELECT value FROM json_each(:posts))""",
    "DELETE FROM overruled WHERE post_id IN (SELECT value FROM json_each(:posts))",
    # No model has judged these.
    "DELETE FROM verdicts WHERE post_id IN (SELECT value FROM json_each(:posts)) AND model = ''",
)

_END = """
UPDATE corrections SET ended_at = :now, ended = :how
WHERE ended_at IS NULL AND post_id IN (SELECT value FROM json_each(:posts))
"""

# What a person said of a post may stay when its words may not: it names nobody.
_NAMELESS = "UPDATE corrections SET text_hash = '' WHERE post_id IN (SELECT value FROM json_each(?))"

# A topic was found in a text that is gone now.
_UNTAG = (
    "DELETE FROM post_topics WHERE post_id IN (SELECT value FROM json_each(?))",
    "DELETE FROM topic_marks WHERE post_id IN (SELECT value FROM json_each(?))",
)

_OWN_AGAIN = "DELETE FROM disowned WHERE post_id IN (SELECT value FROM json_each(?))"

_DISOWNED = "SELECT post_id, brand FROM disowned WHERE post_id IN (SELECT value FROM json_each(?))"


def outrank(connection: sqlite3.Connection, post_ids: Iterable[int]) -> None:
    """Puts what people said over the verdicts of those posts that they corrected."""
    some = {"posts": json.dumps(list(post_ids))}
    for statement in (_STASH, _OUTRANK, *_RETOUCH):
        connection.execute(statement, some)


def restore(connection: sqlite3.Connection, post_ids: Iterable[int]) -> None:
    """Puts back what the model says of these posts; one that no model has judged has no verdict then."""
    some = {"posts": json.dumps(list(post_ids))}
    for statement in _RESTORE:
        connection.execute(statement, some)


def end(connection: sqlite3.Connection, post_ids: Iterable[int], how: Ended, now: datetime) -> None:
    """The corrections of these posts hold no longer, nor do their topics: their texts are others, or gone."""
    chosen = json.dumps(list(post_ids))
    restore(connection, post_ids)
    connection.execute(_END, {"posts": chosen, "how": how, "now": stamp(now)})
    for statement in (_OWN_AGAIN, *_UNTAG):
        connection.execute(statement, (chosen,))
    if how == "deleted":
        connection.execute(_NAMELESS, (chosen,))


def owned(connection: sqlite3.Connection, links: Mapping[int, Links]) -> dict[int, Links]:
    """The links of each post without the brands that a person said it is not about."""
    found: dict[int, Links] = dict(links)
    for post_id, brand in connection.execute(_DISOWNED, (json.dumps(list(links)),)):
        found[post_id] = {name: why for name, why in found[post_id].items() if name != brand}
    return found
