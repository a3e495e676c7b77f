"""Made-up posts by the million: the same ones on every machine, of the lengths, words and dates that real ones have.

What speed depends on is drawn as it is met outside: words by Zipf's law, 20 to 80 of them, a third of the posts with a
rating, three in a hundred nearly a copy of an earlier one, three years of days. Verdicts are drawn too: no model runs.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.records import Post, Rating, Scores

BEGIN = datetime(2023, 11, 1, tzinfo=UTC)
DAYS = 3 * 365
END = BEGIN + timedelta(days=DAYS)
SOURCES = (
    "street forum", "city forum", "travel forum", "news", "town feed", "micro posts", "questions", "video comments",
    "hotel reviews", "map reviews", "app reviews", "shop reviews",
)  # fmt: skip
_RATED = 8  # of the sources, the last four bring reviews
BRANDS = ("Harbour", "Lumen", "Quayside", "Northgate", "Alder")
_NAMED = (0.34, 0.16, 0.1, 0.08, 0.05)  # what is left names none
COPIES = 0.03
_COPIED_WITHIN = timedelta(days=30)
_VOCABULARY = 200_000

_HEAD = (
    "the and to we it was in of for is that with on but you at not have they this so my our had as very be room there "
    "from are me were good would all no one when staff which if or time just again what can do about been only stay "
    "up out by an got after night more their has place day back breakfast then even will hotel two other because them "
    "really nice great first too never could over how us price money bad here your asked phone much than told some "
    "like went service worth said people came before didn't made still find well next order booked desk any help long "
    "wait small work need clean bed best minutes hour door around off every always right way line week lovely "
    "friendly delivery paid card café lift noise quiet water window three front morning evening late early pool town "
    "train station walk free cost return refund call mail reply answer nobody somebody twice table food kitchen "
    "waiter menu coffee tea bread fresh cold warm hot heating shower towel soap floor stairs parking garage key app "
    "site page form login update version screen "
)

_CLAUSES = (
    "the heating never worked", "is it worth the price", "does anybody know whether", "we came back for a second time",
    "nobody answered the phone", "the desk was very kind", "I would not book again", "thinking about a weekend at",
    "which of the two is better", "my parcel still has not come", "breakfast was the best part", "they took my money",
    "we walked there from the station", "the new app keeps crashing", "saw their poster in town", "ordered on Monday",
    "the pool was closed", "asked for a quiet room", "what do you all think of", "five minutes from the beach",
)  # fmt: skip

# The words that the searches of the benchmark ask for; how often they occur is printed beside the figures.
COMMON, PHRASE = "breakfast", '"heating never worked"'


@dataclass(frozen=True, slots=True)
class Made:
    """A post with all that is to be stored of it. `repeats` is the number of the earlier post that it nearly copies."""

    number: int
    post: Post
    links: dict[str, str]
    scores: Scores
    repeats: int | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What one fetch of one source brings, and when."""

    source: str
    now: datetime
    posts: tuple[Made, ...]


@cache
def words() -> tuple[str, ...]:
    """The vocabulary, the most frequent first."""
    syllables = [a + b for a, b in itertools.product((*"bdfgklmnprstvz", "br", "st"), "aeiou")]
    made = map("".join, itertools.product(syllables, repeat=3))
    chosen = random.Random(1).sample(list(made), _VOCABULARY)
    return (*_HEAD.split(), *chosen)[:_VOCABULARY]


def rare() -> str:
    """A word that few posts hold."""
    return words()[-1]


