"""Posts as files for other programs: JSON Lines, CSV and Parquet."""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from listener.errors import ListenerError

_BATCH = 1000
# Nested columns, and how a table without nesting tells them.
_NESTED = {"brands": dict, "engagement": dict, "touchpoints": list, "copies": list}
_COLUMNS: Mapping[str, str] = {
    "id": "int64", "source": "string", "native_id": "string", "kind": "string", "url": "string", "title": "string",
    "text": "string", "author": "string", "created_at": "string", "edited_at": "string", "collected_at": "string",
    "day": "string", "rating_value": "float64", "rating_best": "float64", "rating_worst": "float64",
    "rating": "float64", "engagement": "string", "parent": "string", "lang": "string", "brands": "string",
    "moment": "string", "phase": "string", "sentiment": "string", "score": "float64", "confidence": "float64",
    "abstained": "bool", "language": "string", "unread": "bool", "touchpoints": "string", "model": "string",
    "judged_by": "string", "copies": "string",
}  # fmt: skip


def write(path: Path, rows: Iterable[Mapping[str, Any]], on_progress: Callable[[int], object] = bool) -> int:
    """Writes rows (`search.PostRow.as_json`) to `path`, whole or not at all; returns how many. The suffix is the form.

    A file that is there is replaced. Raises ListenerError when it cannot be written, or pyarrow is missing.
    """
    form: dict[str, Callable[[Path, Iterator[list[Mapping[str, Any]]]], None]] = {
        ".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet,
    }  # fmt: skip
    done = 0

    def batches() -> Iterator[list[Mapping[str, Any]]]:
        nonlocal done
        left = iter(rows)
        while batch := list(itertools.islice(left, _BATCH)):
            yield batch
            done += len(batch)
            on_progress(len(batch))

    with whole(path) as half:
        form[path.suffix](half, batches())
    return done


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, which becomes `path` at the end of the block: whole, or not at all.

    Raises ListenerError when it cannot be written.
    """
    half = path.with_name(f".{path.name}.half")
    try:
        yield half
        half.replace(path)
    except OSError as error:
        raise ListenerError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)


@contextmanager
def _private(path: Path, **options: Any) -> Iterator[IO[str]]:
    """A text file that its owner alone can read: it holds what people wrote."""
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", **options
    ) as file:
        yield file


def _json_lines(path: Path, batches: Iterator[list[Mapping[str, Any]]]) -> None:
    with _private(path) as file:
        for batch in batches:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch)


def _csv(path: Path, batches: Iterator[list[Mapping[str, Any]]]) -> None:
    with _private(path, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for batch in batches:
            writer.writerows([harmless(value) for value in _flat(row).values()] for row in batch)


def harmless(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: OWASP's rule, a quotation mark before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with nested values as text: touchpoints and copies as "a; b", brands and engagement as JSON."""
    flat = {name: row[name] for name in _COLUMNS}
    for name, kind in _NESTED.items():
        flat[name] = "; ".join(row[name]) if kind is list else json.dumps(row[name], ensure_ascii=False)
    return flat


def _parquet(path: Path, batches: Iterator[list[Mapping[str, Any]]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ListenerError(
            "Parquet needs the package pyarrow: install it with `pip install 'listener-daemon[parquet]'`, "
            "or export to .jsonl"
        ) from error
    types = {
        "int64": pyarrow.int64(),
        "string": pyarrow.string(),
        "float64": pyarrow.float64(),
        "bool": pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in _COLUMNS.items()])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        path.chmod(0o600)
        for batch in batches:
            writer.write_table(pyarrow.Table.from_pylist([_flat(row) for row in batch], schema=schema))
