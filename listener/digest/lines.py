"""The sentences of the digest: what the figures of a day allow to be said, and nothing they do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from listener import trends
from listener.digest.edition import Edition
from listener.digest.figures import FEW, FEW_ANSWERS, Figures, compared, news
from listener.reads.drift import Drift
from listener.reads.questions import Group
from listener.trends import DayTotals, PostRow, SourceHealth
from listener.wording import Calendar, brand_name, capital, count, cut, listed, one_line, touchpoint_name, web_address

Tone = Literal["", "bad", "good", "warn"]

_FAILURES_SHOWN = 6
_ASKERS_SHOWN = 6
_LATE = timedelta(hours=2)  # a digest that is sent so long after its time was missed then
_ENOUGH_TO_CORRECT = 30  # posts; the interval of fewer says nothing that a reader can use
_ANSWERS = (("wrong moment", "moment"), ("wrong sentiment", "sentiment"), ("not us", "brand"))
_DRIFTED = {
    "agreement": "You and the model agree less than you did: {0:.0%} of the posts drawn at random before, {1:.0%} in"
    " the last 30 days. A review and a training bring it back.",
    "unsure": "The model is unsure more often than it was: of {0:.0%} of the posts before, {1:.0%} in the last 30 days."
    " A review and a training bring it back.",
    "unknown words": "People write more words that the model does not know: {0:.1%} of them before, {1:.1%} in the last"
    " 30 days. A review and a training teach it what they mean.",
}
FAILING = {
    "retrying": "not answering",
    "blocked": "access refused",
    "unauthorised": "its credentials are not taken",
    "disabled": "credentials or a package are missing",
    "silent": "no new posts",
    "broken": "its layout changed",
    "crashed": "stopped by an error in listener",
}
# What sites count, in the order in which it matters to somebody who answers.
_POOR, _GOOD = 0.375, 0.625  # rating shares: below 2.5 of 5, from 3.5 of 5 on
_ENGAGEMENT = (
    ("comments", "reply", "replies"), ("replies", "reply", "replies"),
    ("helpful", "found it helpful", "found it helpful"),
    ("likes", "like", "likes"), ("favourites", "like", "likes"), ("points", "point", "points"),
    ("score", "point", "points"), ("reposts", "repost", "reposts"), ("boosts", "boost", "boosts"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Statement:
    """One question of the first screen with its answer, the details to it (a line each), and a link if there is one."""

    question: str
    answer: str
    detail: str = ""
    tone: Tone = ""
    url: str = ""
    more: str = ""  # the page that lists the posts this is said of

    @property
    def details(self) -> list[str]:
        return self.detail.splitlines()


@dataclass(frozen=True, slots=True)
class Quote:
    """A post as the digest shows it: cut, on one line, with a link that is safe or empty."""

    title: str
    text: str
    url: str
    place: str  # source, brand where there are several, time
    reason: str  # "negative, 1 of 5, 12 replies"
    tone: Tone
    others: tuple[str, ...] = ()  # addresses of posts that say the same
    answers: tuple[tuple[str, str], ...] = ()  # ("wrong moment", the page where to say so)


# The first screen --------------------------------------------------------------------------------------------------


def headline(figures: Figures, failed: bool, waiting: int) -> str:
    """The day or the week in one sentence."""
    when = figures.edition.when
    if not figures.posts:
        told = f"No {figures.noun} of {figures.who}" if figures.brands[0] else "No post"
        if waiting:
            waits = count(waiting, "post waits", "posts wait")
            return f"{told} has been sorted yet {when}: {waits} for a verdict."
        if failed:
            return f"{told} came in {when}, but not every source could be read."
        return f"A quiet {figures.edition.period}: {told[0].lower()}{told[1:]} {when}."
    lead = count(figures.posts, figures.noun) + (f" of {figures.who}" if figures.brands[0] else "")
    themes = _themes(figures)
    return f"{lead} {when}{': ' if themes else ''}{themes}."


def _themes(figures: Figures) -> str:
    """ "complaints about food and drink, praise for staff": touchpoints that lean clearly to one side."""
    enough = max(2, figures.posts / 12)
    bad = [t for t in figures.touchpoints if t.negative >= enough and t.negative > t.positive]
    good = [t for t in figures.touchpoints if t.positive >= enough and t.positive > t.negative]
    bad.sort(key=lambda t: (-t.negative, t.touchpoint))
    good.sort(key=lambda t: (-t.positive, t.touchpoint))
    told = [
        f"{word} {listed([touchpoint_name(t.touchpoint) for t in side[:2]])}"
        for word, side in (("complaints about", bad), ("praise for", good))
        if side
    ]
    lead = figures.sentiments.get("negative", 0) - figures.sentiments.get("positive", 0)
    return ", ".join(told if lead >= 0 else reversed(told))


def phases(figures: Figures) -> Statement:
    """Research or feedback."""
    numbers = {
        "research": figures.sum("research"),
        "feedback": figures.sum("feedback"),
        "buying or waiting": figures.sum("transaction"),
        "neither": figures.sum("none"),
    }
    sorted_posts = sum(numbers.values())
    lead = max(numbers, key=numbers.__getitem__)
    detail = ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number)
    unread = figures.sum("unread")
    left = {"uncertain": figures.sum("abstained") - unread, "in other languages, not judged": unread}
    detail = ", ".join(filter(None, [detail, *(f"{number:,} {name}" for name, number in left.items() if number)]))
    if sorted_posts < FEW or numbers[lead] * 2 <= sorted_posts:
        answer = "Too few to tell" if sorted_posts < FEW else f"A mixed {figures.edition.period}"
    else:
        answer = "Mostly outside the journey" if lead == "neither" else f"Mostly {lead}"
    phase = {"research": "research", "feedback": "feedback", "buying or waiting": "transaction", "neither": "none"}[
        lead
    ]
    more = figures.edition.posts(phase=phase) if answer.startswith("Mostly") else figures.edition.posts()
    return Statement("Research or feedback?", answer, "\n".join([detail, *_likely(figures)]), more=more)


def _likely(figures: Figures) -> list[str]:
    """The shares of a single brand, corrected for the model's errors, where there are enough posts for them."""
    shares = figures.totals[0].shares
    if len(figures.totals) > 1 or not shares.corrected or shares.research.n < _ENOUGH_TO_CORRECT:
        return []
    told = [
        f"{name} {each.value:.0%} ({each.low * 100:.0f} to {each.high:.0%})"
        for name, each in (("research", shares.research), ("feedback", shares.feedback))
        if each.value is not None and each.low is not None and each.high is not None
    ]
    return [f"Likely, the model’s errors counted in: {listed(told)}."]


