"""RSS, Atom and JSON Feed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from listener.errors import Broken, Refused, Retry, SourceError
from listener.http import Response
from listener.records import Page, Post
from listener.sources import feeds

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parent / "payloads" / "feeds"


def parse(payload: bytes | str, url: str = "https://blog.example/feed.xml", **more: Any) -> Page:
    body = payload if isinstance(payload, bytes) else (PAYLOADS / payload).read_bytes()
    return feeds.parse(body, url=url, name="blog", now=NOW, **more)


def rss(*items: str) -> bytes:
    return f"<rss version='2.0'><channel><title>t</title>{''.join(items)}</channel></rss>".encode()


def only(page: Page) -> Post:
    assert len(page.posts) == 1
    return page.posts[0]


class TestEntries:
    def test_rss(self) -> None:
        page = parse("rss.xml")
        post = page.posts[0]
        assert post.title == "Three nights at Hotel Lumen & what I learnt"
        assert post.text == "Check-in took forty minutes.\nThe bed made up for it."
        assert post.native_id == "blog.example/17"
        assert post.url == "https://blog.example/2026/three-nights?utm_source=rss"
        assert (post.author, post.lang, post.kind) == ("Mara Quill", "en-gb", "article")
        assert post.created_at == datetime(2026, 11, 20, 17, 30, tzinfo=UTC)
        assert page.skipped == {"no text": 1, "twice in the feed": 1}

    def test_a_headline_alone_is_the_text(self) -> None:
        post = parse("rss.xml").posts[1]
        assert post.text == post.title == "Only a headline about Hotel Lumen"
        assert post.native_id == "https://blog.example/2026/headline"

    def test_dates_of_the_future_and_missing_ones_are_not_told(self) -> None:
        future, handmade = parse("rss.xml").posts[2:]
        assert future.created_at is None and handmade.created_at is None

    def test_an_entry_without_id_and_link_keeps_its_identity(self) -> None:
        first, again = parse("rss.xml").posts[3], parse("rss.xml").posts[3]
        assert first.native_id == again.native_id
        assert len(first.native_id) == 32

    def test_the_same_short_id_in_two_feeds_is_two_posts(self) -> None:
        item = rss("<item><guid>17</guid><title>x</title></item>")
        one, two = (only(parse(item, url=f"https://{host}/feed")) for host in ("a.example", "b.example"))
        assert one.native_id != two.native_id

    def test_reddit(self) -> None:
        post, picture, comment = parse("reddit.xml", url="https://www.reddit.com/r/travel/new/.rss").posts
        assert (post.native_id, post.author, post.kind) == ("t3_aa1", "paper_lantern", "post")
        assert post.text == "Is Hotel Lumen worth it for a week?\nTwo adults, one cello."
        assert post.edited_at is None
        assert picture.text == picture.title == "The view from my room"
        assert (comment.native_id, comment.kind, comment.title) == ("t1_bb1", "comment", "")
        assert comment.text == "Went there in May, would go again."

    def test_no_author_of_reddit_is_left_in_the_text(self) -> None:
        for post in parse("reddit.xml").posts:
            assert post.author and post.author not in post.text + post.title

    def test_google_news(self) -> None:
        post = only(parse("news.xml"))
        assert post.title == post.text == "Hotel Lumen opens its roof - at last"
        assert (post.author, post.lang) == ("The Daily Harbour", "en-US")
        assert post.url.startswith("https://news.google.com/rss/articles/CBMi")

    def test_google_alerts(self) -> None:
        post = only(parse("alerts.xml"))
        assert post.title == "Lumen named best small hotel"
        assert post.text == "The jury liked the breakfast of Lumen ..."
        assert post.url == "https://harbour.example/best?page=2"
        assert post.edited_at == datetime(2026, 11, 19, 12, 53, 37, tzinfo=UTC)

    def test_json_feed(self) -> None:
        page = parse("feed.json", url="https://notes.example/feed.json")
        first, second = page.posts
        assert (first.text, first.author, first.lang) == ("Ruhig & sauber.", "Jo Feld", "de")
        assert first.created_at == datetime(2026, 11, 18, 19, 0, tzinfo=UTC)
        assert first.edited_at == datetime(2026, 11, 19, 7, 0, tzinfo=UTC)
        assert (second.native_id, second.text, second.author) == ("notes.example/2", "Nur Text, 3 < 4.", "Kim")
        assert second.url == "https://notes.example/2"
        assert page.skipped == {"no text": 1}

    def test_a_feed_escaped_once_too_often_is_read_as_text(self) -> None:
        twice = "&amp;lt;p&amp;gt;Clean &amp;amp;amp; quiet&amp;lt;/p&amp;gt;"
        item = rss(f"<item><guid>urn:1</guid><title>x</title><description>{twice}</description></item>")
        assert only(parse(item)).text == "Clean & quiet"

    def test_a_torn_feed_is_read_as_far_as_it_goes(self) -> None:
        post = only(parse("torn-latin1.xml"))
        assert post.title == "Très bien"
        assert post.text == "Le café & le thé sont bons\nvraiment"

    def test_the_character_set_of_the_header_counts(self) -> None:
        body = rss("<item><guid>urn:1</guid><title>Привет</title></item>").decode().encode("koi8-r")
        assert only(parse(body, content_type="application/xml; charset=koi8-r")).title == "Привет"

    def test_the_language_of_the_settings_fills_in(self) -> None:
        item = rss("<item><guid>urn:1</guid><title>x</title></item>")
        assert only(parse(item, language="fr")).lang == "fr"

    def test_a_link_that_is_no_web_address_is_left_out(self) -> None:
        item = rss("<item><guid>urn:1</guid><title>x</title><link>javascript:alert(1)</link></item>")
        assert only(parse(item)).url == ""

    def test_an_endless_text_is_cut(self) -> None:
        item = rss(f"<item><guid>urn:1</guid><title>x</title><description>{'word ' * 50_000}</description></item>")
        assert len(only(parse(item)).text) == 100_000


class TestNoFeed:
    def test_a_feed_without_entries_is_empty(self) -> None:
        assert parse("empty.xml") == Page(())

    def test_a_web_page_is_said_to_be_one(self) -> None:
        with pytest.raises(Broken, match="web page, not a feed"):
            parse("broken-page.html")

    @pytest.mark.parametrize(
        "payload", [b"", b"   ", b"plain words", b"/etc/passwd", b"\x89PNG\r\n\x1a\n", b"{", b"{}"]
    )
    def test_anything_else_is_broken(self, payload: bytes) -> None:
        with pytest.raises(Broken, match=r"blog\.example/feed"):
            parse(payload)

    def test_a_reply_that_is_a_path_opens_no_file(self, tmp_path: Path) -> None:
        secret = tmp_path / "feed.xml"
        secret.write_bytes(rss("<item><title>of this machine</title></item>"))
        with pytest.raises(Broken):
            parse(str(secret).encode())


class TestHostile:
    """Small documents that cost others minutes or gigabytes."""

    def test_entities_do_not_multiply(self) -> None:
        levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
        laughs = f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY e0 "ha">{levels}]>'.encode()
        body = laughs + rss("<item><guid>urn:1</guid><title>a &e9; b</title></item>")
        try:
            text = "".join(post.text for post in parse(body).posts)
        except Broken:
            text = ""
        assert len(text) < 1000

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_one_long_entity_many_times_is_refused(self, encoding: str) -> None:
        document = (
            f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE rss [<!ENTITY a "{"x" * 50_000}">]>'
            f"<rss version='2.0'><channel><item><title>{'&a;' * 50_000}</title></item></channel></rss>"
        )
        with pytest.raises(Broken, match="entity"):
            parse(document.encode(encoding))

    @pytest.mark.parametrize(
        "inside",
        ["<b " * 20_000, "<div>" * 20_000, "<!--" * 20_000, "&amp" * 20_000, '<a b="' * 20_000, "<![CDATA[" * 20_000],
    )
    def test_markup_made_to_hurt_takes_no_time(self, inside: str) -> None:
        started = time.perf_counter()
        escaped = inside.replace("&", "&amp;").replace("<", "&lt;")
        for body in (inside, escaped):
            try:
                parse(rss(f"<item><guid>urn:1</guid><title>x</title><description>{body}</description></item>"))
            except Broken:
                pass
        assert time.perf_counter() - started < 5

    def test_white_space_before_the_feed_takes_no_time(self) -> None:
        started = time.perf_counter()
        with pytest.raises(Broken):
            parse(b"<!-- -->" + b"\n" * 500_000 + rss())
        assert time.perf_counter() - started < 2


def test_plain_text_of_a_json_feed_is_no_html() -> None:
    item = {"id": "1", "title": "Is <Acme> good?", "content_text": "I typed <Acme Hotel>, and x<y then <b it broke."}
    body = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": [item]}).encode()
    (post,) = feeds.parse(body, url="https://a.example/feed", name="blog", now=NOW).posts
    assert (post.title, post.text) == (item["title"], item["content_text"])


def validators(page: Page) -> dict[str, dict[str, Any]]:
    """The bookmark without the marks of the posts that were seen."""
    return {url: {k: v for k, v in mark.items() if k != "known"} for url, mark in (page.cursor or {}).items()}


class TestFetch:
    A, B, C = "https://a.example/feed", "https://b.example/feed", "https://a.example/other"

    @staticmethod
    def run(
        answers: Mapping[str, Response | SourceError], cursor: Mapping[str, Any] | None = None
    ) -> tuple[list[Page], SourceError | None, list[tuple[str, str, str]]]:
        """The pages, the error at the end, and what was asked: (address, etag, modified)."""
        asked: list[tuple[str, str, str]] = []

        def get(url: str, *, etag: str = "", modified: str = "", **_: Any) -> Response:
            asked.append((url, etag, modified))
            answer = answers[url]
            if isinstance(answer, SourceError):
                raise answer
            return answer

        pages: list[Page] = []
        now = datetime.fromtimestamp(0, UTC)  # the minute at which the list is read from its beginning
        try:
            for page in feeds.fetch(feeds.Settings(urls=list(answers)), cursor, get, now, "blog"):
                pages.append(page)
        except SourceError as error:
            return pages, error, asked
        return pages, None, asked

    @staticmethod
    def feed(url: str, etag: str = "", ident: str = "urn:1") -> Response:
        headers = {"etag": etag} if etag else {}
        return Response(200, url, headers, rss(f"<item><guid>{ident}</guid><title>x</title></item>"))

    def test_each_feed_has_its_bookmark(self) -> None:
        pages, error, _ = self.run({self.A: self.feed(self.A, '"a1"'), self.B: self.feed(self.B, '"b1"')})
        assert error is None
        assert [validators(page) for page in pages] == [
            {self.A: {"etag": '"a1"'}},
            {self.A: {"etag": '"a1"'}, self.B: {"etag": '"b1"'}},
        ]
        _, _, asked = self.run({self.A: self.feed(self.A), self.B: self.feed(self.B)}, pages[-1].cursor)
        assert asked == [(self.A, '"a1"', ""), (self.B, '"b1"', "")]

    def test_not_modified_is_unchanged_and_keeps_the_bookmark(self) -> None:
        mark = {self.A: {"etag": '"a1"', "modified": "then"}}
        pages, _, asked = self.run({self.A: Response(304, self.A, {}, b"", unchanged=True)}, mark)
        assert pages == [Page((), cursor=mark, unchanged=True)]
        assert asked == [(self.A, '"a1"', "then")]

    def test_one_that_fails_does_not_keep_the_others(self) -> None:
        pages, error, _ = self.run({self.A: Refused("closed"), self.B: self.feed(self.B, '"b1"')})
        assert len(pages) == 1 and pages[0].posts
        assert isinstance(error, Refused)
        assert validators(pages[0]) == {self.B: {"etag": '"b1"'}}

    def test_one_that_fails_keeps_its_old_bookmark(self) -> None:
        pages, _, _ = self.run(
            {self.A: Response(200, self.A, {"etag": '"a2"'}, b"oops"), self.B: self.feed(self.B)},
            {self.A: {"etag": '"a1"'}},
        )
        assert validators(pages[-1]) == {self.A: {"etag": '"a1"'}, self.B: {}}

    def test_the_first_error_is_told_with_the_longest_wait(self) -> None:
        for first, second, wait in ((Broken("a"), Retry("b", after=9), 9), (Retry("a", 5), Retry("b", 2), 5)):
            _, error, _ = self.run({self.A: first, self.B: second})
            assert (error, error and error.after) == (first, wait)

    def test_what_came_and_went_between_two_looks_is_told(self) -> None:
        def of(*numbers: int) -> Response:
            items = "".join(f"<item><guid>urn:{n}</guid><title>entry {n}</title></item>" for n in numbers)
            return Response(200, self.A, {}, rss(items))

        def then(*numbers: int) -> Page:
            return self.run({self.A: of(*numbers)}, before.cursor)[0][0]

        (before,) = self.run({self.A: of(*range(20, 0, -1))})[0]
        assert before.gap is None, "nobody can tell what was there before the first look"
        assert then(*range(39, 19, -1)).gap is None
        gap = then(*range(60, 40, -1)).gap
        assert gap and "a.example/feed had more new entries than it shows at once" in gap.why
        assert then().gap is None
        (before,) = self.run({self.A: of(1)})[0]
        assert then(2).gap is None, "it shows the newest entry alone, and may have had no other"

    def test_an_entry_with_another_id_each_time_leaves_no_gap(self) -> None:
        def of(look: int) -> Response:
            items = "".join(f"<item><guid>urn:{look}:{n}</guid><title>entry {n}</title></item>" for n in range(20))
            return Response(200, self.A, {}, rss(items))

        (before,) = self.run({self.A: of(1)})[0]
        assert self.run({self.A: of(2)}, before.cursor)[0][0].gap is None

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_a_reply_that_was_cut_off_is_asked_for_again(self, encoding: str) -> None:
        items = "".join(f"<item><guid>urn:{n}</guid><title>entry {n}</title></item>" for n in range(20))
        whole = f'<?xml version="1.0" encoding="{encoding}"?><rss version="2.0"><channel>{items}</channel></rss>'
        for body, marks in ((whole, {"etag": '"1"'}), (whole + "<!-- cached -->", {"etag": '"1"'}), (whole[:700], {})):
            (page,) = self.run({self.A: Response(200, self.A, {"etag": '"1"'}, body.encode(encoding))})[0]
            assert page.posts and validators(page) == {self.A: marks}
            assert page.skipped == ({} if marks else {"cut off before its end": 1})

    def test_the_first_error_is_told(self) -> None:
        _, error, _ = self.run({self.A: Refused("first"), self.B: Broken("second")})
        assert str(error) == "first"

    def test_a_host_that_asks_for_rest_is_left_in_peace(self) -> None:
        tired = Retry("too often", after=60)
        pages, error, asked = self.run({self.A: tired, self.B: self.feed(self.B), self.C: self.feed(self.C)})
        assert error is tired
        assert [url for url, _, _ in asked] == [self.A, self.B]
        assert len(pages) == 1

    def test_the_next_run_begins_elsewhere_so_that_none_starves(self) -> None:
        settings = feeds.Settings(urls=[self.A, self.C])
        begun = []

        def get(url: str, **_: Any) -> Response:
            begun.append(url)
            raise Retry("too often")

        for minute in (0, 1):
            with pytest.raises(Retry):
                list(feeds.fetch(settings, None, get, datetime.fromtimestamp(minute * 60, UTC), "blog"))
        assert begun == [self.A, self.C]

    def test_a_feed_that_left_the_configuration_leaves_the_cursor(self) -> None:
        pages, _, _ = self.run({self.A: self.feed(self.A, '"a2"')}, {self.A: {}, self.B: {"etag": '"b1"'}})
        assert validators(pages[0]) == {self.A: {"etag": '"a2"'}}


class TestSettings:
    def test_one_or_many(self) -> None:
        settings = feeds.Settings(url="https://a.example/", urls=["https://b.example/", "https://a.example/"])
        assert settings.addresses == ["https://a.example/", "https://b.example/"]

    @pytest.mark.parametrize("told", [{}, {"urls": []}, {"url": "a.example/feed"}, {"url": "ftp://a.example/"}])
    def test_what_is_no_address_is_said(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match=r"https://"):
            feeds.Settings.model_validate(told)


FILES = sorted(file for file in PAYLOADS.iterdir() if file.suffix != ".toml")


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = parse(payload)
    except Broken:
        return
    for post in page.posts:
        assert post.text and post.native_id
        assert post.created_at is None or post.created_at.tzinfo is UTC
        (post.text + post.native_id + post.url + post.author).encode()


def test_an_alert_that_wraps_what_is_no_address_keeps_the_address_of_the_wrapping() -> None:
    link = "https://www.google.com/url?rct=j&amp;url=http://%5B"
    entry = f'<entry><id>1</id><title>Lumen</title><link href="{link}"/><content>Lumen opens</content></entry>'
    payload = f'<feed xmlns="http://www.w3.org/2005/Atom"><title>Alerts</title>{entry}</feed>'.encode()
    (post,) = feeds.parse(payload, url="https://www.google.com/alerts/feeds/1/2", name="alerts", now=NOW).posts
    assert post.url.startswith("https://www.google.com/url?")
