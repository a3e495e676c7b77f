"""Who gets into the page and who does not; and that what strangers write in posts stays words."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

pytest.importorskip("datasette", reason="the page needs the extra `serve`")

from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from paging import AFTER, NOW, OWN, Visitor, filled, page_over, served
from posting import judge, post, save

from listener.cli import main
from listener.errors import ListenerError
from listener.store import Store
from listener.web.door import Door
from listener.web.login import _inside

PASSWORD = "correct horse battery"
PAGES = ("/", "/posts", "/posts/1", "/review", "/review/1", "/sources", "/sources/one?name=feed", "/digests", "/brands",
         "/data", "/data/posts", "/data/posts/1", "/data?sql=select+1", "/nowhere")  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with filled(tmp_path) as opened_store:
        yield opened_store


@pytest.fixture
def visitor(store: Store) -> Visitor:
    return Visitor(page_over(store.path.parent))


# --- where it listens ---


@pytest.mark.parametrize(
    ("host", "names"), [("0.0.0.0", ()), ("192.0.2.7", ()), ("::", ()), ("127.0.0.1", ("page.example.org",))]
)
def test_others_get_in_with_a_password_alone(host: str, names: tuple[str, ...]) -> None:
    with pytest.raises(ListenerError, match="it needs a password"):
        Door(host, 8001, names)
    with pytest.raises(ListenerError, match="shorter than 8"):
        Door(host, 8001, names, "short")
    assert Door(host, 8001, names, PASSWORD).password


def test_the_command_refuses_to_listen_elsewhere_without_one(store: Store) -> None:
    ran = CliRunner().invoke(
        main, ["serve", "--host", "0.0.0.0", "--db", str(store.path)], env={"LISTENER_PASSWORD": ""}
    )
    assert ran.exit_code == 1 and "needs a password" in ran.output
    ran = CliRunner().invoke(main, ["serve", "--db", str(store.path), "--certificate", str(store.path)])
    assert ran.exit_code == 2
    no_pem = ["--port", "0", "--certificate", str(store.path), "--key", str(store.path)]
    ran = CliRunner().invoke(main, ["serve", "--db", str(store.path), *no_pem])
    assert ran.exit_code == 1 and "cannot be used" in ran.output


@pytest.mark.parametrize(
    ("host", "answers"),
    [
        ("localhost", True), ("localhost:8001", True), ("127.0.0.1:8001", True), ("[::1]:8001", True),
        ("LOCALHOST", True), ("evil.example", False), ("evil.example:8001", False), ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False), ("", False), ("192.0.2.7", False), ("a:b:c", False),
        ("127.0.0.1@evil", False),
    ],
)  # fmt: skip
def test_another_name_for_our_address_is_refused(visitor: Visitor, host: str, answers: bool) -> None:
    assert visitor.get("/healthz", host=host).status_code == (200 if answers else 421)


def test_elsewhere_it_answers_to_addresses_and_to_names_it_was_given() -> None:
    door = Door("0.0.0.0", 8001, ("page.example.org",), PASSWORD)
    assert [door.answers_to(host) for host in ("192.0.2.7:8001", "page.example.org", "PAGE.example.org:8001")] == [
        True
    ] * 3
    assert not door.answers_to("evil.example")


@given(st.text(max_size=40))
def test_no_host_breaks_the_door(host: str) -> None:
    assert Door().answers_to(host) in (True, False)


# --- what other sites can do ---


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
        {"sec-fetch-site": "same-site", "origin": "http://localhost"},
        {"origin": "http://localhost.evil.example"},
    ],
)
def test_a_form_of_another_site_changes_nothing(visitor: Visitor, store: Store, headers: dict[str, str]) -> None:
    answer = visitor.post("/review/1", {"moment": "tmot", "sentiment": "positive"}, **headers)
    assert answer.status_code == 403
    assert store.connection.execute("SELECT count(*) FROM corrections").fetchone()[0] == 0


def test_a_form_without_an_origin_or_without_our_token_changes_nothing(visitor: Visitor, store: Store) -> None:
    form = {"moment": "tmot", "sentiment": "positive", "csrftoken": visitor.token("/review/1")}
    ours = {"origin": "http://localhost"}
    asked = (
        visitor._ask("POST", "/review/1", {}, form),
        visitor._ask("POST", "/review/1", ours, {**form, "csrftoken": "guessed"}),
        visitor._ask("POST", "/review/1", ours, {"moment": "tmot", "sentiment": "positive"}),
        visitor._ask("PUT", "/review/1", ours, form),
        visitor._ask("POST", "/review/1", ours, {**form, "text_hash": "x" * 200_000}),
    )
    assert [answer.status_code for answer in asked] == [403, 403, 403, 405, 413]
    bare = Visitor(visitor.page)  # no cookie, as from another site: Datasette itself would let it pass
    assert bare._ask("POST", "/review/1", ours, form).status_code == 403
    assert bare._ask("POST", "/review/1", {**ours, "authorization": "Bearer x"}, form).status_code == 403
    assert store.connection.execute("SELECT count(*) FROM corrections").fetchone()[0] == 0
    assert visitor._ask("POST", "/review/1", ours, form).status_code == 303
    anew = Visitor(page_over(store.path.parent))
    anew.cookies = dict(visitor.cookies)
    again = anew._ask("POST", "/review/1", ours, form)
    assert again.status_code == 403 and "Reload it and try again" in again.text


def test_another_site_may_link_here_and_do_no_more(visitor: Visitor) -> None:
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert visitor.get("/review/1", **elsewhere, sec_fetch_mode="navigate").status_code == 200
    assert visitor.get("/posts", **elsewhere, sec_fetch_mode="no-cors").status_code == 403
    assert visitor.get("/data.json?sql=select+1", **elsewhere, sec_fetch_mode="navigate").status_code == 403


def test_reading_writes_nothing(visitor: Visitor, store: Store) -> None:
    before = list(store.connection.iterdump())
    for address in (*PAGES, "/review/1/undo", "/logout", "/picture/journey.json"):
        visitor.get(address)
    assert list(store.connection.iterdump()) == before


def test_every_answer_carries_the_headers_that_keep_scripts_out(visitor: Visitor) -> None:
    for address in (*PAGES, "/look/page.js", "/picture/journey.json", "/-/versions"):
        answer = visitor.get(address)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy and "frame-ancestors 'none'" in policy, address
        assert (
            answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"] == "same-origin"
        )
        assert "access-control-allow-origin" not in answer.headers
        if "text/html" in answer.headers["content-type"]:
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|javascript:", answer.text), address
            assert "http" not in "".join(re.findall(r"<(?:script|link|img|iframe)[^>]*>", answer.text)), address


def test_what_datasette_tells_of_the_machine_is_shut(visitor: Visitor) -> None:
    for name in (
        "versions",
        "plugins",
        "settings",
        "metadata",
        "threads",
        "databases",
        "actor",
        "permissions",
        "patterns",
    ):
        assert visitor.get(f"/-/{name}").status_code == visitor.get(f"/-/{name}.json").status_code == 404
    for address in (
        "/_internal",
        "/_internal/databases",
        "/_memory?sql=select+1",
        "/data.db",
    ):
        assert visitor.get(address).status_code in (400, 403, 404), address
    assert visitor.get("/look/../app.py").status_code == 404
    assert visitor.get("/look/%2e%2e/app.py").status_code in (403, 404)


def test_an_error_of_ours_tells_a_stranger_nothing(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    from listener.web import overview

    monkeypatch.setattr(overview.journey, "total", lambda *_: {}["a secret"])
    answer = visitor.get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text and "Traceback" not in answer.text
    assert "something broke" in answer.text.lower()


# --- the password ---


@pytest.fixture
def guarded(store: Store) -> Visitor:
    return Visitor(page_over(store.path.parent, Door("0.0.0.0", 8001, ("localhost",), PASSWORD)))


def test_nothing_is_seen_before_the_password(guarded: Visitor) -> None:
    for address in (*PAGES, "/picture/journey.json", "/data.json?sql=select+1", "/data/posts.csv"):
        answer = guarded.get(address)
        assert answer.status_code == 401 and "Acme" not in answer.text, address
        assert guarded.get(address, accept="text/html").status_code == 303
    guarded.token("/login")
    assert guarded.post("/review/1", {"moment": "tmot", "sentiment": "positive"}).status_code == 401
    assert guarded.get("/healthz").text == "ok\n"
    assert (
        guarded.get("/posts?q=a&brand=b", accept="text/html").headers["location"]
        == "/login?next=%2Fposts%3Fq%3Da%26brand%3Db"
    )


def test_the_password_lets_in_and_the_way_goes_on(guarded: Visitor) -> None:
    assert guarded.post("/login", {"password": "wrong horse"}).status_code == 403
    assert guarded.get("/posts").status_code == 401
    answer = guarded.post("/login", {"password": PASSWORD, "next": "/posts?q=breakfast"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/posts?q=breakfast")
    ticket = answer.headers["set-cookie"]
    assert "HttpOnly" in ticket and "SameSite=Lax" in ticket and PASSWORD not in ticket
    assert "breakfast" in guarded.words("/posts?q=breakfast")
    assert guarded.post("/review/1", {"moment": "tmot", "sentiment": "positive"}).status_code == 303
    guarded.post("/logout", {})
    guarded.cookies.pop("listener_login", None)
    assert guarded.get("/posts").status_code == 401


def test_a_ticket_holds_over_a_restart_and_ends(store: Store) -> None:
    door = Door("0.0.0.0", 8001, ("localhost",), PASSWORD)
    first = Visitor(page_over(store.path.parent, door))
    first.post("/login", {"password": PASSWORD})
    for door_then, now, status in (
        (door, AFTER + timedelta(days=29), 200),
        (door, AFTER + timedelta(days=31), 401),
        (Door("0.0.0.0", 8001, ("localhost",), "another password"), AFTER, 401),
    ):
        later = Visitor(page_over(store.path.parent, door_then, now))
        later.cookies = dict(first.cookies)
        assert later.get("/posts").status_code == status
    forged = Visitor(page_over(store.path.parent, door))
    forged.cookies = {"listener_login": first.cookies["listener_login"][:-2] + "xx"}
    assert forged.get("/posts").status_code == 401


def test_a_script_sends_the_password_as_a_token(guarded: Visitor) -> None:
    assert guarded.get("/data/trend_daily.json", authorization=f"Bearer {PASSWORD}").status_code == 200
    assert guarded.get("/data/trend_daily.json", authorization="Bearer guess").status_code == 401


def test_guessing_ends_after_ten_tries(guarded: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(10):
        assert guarded.get("/posts", authorization="Bearer guess").status_code == 401
    assert guarded.get("/posts", authorization=f"Bearer {PASSWORD}").status_code == 401
    door = guarded.page.site.door
    assert not door.opens(PASSWORD, AFTER + timedelta(minutes=4)) and door.opens(PASSWORD, AFTER + timedelta(minutes=6))


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "/a\r\nset-cookie: x=1",
        "/\x00",
    ],
)
def test_a_login_leads_nowhere_else(wanted: str) -> None:
    assert _inside(wanted) == "/"


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_a_login_stays_inside(wanted: str) -> None:
    inside = _inside(wanted)
    assert inside.startswith("/") and not inside.startswith(("//", "/\\")) and inside.isprintable()


# --- posts are hostile ---

SCRIPT = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
HOSTILE = (
    SCRIPT,
    "\"'><svg onload=alert(1)>{{ 7*7 }}{% raw %}",
    "</textarea></select></title></script><h1>owned</h1>",
    "\u202e\u2066 gnp.exe \u200f שלום עולם مرحبا \u061c\u202d",
    "javascript:alert(1) data:text/html,<script>1</script>",
    "a" * 1_000_000,
    "word " * 200_000,
    "\U0001f600\u0301" * 500 + "\x07\x1b[31m",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    folder = tmp_path_factory.mktemp("hostile")
    with filled(folder) as store:
        for number, text in enumerate(HOSTILE):
            of = post(
                f"h{number}<b>'\"", text, title=text[:3000], url=f"javascript:alert({number})//<b>",
                engagement={"<b>likes</b>": 3}, created_at=NOW,
            )  # fmt: skip
            save(store, of, brands=(OWN, "<script>brand</script>"))
        judge(store, moment="tmot", sentiment="negative", touchpoints=("food",))
        yield Visitor(page_over(folder))


def test_hostile_posts_are_words_on_every_page(hostile: Visitor) -> None:
    reader = hostile.page.site
    ids = asyncio.run(
        reader.read(lambda r: [row[0] for row in r.execute("SELECT id FROM posts WHERE native_id GLOB 'h*'")])
    )
    assert len(ids) == len(HOSTILE)
    pages = [
        "/", "/posts", "/posts?q=owned", "/review", "/sources", "/brands?query=a*", "/?brand=<script>brand</script>",
        "/data/posts?_size=100&_sort_desc=id", "/data/posts_view?_sort_desc=id",
    ]  # fmt: skip
    pages += [f"/{room}/{post_id}" for post_id in ids for room in ("posts", "review", "data/posts")]
    for address in pages:
        answer = hostile.get(address)
        assert answer.status_code == 200, (address, answer.status_code)
        soup = hostile.soup(address)
        assert not soup("svg", onload=True) and not soup("img"), address
        assert all(script.get("src") for script in soup("script")), address
        assert not [each for each in soup(href=True) if not re.match(r"(/|https?://|#|\?)", each["href"])], address
        assert "owned" not in soup.title.get_text() or "script" in soup.title.get_text()
        if not address.startswith("/data"):
            assert len(answer.content) < 400_000, (address, len(answer.content))


def test_hostile_arguments_are_words_too(hostile: Visitor) -> None:
    for name in ("q", "brand", "since", "before", "query", "name", "next"):
        for path in ("/", "/posts", "/review", "/brands", "/sources/one", "/digests/one", "/login", "/data"):
            answer = hostile.get(f"{path}?{name}={SCRIPT}")
            assert answer.status_code in (200, 303, 400, 404), (path, name)
            assert "<script>document" not in answer.text and "onerror=alert" not in re.sub(
                "&[^;]+;[^<]*", "", answer.text
            )


# --- over real HTTP ---


def test_the_command_serves_until_it_is_told_to_stop(store: Store) -> None:
    command = [sys.executable, "-m", "listener", "serve", "--port", "0", "--db", str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert requests.get(f"{address}posts?q=breakfast", timeout=10).status_code == 200
        assert requests.get(address, headers={"Host": "evil.example"}, timeout=10).status_code == 421
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr is not None and "Traceback" not in process.stderr.read()


def test_a_port_that_is_taken_is_said(store: Store) -> None:
    with served(page_over(store.path.parent)) as address:
        command = [sys.executable, "-m", "listener", "serve", "--db", str(store.path)]
        port = address.rpartition(":")[2]
        ran = subprocess.run([*command, "--port", port], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1 and "nothing can listen on 127.0.0.1" in ran.stderr and "Traceback" not in ran.stderr