def feelings(figures: Figures) -> Statement:
    """How people feel: sentiment, and satisfaction where there is enough feedback for a figure."""
    negative, neutral, positive = (figures.sentiments.get(name, 0) for name in ("negative", "neutral", "positive"))
    answer, tone = _feeling(negative, neutral, positive)
    detail = "\n".join(filter(None, [sides(negative, neutral, positive), _satisfaction(figures)]))
    side = {"bad": "negative", "good": "positive"}.get(tone)
    more = figures.edition.posts(**({"sentiment": side} if side else {}))
    return Statement("How do they feel?", answer, detail, tone, more=more)


def sides(negative: int, neutral: int, positive: int) -> str:
    """ "18 negative, 13 positive": what there is of each."""
    named = (("negative", negative), ("neutral", neutral), ("positive", positive))
    return ", ".join(f"{number:,} {name}" for name, number in named if number)


def _feeling(negative: int, neutral: int, positive: int) -> tuple[str, Tone]:
    if negative + neutral + positive < FEW:
        return "Too few to tell", ""
    if negative + positive == 0 or neutral > 2 * (negative + positive):
        return "Mostly neutral", ""
    # Twice the standard error of the difference of two counts: less than that is a draw.
    if abs(negative - positive) <= 2 * math.sqrt(negative + positive):
        return "Divided", ""
    return ("More negative than positive", "bad") if negative > positive else ("More positive than negative", "good")


def _satisfaction(figures: Figures) -> str:
    told = []
    for brand, total in zip(figures.brands, figures.totals, strict=True):
        csat = total.csat
        if csat.value is not None and csat.low is not None and csat.high is not None and csat.n >= FEW_ANSWERS:
            whose = f" with {brand_name(brand)}" if len(figures.brands) > 1 else ""
            low, high = round(csat.low * 100), round(csat.high * 100)
            told.append(f"Satisfied{whose}: {csat.value:.0%} of {csat.n:,} who gave feedback (likely {low} to {high}%)")
    if told:
        return "\n".join(told)
    heard = sum(total.csat.n for total in figures.totals)
    return f"Not enough feedback for a satisfaction figure ({heard} of {FEW_ANSWERS})"


