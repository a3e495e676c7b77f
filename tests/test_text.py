"""Pure text work: what goes in from outside, what people and the model get to read."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.text import canonical_url, clean, fingerprint, from_html, model_input


class TestClean:
    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            ("  two \t spaces ", "two spaces"), ("one\r\ntwo\rthree", "one\ntwo\nthree"), ("a\n\n \n b", "a\nb"),
            ("zero\u200bwidth\ufeff", "zerowidth"), ("e\u0301", "é"), ("right\u202eleft", "rightleft"),
            ("bell\x07 nul\x00", "bell nul"), ("soft\u00adhyphen", "softhyphen"), ("half \ud83d pair", "half pair"),
            ("non\u00a0breaking", "non breaking"), ("\u3000ideographic\u3000", "ideographic"), ("", ""),
        ],
    )  # fmt: skip
    def test_examples(self, text: str, cleaned: str) -> None:
        assert clean(text) == cleaned

    @given(st.text(alphabet=st.characters()))
    def test_cleaning_twice_changes_nothing_and_the_result_can_be_stored(self, text: str) -> None:
        once = clean(text)
        assert clean(once) == once
        assert once.encode("utf-8").decode("utf-8") == once
        assert "\0" not in once and "\r" not in once

    @given(st.text(alphabet=st.characters(categories=("L", "N", "P"))))
    def test_words_are_kept(self, text: str) -> None:
        assert clean(text).replace(" ", "") == unicodedata.normalize("NFC", text)


class TestFromHtml:
    @pytest.mark.parametrize(
        ("markup", "text"),
        [
            ("<p>Good &amp; quiet</p><p>Small</p>", "Good & quiet\nSmall"),
            ("one<br>two<br/>three", "one\ntwo\nthree"),
            ("<ul><li>bed<li>desk</ul>", "bed\ndesk"),
            ("a<b>b</b>c", "abc"),
            ("seen<script>alert('x < y')</script><style>p{}</style><!-- no -->", "seen"),
            ("x<noscript>hidden</noscript><template>too</template>y", "xy"),
            ("plain text", "plain text"),
            ("AT&amp;T", "AT&T"),
            ("3 < 4 and I <3 it", "3 < 4 and I <3 it"),
            ("&lt;b&gt; as text<br>", "<b> as text"),
            ("<p>unclosed <b>bold", "unclosed bold"),
            ("</p>closed first", "closed first"),
            ("<p>null\0byte</p>", "nullbyte"),
            ("<p>日本語</p>", "日本語"),
            ("", ""),
            ("<br>", ""),
        ],
    )
    def test_examples(self, markup: str, text: str) -> None:
        assert from_html(markup) == text

    @given(st.text())
    def test_any_text_may_come(self, markup: str) -> None:
        assert clean(from_html(markup)) == from_html(markup)

    @given(st.text(alphabet="<>/!-&;p br\"'=[]?#x\0"))
    def test_any_tangle_of_markup_may_come(self, markup: str) -> None:
        assert isinstance(from_html(markup), str)

    @given(st.text(alphabet=st.characters(categories=("L", "N"), max_codepoint=0x2FFF), min_size=1))
    def test_the_words_of_a_paragraph_are_kept(self, words: str) -> None:
        assert from_html(f"<div><p>{words}</p></div>") == clean(words)

    @pytest.mark.parametrize("piece", ["<div>", "<b ", "<p>a", "<![CDATA[", "<!--", "</", '<a b="', "&amp", "<table>"])
    def test_markup_made_to_hurt_takes_no_time(self, piece: str) -> None:
        started = time.perf_counter()
        from_html(piece * 50_000)
        assert time.perf_counter() - started < 2


class TestCanonicalUrl:
    @pytest.mark.parametrize(
        ("url", "canonical"),
        [
            ("HTTPS://Example.COM:443/A?b=1#c", "https://example.com/A?b=1"),
            ("http://example.com", "http://example.com/"),
            ("http://example.com:8080/a", "http://example.com:8080/a"),
            ("https://example.com/a?utm_source=x&id=7&fbclid=y", "https://example.com/a?id=7"),
            ("https://user:secret@example.com/", "https://example.com/"),
            ("http://[2001:DB8::1]:80/a", "http://[2001:db8::1]/a"),
            (" https://example.com/ ", "https://example.com/"),
            ("https://example.com/?empty=", "https://example.com/?empty="),
            ("ftp://example.com/", ""), ("/relative", ""), ("http://", ""), ("http://[bad", ""),
            ("http://example.com:99999/", ""), ("javascript:alert(1)", ""), ("", ""),
        ],
    )  # fmt: skip
    def test_examples(self, url: str, canonical: str) -> None:
        assert canonical_url(url) == canonical

    @given(st.text())
    def test_any_text_may_be_asked_about(self, text: str) -> None:
        for url in (text, f"https://example.com/{text}"):
            once = canonical_url(url)
            assert canonical_url(once) == once


class TestFingerprint:
    def test_is_the_same_on_every_machine_and_day(self) -> None:
        assert fingerprint("a", "b") == "6a93c5780b9861cdd8d2761a748d9591"

    @given(st.lists(st.text(alphabet=st.characters())), st.lists(st.text(alphabet=st.characters())))
    def test_tells_different_lists_apart(self, one: list[str], two: list[str]) -> None:
        assert (fingerprint(*one) == fingerprint(*two)) == (one == two)

    def test_where_a_part_ends_counts(self) -> None:
        assert fingerprint("ab", "c") != fingerprint("a", "bc")


class TestModelInput:
    @pytest.mark.parametrize(
        ("title", "text", "read"),
        [
            ("Great", "Loved it", "Great Loved it"),
            ("", "Only text", "Only text"),
            ("Great stay", "Great stay, would return", "Great stay, would return"),
            ("", "see https://x.example/a?b and www.y.example now", "see http and http now"),
            ("", "line\nbreaks\n\nhere", "line breaks here"),
            ("", "AT&amp;T", "AT&T"),
            ("Title", "", "Title"),
        ],
    )
    def test_examples(self, title: str, text: str, read: str) -> None:
        assert model_input(title, text) == read

    @given(st.text(), st.text())
    def test_is_one_line(self, title: str, text: str) -> None:
        assert len(model_input(title, text).splitlines()) <= 1
