"""One post as two databases have it, and what is to be kept of both: pure, and the same from either side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from listener.migrations import moment_of
from listener.schedule import local_day
from listener.tables.rows import is_late

Row = dict[str, Any]

# What the newer version of a post decides.
_SAID = (
    "kind", "url", "title", "text", "edited_at", "rating_value", "rating_best", "rating_worst", "rating", "parent",
    "lang", "given_brand", "text_hash", "federated_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Version:
    """A post as a database has it: its row, the brands it names (brand -> why), what the model says of it with its
    "touchpoints", what people said, oldest first, and the key of the post it is a copy of.
    """

    row: Row
    brands: Mapping[str, str]
    verdict: Row | None
    corrections: tuple[Row, ...] = ()
    original: tuple[str, str] | None = None

    @property
    def held(self) -> Row | None:
        """The correction that holds."""
        return next((each for each in self.corrections if each["ended_at"] is None), None)

    @property
    def key(self) -> tuple[str, str]:
        return self.row["source"], self.row["native_id"]

    @property
    def seen(self) -> str:
        return str(self.row["last_verified_at"] or self.row["collected_at"])

    @property
    def age(self) -> tuple[str, ...]:
        """Sorts versions, the newest last, and never leaves open which of two that differ comes first."""
        row = self.row
        said = (row["text_hash"], row["engagement"], *(str(row[name]) for name in _SAID))
        return (row["edited_at"] or "", self.seen, *said)


def joined(mine: Version, theirs: Version, in_charge: str | None, zone: ZoneInfo) -> Version:
    """What is to be held of a post that is deleted in neither. The first date stays; what was seen last has the newer
    engagement. Where our words are gone they stay so, and brands and verdict are still counted.
    """
    if mine.row["expired_at"]:
        return _wordless(mine, theirs, in_charge, zone)
    newer, older = (theirs, mine) if theirs.age > mine.age else (mine, theirs)
    row = {**mine.row, **{name: newer.row[name] for name in _SAID}}
    row["engagement"] = max(mine, theirs, key=lambda each: (each.seen, each.row["engagement"])).row["engagement"]
    row["author"] = newer.row["author"] or older.row["author"]
    for name, choose in (("verify_due_at", min), ("edited_at", max)):
        told = [each.row[name] for each in (mine, theirs) if each.row[name] is not None]
        row[name] = choose(told) if told else None
    row |= _first(mine, theirs)
    same = mine.row["text_hash"] == theirs.row["text_hash"]
    brands = {**(older.brands if same else {}), **newer.brands}
    verdict = _verdict(mine, theirs, row["text_hash"], in_charge)
    return dated(replace(mine, row=row, brands=brands, verdict=verdict, corrections=_said(mine, theirs, newer)), zone)


def _said(mine: Version, theirs: Version, newer: Version) -> tuple[Row, ...]:
    """What people said on both machines. What was taken back on one is; of the rest the last holds, for its text."""
    found: dict[tuple[str, ...], Row] = {}
    for version in (mine, theirs):
        times: Counter[tuple[str, ...]] = Counter()
        for each in version.corrections:
            same = tuple(str(value) for name, value in each.items() if name not in ("ended_at", "ended"))
            times[same] += 1  # a person may say the same twice within a second
            ident = (*same, str(times[same]))
            found[ident] = max(found.get(ident, each), each, key=_over)
    # Of those of one second the one that held was the last.
    order = sorted(found, key=lambda ident: (found[ident]["at"], found[ident]["ended_at"] is None, ident))
    said = [found[ident] for ident in order]
    left = [each for each in said if not _over(each)[0] and each["text_hash"] == newer.row["text_hash"]]
    return tuple(_settled(each, left, newer) for each in said)


def _over(correction: Row) -> tuple[bool, str, str]:
    """Whether it cannot hold again, and since when. One that was replaced does when its successor is taken back."""
    ended = correction["ended"] or ""
    return ended not in ("", "replaced"), correction["ended_at"] or "", ended


def _settled(correction: Row, left: list[Row], newer: Version) -> Row:
    if left and correction is left[-1]:
        return {**correction, "ended_at": None, "ended": None}
    if any(correction is each for each in left):
        return {**correction, "ended_at": correction["ended_at"] or left[-1]["at"], "ended": "replaced"}
    if correction["ended"]:
        return correction
    return {**correction, "ended_at": newer.row["edited_at"] or newer.seen, "ended": "edited"}


def _wordless(mine: Version, theirs: Version, in_charge: str | None, zone: ZoneInfo) -> Version:
    text_hash = mine.row["text_hash"]
    if theirs.row["text_hash"] != text_hash:
        return mine
    brands = dict.fromkeys([*mine.brands, *theirs.brands], "")  # the reason is words of its text
    verdict = _verdict(mine, theirs, text_hash, in_charge)
    said = _said(mine, theirs, mine)
    after = replace(mine, row=mine.row | _first(mine, theirs), brands=brands, verdict=verdict, corrections=said)
    return dated(after, zone)


def _first(mine: Version, theirs: Version) -> Row:
    """When the post was made, first collected and last seen, as far as either database knows."""
    made = [each.row["created_at"] for each in (mine, theirs) if each.row["created_at"]]
    collected, seen = min(mine.row["collected_at"], theirs.row["collected_at"]), max(mine.seen, theirs.seen)
    verified = any(each.row["last_verified_at"] for each in (mine, theirs)) or seen != collected
    return {
        "created_at": min(made, default=None),
        "collected_at": collected,
        "last_verified_at": seen if verified else None,
    }


def _verdict(mine: Version, theirs: Version, text_hash: str, in_charge: str | None) -> Row | None:
    """The verdict on this text: by the model in charge, else the newest; ours on an older text where there is none."""
    found = [each.verdict for each in (mine, theirs) if each.verdict and each.verdict["text_hash"] == text_hash]
    if not found:
        return mine.verdict
    return max(found, key=lambda each: (each["model"] == in_charge, each["judged_at"], each["model"], str(each)))


def dated(version: Version, zone: ZoneInfo) -> Version:
    """The version with the local day that it has in `zone`."""
    row = version.row
    collected, at = moment_of(row["collected_at"]), moment_of(row["created_at"] or row["collected_at"])
    assert collected and at
    day = local_day(at, zone)
    dates = {"day": day.isoformat(), "late": int(is_late(day, local_day(collected, zone)))}
    return replace(version, row={**row, **dates})
