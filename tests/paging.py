"""A small database and the page over it, for tests of the page: asked in this process, or served to a browser."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from bs4 import BeautifulSoup
from posting import NOW, judge, opened, post, save

from listener.config import BrandSettings, Config, PrivacySettings, RecipientSettings
from listener.records import Rating, Run
from listener.store import Store
from listener.web.app import Page, build
from listener.web.door import Door

OWN, RIVAL = "Acme", "Rival"
AFTER = NOW + timedelta(hours=6)


def configured(folder: Path) -> Config:
    return Config(
        timezone="Europe/Oslo",
        database=folder / "listener.db",
        brand=[BrandSettings(name=RIVAL, role="competitor"), BrandSettings(name=OWN)],
        recipient=[RecipientSettings(email="ann@example.org")],
        privacy=PrivacySettings(authors="drop"),
    )


def filled(folder: Path) -> Store:
    """Sixty posts about Acme over a month and some about Rival; one unsure, one in Norwegian, one that waits."""
    store = opened(folder / "listener.db")
    store.sync_sources([("feed", "feeds", 3600.0, True)], NOW)
    told = (("zmot", "neutral", 24, OWN), ("tmot", "positive", 20, OWN), ("tmot", "negative", 10, OWN),
            ("imot", "negative", 6, OWN), ("tmot", "positive", 12, RIVAL))  # fmt: skip
    number = 0
    for moment, sentiment, count, brand in told:
        made = []
        for _ in range(count):
            number += 1
            at, rating = NOW - timedelta(days=number % 28, hours=1), Rating(4) if moment == "tmot" else None
            url, text = f"https://example.org/{number}", f"The breakfast of {brand} was number {number}"
            made.append(post(f"p{number}", text, created_at=at, url=url, rating=rating))
        save(store, *made, brands=(brand,))
        judge(store, moment=moment, sentiment=sentiment, touchpoints=("food",))
    save(store, post("unsure", "Hm, Acme again, you know", created_at=NOW), brands=(OWN,))
    judge(store, moment="zmot", sentiment="neutral", sure=False)
    save(store, post("no", "Frokosten hos Acme var god", created_at=NOW), brands=(OWN,))
    judge(store, language="no", unread=True)
    save(store, post("waits", "Acme, of which nothing is known yet", created_at=NOW), brands=(OWN,))
    store.finish_run(Run("feed", NOW, 1.0, 75, 75, {}, "ok"), AFTER)
    return store


def page_over(folder: Path, door: Door | None = None, now: datetime = AFTER) -> Page:
    return build(configured(folder), door or Door(), lambda: now)


class Visitor:
    """Asks a page in this process, as a browser on this machine does, and keeps its cookies."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Any:
        return self._ask("GET", path, headers)

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Any:
        """Sends a form as the page itself would: its token with it, from its own origin."""
        token = self.token(path.partition("/undo")[0] if path.startswith("/review") else path)
        sent = {"origin": "http://localhost", "sec-fetch-site": "same-origin", **headers}
        return self._ask("POST", path, sent, {"csrftoken": token, **form})

    def token(self, path: str) -> str:
        found = re.search(r'name="csrftoken" value="([^"]+)"', self.get(path).text)
        return found[1] if found else ""

    def soup(self, path: str) -> BeautifulSoup:
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return BeautifulSoup(answer.text, "lxml")

    def words(self, path: str) -> str:
        return " ".join(self.soup(path).main.get_text(" ").split())

    def _ask(self, method: str, path: str, headers: Mapping[str, str], data: Any = None) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        ask = self.page.client.request(method, path, headers=given, data=data, cookies=self.cookies)
        answer = asyncio.run(ask)
        self.cookies |= dict(answer.cookies)
        return answer


@contextmanager
def served(page: Page) -> Iterator[str]:
    """The page over real HTTP on loopback; gives its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(page.app(), log_level="warning", access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
