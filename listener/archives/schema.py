"""A scored row in Parquet: the post as the store keeps it, its verdict as `classify --file` gives it, its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from listener import __version__
from listener.archives import Batch, Job
from listener.archives.reading import OURS
from listener.engine.labels import MOMENTS, SENTIMENTS
from listener.migrations import moment_of
from listener.records import Scores
from listener.scoring import as_json
from listener.tables.rows import post_row

_POST = ("source", "native_id", "kind", "url", "title", "text", "author")
_RATING = ("rating_value", "rating_best", "rating_worst", "rating")
_TEXTS = ("moment", "phase", "sentiment", "language", "model")


@cache
def _fields() -> tuple[Any, ...]:
    """The columns, without `day`, which is the folder a row lies in."""
    import pyarrow as pa

    def probabilities(labels: Sequence[str]) -> Any:
        return pa.struct([(label, pa.float32()) for label in labels])

    types = {
        **dict.fromkeys(_POST, pa.string()),
        "created_at": pa.timestamp("ms", tz="UTC"),
        **dict.fromkeys(_RATING, pa.float64()),
        "lang": pa.string(),
        "brand": pa.string(),
        "moment": pa.string(),
        "moments": probabilities(MOMENTS),
        "phase": pa.string(),
        "sentiment": pa.string(),
        "sentiments": probabilities(SENTIMENTS),
        "score": pa.float32(),
        "touchpoints": pa.list_(pa.string()),
        "confidence": pa.float32(),
        "abstained": pa.bool_(),
        "language": pa.string(),
        "unread": pa.bool_(),
        "model": pa.string(),
        "archive": pa.string(),
        "line": pa.int64(),
    }
    return tuple(pa.field(name, kind) for name, kind in types.items())


def schema(job: Job) -> Any:
    """The schema of a part. Its metadata says how authors are kept, so that nobody mixes hashes of two keys."""
    import pyarrow as pa

    about = {"version": __version__, "model": job.model_name, **job.authors}
    return pa.schema(_fields(), metadata={OURS: json.dumps(about).encode()})


def table(batch: Batch, scores: Sequence[Scores], job: Job) -> Any:
    """Posts and their scores as an Arrow table, with a column `day` (text; null where a post has no date)."""
    import pyarrow as pa

    rows = []
    for post, line, score in zip(batch.posts, batch.lines, scores, strict=True):
        row = post_row(job.source, post, job.now, job.zone, job.privacy)
        # Not rounded as text is: single precision is what the model gives, and it costs no more here.
        verdict = as_json("", score, job.model_name) | {
            "moments": score.moments, "sentiments": score.sentiments, "score": score.score,
            "confidence": score.confidence,
        }  # fmt: skip
        dated = row["created_at"] is not None
        rows.append(
            {**row, **verdict, "created_at": moment_of(row["created_at"]), "brand": row["given_brand"],
             "archive": batch.address, "line": line, "day": row["day"] if dated else None}
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=pa.schema([*_fields(), pa.field("day", pa.string())]))