def replies(posts: int, size: int = 500, seed: int = 5, days: float = DAYS) -> Iterator[Reply]:
    """`posts` made-up posts as the sources bring them, in turn, `size` at a time, spread over the first `days`."""
    draw = _Draw(seed)
    turns = -(-posts // size)
    for turn in range(turns):
        number = turn * size
        until = BEGIN + timedelta(days=days) * ((turn + 1) / turns)
        since = max(BEGIN, until - timedelta(days=days) * (len(SOURCES) / turns))
        which = turn % len(SOURCES)
        yield Reply(SOURCES[which], until, draw.posts(number, min(size, posts - number), which, since, until))


class _Draw:
    """Draws posts, and remembers some of the last ones to copy from."""

    def __init__(self, seed: int) -> None:
        self._numbers = np.random.default_rng(seed)
        self._random = random.Random(seed)
        self._words = np.array(words(), dtype=object)
        shares = 1 / (np.arange(len(self._words)) + 2.7)  # Zipf's law as Mandelbrot wrote it
        self._sums = np.cumsum(shares / shares.sum())
        self._scores = [self._draw_scores() for _ in range(2000)]
        self._last: dict[bool, deque[tuple[datetime, Made]]] = {rated: deque(maxlen=300) for rated in (False, True)}

    def posts(self, number: int, count: int, which: int, since: datetime, until: datetime) -> tuple[Made, ...]:
        lengths = np.clip(self._numbers.lognormal(3.7, 0.35, count), 20, 80).astype(int)
        drawn = np.searchsorted(self._sums, self._numbers.random(int(lengths.sum())))
        told = self._words[np.minimum(drawn, len(self._words) - 1)].tolist()
        span = (until - since).total_seconds()
        seconds = np.sort(self._numbers.random(count) * span).tolist()
        ends = np.cumsum(lengths).tolist()
        found, begin = [], 0
        for at, (end, second) in enumerate(zip(ends, seconds, strict=True)):
            created = since + timedelta(seconds=int(second))
            made = self._made(number + at, told[begin:end], which, created, until)
            found.append(made)
            begin = end
        return tuple(found)

    def _made(self, number: int, told: list[str], which: int, created: datetime, until: datetime) -> Made:
        rated, chance = which >= _RATED, self._random.random
        last = self._last[rated]
        if chance() < COPIES and last:
            at, of = self._random.choice(last)
            if until - at < _COPIED_WITHIN:
                return self._copy(number, of, which, created)
        brands = [brand for brand, share in zip(BRANDS, _NAMED, strict=True) if chance() < share]
        text = f"{' '.join(brands)} {self._random.choice(_CLAUSES)} {' '.join(told)}".strip()
        rating = Rating(float(self._random.choice((1, 2, 3, 4, 4, 5, 5, 5)))) if rated else None
        post = self._post(number, text, which, created, rating)
        made = Made(number, post, dict.fromkeys(brands, "its name"), self._random.choice(self._scores), None)
        last.append((until, made))
        return made

    def _copy(self, number: int, of: Made, which: int, created: datetime) -> Made:
        text = of.post.text
        if self._random.random() < 0.5:
            text = text.rpartition(" ")[0]  # cut short on its way, as feeds do
        return Made(number, self._post(number, text, which, created, of.post.rating), of.links, of.scores, of.number)

    def _post(self, number: int, text: str, which: int, created: datetime, rating: Rating | None) -> Post:
        rated = which >= _RATED
        return Post(
            source=SOURCES[which], native_id=f"{number:09d}", text=text, kind="review" if rated else "post",
            title=text[:30] if which % 4 == 0 else "", url=f"https://s{which}.example/posts/{number}",
            author=f"author {self._random.getrandbits(20)}", created_at=created, rating=rating,
            engagement={} if rated else {"likes": int(self._random.expovariate(0.1))}, lang="en",
        )  # fmt: skip

    def _draw_scores(self) -> Scores:
        moments = self._numbers.dirichlet([0.5] * len(MOMENTS)).tolist()
        sentiments = self._numbers.dirichlet([0.5] * len(SENTIMENTS)).tolist()
        touchpoints = self._random.sample(TOUCHPOINTS, self._random.choice((0, 1, 1, 2, 3)))
        unread = self._random.random() < 0.02
        return Scores(
            dict(zip(MOMENTS, moments, strict=True)), dict(zip(SENTIMENTS, sentiments, strict=True)),
            tuple(sorted(touchpoints)), max(moments), unread or max(moments) < 0.4, "fr" if unread else "en", unread,
        )  # fmt: skip
