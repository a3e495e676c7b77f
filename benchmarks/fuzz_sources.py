"""Feeds damaged replies to every source through its contract: `python benchmarks/fuzz_sources.py --inputs 2000`.

Each reply of a kind's payloads is damaged at random, the bytes of it or the values in its JSON, and goes the way a real
one goes: through `fetch`, or through `recheck`. A source may raise what it promises (Retry, Refused, Broken); anything
else is printed with the seed that brings it again, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from listener.errors import SourceError  # noqa: E402
from listener.http import Response  # noqa: E402
from listener.sources import can_recheck, kinds  # noqa: E402
from listener.sources.contract import NOW, Contract  # noqa: E402

PAYLOADS = ROOT / "tests" / "payloads"
TOKENS = [
    b"", b"\0", b"<", b">", b"&", b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"-1", b"1e999", b"NaN",
    b"99999999999999999999", b"\xff\xfe", b"\xf0\x9f\x92\xa9", b"\\ud800", b"<!--", b"]]>", b"<script>", b"\x1b",
]  # fmt: skip
VALUES = [None, True, -1, 0, 1e308, 2**70, "", "\ud800", "x" * 5000, [], {}, [[]], {"a": 1}, "9999-99-99"]
REPLIES_A_RUN = 60


def damaged(payload: bytes, rng: random.Random) -> bytes:
    """The bytes with some of them changed, cut, doubled or swapped for others; or one to three JSON values changed."""
    if rng.random() < 0.5:
        try:
            tree = json.loads(payload)
        except ValueError:
            pass
        else:
            for _ in range(rng.randrange(1, 4)):
                tree = _with_one_value_changed(tree, rng)
            return json.dumps(tree).encode("utf-8", "surrogatepass")
    data = bytearray(payload)
    for _ in range(rng.randrange(1, 6)):
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        end = min(end, at + rng.choice((1, 4, 30, 10_000)))
        data[at:end] = rng.choice((rng.choice(TOKENS), rng.randbytes(end - at), data[at:end] * 2, b""))
    return bytes(data)


def _with_one_value_changed(tree: Any, rng: random.Random) -> Any:
    places: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        places += [(node, key) for key in keys]
        waiting += [node[key] for key in keys]
    if not places:
        return copy.deepcopy(rng.choice(VALUES))
    node, key = rng.choice(places)
    if isinstance(node, dict) and rng.random() < 0.2:
        del node[key]
    else:
        node[key] = copy.deepcopy(rng.choice(VALUES))
    return tree


def fuzz(kind: str, inputs: int, seed: int) -> tuple[Counter[str], list[str]]:
    """What came of so many damaged replies, and every exception that was not promised."""
    contract = Contract(kind, PAYLOADS / kind)
    os.environ.update(contract.told.get("env", {}))
    posts = [post.native_id for page in contract.run() for post in page.posts]
    counts: Counter[str] = Counter()
    wrong = []
    run = 0
    while counts["replies"] < inputs:
        run += 1
        rng = random.Random(f"{seed} {kind} {run}")
        told = 0

        def get(url: str, rng: random.Random = rng, **more: Any) -> Response:
            nonlocal told
            told += 1
            if told > REPLIES_A_RUN:
                raise SourceError("enough")
            counts["replies"] += 1
            names = list(contract.told["answers"].values())
            body = (contract.folder / contract.told["answers"].get(url, rng.choice(names))).read_bytes()
            return Response(200, url, {}, damaged(body, rng) if rng.random() < 0.8 else body)

        try:
            if can_recheck(kind) and rng.random() < 0.3:
                at_once = contract.source.RECHECK_AT_ONCE  # type: ignore[attr-defined]
                pages = contract.source.recheck(contract.settings, None, posts[:at_once], get, NOW, "fuzz")  # type: ignore[attr-defined]
            else:
                pages = contract.source.fetch(contract.settings, None, get, NOW, "fuzz")  # type: ignore[arg-type]
            for page in pages:
                counts["pages"] += 1
                counts["posts"] += len(page.posts)
                for post in page.posts:
                    (post.native_id + post.url + post.author).encode("utf-8", "replace")
                    assert post.native_id and post.text and (post.created_at is None or post.created_at.tzinfo)
                json.dumps(page.cursor)
        except SourceError as error:
            counts[type(error).__name__] += 1
        except Exception as error:  # noqa: BLE001  # that is what is looked for
            wrong.append(f"{kind}, seed {seed}, run {run}: {type(error).__name__}: {str(error)[:200]}")
    return counts, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000, help="damaged replies a kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", help="only this kind")
    told = parser.parse_args()
    failures = []
    print(f"{'kind':14} {'replies':>8} {'posts':>8}  {'raised':40} seconds")
    for kind in told.kind or sorted(kind for kind in kinds() if (PAYLOADS / kind / "contract.toml").exists()):
        began = time.monotonic()
        counts, wrong = fuzz(kind, told.inputs, told.seed)
        raised = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()) if name[:1].isupper())
        print(f"{kind:14} {counts['replies']:8} {counts['posts']:8}  {raised:40} {time.monotonic() - began:.1f}")
        failures += wrong
    for each in failures[:40]:
        print(each)
    print(f"exceptions that were not promised: {len(failures)}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
