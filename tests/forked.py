"""The real program, forked from a process that has its imports behind it: a start costs a twentieth of the time.

with programs() as start:
    child = start("collect", "--config", path, env={"LISTENER_CRASH_AT": "collect.saved"}, log=tmp_path / "log")
    child.wait()        # the exit status, -9 after a kill
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ZYGOTE = """
import importlib, json, os, sys
import feedparser, numpy, onnxruntime, requests, rich.progress, tokenizers
import listener.cli, listener.crash, listener.daemon, listener.doctor, listener.engine.onnx, listener.engine.routing
import listener.daemon.monitor, listener.pipeline, listener.scoring, listener.reads.search, listener.sources.feeds
import listener.sources.files, listener.http.transport

ended = {}
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        if asked["wait"] not in ended:
            pid, status = os.waitpid(asked["wait"], os.WNOHANG)
            if pid:
                ended[pid] = os.waitstatus_to_exitcode(status)
        print(ended.get(asked["wait"], "none"), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        os.dup2(os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        os.environ.update(asked["env"])
        importlib.reload(listener.crash)
        code = 0
        try:
            listener.cli.main(asked["args"])
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 70
        sys.stdout.flush()
        os._exit(code)
    print(pid, flush=True)
"""


@dataclass(frozen=True)
class Child:
    """A running `listener`; `ask` is how its parent is asked about it."""

    pid: int
    log: Path
    ask: Callable[[dict[str, object]], str]

    def poll(self) -> int | None:
        """The exit status once it has ended."""
        answer = self.ask({"wait": self.pid})
        return None if answer == "none" else int(answer)

    def wait(self, seconds: float = 60) -> int:
        end = time.monotonic() + seconds
        while (status := self.poll()) is None:
            assert time.monotonic() < end, f"still running after {seconds} s; it says:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.005)
        return status

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


Start = Callable[..., Child]


@contextmanager
def programs() -> Iterator[Start]:
    """Gives `start(*arguments, env=..., log=...)`, which runs `listener` with them; kills what is left at the end."""
    quiet = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _ZYGOTE]
    zygote = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet, start_new_session=True
    )
    assert zygote.stdin and zygote.stdout
    children: set[int] = set()

    def ask(what: dict[str, object]) -> str:
        assert zygote.stdin and zygote.stdout
        zygote.stdin.write(json.dumps(what) + "\n")
        zygote.stdin.flush()
        answer = zygote.stdout.readline().strip()
        assert answer, "the parent of the programs died"
        if answer != "none" and "wait" in what:
            children.discard(int(str(what["wait"])))
        return answer

    def start(*args: object, log: Path, out: Path | None = None, env: Mapping[str, str] | None = None) -> Child:
        asked = {"args": [str(each) for each in args], "env": dict(env or {}), "log": str(log)}
        pid = int(ask({**asked, "out": str(out or os.devnull)}))
        children.add(pid)
        return Child(pid, log, ask)

    try:
        assert zygote.stdout.readline() == "ready\n"
        yield start
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        zygote.stdin.close()
        zygote.wait(10)
        zygote.stdout.close()
