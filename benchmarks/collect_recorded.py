"""The daemon against recorded replies of real services, with servers that fail, are slow, or ask it to wait.

python benchmarks/collect_recorded.py RECORDED [--minutes 3]

RECORDED is the folder of recorded replies (rss-atom, reddit, schema-org-review, hackernews). They are served on
loopback; `listener run` collects them on schedule; then `listener sources` says how it went.
"""

from __future__ import annotations

import argparse
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from loopback import Answer, Request, serve


def file_route(path: Path, kind: str) -> Callable[[Request], Answer]:
    """Serves a file as its service would: with an ETag, and 304 to whoever has it."""
    body, tag = path.read_bytes(), f'"{path.stat().st_size}"'

    def route(request: Request) -> Answer:
        if request.headers.get("if-none-match") == tag:
            return Answer(status=304, headers={"ETag": tag})
        return Answer(body=body, headers={"Content-Type": kind, "ETag": tag})

    return route


def slow(_: Request) -> Answer:
    time.sleep(8)
    return Answer(body=b"<rss version='2.0'><channel><title>slow</title></channel></rss>")


def routes(recorded: Path) -> dict[str, Callable[[Request], Answer]]:
    found = {}
    for folder in ("rss-atom/rss-parser", "rss-atom/feedjira", "reddit/rss"):
        for path in sorted((recorded / folder).glob("*")):
            if path.suffix in (".xml", ".rss", ".atom", ".json"):
                found[f"/feeds/{path.parent.name}/{path.name}"] = file_route(path, "application/xml")
    for path in sorted((recorded / "schema-org-review" / "real-pages").glob("*.html")):
        found[f"/pages/{path.name}"] = file_route(path, "text/html; charset=utf-8")
    hits = recorded / "hackernews" / "search_stories_trimmed.json"
    found["/hn/search_by_date"] = lambda _: Answer(body=hits.read_bytes(), headers={"Content-Type": "application/json"})
    found["/fails"] = lambda _: Answer(status=503)
    found["/slow"] = slow
    found["/busy"] = lambda _: Answer(status=429, headers={"Retry-After": "90"})
    return found


def configuration(served: dict[str, Callable[[Request], Answer]], url: Callable[[str], str]) -> str:
    feeds = {path: url(path) for path in served if path.startswith("/feeds/")}
    groups: dict[str, list[str]] = {}
    for path, address in feeds.items():
        groups.setdefault(path.split("/")[2], []).append(address)
    lines = ['timezone = "UTC"', 'database = "listener.db"', "[http]", 'allow_private = ["127.0.0.1"]', "gap_s = 0"]

    def source(name: str, kind: str, keys: str) -> None:
        lines.append(f'[[source]]\nname = "{name}"\nkind = "{kind}"\nevery = "30s"\nkeep = "all"\n{keys}')

    for group, addresses in groups.items():
        source(f"feeds {group}", "feeds", f"urls = {addresses}".replace("'", '"'))
    for path in served:
        if path.startswith("/pages/"):
            source(f"page {Path(path).stem}", "webreviews", f'urls = ["{url(path)}"]')
    source("hacker news", "hackernews", f'queries = ["python"]\napi = "{url("/hn/search_by_date")}"')
    for name in ("fails", "slow", "busy"):
        source(name, "feeds", f'url = "{url("/" + name)}"')
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recorded", type=Path)
    parser.add_argument("--minutes", type=float, default=3)
    options = parser.parse_args()
    served = routes(options.recorded)
    with serve(served) as server, tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "listener.toml"
        config.write_text(configuration(served, server.url))
        command = [sys.executable, "-m", "listener"]
        with (Path(scratch) / "log").open("w") as log:
            daemon = subprocess.Popen([*command, "run", "--config", str(config)], stderr=log)
            time.sleep(options.minutes * 60)
            memory = psutil.Process(daemon.pid).memory_info().rss / 1e6
            began = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            code = daemon.wait(30)
            gone = time.monotonic() - began
            print(f"after {options.minutes} minutes: {memory:.0f} MB; SIGTERM to gone {gone:.1f} s, exit {code}")
        with sqlite3.connect(Path(scratch) / "listener.db") as reader:
            for what, query in (
                ("posts stored", "SELECT count(*) FROM posts"),
                ("of them twice", "SELECT count(*) - count(DISTINCT source || char(0) || native_id) FROM posts"),
                ("with a verdict", "SELECT count(*) FROM verdicts"),
                ("fetches", "SELECT count(*) FROM runs"),
                ("fetches that found nothing new to read", "SELECT count(*) FROM runs WHERE outcome = 'unchanged'"),
            ):
                print(f"{what}: {reader.execute(query).fetchone()[0]}")
        print(f"requests served: {len(server.requests)}", flush=True)
        subprocess.run([*command, "sources", "--config", str(config)], check=True)


if __name__ == "__main__":
    main()