def side_by_side(total: DayTotals, whole: int) -> str:
    """ "64% of all mentions (58 to 69), net +0.12, 3 research, 12 feedback"."""
    voice = trends.wilson(total.posts, whole)
    told = []
    if voice.enough and voice.value is not None and voice.low is not None and voice.high is not None:
        told.append(f"{voice.value:.0%} of all mentions ({voice.low * 100:.0f} to {voice.high * 100:.0f})")
    if total.net.enough and total.net.value is not None:
        told.append(f"net {total.net.value:+.2f}".replace("-", "−"))
    return ", ".join([*told, f"{total.research:,} research", f"{total.feedback:,} feedback"])


def changes(figures: Figures, failed: bool) -> Statement:
    """The day against the usual. Only what is beyond the usual band *and* beyond chance is called a change."""
    question = "What changed?"
    found = [change for brand in range(len(figures.brands)) for change in compared(figures, brand)]
    if not found:
        takes = "a week" if figures.edition.days == 1 else "three weeks before it"
        return Statement(question, "There is nothing to compare with yet", f"The usual takes {takes} of history.")
    moved = news(figures)
    days = max(usual.days for usual in figures.usual)
    # The number of posts is always told: it says how much the rest weighs.
    told = list(dict.fromkeys(change.told for change in [found[0], *moved, *found]))[: max(3, len(moved) + 1)]
    detail = "\n".join([*map(capital, told[:4]), f"Compared with {count(days, f'earlier {figures.edition.period}')}."])
    if failed and any(change.direction < 0 for change in moved):
        detail += " Sources failed, which may be why."
    if not moved:
        return Statement(question, "Nothing out of the usual", detail)
    answer = listed([change.short for change in moved[:2]])
    about = next((change.about for change in moved if change.about), "")
    more = figures.edition.posts(**({"touchpoint": about} if about else {}))
    return Statement(question, capital(answer), detail, "warn", more=more)


def read_first(to_answer: Sequence[Quote], questions: Sequence[Quote], praise: Sequence[Quote]) -> Statement:
    """The one post to read if there is time for one."""
    question = "What must I read?"
    for quotes, kind in ((to_answer, ""), (questions, "A question asked before buying"), (praise, "Praise")):
        if quotes:
            first = quotes[0]
            detail = f"{capital(kind or first.reason)} ({first.place})"
            return Statement(question, f"“{cut(first.title or first.text, 110)}”", detail, url=first.url)
    return Statement(question, "Nothing in particular", "No feedback to answer, no question, no praise.")


def collection(health: Sequence[SourceHealth], failed: int) -> Statement:
    """What could not be collected."""
    question = "What could we not collect?"
    if not health:
        told = "No source is switched on: what is here was imported by hand."
        return Statement(question, "Nothing is collected by itself", told, "warn")
    fresh = sum(source.state == "new" for source in health)
    unread = f" {count(fresh, 'source has', 'sources have')} not been read yet." if fresh else ""
    if failed:
        told = f"{failed} of {count(len(health), 'source')} failed"
        return Statement(question, told, f"The counts may be too low.{unread}", "warn")
    answered = len(health) - fresh
    every = "The one source answered" if len(health) == 1 else f"All {len(health)} sources answered"
    if fresh:
        return Statement(question, "Not all is in", f"{count(answered, 'source')} answered.{unread}", "warn")
    return Statement(question, "Nothing is missing", f"{every}.")


# Around it ---------------------------------------------------------------------------------------------------------


def failures(health: Sequence[SourceHealth], now: datetime, calendar: Calendar) -> tuple[str, ...]:
    """One line for each source that fails: "Could not collect: hn (rate limited since 08:10; last success ...)"."""
    failing = [source for source in health if source.state in FAILING]
    told = [f"Could not collect: {_failure(source, now, calendar)}" for source in failing[:_FAILURES_SHOWN]]
    if len(failing) > _FAILURES_SHOWN:
        told.append(f"Could not collect: {count(len(failing) - _FAILURES_SHOWN, 'further source')}")
    return tuple(told)


def _failure(source: SourceHealth, now: datetime, calendar: Calendar) -> str:
    today = now.astimezone(calendar.zone).date()
    why = cut(one_line(source.why), 110).rstrip(".") or FAILING[source.state]
    since = f"since {calendar.clock(source.since, today)}" if source.since else ""
    told = f"{since}: {why}" if since and len(why) > 40 else f"{why} {since}".rstrip()
    success = source.last_success_at
    last = f"last success {calendar.clock(success, today)}" if success else "no success so far"
    return f"{cut(one_line(source.name), 40)} ({told}; {last})"


