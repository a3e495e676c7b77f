"""Google Play, through an imitation of the package google-play-scraper, which is not installed for the tests.

It cannot use `get`, so it has no contract.toml: what the contract promises is held here.
"""

from __future__ import annotations

import json
import ssl
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from listener.errors import Broken, Disabled, Refused, Retry, SourceError
from listener.records import Page, Rating
from listener.sources import googleplay

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
DAY = 86400
PAYLOADS = Path(__file__).parent / "payloads" / "googleplay"
APP = "com.example.stay"
KEY = f"{APP}/en"


class NotFoundError(Exception):
    """Named as the package's own."""


class ExtraHTTPError(Exception):
    """Named as the package's own."""


@dataclass
class Token:
    """What comes with a page; `token` is None where the list ends."""

    token: str | None
    lang: str
    sort: int
    count: int


class Play:
    """Answers as the package does: newest first, 200 at once, a token for more; failures are empty lists.

    Dates are local and without a zone, because the package makes them with `datetime.fromtimestamp`.
    """

    def __init__(self, *moments: int, app: str = APP, lang: str = "en") -> None:
        self.lists: dict[tuple[str, str], dict[int, int]] = {(app, lang): {}}
        for ident, at in enumerate(moments, start=1):
            self.add(ident, at, app, lang)
        self.asked: list[tuple[str, ...]] = []
        self.silent_after: int | None = None
        self.fails: dict[int, Exception] = {}

    def add(self, ident: int, at: int, app: str = APP, lang: str = "en") -> None:
        self.lists.setdefault((app, lang), {})[ident] = at

    def client(self) -> googleplay.Client:
        return googleplay.Client(self.app, self.reviews, 2)

    def _asked(self, *what: str) -> None:
        self.asked.append(what)
        if len(self.asked) in self.fails:
            raise self.fails[len(self.asked)]

    def app(self, app_id: str, lang: str = "en", country: str = "us") -> dict[str, Any]:
        self._asked("app", app_id)
        if app_id not in {app for app, _ in self.lists}:
            raise NotFoundError("App not found(404).")
        written = sum(len(reviews) for (app, _), reviews in self.lists.items() if app == app_id)
        return {"title": "Lantern Stay", "reviews": written or None, "ratings": 10 * written}

    def reviews(
        self,
        app_id: str,
        lang: str = "en",
        country: str = "us",
        sort: int = 2,
        count: int = 100,
        filter_score_with: int | None = None,
        filter_device_with: int | None = None,
        continuation_token: Token | None = None,
    ) -> tuple[list[dict[str, Any]], Token]:
        assert sort == 2 and country == "us"
        if continuation_token is not None:
            assert continuation_token.token is not None
            lang, count = continuation_token.lang, continuation_token.count
        assert count <= 200
        self._asked("reviews", app_id, lang)
        if self.silent_after is not None and len(self.asked) > self.silent_after:
            return [], Token(None, lang, sort, count)
        reviews = self.lists.get((app_id, lang), {})
        order = sorted(reviews, key=lambda ident: (reviews[ident], ident), reverse=True)
        if continuation_token is not None and continuation_token.token:
            at, ident = map(int, continuation_token.token.split("."))
            order = [one for one in order if (reviews[one], one) < (at, ident)]
        shown = order[:count]
        more = f"{reviews[shown[-1]]}.{shown[-1]}" if len(order) > count else None
        return [self._review(ident, reviews[ident]) for ident in shown], Token(more, lang, sort, count)

    def _review(self, ident: int, at: int) -> dict[str, Any]:
        return {
            "reviewId": f"review-{ident}",
            "userName": f"guest {ident}",
            "content": f"text {ident} of {at}",
            "score": 1 + ident % 5,
            "thumbsUpCount": ident,
            "at": datetime.fromtimestamp(at),
        }


def unused(url: str, **_: Any) -> Any:
    raise AssertionError("`get` was used")


