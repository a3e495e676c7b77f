"""The output of a backfill: Parquet by local day, and what was done, input by input. An input is in it whole or not.

    OUTPUT/day=2026-11-25/part-INPUT-0001.parquet    rows of one input and one day
    OUTPUT/_backfill/INPUT.json                      what became of an input; its last write is the commit
    OUTPUT/_backfill/INPUT.rejected.jsonl            the rows of it that were left out
    OUTPUT/_backfill/tmp-...                         what is being written

Names are made from the input and a count, so that what is done twice lands on itself.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from listener.archives import Done, Input, Job
from listener.archives.schema import schema

_STATE = "_backfill"
_NO_DAY = "__HIVE_DEFAULT_PARTITION__"  # how Hive, Spark and DuckDB write that a row has none
_HELD_BYTES = 32 * 2**20  # of rows that wait for more of their day


class Output:
    """The folder of results, on any file system that fsspec writes."""

    def __init__(self, address: str) -> None:
        import fsspec.core

        self.fs, self.root = fsspec.core.url_to_fs(address)
        self.local = "file" in ((self.fs.protocol,) if isinstance(self.fs.protocol, str) else self.fs.protocol)

    def path(self, *parts: str) -> str:
        return "/".join((self.root, *parts))

    def state(self, item: Input) -> dict[str, Any] | None:
        """What was written of an input by an earlier run; None without."""
        try:
            found: dict[str, Any] = json.loads(self.fs.cat_file(self.path(_STATE, f"{item.mark}.json")))
        except (FileNotFoundError, ValueError):
            return None
        return found

    def sweep(self) -> None:
        """Takes away what runs that were killed had begun. To be called while no other run writes here."""
        for path in self.fs.glob(self.path(_STATE, "tmp-*")):
            self.fs.rm(path, recursive=True)

    def create(self, path: str) -> IO[bytes]:
        """A file to write to, readable by its owner alone: it holds what people wrote."""
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self.local:
            return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        opened: IO[bytes] = self.fs.open(path, "wb")
        return opened

    def close(self, file: IO[bytes]) -> None:
        """Closes a file, on a disk of this machine not before it is there: its commit must not outlive it."""
        if self.local:
            file.flush()
            os.fsync(file.fileno())
        file.close()

    def place(self, written: str, path: str) -> None:
        """Puts a finished file where it belongs, at once and over what was there."""
        self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self.local:
            Path(written).replace(path)
        else:
            self.fs.mv(written, path)

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(path)


def earlier(output: Output, item: Input, job: Job) -> Done | None:
    """What an earlier run made of this input, if the input and the way to read and judge it are the same."""
    state = output.state(item)
    if not state or state["state"] != "done":
        return None
    if (state["size"], state["version"], state["how"]) != (item.size, item.version, job.how):
        return None
    return Done(**{**state["done"], "before": True})


class Parts:
    """The rows of one input on their way into the output. Nothing of them is there before `commit`."""

    def __init__(self, output: Output, item: Input, job: Job) -> None:
        self._output, self._item, self._job = output, item, job
        self._schema = schema(job)
        self._folder = output.path(_STATE, f"tmp-{item.mark}-{uuid4().hex[:8]}")
        self._held: dict[str, list[Any]] = {}  # day -> tables
        self._bytes: Counter[str] = Counter()
        self._written: list[tuple[str, str]] = []  # (where it lies, where it belongs)
        self._rejects: IO[bytes] | None = None
        self.rows = 0
        self.skipped: Counter[str] = Counter()

    def add(self, table: Any) -> None:
        """Takes scored rows; their column `day` becomes the folder they go to."""
        import pyarrow.compute as pc

        self.rows += table.num_rows
        days = table.column("day")
        rows = table.drop_columns(["day"])
        for day in pc.unique(days).to_pylist():
            own = rows.filter(pc.is_null(days) if day is None else pc.equal(days, day))
            name = day or _NO_DAY
            self._held.setdefault(name, []).append(own)
            self._bytes[name] += own.nbytes
        if self._bytes.total() > _HELD_BYTES:
            for name, _ in self._bytes.most_common():
                self._flush(name)
                if self._bytes.total() <= _HELD_BYTES // 2:
                    break

    def reject(self, rows: Sequence[dict[str, Any]]) -> None:
        """Lists rows that are left out: {"row", "line", "reason", "raw"} each."""
        if rows and self._rejects is None:
            self._rejects = self._output.create(f"{self._folder}/rejected.jsonl")
        for row in rows:
            self.skipped[row["reason"]] += 1
            assert self._rejects
            self._rejects.write(json.dumps(row, default=str).encode() + b"\n")

    def _flush(self, day: str) -> None:
        import pyarrow
        from pyarrow import parquet

        name = f"part-{self._item.mark}-{len(self._written):04}.parquet"
        table = pyarrow.concat_tables(self._held.pop(day)).cast(self._schema)
        del self._bytes[day]
        file = self._output.create(f"{self._folder}/{name}")
        parquet.write_table(table, file, compression="zstd")
        self._output.close(file)
        self._written.append((f"{self._folder}/{name}", f"day={day}/{name}"))

    def commit(self, doubts: dict[str, int], trouble: str) -> Done:
        """Puts everything in its place. Killed in between, the input counts as not done, and is done again."""
        output, item = self._output, self._item
        for day in sorted(self._held):
            self._flush(day)
        before = output.state(item) or {"parts": []}
        parts = [part for _, part in self._written]
        done = Done(
            item.address, self.rows + self.skipped.total(), self.rows, dict(self.skipped), doubts,
            output.path(_STATE, f"{item.mark}.rejected.jsonl") if self._rejects else "", trouble,
        )  # fmt: skip
        self._note("placing", sorted({*parts, *before["parts"]}), done)
        for written, part in self._written:
            output.place(written, output.path(part))
        for part in set(before["parts"]) - set(parts):
            output.remove(output.path(part))
        if self._rejects:
            output.close(self._rejects)
            output.place(f"{self._folder}/rejected.jsonl", done.rejects)
        else:
            output.remove(output.path(_STATE, f"{item.mark}.rejected.jsonl"))
        self._note("done", parts, done)
        self.drop()
        return done

    def drop(self) -> None:
        """Takes away what was written and not placed."""
        if self._rejects and not self._rejects.closed:
            self._rejects.close()
        with suppress(FileNotFoundError):
            self._output.fs.rm(self._folder, recursive=True)

    def _note(self, state: str, parts: list[str], done: Done) -> None:
        item = self._item
        note = {
            "state": state, "size": item.size, "version": item.version, "how": self._job.how,
            "model": self._job.model_name, "done": asdict(done), "parts": parts,
        }  # fmt: skip
        file = self._output.create(f"{self._folder}/state.json")
        file.write(json.dumps(note, indent=1).encode())
        self._output.close(file)
        self._output.place(f"{self._folder}/state.json", self._output.path(_STATE, f"{item.mark}.json"))
