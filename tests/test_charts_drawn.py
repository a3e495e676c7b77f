"""Pictures as files and where people meet them: PNG, SVG and HTML, in the mail, in the terminal, by `trends --plot`."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from test_charts import HOSTILE, LAST, SIX, days, row

from listener import charts
from listener.charts import drawing
from listener.charts.smaller import with_palette
from listener.cli import main
from listener.errors import ListenerError
from listener.trends import Usual

CHROMIUM = shutil.which("chromium")


def pixels(png: bytes) -> np.ndarray:
    """(height, width, 3) of a PNG with RGBA or a palette whose lines are filtered in the ways 0 and 1."""
    chunks, place = {}, 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        name, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        assert struct.unpack(">I", png[place + 8 + length : place + 12 + length])[0] == zlib.crc32(name + data)
        chunks[name] = chunks.get(name, b"") + data
        place += 12 + length
    width, height, _, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    each = 4 if kind == 6 else 1
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + each * width)
    assert set(lines[:, 0].tolist()) <= {0, 1}
    found = lines[:, 1:].reshape(height, width, each)
    found = np.where(lines[:, :1, None] == 1, np.cumsum(found, axis=1, dtype=np.uint8), found)
    return found[:, :, :3] if kind == 6 else np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)[found[:, :, 0]]


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_palette_changes_the_size_and_not_the_picture() -> None:
    import vl_convert

    whole = vl_convert.vegalite_to_png(charts.phases(days(28)), scale=2)
    small = with_palette(whole)
    before, after = pixels(whole).astype(int), pixels(small).astype(int)
    assert before.shape == after.shape
    assert len(small) < len(whole) / 3
    off = np.abs(before - after).max(axis=2)
    assert (off > 8).mean() < 0.005  # of 255, on the edges of lines and letters
    assert off.max() < 64
    assert after[0, 0].tolist() == before[0, 0].tolist()  # the paper


def test_a_picture_of_another_kind_is_left_as_it_is() -> None:
    import vl_convert

    clear = {"background": "transparent", "mark": "point", "data": {"values": [{}]}}
    png = vl_convert.vegalite_to_png(clear)
    assert with_palette(png) == png


def test_a_page_asks_no_host_for_anything_and_runs_nothing_of_the_data() -> None:
    page = charts.html(charts.stacked([charts.voice(days(6, HOSTILE)), charts.phases(days(6, HOSTILE[:1]))]))
    assert page.count("</script") == 2
    assert not re.search(r"""(src|href|action)\s*=\s*["']?(https?:)?//""", page)
    assert "default-src 'none'" in page
    assert len(page) < 1_500_000


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_draws_the_page_and_answers_to_the_pointer(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    file = tmp_path / "picture.html"
    file.write_text(charts.html(charts.voice(days(6, HOSTILE))), "utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page, asked, wrong = browser.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.goto(file.as_uri())
        page.wait_for_selector("#picture svg")
        page.hover("#picture svg [aria-roledescription=point]")
        page.wait_for_selector("#vg-tooltip-element.visible")
        told, heading = page.inner_text("#vg-tooltip-element"), page.title()
        browser.close()
    assert asked == [file.as_uri()]
    assert wrong == []
    assert re.search(r"Nov 2026: .* \d+%, \d+ mention", told)
    assert heading.startswith("Share of voice of")


def test_an_svg_may_stand_in_a_page_under_a_strict_policy_and_beside_others() -> None:
    for draw in (charts.phases, charts.sentiment, charts.voice, charts.net):
        spec = draw(days(6, HOSTILE))
        drawn = charts.svg(spec)
        assert not re.search(r"<(style|script|image|a|use|foreignObject)\b|\s(style|id|on\w+|href|src)=|url\(", drawn)
        root = ET.fromstring(drawn)
        assert (root.attrib["role"], root.attrib["aria-label"]) == ("img", spec["description"])


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    for draw in (charts.png, charts.svg, charts.html):
        with pytest.raises(ListenerError, match=r"pip install 'listener-daemon\[charts\]'"):
            draw(charts.phases([]))
    assert charts.digest_charts(days(28), LAST) == []


# --- in the mail ------------------------------------------------------------------------------------------------------


def usual(**known: float) -> Usual:
    return Usual(8, *[None] * 3, *[known.get(f"{of}_{end}") for of in ("research", "feedback", "negative")
                                   for end in ("mean", "low", "high")])  # fmt: skip


def test_a_digest_has_two_small_pictures_that_say_the_news_in_words() -> None:
    today = row(LAST.isoformat(), zmot_neutral=23, tmot_positive=30, tmot_negative=36, none_neutral=11)
    band = usual(research_low=0.1, research_high=0.2, negative_low=0.3, negative_high=0.304)
    first, second = charts.digest_charts([*days(90)[:-1], today], LAST, band)
    assert first.alt == "Research 23%, usually 10% to 20%; feedback 66% (shares of the posts of Acme)."
    assert second.alt == "30 positive, 34 neutral, 36 negative posts; negative 36%, usually 30%."
    assert len({first.cid, second.cid}) == 2
    for picture in (first, second):
        assert len(picture.png) <= 40_000
        assert 1080 <= pixels(picture.png).shape[1] <= 1160  # 560 pixels of a mail, twice as sharp
        assert re.fullmatch(r"[\w.-]+@[\w.-]+", picture.cid)


def test_of_several_brands_the_most_mentioned_has_its_phases_and_all_their_sentiment() -> None:
    first, second = charts.digest_charts(SIX, LAST)
    assert "the posts of" in first.alt
    whole = sum(sum(each.sentiments.values()) for each in SIX if each.period == LAST.isoformat())
    assert sum(int(number) for number in re.findall(r"(\d+) (?:positive|neutral|negative)", second.alt)) == whole
    assert len(first.png) <= 40_000 and len(second.png) <= 40_000


def test_a_mail_goes_without_a_picture_that_cannot_be_drawn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = {"mark": "nonsense", "description": "", "background": "#ffffff"}
    with pytest.raises(ListenerError, match="could not be drawn: Vega-Lite to SVG conversion failed"):
        charts.svg(broken)
    monkeypatch.setattr("listener.charts.mailed.phases", lambda rows, **how: broken)
    assert [picture.cid for picture in charts.digest_charts(days(28), LAST)] == ["sentiment@listener"]
    assert "picture_failed" in caplog.text


def test_a_digest_has_no_pictures_of_nothing() -> None:
    assert charts.digest_charts([], LAST) == []
    assert charts.digest_charts(days(28)[:-1], LAST) == []  # nothing on the day itself
    assert charts.digest_charts(days(1), LAST) == []  # a day is no course
    few = [row(f"2026-11-{day}", zmot_neutral=1) for day in range(10, 23)]
    assert [picture.cid for picture in charts.digest_charts(few, LAST)] == ["sentiment@listener"]


@given(st.lists(st.none() | st.floats(0, 1e6), max_size=40))
def test_a_sparkline_has_a_block_for_every_value(values: list[float | None]) -> None:
    drawn = charts.sparkline(values)
    assert len(drawn) == len(values)
    for (one, block), (other, next_block) in zip(
        zip(values, drawn, strict=True), list(zip(values, drawn, strict=True))[1:], strict=False
    ):
        if one is not None and other is not None and one <= other:
            assert block <= next_block  # the blocks stand in the order of their height
    assert [value is None for value in values] == [block == " " for block in drawn]


def test_a_sparkline_begins_at_zero() -> None:
    assert charts.sparkline([0, 3, None, 7]) == "▁▄ █"
    assert charts.sparkline([5, 5]) == "██"
    assert charts.sparkline([0, 0]) == "▁▁"
    assert charts.sparkline([0.5], high=1) == "▅"
    assert charts.sparkline([-1, 0, 1, 9], low=-1, high=1) == "▁▅██"


# --- trends --plot ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    run = CliRunner().invoke(main, ["demo", "--out", str(folder)])
    assert run.exit_code == 0, run.output
    return folder / "demo.db"


def trends(demo: Path, *arguments: str, code: int = 0) -> str:
    run = CliRunner().invoke(main, ["trends", "--db", str(demo), *arguments])
    assert run.exit_code == code, run.output
    return run.stderr


def title_of(file: Path) -> list[str]:
    texts = [each.text or "" for each in ET.parse(file).iter("{http://www.w3.org/2000/svg}text")]
    return [text for text in texts if text in TITLES]


TITLES = {
    "Research and feedback, as shares of posts", "Posts by sentiment", "Share of voice", "Net sentiment",
    "Where people are on the way, and how they feel", "What people speak about, and how they feel",
    "What touchpoints do to sentiment",
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ("", ["Share of voice", "Net sentiment"]),
        ("--brand=Harbour & Pine", ["Research and feedback, as shares of posts", "Posts by sentiment"]),
        ("--brand=Harbour & Pine --per=moment", ["Where people are on the way, and how they feel"]),
        ("--brand=Harbour & Pine --per=touchpoint", ["What people speak about, and how they feel"]),
        ("--brand=Harbour & Pine --show=touchpoints",
         ["What touchpoints do to sentiment", "What people speak about, and how they feel"]),
        ("--plot-kind=net --plot-kind=sentiment --json", ["Net sentiment", *["Posts by sentiment"] * 2]),
        ("--since=2020-01-01 --until=2020-01-02 --plot-kind=net", ["Net sentiment"]),
    ],
)  # fmt: skip
def test_what_is_drawn_is_what_was_asked(demo: Path, tmp_path: Path, asked: str, drawn: list[str]) -> None:
    file = tmp_path / "picture.svg"
    arguments = re.split(r" (?=--)", asked) if asked else []
    assert f"Drawn: {file}" in trends(demo, "--by=week", *arguments, "--plot", str(file))
    assert title_of(file) == drawn


def test_the_ending_of_the_file_says_how_it_is_drawn(demo: Path, tmp_path: Path) -> None:
    for ending, begins in ((".png", b"\x89PNG"), (".SVG", b"<svg"), (".html", b"<!DOCTYPE html>")):
        file = tmp_path / f"picture{ending}"
        trends(demo, "--plot", str(file), "--plot-kind", "sentiment", "--plot-dark")
        assert file.read_bytes().startswith(begins)
    assert "#1c2326" in (tmp_path / "picture.SVG").read_text()
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["picture.SVG", "picture.html", "picture.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("--plot picture.gif", 2, "picture.gif should end in one of .png, .svg, .html"),
        ("--plot-kind net", 2, "name the file"),
        ("--plot picture.svg --show pairs", 2, "--show pairs has no picture of its own"),
        ("--plot /nowhere/picture.svg", 1, "/nowhere/picture.svg cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in trends(demo, *arguments.split(), code=code)
    assert list(tmp_path.iterdir()) == []


def on_a_screen(columns: int, *arguments: str) -> str:
    """What `listener` writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    run = subprocess.Popen(
        [sys.executable, "-m", "listener", *arguments], stdout=theirs, stderr=subprocess.DEVNULL,
        env=environment | {"TERM": "xterm", "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(theirs)
    read = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not part:
            break
        read += part
    os.close(ours)
    assert run.wait(30) == 0
    return read.decode()


def test_a_terminal_shows_small_charts_below_the_table(demo: Path) -> None:
    asked = ("trends", "--db", str(demo), "--by", "week")
    wide = on_a_screen(120, *asked)
    assert "the last 4 weeks" in wide
    (line,) = (line for line in wide.splitlines() if re.match(r"Harbour & Pine\s+[▁▂▃▄▅▆▇█]{4} ", line))
    assert len(re.findall(r"[▁▂▃▄▅▆▇█]{3,4}", line)) == 4
    for screen in (on_a_screen(60, *asked), on_a_screen(120, *asked, "--no-chart")):
        assert "▁" not in screen and "█" not in screen and "the last 4" not in screen


def test_into_a_pipe_no_charts_are_drawn(demo: Path) -> None:
    run = CliRunner().invoke(main, ["trends", "--db", str(demo), "--by", "week"])
    assert "Harbour & Pine" in run.stdout and "█" not in run.stdout