def run(
    client: Callable[[], googleplay.Client],
    cursor: Mapping[str, Any] | None = None,
    now: datetime = NOW,
    into: list[Page] | None = None,
    **settings: Any,
) -> list[Page]:
    told = {"i_know_that_google_forbids_this": True, "apps": [APP], **settings}
    chosen = googleplay.Settings.model_validate(told)
    pages = [] if into is None else into
    for page in googleplay.fetch(chosen, cursor, unused, now, "play", client):
        pages.append(page)
    return pages


def idents(pages: list[Page]) -> list[int]:
    return sorted(int(post.native_id.removeprefix("review-")) for page in pages for post in page.posts)


class TestParse:
    def page(self) -> Page:
        payload = (PAYLOADS / "reviews.json").read_bytes()
        return googleplay.parse(payload, app=APP, language="pt_BR", name="play", now=NOW)

    def test_a_review(self) -> None:
        review = self.page().posts[0]
        assert review.native_id == "aaaa1111-0000-4000-8000-000000000004"
        assert (review.kind, review.author, review.lang) == ("review", "A Guest", "pt-BR")
        assert review.text == "Room key in the app failed twice.\nSupport was kind & quick, I <3 them."
        assert (review.rating, review.engagement) == (Rating(3), {"likes": 5})
        assert review.created_at == datetime(2026, 11, 21, 8, 15, tzinfo=UTC)
        assert review.url == f"https://play.google.com/store/apps/details?id={APP}&reviewId={review.native_id}"

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page().skipped == {"no text": 1, "no id": 1}

    @pytest.mark.parametrize("file", sorted(PAYLOADS.glob("broken-*")), ids=lambda file: file.name)
    def test_what_is_no_list_of_reviews(self, file: Path) -> None:
        with pytest.raises(Broken) as caught:
            googleplay.parse(file.read_bytes(), app=APP, language="en", name="play", now=NOW)
        assert caught.value.payload == file.read_bytes()


class TestConsent:
    def test_nothing_is_asked_before_it_is_given(self) -> None:
        play = Play(EPOCH - 5)
        with pytest.raises(Disabled, match="i_know_that_google_forbids_this = true"):
            run(play.client, i_know_that_google_forbids_this=False)
        assert play.asked == []
        assert googleplay.Settings(apps=[APP]).i_know_that_google_forbids_this is False

    def test_people_are_told_what_it_means(self) -> None:
        about = googleplay.ABOUT
        assert "forbid" in about.terms and "pip install" in about.key
        for word in ("pauses", "limits", "contact", "block"):
            assert word in about.caution


