"""The questions people ask before buying, the same question asked by many put together. Reads only.

A question is grouped by the rare words it shares with others: cosine of TF-IDF vectors over the questions at hand. That
needs no model and can be followed by eye; two people who ask the same thing in quite other words stay apart.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from listener.reads import search
from listener.reads.filters import checked
from listener.reads.search import PostRow

AT_MOST = 2000  # posts looked at, the newest: grouping compares questions with each other
_ALIKE = 0.4  # cosine: about two rare words out of five in common
_LONGEST = 300  # letters of a question; what is longer has lost its full stops

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
# Sentences that ask without a question mark.
_ASKING = re.compile(
    r"(?:(?:please |so |hi,? |hello,? |but |and )*)"
    r"(?:(?:does|do|did|has|have|is|are|can|could|would|will|should) (?:any(?:one|body)|some(?:one|body)|there|it|they|"
    r"you|i|we)\b|any(?:one|body)\b|any (?:recommend|suggest|advice|idea|tips|thoughts|experience)\w*|"
    r"what|which|where|when|how|who|why|looking for (?:recommend|suggest|advice)\w*|wondering (?:if|whether|how|what)|"
    r"recommend(?:ation|ations)? (?:for|needed)|worth it)\b",
    re.IGNORECASE,
)
# Words that say nothing of what is asked.
_COMMON = frozenset(
    """
    a about advice after again all also am an and any anybody anyone anything appreciated are as at be been before
    being best better bit but by can can't could did didn't do does doesn't doing don't done else enjoy even ever
    everyone everything experience experiences feel fix for from get getting give go going good got greatly guy guys
    had happen happened has have haven't having he hello help her here hi him his how i i'd i'll i'm i've idea ideas
    if in into is isn't it it's its just kind know let like look looking looks lot me mean more most much my need no not
    now of off on once one only option options or other our out over own people please possible really recommend
    recommendation recommendations same say see seem seems she should similar so some somebody someone something
    start still such suggestion suggestions sure take tell than thank thanks that that's the their them then there
    these they they're thing things think this those thought thoughts through tip tips to too tried try trying up us
    use used using very want wanted was wasn't we were what what's when where whether which while who why will with
    won't wonder wondering worth would you you're your
    """.split()  # noqa: SIM905  # a hundred quotes more would help nobody
)


@dataclass(frozen=True, slots=True)
class Group:
    """Posts that ask the same. `question` is that of the post most like the others; posts stand newest first."""

    question: str
    words: tuple[str, ...]  # what they have in common, the rarest first
    posts: tuple[PostRow, ...]


def asked(text: str) -> list[str]:
    """The questions of a text, as they stand there."""
    found = []
    for sentence in _SENTENCE.findall(text):
        sentence = " ".join(sentence.split())
        marked = sentence.endswith("?") and len(_WORD.findall(sentence)) >= 3
        if (marked or _ASKING.match(sentence)) and len(sentence) <= _LONGEST and _terms(sentence):
            found.append(sentence)
    return found


def questions(reader: sqlite3.Connection, limit: int = 10, **filters: Any) -> tuple[list[Group], int]:
    """The questions asked most in posts of research (`zmot`), and how many posts were looked at: at most `AT_MOST`.

    `filters` are those of `Filters`; of brands and sources the first only. Raises ListenerError as `trends.trends`.
    """
    chosen = checked(reader, filters)
    posts = search.posts(
        reader,
        chosen.query,
        brand=next(iter(chosen.brands), None),
        source=next(iter(chosen.sources), None),
        moment="zmot",
        since=chosen.since,
        until=chosen.until,
        limit=AT_MOST,
    )
    return group(posts)[:limit], len(posts)


def group(posts: Sequence[PostRow]) -> list[Group]:
    """Posts by what they ask, the question asked most first; a post with several questions is in several groups."""
    said = [(post, question) for post in posts for question in asked(f"{post.title}\n{post.text}")]
    skipped = {word for post in posts for brand in post.brands for word in _terms(brand)}  # all of them name it
    vectors = list(_vectors([_terms(question) - skipped for _, question in said]))
    groups = []
    for members in _clusters(vectors):
        distinct = {said[place][0].id: said[place][0] for place in members}
        centre = max(members, key=lambda place: sum(_cosine(vectors[place], vectors[other]) for other in members))
        groups.append(Group(said[centre][1], _shared(vectors, members), tuple(distinct.values())))
    return sorted(groups, key=lambda each: (-len(each.posts), each.question))


def _terms(text: str) -> set[str]:
    """The words that carry a question's meaning, without the s of the plural."""
    words = (word.casefold().replace("’", "'") for word in _WORD.findall(text))
    return {
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
        for word in words
        if word not in _COMMON and len(word) > 1
    }


def _vectors(questions: Sequence[set[str]]) -> Iterator[dict[str, float]]:
    """Of length 1; a word weighs the more the fewer questions have it."""
    seen = Counter(word for words in questions for word in words)
    for words in questions:
        weights = {word: math.log(1 + len(questions) / seen[word]) for word in words}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        yield {word: weight / length for word, weight in weights.items()}


def _clusters(vectors: Sequence[dict[str, float]]) -> list[list[int]]:
    """Each question joins the group whose mean it is most like, or begins one. Two passes: the first groups are made of
    few questions, and a second look puts right what came before they had a shape.
    """
    centres: list[dict[str, float]] = []
    for _ in range(2):
        by_word: dict[str, set[int]] = defaultdict(set)
        for number, centre in enumerate(centres):
            for word in centre:
                by_word[word].add(number)
        members: dict[int, list[int]] = defaultdict(list)
        sums: dict[int, Counter[str]] = {}
        for place, vector in enumerate(vectors):
            near = _nearest(vector, centres, {number for word in vector for number in by_word[word]})
            if near is None:
                near = len(centres)
                centres.append(dict(vector))
            members[near].append(place)
            sums.setdefault(near, Counter()).update(vector)
            centres[near] = _unit(sums[near])
            for word in vector:
                by_word[word].add(near)
        centres = [centres[number] for number in members]
    return list(members.values())


def _nearest(vector: dict[str, float], centres: Sequence[dict[str, float]], near: Iterable[int]) -> int | None:
    found = max(((_cosine(vector, centres[number]), -number) for number in near), default=(0.0, 0))
    return -found[1] if found[0] >= _ALIKE else None


def _unit(weights: Counter[str]) -> dict[str, float]:
    length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
    return {word: weight / length for word, weight in weights.items()}


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    return sum(weight * other.get(word, 0.0) for word, weight in one.items())


def _shared(vectors: Sequence[dict[str, float]], members: Sequence[int]) -> tuple[str, ...]:
    """The words that at least half of the group has, those that say most first."""
    weights: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for place in members:
        weights.update(vectors[place])
        seen.update(vectors[place].keys())
    common = [word for word in weights if seen[word] * 2 >= len(members)]
    return tuple(sorted(common, key=lambda word: (-weights[word], word))[:4])
