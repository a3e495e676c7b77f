"""Bytes near a real payload: what a broken cable, a wrong proxy or an unkind server makes of it."""

from __future__ import annotations

from hypothesis import strategies as st

_TOKENS = (
    b"", b"\0", b"<", b">", b"&", b'"', b"'", b"{", b"}", b"[", b"]", b",", b":", b"null", b"-1", b"1e999", b"NaN",
    b"99999999999999999999", b"\xff\xfe", b"\xf0\x9f\x92\xa9", b"&#0;", b"&#xD800;", b"\\ud800", b"<!--", b"-->",
    b"]]>", b"<![CDATA[", b"9999-99-99", b"0000-00-00T00:00:00Z", b"<script>", b"</item>", b"true", b"\x1b", b"%00",
    b"http://[", b"//", b"@",
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, payload: bytes) -> bytes:
    """`payload` after up to five changes: a piece cut, doubled, turned, or replaced by a token that hurts parsers."""
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(payload)))
        end = min(len(payload), start + draw(st.integers(0, 60)))
        piece = payload[start:end]
        change = draw(st.sampled_from(("token", "token", "cut", "double", "tear", "upside down")))
        if change == "token":
            payload = payload[:start] + draw(st.sampled_from(_TOKENS)) + payload[end:]
        elif change == "cut":
            payload = payload[:start] + payload[end:]
        elif change == "double":
            payload = payload[:end] + piece * draw(st.integers(1, 4)) + payload[end:]
        elif change == "tear":
            payload = payload[:start]
        else:
            payload = payload[:start] + piece[::-1] + payload[end:]
    return payload