class TestPackage:
    @pytest.fixture
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
        """A package that is imported as the real one is, and does on import what the real one does."""
        package = types.ModuleType("google_play_scraper")
        request = types.ModuleType("google_play_scraper.utils.request")
        play = Play(EPOCH - 5)
        package.app, package.reviews = play.app, play.reviews  # type: ignore[attr-defined]
        package.Sort = types.SimpleNamespace(NEWEST=2)  # type: ignore[attr-defined]
        request.urlopen = lambda url, timeout=None: timeout  # type: ignore[attr-defined]
        modules = {package.__name__: package, "google_play_scraper.utils": package, request.__name__: request}
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        return request

    def test_a_package_that_is_missing_is_named_with_its_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "google_play_scraper", None)
        with pytest.raises(Disabled, match=r"pip install 'listener-daemon\[googleplay\]'"):
            run(googleplay.package)

    def test_it_is_used_as_it_is_installed(self, installed: types.ModuleType) -> None:
        assert idents(run(googleplay.package)) == [1]

    def test_it_gets_a_limit_of_time(self, installed: types.ModuleType) -> None:
        googleplay.package()
        googleplay.package()
        assert installed.urlopen("https://play.example/") == 60

    def test_certificates_are_still_checked_after_its_import(
        self, installed: types.ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def imports(name: str) -> types.ModuleType:
            ssl._create_default_https_context = ssl._create_unverified_context  # as google_play_scraper does
            return sys.modules[name]

        before = ssl._create_default_https_context
        monkeypatch.setattr(googleplay.importlib, "import_module", imports)
        googleplay.package()
        assert ssl._create_default_https_context is before


class TestRange:
    def test_the_page_of_the_app_is_asked_first(self) -> None:
        play = Play(EPOCH - 5)
        run(play.client)
        assert play.asked == [("app", APP), ("reviews", APP, "en")]

    def test_local_dates_are_read_as_what_they_are(self) -> None:
        (post,) = run(Play(EPOCH - 5).client)[0].posts
        assert post.created_at == NOW - timedelta(seconds=5)

    @pytest.mark.parametrize("at", [datetime.min, datetime.max, None, "soon", 10**30])
    def test_a_date_that_cannot_be_is_none(self, at: Any) -> None:
        review = {"reviewId": "review-1", "content": "text", "at": at}
        (page,) = run(lambda: googleplay.Client(lambda *_: {}, lambda *_, **__: ([review], None), 2))
        assert page.posts[0].created_at is None

    def test_the_first_run_looks_back_some_days(self) -> None:
        pages = run(Play(EPOCH - 2 * DAY + 5, EPOCH - 2 * DAY - 5).client, days=2)
        assert idents(pages) == [1]
        assert pages[-1].skipped == {"older than asked for": 1}
        assert pages[-1].cursor == {"until": {KEY: EPOCH}}

    def test_the_next_run_overlaps_two_days_its_edge_included(self) -> None:
        play = Play(EPOCH - 2 * DAY, EPOCH - 2 * DAY - 1, EPOCH + 60)
        pages = run(play.client, {"until": {KEY: EPOCH}}, now=NOW + timedelta(hours=1))
        assert idents(pages) == [1, 3]

    def test_a_clock_that_was_set_back_loses_nothing(self) -> None:
        pages = run(Play(EPOCH - 60).client, {"until": {KEY: EPOCH + DAY}})
        assert idents(pages) == [1]
        assert pages[-1].cursor == {"until": {KEY: EPOCH}}

    def test_a_second_run_from_the_cursor_adds_nothing(self) -> None:
        play = Play(*(EPOCH - 3600 * n for n in range(1, 300)))
        first = run(play.client)
        cursor = json.loads(json.dumps(first[-1].cursor))
        again = run(play.client, cursor, now=NOW + timedelta(minutes=30))
        assert len(set(idents(first))) == len(idents(first))
        assert set(idents(again)) <= set(idents(first))

    def test_an_edited_review_comes_again(self) -> None:
        play = Play(*(EPOCH - DAY * n for n in range(1, 30)))
        first = run(play.client)
        play.add(20, EPOCH + 60)
        again = run(play.client, first[-1].cursor, now=NOW + timedelta(hours=1))
        assert 20 in idents(again)


class TestWalk:
    def test_all_pages_down_to_the_mark(self) -> None:
        pages = run(Play(*(EPOCH - 60 * n for n in range(1, 701)), EPOCH - 30 * DAY).client)
        assert idents(pages) == list(range(1, 701))
        assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
        assert all(page.gap is None for page in pages)

    def test_a_short_list_ends_without_a_gap(self) -> None:
        pages = run(Play(EPOCH - 60, EPOCH - 120).client)
        assert idents(pages) == [1, 2] and len(pages) == 1 and pages[0].gap is None

    def test_more_than_one_run_reads_is_a_gap(self) -> None:
        play = Play(*(EPOCH - n for n in range(1, 7001)))
        pages = run(play.client)
        assert len(play.asked) == 31 and len(idents(pages)) == 6000
        gap = pages[-1].gap
        assert gap and gap.since == NOW - timedelta(days=7) and gap.until == NOW - timedelta(seconds=6000)
        assert pages[-1].cursor == {"until": {KEY: EPOCH}}

    def test_a_list_that_begins_to_repeat_itself_is_left_with_a_gap(self) -> None:
        play = Play(*(EPOCH - n for n in range(1, 501)))
        real = play.reviews

        def goes_round(app_id: str, **told: Any) -> Any:
            told.pop("continuation_token", None)
            return real(app_id, **{"count": 200, **told})

        pages = run(lambda: googleplay.Client(play.app, goes_round, 2))
        assert len(idents(pages)) == 200 and len(play.asked) == 3
        assert pages[-1].gap and "no more than 200" in pages[-1].gap.why

    def test_a_failure_on_the_way_moves_no_bookmark(self) -> None:
        play = Play(*(EPOCH - n for n in range(1, 501)))
        play.fails[3] = OSError("broken pipe")
        pages: list[Page] = []
        with pytest.raises(Retry):
            run(play.client, into=pages)
        assert len(pages) == 1 and pages[0].posts and pages[0].cursor is None


class TestEmptyIsNotTrusted:
    def test_an_app_with_reviews_that_shows_none(self) -> None:
        play = Play(EPOCH - 5)
        play.silent_after = 1
        with pytest.raises(Retry, match=r"none of the reviews of com\.example\.stay in 'en'.*remove the language"):
            run(play.client)

    def test_a_list_that_stops_where_more_was_promised(self) -> None:
        play = Play(*(EPOCH - n for n in range(1, 501)))
        play.silent_after = 2
        pages: list[Page] = []
        with pytest.raises(Retry):
            run(play.client, into=pages)
        assert len(idents(pages)) == 200 and pages[-1].cursor is None

    def test_the_promise_counts_where_the_page_of_the_app_tells_no_number(self) -> None:
        play = Play(*(EPOCH - n for n in range(1, 501)))
        play.silent_after = 1
        with pytest.raises(Retry):
            run(lambda: googleplay.Client(lambda *_: {}, play.reviews, 2))

    def test_an_app_that_nobody_reviewed(self) -> None:
        pages = run(Play().client)
        assert (idents(pages), pages[-1].cursor) == ([], {"until": {KEY: EPOCH}})

    def test_a_name_that_is_misspelt(self) -> None:
        with pytest.raises(Broken, match=r"no such app.*com\.example\.stya.*Correct apps"):
            run(Play(EPOCH - 5).client, apps=["com.example.stya"])


class TestSeveral:
    def play(self) -> Play:
        play = Play(EPOCH - 10)
        play.add(50, EPOCH - 20, lang="de")
        play.add(60, EPOCH - 30, app="com.example.shop")
        return play

    def test_languages_widen_what_is_read(self) -> None:
        play = self.play()
        pages = run(play.client, languages=["en", "de"])
        assert idents(pages) == [1, 50]
        assert [post.lang for page in pages for post in page.posts] == ["en", "de"]
        assert pages[-1].cursor == {"until": {KEY: EPOCH, f"{APP}/de": EPOCH}}
        assert play.asked.count(("app", APP)) == 1

    def test_a_review_shown_in_two_languages_is_given_once(self) -> None:
        play = self.play()
        play.add(1, EPOCH - 10, lang="de")
        assert idents(run(play.client, languages=["en", "de"])) == [1, 50]

    def test_one_that_fails_does_not_keep_the_others_back(self) -> None:
        pages: list[Page] = []
        with pytest.raises(Broken, match=r"com\.example\.gone"):
            run(self.play().client, apps=["com.example.gone", APP, "com.example.shop"], into=pages)
        assert idents(pages) == [1, 60]

    def test_a_language_without_reviews_does_not_keep_the_others_back(self) -> None:
        pages: list[Page] = []
        with pytest.raises(Retry, match="'fr'"):
            run(self.play().client, languages=["fr", "de", "en"], into=pages)
        assert idents(pages) == [1, 50]

    def test_a_server_that_is_tired_is_left_alone(self) -> None:
        play = self.play()
        play.fails[1] = ExtraHTTPError("App not found. Status code 429 returned.")
        with pytest.raises(Retry):
            run(play.client, languages=["en", "de"])
        assert len(play.asked) == 1

    def test_many_lists_share_the_requests_of_a_run(self) -> None:
        play = Play()
        languages = ["en", "de", "fr", "es", "it"]
        apps = [APP, "com.example.shop", "com.example.map"]
        for app in apps:
            for language in languages:
                for n in range(1000):
                    play.add(n + 1, EPOCH - n, app=app, lang=language)
        run(play.client, apps=apps, languages=languages)
        assert len(play.asked) <= 30 + len(apps)


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "ours", "status"),
        [
            (NotFoundError("App not found(404)."), Broken, 0),
            (ExtraHTTPError("App not found. Status code 429 returned."), Retry, 429),
            (ExtraHTTPError("App not found. Status code 503 returned."), Retry, 503),
            (ExtraHTTPError("App not found. Status code 403 returned."), Refused, 403),
            (ExtraHTTPError("App not found. Status code 400 returned."), Broken, 0),
            (Exception("com.google.play.gateway.proto.PlayGatewayError"), Retry, 0),
            (TimeoutError("timed out"), Retry, 0),
            (OSError("<urlopen error [Errno -2] Name or service not known>"), Retry, 0),
            (KeyError("ds:5"), Broken, 0),
            (json.JSONDecodeError("Expecting value", "", 0), Broken, 0),
        ],
    )
    @pytest.mark.parametrize("request_", [1, 2])
    def test_what_the_package_raises_becomes_ours(
        self, error: Exception, ours: type[SourceError], status: int, request_: int
    ) -> None:
        play = Play(EPOCH - 5)
        play.fails[request_] = error
        with pytest.raises(SourceError) as caught:
            run(play.client)
        assert type(caught.value) is ours and caught.value.status == status
        assert str(caught.value).endswith(".")
        assert caught.value.__cause__ is error

    @pytest.mark.parametrize("answer", [None, [], ({},), ({}, None), ("text", None), ([None], None), ([1, "a"], None)])
    def test_answers_of_another_shape_are_broken(self, answer: Any) -> None:
        play = Play(EPOCH - 5)
        with pytest.raises((Broken, Retry)):
            run(lambda: googleplay.Client(play.app, lambda *_, **__: answer, 2))

    @pytest.mark.parametrize("told", [None, [], {}, {"reviews": "many"}])
    def test_an_app_page_that_does_not_say_how_many(self, told: Any) -> None:
        play = Play(EPOCH - 5)
        assert idents(run(lambda: googleplay.Client(lambda *_: told, play.reviews, 2))) == [1]


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {}, {"apps": []}, {"apps": ["stay"]}, {"apps": ["https://play.google.com/store/apps/details?id=a.b"]},
            {"apps": [APP], "languages": []}, {"apps": [APP], "languages": ["English"]}, {"apps": [APP], "days": 0},
            {"apps": [APP], "languages": [f"{a}{b}" for a in "abcd" for b in "abcd"]}, {"apps": [APP], "no_such": 1},
        ],
    )  # fmt: skip
    def test_those_that_would_find_nothing_are_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            googleplay.Settings.model_validate(told)

    def test_each_explains_itself(self) -> None:
        for name, field in googleplay.Settings.model_fields.items():
            assert field.description, name


FILES = sorted(PAYLOADS.glob("*.json"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = googleplay.parse(payload, app=APP, language="en", name="play", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("reviewId", "userName", "content", "score", "thumbsUpCount", "at", "replyContent", "appVersion")


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), max_size=4) | JSON)
def test_any_value_in_any_field_is_read_or_an_error_of_ours(reviews: Any) -> None:
    try:
        for page in run(lambda: googleplay.Client(lambda *_: {}, lambda *_, **__: (reviews, None), 2)):
            for post in page.posts:
                assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
                (post.text + post.native_id + post.author + post.url).encode()
    except (Broken, Retry):
        return
