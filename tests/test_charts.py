"""Pictures: what they show, that nothing from outside breaks them, that everybody can tell what is drawn."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import charts
from listener.charts import periods
from listener.charts.looks import LOOKS, apart
from listener.engine.labels import MOMENTS, PHASES, SENTIMENTS, TOUCHPOINTS
from listener.reads import shares
from listener.reads.counts import NOTHING, Interval, TrendRow, net, wilson
from listener.reads.impacts import Impact

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
    moments, sentiments, phases = (
        dict.fromkeys(MOMENTS, 0),
        dict.fromkeys(SENTIMENTS, 0),
        dict.fromkeys(PHASES.values(), 0),
    )
    for name, posts in counts.items():
        moment, sentiment = name.split("_")
        moments[moment] += posts
        phases[PHASES[moment]] += posts
        sentiments[sentiment] += posts
    sentiments["neutral"] += abstained
    of: dict[str, Any] = {
        "brand": brand, "posts": sum(sentiments.values()), "moments": moments, "sentiments": sentiments, **phases,
        "abstained": abstained, "unread": 0, "late": 0, "net": net(sentiments["positive"], sentiments["negative"]),
        "csat": NOTHING, "score": None, "rating": NOTHING, "stars": (0,) * 5,
    }  # fmt: skip
    return TrendRow(period=period, **of, shares=shares.of([of], None)[0])


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


def points_of(spec: charts.Spec) -> list[charts.Spec]:
    """Everything that is drawn, as the data of its mark."""
    layers = [*named(spec, "data")]
    return [point for data in layers for point in data["values"] if "told" in point]


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
    for draw in PICTURES:
        spec = draw(CASES[case], theme="dark", width=600)
        drawn = ET.fromstring(charts.svg(spec))
        assert 560 <= float(drawn.attrib["width"]) <= 640, (draw.__name__, drawn.attrib["width"])
        assert spec["background"] == LOOKS["dark"].paper


@pytest.mark.parametrize("counts", [{}, STEPS, {"tmot": sides(0, 1, 0)}, {"smot": sides(0, 0, 0)}])
@pytest.mark.parametrize("width", [480, 600])
def test_the_journey_can_be_drawn(counts: dict[str, dict[str, int]], width: int) -> None:
    drawn = ET.fromstring(charts.svg(charts.journey(counts, who="Acme, last week", width=width)))
    assert width - 40 <= float(drawn.attrib["width"]) <= width + 40


@pytest.mark.parametrize("counts", [{}, POINTS, {"staff": sides(0, 1, 0)}, {"<b>": sides(3, 0, 9)}])
def test_touchpoints_can_be_drawn(counts: dict[str, dict[str, int]]) -> None:
    drawn = ET.fromstring(charts.svg(charts.touchpoints(counts, who="x" * 1000)))
    assert 560 <= float(drawn.attrib["width"]) <= 640


def test_a_specification_is_drawn_the_same_every_time() -> None:
    spec = charts.phases(days(9))
    program = "import json, sys; from listener import charts; sys.stdout.write(charts.svg(json.load(sys.stdin)))"
    run = [sys.executable, "-c", program]
    elsewhere = subprocess.run(run, input=json.dumps(spec), capture_output=True, text=True, check=True)
    assert elsewhere.stdout == charts.svg(spec)
    assert charts.png(spec) == charts.png(charts.phases(days(9)))


def test_what_comes_from_outside_is_data_and_nothing_else() -> None:
    fields: set[str] = set()
    for case, draw in itertools.product(CASES, PICTURES):
        spec = draw(CASES[case])
        for key in ("expr", "signal", "calculate", "filter", "transform", "labelExpr", "url", "href", "params"):
            assert list(named(spec, key)) == []
        fields |= set(named(spec, "field"))
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


@settings(max_examples=12)
@given(many, st.sampled_from(PICTURES))
def test_any_rows_make_a_picture(rows: list[TrendRow], draw: Any) -> None:
    spec = draw(rows)
    assert 560 <= float(ET.fromstring(charts.svg(spec)).attrib["width"]) <= 640


# --- what they show ---------------------------------------------------------------------------------------------------


def test_research_and_feedback_are_shares_with_their_intervals() -> None:
    rows = [row("2026-11-21", zmot_neutral=3, fmot_positive=1, tmot_negative=16, abstained=5), *days(1)]
    spec = charts.phases(rows)
    research = next(point for point in points_of(spec) if point["told"].startswith("Sat 21 Nov 2026: research"))
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


def test_a_period_with_too_few_posts_for_a_share_is_left_out() -> None:
    few = row("2026-11-22", zmot_neutral=4, tmot_positive=5)
    spec = charts.phases([*days(3)[:2], few])
    assert not any("22 Nov" in point["told"] for point in points_of(spec))
    assert spec["description"].endswith("Sat 21 Nov 2026.")
    assert charts.phases([few])["description"] == (
        "No day here has the 10 posts that a share takes; longer periods have more."
    )


def test_corrected_shares_are_drawn_and_called_so() -> None:
    (plain,) = days(1)
    corrected = replace(plain.shares, corrected=True, research=Interval(0.31, 0.2, 0.44, 60))
    spec = charts.phases([replace(plain, shares=corrected)])
    assert spec["description"].startswith("Research 31% (20% to 44%)")
    assert any("corrected for the errors the model is known to make" in text for text in written(spec))


def test_a_line_is_not_drawn_over_days_of_which_nothing_is_known() -> None:
    spec = charts.phases(CASES["holes"])
    joined = [data["values"] for layer in named(spec, "layer") for data in named(layer, "data")]
    runs = {tuple(point["run"] for point in of) for of in joined if of and "run" in of[0]}
    assert runs == {(0, 0, 2, 2), (1, 3)}  # those joined by a line, and those that stand alone


def test_positive_and_negative_start_at_one_line_and_all_is_to_one_scale() -> None:
    spec = charts.sentiment([row("2026-11-21", tmot_positive=30, tmot_negative=12, none_neutral=6), *days(1)])
    scales = []
    for panel in spec["vconcat"]:
        low, high = next(iter(named(panel["layer"][0]["encoding"]["y"], "domain")))
        scales.append((high - low) / panel["height"])
    assert scales[0] == pytest.approx(scales[1], rel=0.03)  # heights are whole pixels
    bars = {point["told"]: point for point in points_of(spec)}
    assert bars["Sat 21 Nov 2026: 30 positive, 6 neutral and 12 negative"]["below"] == -12
    whole = {side: sum(point[side] for point in bars.values()) for side in SENTIMENTS}
    assert {f"{side.capitalize()} {posts}" for side, posts in whole.items()} <= set(written(spec))


def test_the_journey_names_every_step_with_its_posts() -> None:
    shown = written(charts.journey(STEPS, who="Acme"))
    at = shown.index("Trigger") - 1
    assert shown[at : at + 12] == [
        "0", "Trigger", "12", "Research", "0", "First sight", "0", "Purchase", "4", "Waiting", "35", "Feedback",
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
    assert (
        max(point["share"] for point in points_of(over)) == 1.0
    )  # the one brand of its day; posts that name none have no voice


def test_brands_whose_names_begin_alike_stay_two() -> None:
    long = "The Grand Hotel of the Northern Fjords "
    rows = [row("2026-11-22", long + end, tmot_positive=20, tmot_negative=1) for end in ("East", "West")]
    shown = written(charts.net(rows))
    cut = [text for text in shown if text.startswith("The Grand Hotel")]
    assert len(set(cut)) == 2


def test_net_sentiment_is_coloured_only_where_the_interval_has_one_sign() -> None:
    rows = [
        row("2026-11-22", "Clear", tmot_positive=80, tmot_negative=10),
        row("2026-11-22", "Unclear", tmot_positive=8, tmot_negative=7),
        row("2026-11-22", "Poor", tmot_positive=3, tmot_negative=60),
        row("2026-11-22", "Mute", tmot_neutral=9),
    ]
    spec, look = charts.net(rows), LOOKS["light"]
    assert {point["label"]: point["color"] for point in points_of(spec)} == {
        "Clear": look.positive, "Unclear": look.mute, "Poor": look.negative,
    }  # fmt: skip
    assert "too few" not in written(spec)


def test_a_balance_of_a_few_posts_is_no_figure() -> None:
    spec = charts.net([row("2026-11-22", "Acme", tmot_positive=4, tmot_negative=3)])
    assert written(spec).count("too few") == 1
    assert not any("value" in point for point in points_of(spec))


def test_touchpoints_are_told_by_what_they_do_and_few_posts_tell_nothing() -> None:
    def row_of(touchpoint: str, value: float, n: int, brand: str = "Acme") -> Impact:
        figure = Interval(value, value - 0.1, value + 0.1, n)
        return Impact(brand, touchpoint, n, 0.1, 0, 0, figure, figure, figure)

    spec = charts.impacts(
        [row_of("staff", 0.4, 30), row_of("website_app", -0.3, 30), row_of("price", 0.05, 30), row_of("food", 1, 9)]
    )
    assert [text for text in written(spec) if text in ("Website or app", "Price", "Staff", "Food")] == [
        "Website or app", "Price", "Staff",
    ]  # fmt: skip
    assert any(text.endswith("1 touchpoint with too few posts not shown") for text in written(spec))
    look = LOOKS["light"]
    assert {point["label"]: point["color"] for point in points_of(spec)} == {
        "Website or app": look.negative, "Price": look.mute, "Staff": look.positive,
    }  # fmt: skip
    assert len(charts.impacts([row_of("staff", 0.1, 20, brand) for brand in "ABCDEF"])["vconcat"]) == 4
    assert charts.impacts([])["description"] == "Too few posts here speak of a touchpoint."


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
    ticks = periods.ticks(over, 396)
    assert 1 <= len(ticks) <= 7
    assert ticks[-1] == over.last
    assert ticks[0] >= over.first


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.floats(0, 12))
def test_labels_are_moved_apart_and_stay_inside(places: list[float], gap: float) -> None:
    moved = sorted(apart(places, gap, 0, 100))
    assert moved[0] >= -1e-9 and moved[-1] <= 100 + 1e-9
    assert all(after - before >= gap - 1e-9 for before, after in itertools.pairwise(moved))


@pytest.mark.parametrize(
    "name", ["😀" * 40, "W" * 40, "東京ホテルグループ株式会社" * 3, "e\u0301" * 60, "Harbour & Pine"]
)
def test_names_are_cut_to_the_room_there_is(name: str) -> None:
    spec = charts.voice([*days(4, [name]), *days(4, ["Acme"])])
    label = next(text for text in written(spec) if re.match(r"\d+% ", text) and "Acme" not in text)
    assert label.partition("% ")[2].rstrip("…") in unicodedata.normalize("NFC", name)
    assert float(ET.fromstring(charts.svg(spec)).attrib["width"]) <= 620
