"""The digest as its reader gets it: what it says of a day, what it refuses to say, and that both spellings agree."""

from __future__ import annotations

import html as html_text
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import trends
from listener.digest import Digest, build, render
from listener.digest.edition import Edition
from listener.engine.labels import MOMENTS, SENTIMENTS
from listener.mail import Rendered, compose, write_files
from listener.records import Outcome, Page, Post, Rating, Run, Scores, Verdict
from listener.store import Store
from listener.tables import events
from listener.wording import Calendar, clock, count, cut, listed, web_address

ZONE = ZoneInfo("Europe/Vienna")
DAY = date(2026, 11, 21)  # a Saturday
NOW = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)  # 07:30 in Vienna
OWN, RIVAL = "Harbour & Pine", "Lakeside Lodge"


class Days:
    """A database that is filled a post at a time, the verdict with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path, ZONE, author_key=b"k" * 32)
        self.said = 0

    def say(
        self,
        text: str = "The breakfast was cold.",
        moment: str = "tmot",
        sentiment: str = "negative",
        touchpoints: Sequence[str] = ("food",),
        *,
        day: date = DAY,
        brands: Sequence[str] = (OWN,),
        times: int = 1,
        judged: bool = True,
        abstained: bool = False,
        language: str = "",
        unread: bool = False,
        collected: datetime | None = None,
        **fields: Any,
    ) -> None:
        """Stores `times` posts of a local noon and what the model made of them."""
        at = datetime.combine(day, time(12), ZONE).astimezone(UTC)
        posts = []
        for number in range(self.said + 1, self.said + times + 1):
            given = {"url": f"https://reviews.example/{number}", "created_at": at} | fields
            posts.append(Post("reviews", f"p{number}", text, **given))
        self.said += times
        self.store.save_page("reviews", Page(tuple(posts)), [dict.fromkeys(brands, "named")] * times, collected or at)
        if judged:
            scores = Scores(
                _sure(moment, MOMENTS), _sure(sentiment, SENTIMENTS), () if unread else tuple(touchpoints), 0.9,
                abstained or unread, language, unread,
            )  # fmt: skip
            new = [p for p in self.store.pending("model-1", 1000) if p.post_id > self.said - times]
            verdicts = [Verdict(pending.post_id, "model-1", pending.text_hash, scores) for pending in new]
            self.store.save_verdicts(verdicts, at)

    def usual(self, per_day: int, weeks: int = 8) -> None:
        """The same weekday of earlier weeks, each with this many calm posts."""
        for week in range(1, weeks + 1):
            day = DAY - timedelta(weeks=week)
            self.say("A pleasant stay.", "tmot", "neutral", (), day=day, times=per_day)

    def ran(self, source: str, outcome: Outcome = "ok", at: datetime = NOW, error: str = "") -> None:
        self.store.finish_run(Run(source, at, 0.0, 0, 0, {}, outcome, error), at + timedelta(hours=1))

    def digest(
        self, own: Sequence[str] = (OWN,), competitors: Sequence[str] = (), now: datetime = NOW, zone: ZoneInfo = ZONE,
        **other: Any,
    ) -> Digest:  # fmt: skip
        with closing(trends.open_reader(self.path, ZONE)) as reader:
            edition = Edition(
                brands=tuple(own) or ("",), rivals=tuple(competitors), day=DAY, now=now,
                **{"calendar": Calendar(zone)} | other,
            )  # fmt: skip
            return build(reader, edition)

    def mail(self, **arguments: Any) -> Rendered:
        return render(self.digest(**arguments))


def _sure(label: str, labels: Sequence[str]) -> Mapping[str, float]:
    return {name: 0.9 if name == label else 0.1 / (len(labels) - 1) for name in labels}


@pytest.fixture
def days(tmp_path: Path) -> Days:
    filled = Days(tmp_path / "listener.db")
    filled.store.sync_sources([("reviews", "files", 3600, True)], NOW)
    filled.ran("reviews")
    return filled


def seen(rendered: Rendered) -> str:
    """The words of the HTML in reading order, on one line, without the hidden preview."""
    soup = BeautifulSoup(rendered.html, "html.parser")
    for hidden in soup(["style", "title", "head"]) + soup.select('[style*="display:none"]'):
        hidden.decompose()
    return " ".join(soup.get_text(" ").split())


def flat(rendered: Rendered) -> str:
    return " ".join(rendered.text.split())


def answer(digest: Digest, question: str) -> str:
    (told,) = [told for told in digest.statements if told.question == question]
    return f"{told.answer}. {told.detail}"


# A busy day.


@pytest.fixture
def busy(days: Days) -> Days:
    days.usual(6)
    days.say("Cold eggs, and no coffee before nine.", times=9, rating=Rating(1), engagement={"comments": 12})
    days.say("Staff at the desk could not have been kinder.", "tmot", "positive", ("staff",), times=4, rating=Rating(5))
    days.say("Is the sea view worth the price?", "zmot", "neutral", ("price",), times=3)
    days.say("Booked for March!", "smot", "positive", ("booking",))
    days.say("Is it them?", "tmot", "neutral", (), abstained=True, times=2)
    days.say("Lovely pool.", "tmot", "positive", ("facilities",), brands=(RIVAL,), times=3)
    return days


def test_the_first_screen_answers_six_questions_in_their_order(busy: Days) -> None:
    words = seen(busy.mail())
    order = [
        "19 mentions of Harbour & Pine on Saturday: complaints about food, praise for staff.",
        "Research or feedback? Mostly feedback 3 research, 13 feedback, 1 buying or waiting, 2 uncertain",
        "How do they feel? Divided 9 negative, 5 neutral, 5 positive",
        "What changed? More complaints about food and more mentions than usual",
        "What must I read? “Cold eggs, and no coffee before nine.”",
        "What could we not collect? Nothing is missing The one source answered.",
        "What they spoke about",
    ]
    places = [words.find(part) for part in order]
    assert -1 not in places, dict(zip(order, places, strict=True))
    assert places == sorted(places)


def test_a_change_is_told_with_the_usual_beside_it(busy: Days) -> None:
    told = answer(busy.digest(), "What changed?")
    assert "9 posts about food, usually none" in told
    assert "19 mentions, usually 6" in told
    assert "Compared with 8 earlier days." in told


def test_the_subject_carries_the_news(busy: Days) -> None:
    assert busy.mail().subject == "Harbour & Pine: 19 mentions, more complaints about food (Sat 21 Nov)"


def test_feedback_to_answer_comes_with_its_reason_and_its_link(busy: Days) -> None:
    busy.say("A rat in the lift.", rating=Rating(1), engagement={"comments": 900}, url="https://forum.example/rat")
    rendered = busy.mail()
    first = rendered.text.split("Feedback to answer first")[1].split("reviews.example")[0]
    assert "A rat in the lift." in first
    assert "negative, 1 of 5, 900 replies · reviews, 12:00" in first
    assert 'href="https://forum.example/rat"' in rendered.html


def test_the_same_words_are_shown_once_with_their_number(busy: Days) -> None:
    text = busy.mail().text
    assert text.split("Feedback to answer first")[1].count("Cold eggs") == 1
    assert "negative, 1 of 5, 12 replies, said 9 times" in text


def test_customers_who_wait_are_answered_too(days: Days) -> None:
    days.say("Three weeks and no confirmation.", "imot", "negative")
    days.say("Would hate to pay that much.", "zmot", "negative")
    text = days.mail().text
    assert "no confirmation" in text.split("Feedback to answer first")[1]
    assert "hate to pay" not in text.split("Feedback to answer first")[1]


def test_questions_praise_rivals_and_the_way_are_shown(busy: Days) -> None:
    words = seen(busy.mail(competitors=[RIVAL]))
    assert "Questions asked before buying Is the sea view worth the price?" in words
    assert "What was praised Staff at the desk" in words
    assert "Side by side Harbour & Pine 19" in words
    assert f"{RIVAL} 3 3 positive" in words
    assert re.search(r"Trigger Research First sight Purchase Waiting Feedback", words)
    assert "0 3 0 1 0 13 Trigger" in re.sub(r"\s+", " ", words.replace("\xa0", " "))


def test_without_rivals_nothing_is_put_side_by_side(busy: Days) -> None:
    assert "Side by side" not in seen(busy.mail())


def test_what_is_still_open_is_counted(busy: Days) -> None:
    busy.say("Unread yet.", judged=False)
    friday = DAY - timedelta(days=1)
    busy.say("Told late.", day=friday, collected=NOW - timedelta(hours=3))
    words = seen(busy.mail())
    assert "1 post waits for a verdict and is not counted here." in words
    assert "2 posts of the day are too uncertain to be counted as a moment and wait for a person’s review." in words
    assert "1 post of Friday 20 November came in after its digest; the trends have it." in words


def test_other_languages_are_told_apart_from_doubt_and_nothing_is_made_of_them(busy: Days) -> None:
    before = busy.digest()
    busy.say("Das Frühstück war kalt.", language="de", unread=True, times=31)
    digest = busy.digest()
    (phases,) = [each for each in digest.statements if each.question == "Research or feedback?"]
    assert phases.detail.endswith("2 uncertain, 31 in other languages, not judged")
    assert "31 posts of the day are in languages the model does not know, or without words, and are not judged." in (
        digest.notes
    )
    assert "2 posts of the day are too uncertain to be counted as a moment and wait for a person’s review." in (
        digest.notes
    )
    assert digest.lists == before.lists, "no reading of theirs is shown as if it were one"
    assert answer(digest, "How do they feel?") == answer(before, "How do they feel?")


def test_a_day_of_nothing_but_other_languages(days: Days) -> None:
    days.say("Das Frühstück war kalt.", language="de", unread=True)
    words = seen(days.mail())
    assert "1 in other languages, not judged" in words
    assert "1 post of the day is in a language the model does not know, or without words, and is not judged." in words


def test_a_rating_is_the_authors_own_word_and_outranks_the_model(days: Days) -> None:
    days.say("Lovely view from the corridor I slept in.", sentiment="positive", rating=Rating(1))
    days.say("Could not fault it.", sentiment="negative", rating=Rating(5))
    lists = {each.heading: [quote.text for quote in each.quotes] for each in days.digest().lists}
    assert lists["Feedback to answer first"] == ["Lovely view from the corridor I slept in."]
    assert "What was praised" not in lists
    assert "Negative, 1 of 5" in seen(days.mail())


def test_nothing_is_late_before_the_first_digest(days: Days) -> None:
    friday = DAY - timedelta(days=1)
    days.say("An old export.", day=friday, collected=NOW - timedelta(hours=1))
    days.say("A new one.", collected=NOW - timedelta(hours=1))
    assert "came in after its digest" not in seen(days.mail())


def test_text_and_html_say_the_same(busy: Days) -> None:
    busy.ran("forum", "retry", error="rate limited")
    busy.say("No title here", judged=False)
    digest = busy.digest(competitors=[RIVAL])
    rendered = render(digest)
    html, text = seen(rendered), flat(rendered)
    said = [digest.headline, digest.date_line, digest.made, *digest.failures, *digest.notes]
    for told in digest.statements:
        said += [told.question, told.answer, *told.details]
    for row in (*digest.touchpoints, *digest.brands):
        said += [row.label, row.feelings, row.note, row.changed]
    for group in digest.lists:
        said += [group.heading, *(part for quote in group.quotes for part in (quote.title, quote.text, quote.reason))]
    for part in said:
        assert " ".join(part.split()) in html
        assert " ".join(part.split()) in text
    links = {str(a["href"]) for a in BeautifulSoup(rendered.html, "html.parser").find_all("a")}
    assert links == set(re.findall(r"https?://\S+", rendered.text))


def test_the_html_stands_alone_and_is_small(busy: Days) -> None:
    busy.say("word " * 400, times=12)
    rendered = busy.mail(competitors=[RIVAL])
    soup = BeautifulSoup(rendered.html, "html.parser")
    assert len(rendered.html.encode()) < 100_000
    assert soup.html is not None
    assert soup.html["lang"] == "en"
    assert all(table["role"] == "presentation" for table in soup.find_all("table"))
    assert not soup.find_all(["script", "link", "iframe", "form", "object"])
    pictures = soup.find_all("img")
    assert [str(each["src"]) for each in pictures] == [f"cid:{cid}" for cid, _ in rendered.pictures]
    assert all(len(str(each["alt"])) > 20 for each in pictures), "the news stands there without the picture too"
    assert all(png.startswith(b"\x89PNG") and len(png) < 60_000 for _, png in rendered.pictures)
    assert "@import" not in rendered.html
    assert "url(" not in rendered.html
    assert len(soup.find_all("style")) == 1


def test_the_same_day_gives_the_same_bytes(busy: Days) -> None:
    assert busy.mail() == busy.mail()
    later = busy.mail(now=NOW + timedelta(minutes=3))
    assert later.html.replace("07:33", "07:30") == busy.mail().html


def test_the_pictures_travel_inside_the_mail_and_inside_the_file(busy: Days, tmp_path: Path) -> None:
    for back in range(1, 6):
        busy.say(day=DAY - timedelta(days=back), times=12)
    rendered = busy.mail()
    message = compose(rendered, "listener@example.org", "ann@example.org", DAY, "daily", NOW)
    named = [str(part["Content-ID"]) for part in message.walk() if part.get_content_type() == "image/png"]
    assert named == [f"<{cid}>" for cid, _ in rendered.pictures] and named
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "multipart/related"]
    assert (
        message.as_bytes() == compose(rendered, "listener@example.org", "ann@example.org", DAY, "daily", NOW).as_bytes()
    )
    _, html, _ = write_files(message, tmp_path, DAY)
    alone = html.read_text("utf-8")
    assert "cid:" not in alone and alone.count("data:image/png;base64,") == len(named)


def test_the_course_stands_in_the_text_as_blocks(busy: Days) -> None:
    for back in range(1, 6):
        busy.say(day=DAY - timedelta(days=back), times=back)
    text = busy.mail().text
    assert re.search(r"Posts a day, the last two weeks\n  [▁▂▃▄▅▆▇█ ]{14}\n", text)


def test_what_was_out_of_the_ordinary_is_told_with_its_cause(busy: Days) -> None:
    noticed = datetime(2026, 11, 21, 14, tzinfo=UTC)
    found = {"seen": 19, "usual": 4.2, "window_h": 3, "terms": [["eggs", 9]], "sources": [["reviews", 12]], "posts": []}
    with busy.store.writing() as connection:
        for brand, at in ((OWN, noticed), (RIVAL, noticed), (OWN, noticed - timedelta(days=1))):
            assert events.begin(connection, ("mentions", brand, str(at)), at - timedelta(hours=2), found, at)
    told = busy.digest()
    (spike,) = told.spikes
    assert spike.what == "Harbour & Pine: 19 mentions in 3 hours, usually about 4 (since 13:00)"
    rendered = busy.mail()
    assert "Out of the ordinary" in rendered.text and "“eggs” (9)" in rendered.text
    assert "“eggs” (9)" in seen(rendered)


# For whom it is.


def test_every_statement_leads_to_its_posts_and_every_post_to_its_correction(busy: Days) -> None:
    rendered = busy.mail(competitors=[RIVAL], page="https://page.example/listener")
    links = {str(a["href"]) for a in BeautifulSoup(rendered.html, "html.parser").find_all("a")}
    span = "since=2026-11-21&until=2026-11-21"
    assert f"https://page.example/listener/posts?brand=Harbour+%26+Pine&touchpoint=food&{span}" in links
    assert f"https://page.example/listener/posts?brand=Lakeside+Lodge&{span}" in links
    for wrong in ("moment", "sentiment", "brand"):
        assert any(re.fullmatch(rf"https://page.example/listener/review/\d+\?wrong={wrong}", link) for link in links)
    assert "See the posts" in rendered.html and "The posts: https://page.example/listener/posts" in rendered.text
    assert "Not right?" in rendered.text


def test_without_a_page_nothing_leads_to_one(busy: Days) -> None:
    rendered = busy.mail(competitors=[RIVAL])
    assert "See the posts" not in rendered.html and "Not right?" not in rendered.html


def test_a_recipient_hears_of_their_sources_alone(busy: Days) -> None:
    busy.ran("reviews", "crashed", error="gone")
    elsewhere = busy.digest(sources=("forum",))
    assert elsewhere.empty and not elsewhere.failures
    assert busy.digest(sources=("reviews",)).headline == busy.digest().headline


def test_dates_are_in_the_language_of_the_reader(busy: Days) -> None:
    german = busy.mail(calendar=Calendar(ZONE, "de"))
    assert "Samstag, 21. November 2026" in german.text
    assert "(Sa., 21. Nov.)" in german.subject
    named = {language: Calendar(ZONE, language).long_day(DAY) for language in ("pt-BR", "fr", "ru", "ja")}
    assert named == {
        "pt-BR": "sábado, 21 de novembro",
        "fr": "samedi 21 novembre",
        "ru": "суббота, 21 ноября",
        "ja": "11月21日土曜日",
    }


def test_a_week_is_told_as_a_week(days: Days) -> None:
    for week in range(5):
        for back in range(7):
            day = DAY - timedelta(days=7 * week + back)
            days.say(
                "The queue at the desk was endless.", touchpoints=("arrival",), day=day, times=9 if week == 0 else 2
            )
    told = days.digest(days=7)
    assert told.date_line == "Sunday 15 November to Saturday 21 November 2026"
    assert told.headline.startswith("63 mentions of Harbour & Pine in the week to Saturday 21 November")
    assert told.subject.endswith("(week to Sat 21 Nov)") and "more complaints about arrival" in told.subject
    changed = next(each for each in told.statements if each.question == "What changed?")
    assert "63 mentions, usually 14" in changed.detail and "Compared with 4 earlier weeks." in changed.detail


def test_a_question_of_several_is_told_once_with_all_who_ask(days: Days) -> None:
    days.say("Is breakfast included in the rate?", "zmot", "neutral", ())
    days.say("Does anyone know whether the breakfast is included?", "zmot", "neutral", ())
    days.say("Do they take dogs?", "zmot", "neutral", ())
    told = days.digest()
    (asked,) = [each for each in told.lists if each.heading == "Questions asked before buying"]
    assert [each.reason for each in asked.quotes] == ["asked 2 times", "research"]
    assert "breakfast" in asked.quotes[0].title and len(asked.quotes[0].others) == 1
    assert {asked.quotes[0].url, *asked.quotes[0].others} == {"https://reviews.example/1", "https://reviews.example/2"}


def test_brands_side_by_side_have_their_share_of_voice_and_net_sentiment(busy: Days) -> None:
    busy.say("Better than the other one.", sentiment="positive", brands=(RIVAL,), times=12)
    rows = {row.label: row.note for row in busy.digest(competitors=[RIVAL]).brands}
    assert re.search(r"\d+% of all mentions \(\d+ to \d+\), net \+1.00", rows[RIVAL])


# Days with less to tell.


def test_a_quiet_day_says_so_in_three_lines(days: Days) -> None:
    days.usual(2)
    digest = days.digest()
    assert digest.quiet
    assert "\n".join(render(digest).text.splitlines()[2:5]) == (
        "A quiet day: no mention of Harbour & Pine on Saturday.\n\n"
        "Nothing out of the usual. 0 mentions, usually 2. Compared with 8 earlier"
    )
    assert "Nothing is missing. The one source answered." in flat(render(digest))
    assert "What" not in seen(render(digest))
    assert render(digest).subject == "Harbour & Pine: a quiet day (Sat 21 Nov)"


def test_a_silence_where_there_is_talk_on_other_days_is_a_change(days: Days) -> None:
    days.usual(12)
    digest = days.digest()
    assert "Fewer mentions than usual. 0 mentions, usually 12" in answer(digest, "What changed?")
    assert digest.subject == "Harbour & Pine: 0 mentions, fewer than usual (Sat 21 Nov)"
    assert not digest.quiet


def test_without_history_there_is_nothing_to_compare_with(days: Days) -> None:
    days.say(times=20)
    digest = days.digest()
    assert answer(digest, "What changed?").startswith("There is nothing to compare with yet")
    assert "usual" not in digest.subject
    assert "more" not in digest.subject
    assert not any(row.changed for row in digest.touchpoints)


def test_a_source_that_was_never_read_is_told(days: Days) -> None:
    days.store.sync_sources([("reviews", "files", 60, True), ("shop", "feeds", 60, True)], NOW)
    digest = days.digest()
    assert "1 source answered. 1 source has not been read yet." in answer(digest, "What could we not collect?")
    assert not digest.quiet


def test_a_day_inside_the_band_is_no_change(days: Days) -> None:
    days.usual(6)
    days.say(times=7, sentiment="neutral", touchpoints=())
    digest = days.digest()
    assert answer(digest, "What changed?").startswith("Nothing out of the usual")
    assert digest.subject == "Harbour & Pine: 7 mentions (Sat 21 Nov)"


def test_one_post_beyond_a_narrow_band_is_chance_and_no_change(days: Days) -> None:
    days.usual(4)
    days.say(times=6, sentiment="neutral", touchpoints=())
    assert answer(days.digest(), "What changed?").startswith("Nothing out of the usual")


def test_few_posts_allow_no_share_and_no_satisfaction(days: Days) -> None:
    days.say(times=3)
    words = seen(days.mail())
    assert "Too few to tell 3 feedback" in words
    assert "Not enough feedback for a satisfaction figure (3 of 10)" in words
    assert "%" not in words


def test_enough_feedback_gives_satisfaction_with_its_interval(days: Days) -> None:
    days.say("Fine.", sentiment="positive", times=15)
    days.say("Bad.", sentiment="negative", times=5)
    assert "Satisfied: 75% of 20 who gave feedback (likely 53 to 89%)" in seen(days.mail())


def test_posts_nobody_has_judged_are_not_a_quiet_day(days: Days) -> None:
    days.say(judged=False, times=2)
    digest = days.digest()
    assert not digest.quiet
    assert "2 posts wait for a verdict" in digest.headline
    assert digest.subject == "Harbour & Pine: 2 posts wait for a verdict (Sat 21 Nov)"


def test_one_of_everything_is_singular(days: Days) -> None:
    days.say("So-so.", engagement={"comments": 1, "likes": 1}, rating=Rating(2))
    words = seen(days.mail())
    assert "1 mention of Harbour & Pine" in words
    assert "negative, 2 of 5, 1 reply, 1 like" in words
    assert not re.search(r"\b1 (mentions|posts|replies|likes|sources)\b", words)


def test_without_a_brand_it_tells_of_the_posts_that_name_none(days: Days) -> None:
    days.say("The ferry was late.", brands=(), times=2)
    rendered = days.mail(own=())
    assert rendered.subject == "Your sources: 2 posts (Sat 21 Nov)"
    assert "2 posts on Saturday: complaints about food." in seen(rendered)


def test_several_brands_are_added_up_and_each_post_is_shown_once(days: Days) -> None:
    days.say("Both were dear.", brands=(OWN, RIVAL), times=1)
    days.say("This one was loud.", brands=(RIVAL,))
    digest = days.digest(own=(OWN, RIVAL))
    assert digest.who == "Harbour & Pine and Lakeside Lodge"
    assert digest.headline.startswith("3 mentions of Harbour & Pine and Lakeside Lodge")
    (answer_first,) = digest.lists
    assert [quote.text for quote in answer_first.quotes] == ["Both were dear.", "This one was loud."]
    assert [row.posts for row in digest.brands] == [1, 2]


def test_times_are_those_of_the_recipient(days: Days) -> None:
    days.say()
    assert "reviews, 06:00" in seen(days.mail(zone=ZoneInfo("America/New_York")))


# Sources that fail.


def test_failing_sources_stand_at_the_head(days: Days) -> None:
    days.ran("hn", "ok", datetime(2026, 11, 21, 22, 40, tzinfo=UTC))
    days.ran("hn", "retry", datetime(2026, 11, 22, 7, 10, tzinfo=UTC), "rate limited")
    days.ran("shop", "refused", datetime(2026, 11, 1, 7, 10, tzinfo=UTC), "robots.txt closes /reviews.")
    days.store.sync_sources(
        [("reviews", "files", 60, True), ("hn", "hackernews", 60, True), ("shop", "x", 60, True)], NOW
    )
    days.say()
    rendered = days.mail(now=datetime(2026, 11, 22, 8, 0, tzinfo=UTC))
    for words in (seen(rendered), flat(rendered)):
        told = "Could not collect: hn (rate limited since 08:10; last success yesterday 23:40)"
        assert told in words
        assert words.index(told) < words.index("1 mention of Harbour & Pine")
        assert "Could not collect: shop (robots.txt closes /reviews since Sun 1 Nov, 08:10; no success so far)" in words
        assert "2 of 3 sources failed" in words


def test_no_posts_and_a_failing_source_are_not_a_quiet_day(days: Days) -> None:
    days.ran("reviews", "broken", error="the page has another layout")
    digest = days.digest()
    assert not digest.quiet
    assert digest.headline == "No mention of Harbour & Pine came in on Saturday, but not every source could be read."
    assert digest.subject == "Harbour & Pine: 0 mentions, 1 source failed (Sat 21 Nov)"


def test_too_few_posts_while_a_source_fails_names_the_doubt(days: Days) -> None:
    days.usual(14)
    days.say(times=2)
    days.ran("reviews", "crashed", error="KeyError")
    assert "Sources failed, which may be why." in answer(days.digest(), "What changed?")


def test_a_source_that_is_switched_off_is_not_a_failure(days: Days) -> None:
    days.ran("old", "broken", error="gone")
    days.store.sync_sources([("reviews", "files", 3600, True)], NOW)
    assert days.digest().failures == ()


def test_many_failures_stay_short(days: Days) -> None:
    for number in range(30):
        days.ran(f"s{number:02}", "broken", error="x" * 5000)
    days.store.sync_sources([(f"s{number:02}", "files", 60, True) for number in range(30)], NOW)
    digest = days.digest()
    assert digest.failures[-1] == "Could not collect: 24 further sources"
    assert max(map(len, digest.failures)) < 250


# What comes from outside.

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \u202egnp.exe\u202c \"'><b>bold"


def test_markup_from_outside_is_only_text(days: Days) -> None:
    days.say(HOSTILE, title=f"Title {HOSTILE}", url='https://x.example/"onmouseover="alert(3)')
    days.say(HOSTILE, "zmot", "neutral", url="javascript:alert(4)")
    days.say(HOSTILE, "tmot", "positive", url="https://ok.example/?a=1&b=<2>")
    days.ran("reviews", "broken", error=HOSTILE)
    rendered = days.mail()
    soup = BeautifulSoup(rendered.html, "html.parser")
    assert not soup.find_all(["script", "img", "b"])
    assert {name for tag in soup.find_all(True) for name in tag.attrs if name.startswith("on")} == set()
    assert all(str(a["href"]).startswith(("https://", "http://")) for a in soup.find_all("a"))
    assert "javascript:" not in rendered.html
    assert "javascript:" not in rendered.text
    assert "\u202e" not in rendered.html + rendered.text + rendered.subject
    assert "<script>alert(1)</script>" in seen(rendered)


def test_a_brand_name_cannot_break_the_subject(days: Days) -> None:
    brand = "Evil\r\nBcc: spy@example.net <b>\u2028" + "n" * 300
    days.say(brands=(brand,))
    rendered = days.mail(own=(brand,))
    assert len(rendered.subject.splitlines()) == 1
    assert len(rendered.subject) < 150
    assert "<b>" not in rendered.html


def test_long_posts_are_cut_at_a_word(days: Days) -> None:
    days.say("bread and butter " * 200)
    (quotes,) = days.digest().lists
    (quote,) = quotes.quotes
    assert len(quote.text) <= 241
    assert quote.text.endswith(("bread…", "and…", "butter…"))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400), st.integers(min_value=10, max_value=240))
def test_cut_never_grows_and_stays_on_one_line(text: str, limit: int) -> None:
    line = cut(text, limit)
    assert len(line) <= limit + 1
    assert len(line.splitlines()) <= 1
    assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\n\r\x00")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["http", "HTTPS", "javascript", "data", "file", "", "vbscript", " https"]), st.text(max_size=60))
def test_only_plain_web_addresses_are_linked(scheme: str, rest: str) -> None:
    url = web_address(f"{scheme}://{rest}")
    assert url == "" or re.fullmatch(r"(?i)https?://[^\s<>\"'`\\]+", url)
    assert html_text.escape(url).replace("&amp;", "&") == url


def test_words_for_people() -> None:
    assert [count(n, "reply", "replies") for n in (0, 1, 2, 1204)] == [
        "0 replies",
        "1 reply",
        "2 replies",
        "1,204 replies",
    ]
    assert [listed(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    at = datetime(2026, 11, 21, 22, 40, tzinfo=UTC)
    assert clock(at, date(2026, 11, 21), ZONE) == "23:40"
    assert clock(at, date(2026, 11, 22), ZONE) == "yesterday 23:40"
    assert clock(at, date(2026, 11, 24), ZONE) == "Sat 21 Nov, 23:40"
    assert clock(at, date(2027, 1, 2), ZONE) == "Sat 21 Nov 2026, 23:40"
    assert web_address("https://hotel.example/a?b=c#d") == "https://hotel.example/a?b=c#d"
    assert web_address("https://[half") == ""
