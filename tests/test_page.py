"""The page as its readers use it, without a script: what it counts, finds, tells, takes back, and does not show."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("datasette", reason="the page needs the extra `serve`")

from paging import AFTER, NOW, OWN, RIVAL, Visitor, configured, filled, page_over
from posting import judge, post, save

from listener import config, pipeline, trends
from listener.errors import ListenerError, StoreError
from listener.reads import journey
from listener.records import Gap, Page, Run
from listener.store import Store
from listener.tables import events
from listener.web import asking
from listener.web.door import Door


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with filled(tmp_path) as opened_store:
        yield opened_store


@pytest.fixture
def visitor(store: Store) -> Visitor:
    return Visitor(page_over(store.path.parent))


def counted(page: BeautifulSoup) -> dict[str, list[str]]:
    """The rows of all tables of a page: what each is called -> its cells."""
    rows = [row for row in page("tr") if row.td]
    return {row.th.get_text(strip=True): [cell.get_text(strip=True) for cell in row("td")] for row in rows}


def hidden_fields(form: Tag) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in form("input", type="hidden") if each["name"] != "csrftoken"}


def id_of(store: Store, native_id: str) -> int:
    return int(store.connection.execute("SELECT id FROM posts WHERE native_id = ?", (native_id,)).fetchone()[0])


# --- overview ---


def test_the_overview_counts_what_the_trends_count(visitor: Visitor, store: Store) -> None:
    page = visitor.soup("/")
    assert page.h1.get_text(" ", strip=True) == "62 posts about Acme"  # our own brand first, not the competitor
    rows = {
        row.th.get_text(strip=True): [cell.get_text(strip=True) for cell in row("td")] for row in page("tr") if row.td
    }
    assert rows["Research"][1:] == ["24", "0", "24", "0"]
    assert rows["Feedback"][1:] == ["30", "10", "0", "20"]
    assert rows["Waiting"][1:] == ["6", "6", "0", "0"]
    assert rows["Food"][1:4] == ["60", "16", "20"]
    assert [rows[name][1:3] for name in (OWN, RIVAL)] == [["62", "84%"], ["12", "16%"]]
    assert "unsure of 1 and could not read 1" in page.main.get_text()
    assert "1 post waits for a verdict" in page.main.get_text(" ")
    assert "1 of 1 source answers" in " ".join(page.main.get_text(" ").split())
    with trends.open_reader(store.path, store.zone) as reader:
        total = journey.total(reader, journey.Stretch(OWN, NOW.date().replace(day=1), NOW.date()))
        assert total.posts == sum(
            row.posts for row in trends.trends(reader, brands=[OWN], since=NOW.date().replace(day=1))
        )


def test_a_shorter_period_and_another_brand_are_asked_for_by_address(visitor: Visitor) -> None:
    week = visitor.soup("/?brand=Rival&days=7")
    assert "about Rival" in week.h1.get_text()
    assert "Monday 16 November to Sunday 22 November 2026" in week.main.get_text()
    day = visitor.soup("/?brand=Acme&since=2026-11-20&until=2026-11-20")
    assert "Friday 20 November 2026" in day.main.get_text()
    link = week.find("a", string="4 weeks")["href"]
    assert "about Rival" in visitor.soup(link).h1.get_text()


def test_every_count_leads_to_the_posts_it_counts(visitor: Visitor) -> None:
    page = visitor.soup("/")
    address = next(row.th.a["href"] for row in page("tr") if row.th and row.th.get_text(strip=True) == "Waiting")
    assert len(visitor.soup(address)("li", class_="post")) == 6
    research = page.find("a", string="Research", href=lambda href: href and "phase=research" in href)
    assert len(visitor.soup(research["href"])("li", class_="post")) == 24
    assert visitor.get("/posts?phase=lunch").status_code == 400


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/?brand=Nobody", "there is no brand 'Nobody'"),
        ("/?since=2026-11-22&until=2026-11-01", "swap the two"),
        ("/?since=yesterday", "write it as 2026-11-21"),
        ("/?days=forever", "not a number of days"),
        ("/posts?moment=lunch", "no moment 'lunch'"),
        ("/posts?q=%22open", "quotation mark is not closed"),
        ("/posts?before=yes", "begin again with the newest"),
        ("/review?brand=Nobody", "no brand 'Nobody'"),
        ("/brands?query=%28", "parenthes"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(visitor: Visitor, address: str, said: str) -> None:
    answer = visitor.get(address)
    assert answer.status_code == 400
    text = answer.text.replace("&#39;", "'")
    assert said.lower() in text.lower()
    assert 'role="alert"' in text and "Traceback" not in text


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["brand", "since", "until", "days"]), st.text(max_size=12)))
def test_no_argument_of_an_address_breaks_the_period(args: dict[str, str]) -> None:
    try:
        span = asking.span(args, [OWN, RIVAL], NOW.date(), NOW.date())
    except ListenerError:
        return
    again = asking.span(asking.pairs(span.address()), [OWN, RIVAL], NOW.date(), NOW.date())
    assert again == span and span.over.since <= span.over.until and span.before.until < span.over.since


@pytest.mark.parametrize(
    ("days", "posts", "by"),
    [(28, 5000, "day"), (28, 196, "week"), (3, 2, "day"), (90, 5000, "week"), (90, 30, "month"), (800, 10**6, "month")],
)
def test_a_point_of_a_picture_has_enough_posts_for_a_share(days: int, posts: int, by: str) -> None:
    span = asking.span({"days": str(days)}, [OWN], NOW.date(), NOW.date())
    assert (span.length, span.by(posts)) == (days, by)


def test_an_empty_database_says_what_to_do(tmp_path: Path) -> None:
    with pipeline.open_store(configured(tmp_path)):
        pass
    visitor = Visitor(page_over(tmp_path))
    assert "listener collect" in visitor.words("/")
    assert "No stored post fits" in visitor.words("/posts")
    assert "Nothing waits here" in visitor.words("/review")
    assert "No source yet" in visitor.words("/sources")


def test_no_database_is_said_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        page_over(tmp_path)


# --- posts ---


def test_posts_are_found_by_words_and_turned_over_page_by_page(visitor: Visitor) -> None:
    assert len(visitor.soup('/posts?q="number 7"')("li", class_="post")) == 1
    seen: list[str] = []
    address = "/posts?brand=Acme"
    for _ in range(4):
        page = visitor.soup(address)
        seen += [item.a["href"] for item in page("li", class_="post")]
        older = page.find("a", rel="next")
        if older is None:
            break
        address = older["href"]
    assert len(seen) == len(set(seen)) == 63  # the one that waits with them


def test_one_post_tells_why(visitor: Visitor, store: Store) -> None:
    text = visitor.words(f"/posts/{id_of(store, 'p1')}")
    assert "Acme , because of the words" in text and "its name" in text
    assert "Research 70%" in text and "Neutral 80%" in text
    unsure = visitor.words(f"/posts/{id_of(store, 'unsure')}")
    assert "Unsure" in unsure and "not sure enough" in unsure
    assert "Not read" in visitor.words(f"/posts/{id_of(store, 'no')}")
    assert "It waits for a verdict" in visitor.words(f"/posts/{id_of(store, 'waits')}")


def test_a_copy_leads_to_the_post_that_is_counted(visitor: Visitor, store: Store) -> None:
    long = (
        "The lift of Acme was out of order for the third time this year, and nobody at the desk knew when it would go"
    )
    save(store, post("first", long), post("second", f"{long} again"), brands=(OWN,))
    first, second = id_of(store, "first"), id_of(store, "second")
    assert store.connection.execute("SELECT copy_of FROM posts WHERE id = ?", (second,)).fetchone()[0] == first
    answer = visitor.get(f"/posts/{second}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/posts/{first}")
    assert "The same words elsewhere" in visitor.words(f"/posts/{first}")


def test_a_post_that_is_gone_is_said_to_be_gone(visitor: Visitor, store: Store) -> None:
    gone = id_of(store, "p1")
    store.delete([gone], AFTER)
    for address in (
        f"/posts/{gone}",
        f"/review/{gone}",
        "/posts/999999",
        "/nowhere",
        "/data/nowhere",
        "/sources/one?name=x",
    ):
        assert visitor.get(address).status_code == 404, address


# --- review ---


def test_a_correction_counts_at_once_and_can_be_taken_back(visitor: Visitor, store: Store) -> None:
    post_id = id_of(store, "unsure")

    def feedback() -> str:
        page = visitor.soup("/")
        return next(
            row("td")[1].get_text() for row in page("tr") if row.td and row.th.get_text(strip=True) == "Feedback"
        )

    assert feedback() == "30"
    answer = visitor.post(f"/review/{post_id}", {"moment": "tmot", "sentiment": "negative", "had": ""})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/review/{post_id}?said=1")
    assert feedback() == "31"
    told = visitor.words(f"/review/{post_id}?said=1")
    assert "Saved" in told and "as a person said" in told
    assert visitor.post(f"/review/{post_id}/undo", {}).status_code == 303
    assert feedback() == "30"
    assert "undone" in visitor.words(f"/review/{post_id}")
    assert visitor.post(f"/review/{post_id}/undo", {}).status_code == 400


def test_not_us_takes_the_post_from_the_brand(visitor: Visitor, store: Store) -> None:
    post_id = id_of(store, "p30")
    assert visitor.post(f"/review/{post_id}", {"not_brand": OWN, "moment": "tmot", "place": "mail"}).status_code == 303
    assert "61 posts" in visitor.soup("/").h1.get_text()
    place = store.connection.execute("SELECT place, not_brands FROM corrections").fetchone()
    assert tuple(place) == ("mail", '["Acme"]')


def test_the_links_of_a_digest_lead_to_the_form(visitor: Visitor, store: Store) -> None:
    for wrong, said in (
        ("moment", "the moment that is right"),
        ("sentiment", "the sentiment"),
        ("brand", "say so below"),
    ):
        page = visitor.soup(f"/review/1?wrong={wrong}")
        assert said in page.main.get_text()
        assert page.find("input", {"name": "place"})["value"] == "mail"
        assert page.find("input", {"name": "moment", "checked": True})["value"] == "zmot"
    assert visitor.soup("/review/1?wrong=<b>").find("input", {"name": "place"})["value"] == "page"


def test_touchpoints_count_as_said_only_where_they_were_changed(visitor: Visitor, store: Store) -> None:
    post_id = id_of(store, "p1")
    as_it_was = {"moment": "zmot", "sentiment": "neutral", "had": "food", "touchpoint_food": "1"}
    visitor.post(f"/review/{post_id}", as_it_was)
    visitor.post(f"/review/{post_id}", {**as_it_was, "touchpoint_staff": "1"})
    said = [row[0] for row in store.connection.execute("SELECT touchpoints FROM corrections ORDER BY id")]
    assert (
        said == [None, '["staff", "food"]']
        or said == [None, '["food", "staff"]']
        or set(json.loads(said[1])) == {"food", "staff"}
    )


def test_an_edit_in_between_is_not_overruled_unseen(visitor: Visitor, store: Store) -> None:
    post_id = id_of(store, "p1")
    old = visitor.soup(f"/review/{post_id}").find("input", {"name": "text_hash"})["value"]
    save(store, post("p1", "Acme: edited, and quite another thing now"), brands=(OWN,))
    judge(store, moment="none", sentiment="neutral")
    answer = visitor.post(f"/review/{post_id}", {"moment": "zmot", "sentiment": "positive", "text_hash": old})
    assert answer.status_code == 400 and "was edited since you saw it" in answer.text


def test_the_queue_goes_on_and_says_how_far_one_has_come(visitor: Visitor, store: Store) -> None:
    page = visitor.soup("/review?brand=Acme")
    assert "0 posts judged today" in page.main.get_text(" ")
    form = page.find("form", class_="verdict")
    fields = {
        each["name"]: each.get("value", "") for each in form("input", type="hidden") if each["name"] != "csrftoken"
    }
    answer = visitor.post(form["action"], {**fields, "moment": "tmot", "sentiment": "positive"})
    back = answer.headers["location"]
    assert back.startswith("/review?brand=Acme") and "said=" in back
    page = visitor.soup(back)
    assert "1 post judged today" in page.main.get_text(" ") and "Saved" in page.main.get_text()
    next_form = page.find("form", class_="verdict")
    assert next_form["action"] != form["action"]
    skip = page.find("a", attrs={"data-key": "s"})["href"]
    skipped = visitor.soup(skip)
    assert skipped.find("form", class_="verdict")["action"] != next_form["action"]
    assert "1 skipped" in skipped.main.get_text(" ")


def test_a_post_drawn_at_random_comes_without_the_models_guess_and_measures_it(visitor: Visitor, store: Store) -> None:
    skip, seen = "", 0
    for _ in range(25):
        form = visitor.soup(f"/review{skip}").find("form", class_="verdict")
        shown = form.find("input", {"name": "shown"})["value"]
        checked = form("input", checked=True)
        if shown == "random":
            seen += 1
            assert not checked and "%" not in form.get_text()
            fields = {
                each["name"]: each.get("value", "")
                for each in form("input", type="hidden")
                if each["name"] != "csrftoken"
            }
            visitor.post(form["action"], {**fields, "moment": "zmot", "sentiment": "neutral"})
            break
        assert len(checked) >= 2
        skip = visitor.soup(f"/review{skip}").find("a", attrs={"data-key": "s"})["href"].removeprefix("/review")
    assert seen
    assert "All in all" in visitor.words("/review")


# --- sources, digests, brands, data ---


def test_a_source_tells_its_state_its_fetches_and_its_gaps(visitor: Visitor, store: Store) -> None:
    store.finish_run(Run("feed", AFTER, 1.5, 0, 0, {}, "broken", "the reply is no feed"), AFTER)
    store.save_page("feed", Page((), gap=Gap(NOW, AFTER, "the listing ended too early")), [], AFTER)
    assert "feed is broken since" in visitor.words("/")
    assert "the reply is no feed" in visitor.words("/sources")
    one = visitor.words("/sources/one?name=feed")
    assert "the listing ended too early" in one and "75" in one and "broken" in one


def test_a_digest_is_shown_as_it_went_out_and_runs_nothing(visitor: Visitor, store: Store) -> None:
    settings, day = configured(store.path.parent), NOW.date()
    assert pipeline.send_digest(store, settings, settings.recipients[0], day, lambda: AFTER) == "sent"
    store.claim_digest("bob@example.org", "daily", day.isoformat(), AFTER)
    store.mark_digest("bob@example.org", "daily", day.isoformat(), "failed", "550 no such user", AFTER)
    listed = visitor.soup("/digests")
    assert "550 no such user" in listed.get_text()
    assert len(listed("tr")) == 3
    written = next(store.path.parent.glob("digests/*/*.html")).read_text("utf-8")
    body = visitor.get(f"/digests/body?of={day}&to=ann@example.org")
    assert '<base target="_blank">' in body.text  # a link opens beside the page, not in the frame
    assert body.text.replace('<base target="_blank">', "") == written
    assert (
        "sandbox" in body.headers["content-security-policy"]
        and "script-src" not in body.headers["content-security-policy"]
    )
    again = visitor.words(f"/digests/one?of={day}&to=bob@example.org")
    assert "Made again from what is stored" in again
    assert "Acme" in visitor.get(f"/digests/body?of={day}&to=bob@example.org").text
    assert visitor.get("/digests/body?of=../../etc&to=ann@example.org").status_code == 404


def test_an_alert_is_told_where_it_cannot_be_missed_and_with_its_posts(visitor: Visitor, store: Store) -> None:
    found = {"window_h": 3, "seen": 41, "usual": 6.0, "posts": [id_of(store, "p1")]}
    with store.writing() as connection:
        assert events.begin(connection, ("mentions", OWN, ""), NOW, found, AFTER)
    assert "41 mentions in 3 hours" in visitor.words("/")
    told = visitor.soup("/digests")
    assert "41 mentions in 3 hours" in told.get_text() and "goes on" in told.get_text()
    assert told.find("a", href=f"/posts/{id_of(store, 'p1')}")


def test_a_brand_query_is_tried_on_stored_posts(visitor: Visitor) -> None:
    text = visitor.words("/brands?query=breakfast NOT rival")
    assert "60 posts of all 75" in text and "takes these away" in text
    assert '"Acme"' in visitor.words("/brands")


def test_tables_are_there_as_json_and_csv_and_by_sql(visitor: Visitor) -> None:
    rows = visitor.get("/data/trend_daily.json?_shape=objects&brand=Rival").json()["rows"]
    assert sum(row["posts"] for row in rows) == 12
    assert visitor.get("/data/posts_view.csv?_size=max").text.count("The breakfast of Acme") == 60
    found = visitor.get(
        "/data.json?sql=select+count(*)+as+n+from+posts_fts+where+posts_fts+match+'breakfast'&_shape=array"
    )
    assert found.json() == [{"n": 72}]
    page = visitor.soup("/data?sql=select+brand,+sum(posts)+from+trend_daily+group+by+1")
    assert "Rival" in page.get_text()
    assert "The breakfast of" in visitor.words("/data/posts/1")
    assert "breakfast" in visitor.words("/data/posts?_search=breakfast")


HIDDEN = ("meta", "sources", "digests", "corrections", "overruled", "disowned", "forgotten", "written_files", "pending",
          "signatures", "models", "_sqlite_migrations")  # fmt: skip


def test_no_query_reads_what_is_not_shown(visitor: Visitor, store: Store) -> None:
    tables = {name for (name,) in store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert set(HIDDEN) <= tables
    for table in HIDDEN:
        assert visitor.get(f"/data/{table}").status_code in (403, 404), table
        assert visitor.get(f"/data/{table}.json").status_code in (403, 404), table
        for sql in (
            f"with posts_view as (select * from {table}) select * from posts_view",
            f"with recursive posts_view as (select * from {table}) select count(*) from posts_view",
            f"select 1 from {table}",
            f"select * from posts where exists (select 1 from {table})",
            f"select * from {table}",
            f"select (select count(*) from {table})",
            f"with x as (select * from [{table}]) select * from x",
        ):
            answer = visitor.get(f"/data.json?sql={sql}")
            assert answer.status_code == 400, (sql, answer.text[:300])
    assert all(name not in visitor.get("/data").text for name in ("signatures", "written_files"))


@pytest.mark.parametrize(
    "sql",
    [
        "delete from posts", "update posts set text = ''", "insert into posts default values", "drop table posts",
        "attach database '/tmp/x.db' as x", "pragma journal_mode=delete", "select load_extension('x')",
        "select writefile('/tmp/x', 'x')", "select * from pragma_function_list", "vacuum into '/tmp/x.db'",
        "select hex(zeroblob(900000000))",
    ],
)  # fmt: skip
def test_sql_only_reads(visitor: Visitor, store: Store, sql: str) -> None:
    before = store.connection.execute("SELECT count(*) FROM posts").fetchone()[0]
    assert visitor.get(f"/data.json?sql={sql}").status_code in (400, 403, 404)
    assert store.connection.execute("SELECT count(*) FROM posts").fetchone()[0] == before


def test_sql_that_never_ends_is_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_over(store.path.parent)
    monkeypatch.setattr(page, "sql_time_limit_ms", 100)
    endless = "with recursive n(i) as (select 1 union all select i %2B 1 from n) select count(*) from n"
    answer = Visitor(page).get(f"/data.json?sql={endless}")
    assert answer.status_code == 400 and "nterrupted" in answer.text


def test_the_page_reads_while_the_daemon_writes(visitor: Visitor, store: Store) -> None:
    stop, wrote = threading.Event(), []

    def write() -> None:
        with pipeline.open_store(configured(store.path.parent)) as other:
            while not stop.is_set():
                save(other, post(f"w{len(wrote)}", f"Acme writes {len(wrote)}"), brands=(OWN,))
                judge(other)
                wrote.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        heads = [visitor.soup("/").h1.get_text(strip=True) for _ in range(8)]
        counts = [int(head.partition("posts")[0].replace(",", "")) for head in heads]
    finally:
        stop.set()
        writer.join()
    assert counts == sorted(counts) and counts[-1] > counts[0] and len(wrote) > 5


def test_pictures_come_as_data_of_the_width_that_is_asked_for(visitor: Visitor) -> None:
    pytest.importorskip("vl_convert")
    for name in ("journey", "phases", "sentiment", "touchpoints", "voice", "net"):
        spec = visitor.get(f"/picture/{name}.json?brand=Acme&days=28&width=500&theme=dark").json()
        assert spec["description"] and "title" not in spec
    assert visitor.get("/picture/secrets.json").status_code == 404
    assert visitor.get("/picture/journey.json?brand=Nobody").json()["error"].startswith("there is no brand")


def test_a_configuration_without_brands_shows_those_of_the_posts(store: Store) -> None:
    from listener.web.app import build

    bare = config.Config(timezone="Europe/Oslo", database=store.path)
    page = Visitor(build(bare, Door(), lambda: AFTER)).soup("/")
    assert "about Acme" in page.h1.get_text()
