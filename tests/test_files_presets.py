"""Exports that are known by their columns: whose they are, what is what, and on which scale they rate."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from importing import NOW, PAYLOADS, pages, posts, rejected, saved, write

from listener.errors import Broken
from listener.records import Rating
from listener.sources.columns import FIELDS, PRESETS, Wanted, map_columns, usual_scale
from listener.sources.files import Settings


@pytest.fixture
def payload(tmp_path: Path) -> Any:
    return lambda name: Path(shutil.copy(PAYLOADS / name, tmp_path / name))


def test_booking_has_two_parts_and_scores_of_ten(payload: Any) -> None:
    found, skipped, _ = saved(pages(payload("booking.csv")))
    assert found[0].text == "Liked: Breakfast on the terrace\nDisliked: The car park is tiny"
    assert (found[0].title, found[0].rating) == ("Lovely weekend", Rating(8, best=10))
    assert found[1].text == "Disliked: Damp smell in 204"
    assert (found[2].title, found[2].text) == ("", "Just fine"), "a title alone is the text"
    assert skipped == {"no text": 1}


def test_google_takeout_takes_what_the_guest_wrote_and_words_for_stars(payload: Any) -> None:
    beds, bikes, breakfast = posts(payload("google.json"))
    assert (beds.text, beds.author, beds.rating) == ("Gute Betten.", "Birte K.", Rating(4))
    assert beds.native_id.endswith("/reviews/aa")
    assert bikes.rating == Rating(5)
    assert (breakfast.text, breakfast.rating) == ("Colazione misera.", Rating(3))
    assert breakfast.created_at == datetime(2025, 4, 4, 7, tzinfo=UTC)


def test_the_reviews_of_every_location_in_a_takeout_by_one_glob(tmp_path: Path) -> None:
    for place in ("account-1/location-2", "account-1/location-3"):
        folder = tmp_path / "Takeout" / "Google Business Profile" / place
        write(
            folder / "reviews-1.json",
            (PAYLOADS / "google.json").read_bytes().replace(b"locations/2", place[-10:].encode()),
        )
        write(folder / "data.json", '{"title": "Harbour & Pine"}')
    found = posts(tmp_path / "Takeout" / "**" / "reviews*.json")
    assert len({post.native_id for post in found}) == 6


def test_trustpilot(payload: Any) -> None:
    first = posts(payload("trustpilot.csv"))[0]
    assert (first.native_id, first.title, first.lang) == ("5f1", "Refund took ages", "en")
    assert first.created_at == datetime(2025, 6, 1, 12, tzinfo=UTC)


def test_tripadvisor_counts_bubbles_and_the_date_is_not_that_of_the_visit(payload: Any) -> None:
    climb, water = posts(payload("tripadvisor.csv"))
    assert (climb.native_id, climb.author, climb.lang) == ("t801", "Orla D", "en")
    assert (climb.title, climb.text) == ("Worth the climb", "Sixty steps, then the whole bay.")
    assert (climb.rating, water.rating) == (Rating(4), Rating(1))
    assert climb.created_at == datetime(2025, 8, 14, tzinfo=UTC)
    assert climb.url == "https://reviews.example/t801"


def test_app_store_connect_answers_with_what_its_reviews_refer_to(payload: Any) -> None:
    login, dark = posts(payload("appstoreconnect.json"))
    assert (login.native_id, login.author, login.rating) == ("00000028-aa", "tramline9", Rating(2))
    assert (login.title, login.text) == ("Logs me out", "Every morning I sign in anew.")
    assert login.created_at == datetime(2025, 9, 2, 15, 10, 34, tzinfo=UTC)
    assert dark.kind == "review"


def test_a_survey_has_questions_for_columns_and_two_lines_of_them(payload: Any) -> None:
    path = payload("survey.csv")
    (garden, phone), skipped, _ = saved(pages(path))
    assert garden.text == "Back in May.\nLiked: The quiet garden"
    assert phone.text == "Disliked: Somebody could answer the phone"
    assert (garden.native_id[:6], garden.rating, phone.rating) == ("11801-", Rating(9, 0, 10), Rating(3, 0, 10))
    assert garden.created_at == datetime(2025, 6, 3, 10, 4, 20, tzinfo=UTC)
    assert skipped == {"second line of column names": 1, "no text": 1}
    assert [row["line"] for row in rejected(path)] == [2, 5]


@pytest.mark.parametrize(
    ("question", "answer", "rating"),
    [
        ("NPS", "10", Rating(10, 0, 10)), ("How likely are you to recommend us?", "0", Rating(0, 0, 10)),
        ("How satisfied were you with your stay?", "4", Rating(4)), ("CSAT", "9", None),
        ("Overall satisfaction", "4,5", Rating(4.5)),
    ],
)  # fmt: skip
def test_a_survey_is_rated_by_what_it_asked(tmp_path: Path, question: str, answer: str, rating: Rating | None) -> None:
    path = write(tmp_path / "a.csv", f'Comments;"{question}"\nfine;{answer}\n')
    assert posts(path, preset="survey")[0].rating == rating
    assert posts(path, preset="survey", best=20, worst=0)[0].rating == (Rating(float(answer.replace(",", ".")), 0, 20))


@pytest.mark.parametrize(
    ("columns", "preset"),
    [
        ("Positive review,Negative review,Score", "booking"), ("reviewer.displayName,comment", "google"),
        ("Review content,Review username", "trustpilot"), ("attributes.body,attributes.reviewerNickname", "appstore"),
        ("Bubble rating,Text", "tripadvisor"), ("user.username,text,published_date", "tripadvisor"),
        ("Response ID,Comments", "survey"), ("NPS,Comments", "survey"), ("Text,Rating", "generic"),
        ("Positive review,Score", "generic"),
    ],
)  # fmt: skip
def test_whose_export_it_is_is_told_by_its_columns(columns: str, preset: str) -> None:
    assert map_columns(tuple(columns.split(",")), (), "")[1] == preset


def test_every_preset_can_be_named_in_the_settings_and_in_the_help(repo: Path) -> None:
    named = set(get_args(Settings.model_fields["preset"].annotation)) - {""}
    assert named == set(PRESETS)
    command = (repo / "listener" / "cli" / "filing.py").read_text("utf-8")
    docs = (repo / "docs" / "sources.md").read_text("utf-8")
    assert [preset for preset in PRESETS if preset not in command or f"`{preset}`" not in docs] == []


def test_a_preset_that_does_not_fit_says_what_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "colour,size\nred,4\n")
    with pytest.raises(Broken, match="known to hold the text; there are: colour, size"):
        pages(path, preset="tripadvisor")


NAMES = st.sampled_from(
    [name.rstrip("*") for preset in PRESETS.values() for names in preset.names.values() for name in names]
) | st.text(max_size=12)


@given(st.lists(NAMES, max_size=8).map(tuple), st.sampled_from(["", *PRESETS]))
def test_any_columns_are_mapped_to_fields_or_complained_of(columns: tuple[str, ...], preset: str) -> None:
    found, used = map_columns(columns, (), preset)
    assert used in PRESETS and (not preset or used == preset)
    assert set(found) <= set(FIELDS) and set(found.values()) <= set(columns)
    worst, best = usual_scale(used, found.get("rating", ""))
    assert worst < best
    wanted = Wanted((), preset)
    assert bool(wanted.complaint(columns)) == (wanted.fit(columns) == 0)


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.text(), max_size=2)
)
ROWS = st.dictionaries(
    st.sampled_from(
        ["id", "name", "comment", "starRating", "createTime", "reviewer", "attributes", "user", "text", "nps"]
    ),
    VALUES
    | st.dictionaries(st.sampled_from(["displayName", "body", "rating", "username", "title"]), VALUES, max_size=3),
    max_size=6,
)


@given(st.lists(ROWS, max_size=5), st.sampled_from(["", *PRESETS]), st.sampled_from(["reviews", "data", "included"]))
def test_any_value_in_any_field_is_a_post_or_turned_down(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], preset: str, key: str
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any.json", json.dumps({key: rows}))
    try:
        found, skipped, _ = saved(pages(path, preset=preset))
    except Broken:
        assert key == "included"
        return
    assert len(found) + sum(n for reason, n in skipped.items() if "kept" not in reason) == len(rows)
    assert all(post.text and post.native_id and (post.created_at or NOW) <= NOW.replace(year=2026) for post in found)
