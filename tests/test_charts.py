"""Pictures: what they show, that nothing from outside breaks them, that everybody can tell what is drawn."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import charts
from listener.charts import drawing, periods
from listener.charts.looks import LOOKS, apart
from listener.counts import TrendRow, totals, wilson
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ListenerError
from listener.trends import Usual

LAST = date(2026, 11, 22)
HOSTILE = [
    "</script><script>document.title='taken'</script>",
    "a.b[0]['x']\"'\\",
    "x" * 1000,
    "مطعم البحر 23%",
    "😀😀 Café\n\t\x00",
    "{{datum.at}} ' + alert(1) + '",
    "\u202eevil\u2066",
    "datum['at']",
]


def row(period: str, brand: str = "Acme", abstained: int = 0, **counts: int) -> TrendRow:
    """A row with posts by moment and sentiment: row("2026-11-22", zmot_positive=3, tmot_negative=1)."""
    nothing = dict.fromkeys(("unread", "score_sum", "rated", "satisfied"), 0)
    found = []
    for name, posts in counts.items():
        moment, sentiment = name.split("_")
        found.append({"moment": moment, "sentiment": sentiment, "posts": posts, "abstained": 0, **nothing})
    if abstained:
        found.append({"moment": "", "sentiment": "neutral", "posts": abstained, "abstained": abstained, **nothing})
    return TrendRow(period=period, **totals(brand, found))  # type: ignore[arg-type]


def days(number: int, brands: Sequence[str] = ("Acme",), size: int = 7) -> list[TrendRow]:
    """Rows of that many days up to the last, no two alike."""
    found = []
    for back, (place, brand) in itertools.product(range(number - 1, -1, -1), enumerate(brands)):
        counts = {
            f"{moment}_{sentiment}": (back * 5 + place * 3 + at * 7) % size + 1
            for at, (moment, sentiment) in enumerate(itertools.product(MOMENTS, SENTIMENTS))
        }
        found.append(row((LAST - timedelta(days=back)).isoformat(), brand, **counts))
    return found


def named(spec: charts.Spec, key: str) -> Iterator[Any]:
    """Every value of that key, wherever in the specification."""
    if isinstance(spec, dict):
        yield from (value for name, value in spec.items() if name == key)
        for value in spec.values():
            yield from named(value, key)
    elif isinstance(spec, list):
        for value in spec:
            yield from named(value, key)


def written(spec: charts.Spec) -> list[str]:
    """Every line of text that the picture shows."""
    texts = []
    for each in ET.fromstring(charts.svg(spec)).iter("{http://www.w3.org/2000/svg}text"):
        spans = [span.text or "" for span in each]
        texts += spans or [each.text or ""]
    return texts


def sides(*numbers: int) -> dict[str, int]:
    return dict(zip(SENTIMENTS, numbers, strict=True))


STEPS = {"zmot": sides(1, 9, 2), "imot": sides(4, 0, 0), "tmot": sides(12, 3, 20)}
POINTS = {touchpoint: sides(at, 17 - at, 2 * at) for at, touchpoint in enumerate(TOUCHPOINTS)}
MONTHS = [
    row(f"{2024 + n // 12}-{n % 12 + 1:02}", zmot_neutral=n + 3, tmot_negative=20, tmot_positive=9) for n in range(24)
]
WEEKS = [row(f"2026-W{n:02}", zmot_neutral=n, tmot_positive=60 - n) for n in range(40, 48)]
SIX = days(12, ["Acme", "Bolt", "Cask & Co", "Dune", "Ember", "Ø"])
CASES = {
    "nothing": [],
    "a day": days(1),
    "a post": [row("2026-11-22", zmot_neutral=1)],
    "only unsure": [row("2026-11-22", abstained=4)],
    "a week": days(7),
    "90 days": days(90),
    "two years": MONTHS,
    "weeks": WEEKS,
    "holes": [days(14)[at] for at in (0, 1, 5, 9, 10, 13)],
    "of no brand": days(4, [""]),
    "six brands": SIX,
    "a day of six": SIX[-6:],
    "hostile": days(6, HOSTILE),
    "a day of hostile": days(1, HOSTILE),
}
PICTURES = (charts.phases, charts.sentiment, charts.voice, charts.net)


# --- every picture ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_every_picture_can_be_drawn_and_is_as_wide_as_asked(case: str) -> None:
    for draw, theme in itertools.product(PICTURES, LOOKS):
        spec = draw(CASES[case], theme=theme, width=600)
        drawn = ET.fromstring(charts.svg(spec))
        assert 560 <= float(drawn.attrib["width"]) <= 640, (draw.__name__, drawn.attrib["width"])
        assert spec["background"] == LOOKS[theme].paper


@pytest.mark.parametrize("counts", [{}, STEPS, {"tmot": sides(0, 1, 0)}, {"smot": sides(0, 0, 0)}])
def test_the_journey_can_be_drawn(counts: dict[str, dict[str, int]]) -> None:
    drawn = ET.fromstring(charts.svg(charts.journey(counts, who="Acme, last week")))
    assert 560 <= float(drawn.attrib["width"]) <= 640


@pytest.mark.parametrize("counts", [{}, POINTS, {"staff": sides(0, 1, 0)}, {"<b>": sides(3, 0, 9)}])
def test_touchpoints_can_be_drawn(counts: dict[str, dict[str, int]]) -> None:
    drawn = ET.fromstring(charts.svg(charts.touchpoints(counts, who="x" * 1000)))
    assert 560 <= float(drawn.attrib["width"]) <= 640


def test_a_specification_is_drawn_the_same_every_time() -> None:
    spec = charts.stacked([charts.phases(days(9)), charts.sentiment(days(9)), charts.voice(SIX)])
    program = (
        "import json, sys; from listener import charts; from hashlib import sha256; spec = json.load(sys.stdin);"
        "print(sha256(charts.svg(spec).encode()).hexdigest(), sha256(charts.png(spec)).hexdigest())"
    )
    run = [sys.executable, "-c", program]
    first, second = (
        subprocess.run(run, input=json.dumps(spec), capture_output=True, text=True, check=True) for _ in "12"
    )
    assert len(first.stdout) > 100
    assert first.stdout == second.stdout


def test_what_comes_from_outside_is_data_and_nothing_else() -> None:
    fields: set[str] = set()
    for case, draw in itertools.product(CASES, PICTURES):
        spec = draw(CASES[case])
        for key in ("expr", "signal", "calculate", "filter", "transform", "labelExpr", "url", "href", "params"):
            assert list(named(spec, key)) == []
        fields |= {field for field in named(spec, "field")}
    assert fields == {
        "at", "share", "low", "high", "run", "told", "label", "color", "row", "zero", "value", "from", "to", "positive",
        "negative", "neutral", "below", "y",
    } - {"negative"}  # fmt: skip


names = st.text(max_size=60) | st.sampled_from(HOSTILE)
counts = st.dictionaries(
    st.sampled_from([f"{moment}_{sentiment}" for moment in MOMENTS for sentiment in SENTIMENTS]),
    st.integers(0, 10**7), max_size=6,
)  # fmt: skip
periods_of = {
    "day": st.dates(date(1971, 1, 1), date(2200, 1, 1)).map(date.isoformat),
    "month": st.dates(date(1971, 1, 1), date(2200, 1, 1)).map(lambda day: day.isoformat()[:7]),
    "week": st.dates(date(1971, 1, 1), date(2200, 1, 1)).map(lambda day: "{}-W{:02}".format(*day.isocalendar())),
}
many = st.sampled_from(sorted(periods_of)).flatmap(
    lambda unit: st.lists(
        st.builds(
            lambda period, brand, abstained, of: row(period, brand, abstained, **of),
            periods_of[unit], names, st.integers(0, 50), counts,
        ),
        max_size=12, unique_by=lambda each: (each.period, each.brand),
    )
)  # fmt: skip


@given(many, st.sampled_from(PICTURES), st.sampled_from(sorted(LOOKS)))
def test_any_rows_make_a_specification(rows: list[TrendRow], draw: Any, theme: Any) -> None:
    spec = draw(rows, theme=theme)
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert spec["description"].strip()


@settings(max_examples=25)
@given(many, st.sampled_from(PICTURES))
def test_any_rows_make_a_picture(rows: list[TrendRow], draw: Any) -> None:
    spec = draw(rows)
    assert 560 <= float(ET.fromstring(charts.svg(spec)).attrib["width"]) <= 640


# --- what they show ---------------------------------------------------------------------------------------------------


def test_research_and_feedback_are_shares_with_their_intervals() -> None:
    rows = [row("2026-11-21", zmot_neutral=3, fmot_positive=1, tmot_negative=16, abstained=5), *days(1)]
    spec = charts.phases(rows)
    points = [point for of in named(spec, "values") if of and isinstance(of[0], dict) for point in of if "low" in point]
    research = next(point for point in points if point["told"].startswith("Sat 21 Nov 2026: research"))
    expected = wilson(4, 20)
    assert (research["share"], research["low"], research["high"]) == (expected.value, expected.low, expected.high)
    assert research["told"] == "Sat 21 Nov 2026: research 20% (8% to 42%), of 20 posts"
    shown = written(spec)
    assert "Research and feedback, as shares of posts" in shown
    assert "Acme, by day, 21 Nov to 22 Nov 2026" in shown
    assert any(re.fullmatch(r"Research \d+%", text) for text in shown)


def test_the_words_of_a_picture_are_those_of_its_last_period() -> None:
    spec = charts.phases([*days(2)[:1], row("2026-11-22", zmot_neutral=12, tmot_positive=28)])
    assert spec["description"] == (
        "Research 30% (18% to 45%) and feedback 70% (55% to 82%) of the posts of Acme, Sun 22 Nov 2026."
    )


def test_no_figure_is_written_beside_a_line_that_ends_in_a_few_posts() -> None:
    shown = written(charts.phases([*days(3)[:2], row("2026-11-22", zmot_neutral=4, tmot_positive=5)]))
    assert {"Research", "Feedback"} <= set(shown)
    assert not any(re.match(r"(Research|Feedback) \d", text) for text in shown)


def test_a_line_is_not_drawn_over_days_of_which_nothing_is_known() -> None:
    spec = charts.phases(CASES["holes"])
    runs = [[point["run"] for point in of] for of in named(spec, "values") if of and "run" in of[0]]
    assert [0, 0, 1, 2, 2, 3] in runs
    alone = [of for of in named(spec, "values") if of and all(point.get("alone") for point in of)]
    assert [len(of) for of in alone] == [2, 2]  # upright strokes of research and of feedback


def test_positive_and_negative_start_at_one_line_and_all_is_to_one_scale() -> None:
    spec = charts.sentiment([row("2026-11-21", tmot_positive=30, tmot_negative=12, none_neutral=6), *days(1)])
    scales = []
    for panel in spec["vconcat"]:
        low, high = next(iter(named(panel["layer"][0]["encoding"]["y"], "domain")))
        scales.append((high - low) / panel["height"])
    assert scales[0] == pytest.approx(scales[1], rel=0.03)  # heights are whole pixels
    bars = {value["told"]: value for of in named(spec, "values") for value in of if "below" in value}
    assert bars["Sat 21 Nov 2026: 30 positive, 6 neutral and 12 negative"]["below"] == -12
    shown = written(spec)
    assert {"Positive 37", "Negative 21", "Neutral 32"} & set(shown) or any(
        text.startswith("Positive ") for text in shown
    )


def test_the_journey_names_every_step_with_its_posts() -> None:
    shown = written(charts.journey(STEPS, who="Acme"))
    at = shown.index("Trigger")
    assert shown[at : at + 12] == [
        "Trigger", "0", "Research", "12", "First sight", "0", "Purchase", "0", "Waiting", "4", "Feedback", "35",
    ]  # fmt: skip
    assert {"Positive 22", "Negative 17", "Neutral 12"} <= set(shown)


def test_touchpoints_come_by_the_number_of_posts() -> None:
    shown = written(charts.touchpoints({"staff": sides(3, 1, 0), "website_app": sides(9, 0, 4)}))
    assert shown.index("Website or app") < shown.index("Staff")
    assert {"9", "4", "3"} <= set(shown)


def test_share_of_voice_adds_up_and_says_whom_it_leaves_out() -> None:
    rows = [row("2026-11-22", f"Brand {n}", none_neutral=10) for n in range(25)]
    spec = charts.voice(rows)
    assert written(spec).count("4%, 10") == 20
    assert spec["description"].endswith("and 5 further brands not shown.")
    over = charts.voice([*rows, row("2026-11-21", "Brand 3", none_neutral=30), row("2026-11-21", "", none_neutral=99)])
    ends = [text for text in written(over) if re.fullmatch(r"\d+% Brand \d+", text)]
    assert len(ends) == 6
    shares = [point["share"] for of in named(over, "values") if of and "told" in of[0] for point in of]
    assert max(shares) == 1.0  # the one brand of its day; posts that name none have no voice


def test_brands_whose_names_begin_alike_stay_two() -> None:
    long = "The Grand Hotel of the Northern Fjords "
    rows = [row("2026-11-22", long + end, tmot_positive=20, tmot_negative=1) for end in ("East", "West")]
    shown = written(charts.net(rows))
    cut = [text for text in shown if text.startswith("The Grand Hotel")]
    assert len(set(cut)) == 2


def test_net_sentiment_is_coloured_only_where_the_interval_has_one_sign() -> None:
    rows = [
        row("2026-11-22", "Clear", tmot_positive=80, tmot_negative=10),
        row("2026-11-22", "Unclear", tmot_positive=4, tmot_negative=3),
        row("2026-11-22", "Poor", tmot_positive=3, tmot_negative=60),
        row("2026-11-22", "Mute", tmot_neutral=9),
    ]
    found = {
        value["label"]: value["color"] for of in named(charts.net(rows), "values") for value in of if "low" in value
    }
    look = LOOKS["light"]
    assert found == {"Clear": look.positive, "Unclear": look.mute, "Poor": look.negative}


def test_a_name_of_the_other_direction_turns_nothing_round() -> None:
    spec = charts.phases(days(3, [HOSTILE[3]]))
    assert f"\u2068{HOSTILE[3]}\u2069, by day, 20 Nov to 22 Nov 2026" in written(spec)


# --- periods ----------------------------------------------------------------------------------------------------------


@given(st.dates(date(1, 1, 8), date(9998, 12, 31)), st.sampled_from(["day", "week", "month"]))
def test_neighbouring_periods_are_one_apart(day: date, unit: str) -> None:
    text = {
        "day": day.isoformat(),
        "week": "{:04}-W{:02}".format(*day.isocalendar()),
        "month": day.isoformat()[:7],
    }[unit]
    found, number = periods.place(text)
    first, following = periods.begin(found, number), periods.begin(found, number + 1)
    assert found == unit
    assert first <= day < following
    assert periods.place(following.isoformat() if unit == "day" else text)[1] == number + (unit == "day")


def test_periods_are_told_in_plain_words() -> None:
    assert periods.told("2026-11-22") == "Sun 22 Nov 2026"
    assert periods.told("2026-W47") == "week from 16 Nov 2026"
    assert periods.told("2026-11") == "Nov 2026"
    assert periods.span(["2026-W53", "2026-W47"]).told == "by week, 16 Nov 2026 to 3 Jan 2027"
    assert periods.span(["2024-02"]).told == "1 Feb to 29 Feb 2024"


@given(st.integers(1, 4000), st.sampled_from(["day", "week", "month"]))
def test_few_periods_are_named_and_the_last_is_among_them(length: int, unit: Any) -> None:
    over = periods.Span(unit, 24_000, 24_000 + length - 1)
    ticks = periods.ticks(over)
    assert 1 <= len(ticks) <= 7
    assert ticks[-1] == over.last
    assert ticks[0] >= over.first


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.floats(0, 12))
def test_labels_are_moved_apart_and_stay_inside(places: list[float], gap: float) -> None:
    moved = sorted(apart(places, gap, 0, 100))
    assert moved[0] >= -1e-9 and moved[-1] <= 100 + 1e-9
    assert all(after - before >= gap - 1e-9 for before, after in itertools.pairwise(moved))


# --- colours ----------------------------------------------------------------------------------------------------------

Rgb = tuple[float, float, float]
# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
BLIND = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "everybody": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}


def linear(colour: str) -> Rgb:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return tuple(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)  # type: ignore[return-value]


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2: from 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lab(rgb: Rgb) -> Rgb:
    """CIE L*a*b*, D65."""
    matrix = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = (sum(k * max(0.0, c) for k, c in zip(line, rgb, strict=True)) for line in matrix)
    x, y, z = (
        (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116)
        for t in map(lambda v, w: v / w, xyz, (0.9505, 1, 1.089))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one: str, other: str, eyes: str) -> float:
    """How far two colours are apart for these eyes: CIE 1976, of which 2.3 can just be told."""
    seen = []
    for colour in (one, other):
        rgb = linear(colour)
        seen.append(lab(tuple(sum(k * c for k, c in zip(line, rgb, strict=True)) for line in BLIND[eyes])))  # type: ignore[arg-type]
    return sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5


@pytest.mark.parametrize("theme", LOOKS)
def test_colours_stand_out_from_the_paper(theme: Any) -> None:
    look = LOOKS[theme]
    for colour in (look.ink, look.mute, look.research, look.feedback, look.negative, look.positive, *look.brands):
        assert contrast(colour, look.paper) >= 4.5, colour  # words are written in them
    assert contrast(look.neutral, look.paper) >= 3  # WCAG 1.4.11, for graphics


@pytest.mark.parametrize("theme", LOOKS)
@pytest.mark.parametrize("eyes", BLIND)
def test_everybody_can_tell_the_colours_apart(theme: Any, eyes: str) -> None:
    look = LOOKS[theme]
    assert distance(look.research, look.feedback, eyes) > 30
    assert distance(look.negative, look.positive, eyes) > 20
    for one, other in itertools.combinations(look.brands, 2):
        assert distance(one, other, eyes) > 10, (one, other)


@pytest.mark.parametrize("theme", LOOKS)
def test_negative_and_positive_survive_a_grey_print(theme: Any) -> None:
    assert contrast(LOOKS[theme].negative, LOOKS[theme].positive) > 1.4