def notes(figures: Figures, waiting: int, late: int, drifts: Sequence[Drift] = ()) -> tuple[str, ...]:
    """What is still open: posts without a verdict or for a person to look at, posts that came too late, and drift."""
    told = _overdue(figures.edition)
    if waiting:
        told.append(f"{count(waiting, 'post waits', 'posts wait')} for a verdict and {_are(waiting)} not counted here.")
    unread, period = figures.sum("unread"), figures.edition.period
    if unread:
        languages = "a language" if unread == 1 else "languages"
        told.append(
            f"{count(unread, 'post')} of the {period} {_are(unread)} in {languages} the model does not know, or without"
            f" words, and {_are(unread)} not judged."
        )
    if unsure := figures.sum("abstained") - unread:
        told.append(
            f"{count(unsure, 'post')} of the {period} {_are(unsure)} too uncertain to be counted as a moment and"
            f" {'waits' if unsure == 1 else 'wait'} for a person’s review."
        )
    if late:
        edition = figures.edition
        before = edition.first - timedelta(days=1)
        whose = edition.calendar.long_day(before) if edition.days == 1 else "the week before"
        those = "it" if late == 1 else "them"
        told.append(f"{count(late, 'post')} of {whose} came in after its digest; the trends have {those}.")
    told += [_DRIFTED[each.what].format(each.before.value, each.lately.value) for each in drifts if each.worse]
    return tuple(told)


def _overdue(edition: Edition) -> list[str]:
    """That this digest was missed at its time and is caught up now."""
    if edition.due is None or edition.now - edition.due < _LATE:
        return []
    due = edition.due.astimezone(edition.calendar.zone)
    when = f"{edition.calendar.long_day(due.date())} at {due:%H:%M}"
    return [f"This digest is late: it was due on {when}, and Listener could not send it then."]


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def quote(row: PostRow, edition: Edition, alike: int = 1) -> Quote:
    """A post as the digest shows it. `alike`: how many posts of the list have the same words, this one included."""
    title, text = cut(one_line(row.title), 120), cut(one_line(row.text))
    named = listed([brand_name(brand) for brand in sorted(row.brands)][:3]) if len(edition.brands) > 1 else ""
    time = edition.calendar.clock(row.created_at, edition.day) if row.created_at else "time not given"
    answers = [(what, edition.review(row.id, wrong)) for what, wrong in _ANSWERS]
    return Quote(
        title="" if text.startswith(title.rstrip("…")) else title,
        text=text,
        url=web_address(row.url),
        place=", ".join(filter(None, (cut(one_line(row.source), 40), named, time))),
        reason=_reason(row, alike),
        tone="bad" if feeling(row) == "negative" else "good" if feeling(row) == "positive" else "",
        answers=tuple(each for each in answers if each[1]),
    )


def question(group: Group, edition: Edition) -> Quote:
    """A question as the digest shows it: in the words of one who asked it, with the posts of all who did."""
    first = quote(group.posts[0], edition)
    asked = cut(one_line(group.question))
    others = tuple(filter(None, (web_address(post.url) for post in group.posts[1:_ASKERS_SHOWN])))
    if len(group.posts) == 1:
        return first
    reason = f"asked {len(group.posts):,} times"
    return replace(first, title=asked, text="", reason=reason, others=others)


def feeling(row: PostRow) -> str | None:
    """A post's sentiment; a clear rating is its author's own word and outranks what the model makes of the text."""
    if row.rating is not None and (row.rating < _POOR or row.rating >= _GOOD):
        return "negative" if row.rating < _POOR else "positive"
    return row.sentiment


def _reason(row: PostRow, alike: int) -> str:
    """Why a post is in the list: "negative, 1 of 5, 12 replies"."""
    told = ["research" if row.moment == "zmot" and row.sentiment == "neutral" else feeling(row) or "not sorted yet"]
    if row.rating_value is not None and row.rating_best is not None:
        told.append(f"{row.rating_value:g} of {row.rating_best:g}")
    noticed: dict[str, str] = {}
    for key, noun, plural in _ENGAGEMENT:
        number = row.engagement.get(key, 0)
        if number > 0:
            noticed.setdefault(noun, count(number, noun, plural))
    said = [f"said {alike:,} times"] if alike > 1 else []
    return ", ".join([*told, *list(noticed.values())[:2], *said])
