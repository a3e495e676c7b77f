"""Markdown and plain lines as text: what somebody wrote stays, the tags that sites let through go."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.sources.markdown import markdown, plain_line

TITLES = [
    ("Is <Acme> any good?", "Is <Acme> any good?"), ("Tom &amp; Ann  <3", "Tom & Ann <3"), (None, ""), (7, ""),
    ("a" * 2000, "a" * 1000),
]  # fmt: skip


@pytest.mark.parametrize(("written", "read"), TITLES)
def test_a_title_is_no_html(written, read):
    assert plain_line(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a <b>bold</b> word", "a bold word"),
        ('see <a href="https://x.example/?a=1" title=\'x\'>this</a>', "see this"),
        ("one<br/>two", "one\ntwo"),
        ("into <Acme Widget> it went", "into <Acme Widget> it went"),
        ("if 1 <b 2. Fix it > now", "if 1 <b 2. Fix it > now"),
        ("`List<Room>` and ``<i>``, <i>but</i> this", "`List<Room>` and ``<i>``, but this"),
        ("```html\n<b>kept</b>\n```\n<b>not</b>", "```html\n<b>kept</b>\n```\nnot"),
        ("~~~\n<p>\n```\n~~~\n<p>end</p>", "~~~\n<p>\n```\n~~~\nend"),
        ("<!-- for you --> said <!-- and -->this", "said this"),
        ("it began with <!-- and went on", "it began with <!-- and went on"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("fish &amp; chips, 3 < 4", "fish & chips, 3 < 4"),
        (None, ""), (["x"], ""),
    ],
)  # fmt: skip
def test_what_somebody_wrote_stays(written, read):
    assert markdown(written) == read


WORDS = st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=12)
BETWEEN = st.sampled_from([" ", " <", "<", "> ", " `<", "` ", "\n", " </", " <!-", " & ", " <Acme> ", "\n```\n"])


@given(WORDS, st.data())
def test_no_word_between_signs_vanishes(words, data):
    written = "".join(word + data.draw(BETWEEN) for word in words) + "end"
    for word in (*words, "end"):
        assert markdown(written).count(word) >= 1 or f"<{word}" in written or f"</{word}" in written


@pytest.mark.parametrize("piece", ["<!--", "<b ", "`<", "<b a", "```\n", '<a href="', "<a " + "a " * 30])
def test_time_grows_with_the_text_and_not_faster(piece):
    began = time.process_time()
    markdown(piece * (500_000 // len(piece)))
    assert time.process_time() - began < 8


def test_a_comment_that_is_shown_as_code_stays_and_one_that_holds_code_goes() -> None:
    assert markdown("Try\n```html\n<!-- the lobby -->\n```\nfirst") == "Try\n```html\n<!-- the lobby -->\n```\nfirst"
    assert markdown("From `<!--` to `-->`, no more") == "From `<!--` to `-->`, no more"
    assert markdown("Late <!-- fill in:\n```\n<room>\n```\n--> again") == "Late again"
