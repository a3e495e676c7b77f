"""Planted secrets: after everything the program does with them they are in no log, no output and no table."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from forked import Start, programs

from loopback import Answer, Request, closed_port, serve

PLANTED = {
    "LISTENER_T_MAIL": "mailsecret-51c7a1", "LISTENER_T_HOOK": "hooksecret-83b0d2",
    "LISTENER_T_TOKEN": "tokensecret-9e4f07", "LISTENER_T_WAY": "waysecret-77aa31",
}  # fmt: skip
IN_ADDRESS = ("urlsecret-2f6b90", "usersecret-40cc1e")


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with programs() as begin:
        yield begin


def _echo(request: Request) -> Answer:
    """A server that repeats everything it was told, as error pages do."""
    told = f"{request.path} {dict(request.query)} {dict(request.headers)}"
    return Answer(f"<html>forbidden: {told}</html>".encode(), 403, {"X-Told": told[:500]})


def _moved(request: Request) -> Answer:
    return Answer(b"", 302, {"Location": f"/echo?token={request.query['api_key']}"})


def _feed(_: Request) -> Answer:
    item = "<item><guid>a</guid><title>Harbour</title><link>/stays/1</link><description>Bad bed.</description></item>"
    return Answer(
        f'<rss version="2.0"><channel><title>t</title>{item}</channel></rss>'.encode(), headers={"ETag": '"1"'}
    )


def _reviews(request: Request) -> Answer:
    """A page of a shop's reviews: one without an address, one that names it as the page itself was asked for."""
    asked = "&amp;".join(f"{key}={value}" for key, value in request.query.items())
    links = ("", f'<a itemprop="url" href="?{asked}&amp;review=2#r2">link</a>')
    items = "".join(
        f'<div itemscope itemtype="https://schema.org/Review"><p itemprop="reviewBody">Bed {number}.</p>{link}</div>'
        for number, link in enumerate(links)
    )
    return Answer(f"<html><body>{items}</body></html>".encode(), headers={"Content-Type": "text/html"})


@contextmanager
def _mail_server() -> Iterator[int]:
    """One that refuses every login, and repeats what it was sent."""
    port = closed_port()

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 no: {data.password.decode()}")

    class Handler:
        pass

    how = {"authenticator": authenticate, "auth_require_tls": False, "auth_required": True}
    controller = Controller(Handler(), hostname="127.0.0.1", port=port, **how)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def _configure(folder: Path, server: Any, mail_port: int) -> None:
    (folder / "token").write_text(PLANTED["LISTENER_T_TOKEN"])
    (folder / "token").chmod(0o600)
    url, user = IN_ADDRESS
    address = server.url("/PATH", host=f"someone:{user}@127.0.0.1") + f"?api_key={url}"
    feeds = "".join(
        f'[[source]]\nname = "{name}"\nkind = "feeds"\nurl = "{address.replace("/PATH", path)}"\n'
        for name, path in (("good", "/feed"), ("moved", "/moved"), ("shut", "/echo"), ("gone", "/nothing"))
    )
    (folder / "listener.toml").write_text(
        f'timezone = "UTC"\ndatabase = "l.db"\n[[brand]]\nname = "Harbour"\n[log]\nlevel = "DEBUG"\n'
        f'[http]\nallow_private = ["*"]\ngap_s = 0\n{feeds}'
        f'[[source]]\nname = "shop"\nkind = "webreviews"\nurl = "{address.replace("/PATH", "/reviews")}"\n'
        '[[source]]\nname = "social"\nkind = "mastodon"\ninstances = ["social.invalid"]\ntags = ["harbour"]\n'
        'token = { file = "token" }\n'
        f'[mail]\nhost = "127.0.0.1"\nport = {mail_port}\nsecurity = "none"\nsender = "L <l@example.org>"\n'
        'username = "listener"\npassword_env = "LISTENER_T_MAIL"\n'
        '[[recipient]]\nemail = "anna@example.org"\nat = "00:00"\nalerts = true\n'
        f'[[webhook]]\nname = "hook"\nurl = {{ env = "LISTENER_T_WAY" }}\nsecret = {{ env = "LISTENER_T_HOOK" }}\n'
    )


def test_planted_secrets_are_in_no_log_no_output_and_no_table(start: Start, tmp_path: Path) -> None:
    routes = {"/feed": _feed, "/echo": _echo, "/moved": _moved, "/reviews": _reviews}
    with serve(routes) as server, _mail_server() as port:
        _configure(tmp_path, server, port)
        way = f"{server.url('/echo')}?token={PLANTED['LISTENER_T_WAY']}"
        env = {**PLANTED, "LISTENER_T_WAY": way}
        for number, command in enumerate((
            ("collect", "-v"), ("collect", "--json"), ("classify",), ("digest", "--send"), ("alerts", "--send"),
            ("doctor",), ("doctor", "--json"), ("sources",), ("sources", "--json"), ("sources", "test", "shut"),
            ("sources", "test", "good"), ("posts", "--json"), ("run", "-v"),
        )):  # fmt: skip
            child = start(*command, "--config", tmp_path / "listener.toml", log=tmp_path / "log", out=tmp_path / "out",
                          env=env)  # fmt: skip
            if command[0] == "run":
                time.sleep(2.5)
                assert child.poll() is None, (tmp_path / "log").read_text()[-3000:]
                child.send(signal.SIGTERM)
            assert child.wait() != 70, f"{command} (number {number}) crashed: {(tmp_path / 'log').read_text()[-2000:]}"
        assert any(IN_ADDRESS[0] in request.query.get("api_key", "") for request in server.requests), "it was used"
    said = (tmp_path / "log").read_bytes() + (tmp_path / "out").read_bytes()
    assert b"403" in said and b"refused the login" in said and b"hook" in said, "the faults were met, and told"
    with closing(sqlite3.connect(tmp_path / "l.db")) as database:
        stored = "\n".join(database.iterdump()).encode()
        urls = {row[0].replace(server.url(""), "") for row in database.execute("SELECT url FROM posts")}
        assert urls == {"/stays/1", "/reviews", "/reviews?review=2#r2"}
    files = b"".join(path.read_bytes() for path in tmp_path.glob("l.db*"))
    for secret in (*PLANTED.values(), *IN_ADDRESS):
        for place, held in (("log or output", said), ("table", stored), ("file of the database", files)):
            at = held.find(secret.encode())
            assert at < 0, f"a secret is in a {place}: ...{held[max(0, at - 150) : at + 40]!r}"
