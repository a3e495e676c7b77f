"""Archive files from wherever fsspec reaches: found, opened, unpacked, and read as rows, whatever their size."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

from listener.archives import Done, Input
from listener.errors import Broken, ListenerError
from listener.sources.columns import Wanted
from listener.sources.rejects import SUFFIX
from listener.sources.rows import HEAD_BYTES, Row, Rows, rows_of

_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet")
_PACKED = (".gz", ".zst", ".zstd")
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60)))  # data; skippable frames
_WINDOW = 2**31  # what `zstd --long=31` asks for, as the great archives of Reddit are packed
_CHUNK = 2**20
OURS = b"listener"  # key of our word in the metadata of a Parquet file


def find(names: Iterable[str], output: str = "") -> tuple[list[Input], list[Done]]:
    """The files that names, folders, globs and addresses mean, each once, and what could not be found.

    What lies under `output` is left out where a folder or glob holds it, so that a result may lie beside its inputs.
    """
    found: dict[str, Input] = {}
    lost = []
    for name in names:
        try:
            inputs = list(_meant(name, output))
        except (ImportError, ValueError) as error:  # a protocol that needs another package, or that nobody knows
            inputs, why = [], f"{name}: {error}"
        except OSError as error:
            inputs, why = [], f"{name}: cannot be read: {error.strerror or error}"
        else:
            why = "" if inputs else f"{name}: there is no such file, or no file of a known kind in it"
        found.update((each.address, each) for each in inputs)
        if not inputs:
            lost.append(Done(name, trouble=why, failed=True))
    return list(found.values()), lost


def _meant(name: str, output: str) -> Iterator[Input]:
    import fsspec.core

    fs, path = fsspec.core.url_to_fs(name)
    if any(letter in path for letter in "*?["):
        paths = [each for each in fs.glob(path) if _known(each)]
    elif fs.isdir(path):
        paths = [each for each in fs.find(path) if _known(each)]
    else:
        output, paths = "", [path] if fs.exists(path) else []
    for each in sorted(paths):
        if output and fs.unstrip_protocol(each).startswith(f"{_full(output)}/"):
            continue
        info = fs.info(each)
        if info["type"] == "file":
            address = each if "file" in _protocols(fs) else fs.unstrip_protocol(each)
            yield Input(address, int(info["size"] or 0), _version(info))


def _full(address: str) -> str:
    import fsspec.core

    fs, path = fsspec.core.url_to_fs(address)
    return str(fs.unstrip_protocol(path)).rstrip("/")


def _known(path: str) -> bool:
    name = _unpacked_name(path.rpartition("/")[2].lower())
    return name.endswith(_SUFFIXES) and not name.startswith((".", "_")) and not name.endswith(SUFFIX)


def _unpacked_name(name: str) -> str:
    return next((name[: -len(suffix)] for suffix in _PACKED if name.lower().endswith(suffix)), name)


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _version(info: Mapping[str, Any]) -> str:
    marks = (info.get(key) for key in ("ETag", "etag", "mtime", "LastModified", "last_modified", "created"))
    return str(next((mark for mark in marks if mark is not None), ""))


def changed(item: Input) -> bool:
    """Whether the file is another than when it was found."""
    import fsspec.core

    fs, path = fsspec.core.url_to_fs(item.address)
    info = fs.info(path)
    return (int(info["size"] or 0), _version(info)) != (item.size, item.version)


@contextmanager
def open_rows(item: Input, wanted: Wanted) -> Iterator[Rows]:
    """The rows of an input, to be read inside the `with`.

    Raises Broken for what is damaged or no table, and OSError.
    """
    import fsspec

    name = Path(item.address.rpartition("/")[2])
    with fsspec.open(item.address, "rb") as raw, _explained(item.address):
        start = raw.read(4)
        raw.seek(0)
        if start == _PARQUET:
            table = _parquet_rows(item.address, raw, wanted)
        else:
            # The head is unpacked apart, because not everything that unpacks can go back to the beginning.
            head = _head(_unpacked(raw, start))
            raw.seek(0)
            stream = cast(BinaryIO, _unpacked(raw, start))
            table = rows_of(Path(_unpacked_name(str(name))), stream, head, wanted, packed=True)
        yield table._replace(rows=_guarded(item.address, table.rows))


def _guarded(address: str, rows: Iterator[Row]) -> Iterator[Row]:
    with _explained(address):
        yield from rows


@contextmanager
def _explained(address: str) -> Iterator[None]:
    try:
        yield
    except _damage() as error:
        raise Broken(f"{address}: the file is cut off or damaged; copy it anew ({error})") from error


def _unpacked(raw: BinaryIO, start: bytes) -> Any:
    if start[:2] == _GZIP:
        return gzip.GzipFile(fileobj=raw)
    return io.BufferedReader(_Zstd(raw), _CHUNK) if start in _ZSTD else raw


def _damage() -> tuple[type[Exception], ...]:
    import pyarrow
    import zstandard

    return (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError, pyarrow.ArrowInvalid)


def _head(stream: Any) -> bytes:
    """The beginning of a file, or what stands in it before a damage: that is met again when the rows are read."""
    head = b""
    read = getattr(stream, "read1", stream.read)
    with suppress(*_damage()):
        while len(head) < HEAD_BYTES and (part := read(HEAD_BYTES - len(head))):
            head += part
    return head


class _Zstd(io.RawIOBase):
    """Unpacks Zstandard of any number of frames, and tells a file that was cut off: the package's own reader takes a
    half frame for a whole one, and fsspec stops after the first frame.
    """

    def __init__(self, raw: BinaryIO) -> None:
        import zstandard

        self._raw = raw
        self._make = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj
        self._frame: Any = None  # begun and not ended
        self._rest = b""  # read and not unpacked
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            self._rest = self._rest or self._raw.read(_CHUNK)
            if not self._rest:
                if self._frame is not None:
                    raise EOFError("the last frame does not end")
                return 0
            self._frame = self._frame or self._make()
            self._ready = memoryview(self._frame.decompress(self._rest))
            ended = self._frame.eof
            self._rest = self._frame.unused_data if ended else b""
            self._frame = None if ended else self._frame
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def _parquet_rows(address: str, raw: BinaryIO, wanted: Wanted) -> Rows:
    from pyarrow import parquet

    file = parquet.ParquetFile(raw)
    if OURS in (file.schema_arrow.metadata or {}):
        raise ListenerError(f"{address}: this is a result of `listener backfill`; `listener import` takes its folder")
    columns = tuple(_column_names(file.schema_arrow))
    if said := wanted.complaint(columns):
        raise Broken(f"{address}: {said}")

    def rows() -> Iterator[Row]:
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for cells in _exact(batch).to_pylist():
                number += 1
                plain = _plain(cells)
                yield Row(number, plain, plain)

    return Rows(columns, rows(), grows=False)


def _column_names(fields: Any) -> Iterator[str]:
    for each in fields:
        yield each.name
        if each.type.num_fields and hasattr(each.type, "get_field_index"):  # a struct: its members as `a.b`
            yield from (f"{each.name}.{each.type.field(at).name}" for at in range(each.type.num_fields))


def _exact(batch: Any) -> Any:
    """The batch with nanoseconds cut to microseconds: Python's dates hold no more."""
    import pyarrow

    columns = [
        column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
        if pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for column in batch.columns
    ]
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _plain(value: Any) -> Any:
    """A value of Parquet as JSON would have it: dates as ISO 8601, decimals as numbers, bytes as text."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
