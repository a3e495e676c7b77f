"""The reliability picture: is a post of which the model says "80 % sure" right in 80 % of the cases? As SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from listener.reads.counts import wilson
from listener.training.evaluate import Bin, HeadReport, Report

_SIDE = 260  # of a panel's square, in pixels
_LEFT, _TOP, _GAP = 52, 64, 84
_TICKS = (0, 20, 40, 60, 80, 100)  # per cent


def reliability(report: Report) -> str:
    """An SVG document with one panel for each head that the report has."""
    heads = [(name, head) for name, head in (("Moment", report.moment), ("Sentiment", report.sentiment)) if head]
    width = _LEFT + len(heads) * (_SIDE + _GAP) - _GAP + 28
    height = _TOP + _SIDE + 62
    panels = "".join(_panel(name, head, _LEFT + at * (_SIDE + _GAP)) for at, (name, head) in enumerate(heads))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">
<title>Reliability of {escape(report.name)}</title>
<style>
text {{ font: 12px system-ui, sans-serif; fill: #3b4252 }}
.head {{ font-size: 15px; font-weight: 600; fill: #1c2330 }}
.grid {{ stroke: #e3e7ee }} .ideal {{ stroke: #8a94a6; stroke-dasharray: 4 4 }}
.luck {{ stroke: #1f6feb; stroke-opacity: .45; stroke-width: 2 }} .dot {{ fill: #1f6feb; fill-opacity: .85 }}
</style>
<rect width="100%" height="100%" fill="#fff"/>
{panels}</svg>
"""


def _panel(name: str, head: HeadReport, left: int) -> str:
    ece = f" · ECE {head.ece.value:.3f}" if head.ece else ""
    middle = left + _SIDE / 2
    parts = [
        f'<text class="head" x="{left}" y="28">{escape(name)}</text>',
        f'<text x="{left}" y="48">accuracy {head.accuracy.value:.3f}{ece}</text>',
        *(_tick(tick, left) for tick in _TICKS),
        f'<line class="ideal" x1="{left}" y1="{_TOP + _SIDE}" x2="{left + _SIDE}" y2="{_TOP}"/>',
        _curve(head.reliability, left),
        f'<text x="{middle}" y="{_TOP + _SIDE + 42}" text-anchor="middle">how sure it says it is, %</text>',
        f'<text transform="translate({left - 38} {_TOP + _SIDE / 2}) rotate(-90)" text-anchor="middle">right, %</text>',
    ]
    return "\n".join(parts) + "\n"


def _tick(tick: int, left: int) -> str:
    along, up = left + _SIDE * tick / 100, _TOP + _SIDE * (1 - tick / 100)
    return (
        f'<line class="grid" x1="{along}" y1="{_TOP}" x2="{along}" y2="{_TOP + _SIDE}"/>'
        f'<line class="grid" x1="{left}" y1="{up}" x2="{left + _SIDE}" y2="{up}"/>'
        f'<text x="{along}" y="{_TOP + _SIDE + 18}" text-anchor="middle">{tick}</text>'
        f'<text x="{left - 8}" y="{up + 4}" text-anchor="end">{tick}</text>'
    )


def _curve(bins: Sequence[Bin], left: int) -> str:
    """A dot for every bin, its area the number of posts in it, on a line that is its 95 % interval.

    The dots are not joined: a bin of two posts would draw a peak as bold as one of two hundred.
    """
    most = max((each.posts for each in bins), default=1)
    places = [(left + _SIDE * each.confidence, _TOP + _SIDE * (1 - each.accuracy), each) for each in bins]
    luck = "".join(_luck(x, each) for x, _, each in places)
    dots = "".join(
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{2 + 8 * (each.posts / most) ** 0.5:.1f}">'
        f"<title>{each.posts} posts: says {each.confidence:.0%}, right {each.accuracy:.0%}</title></circle>"
        for x, y, each in places
    )
    return luck + dots


def _luck(x: float, each: Bin) -> str:
    share = wilson(round(each.accuracy * each.posts), each.posts)
    low, high = (_TOP + _SIDE * (1 - (end or 0)) for end in (share.low, share.high))
    return f'<line class="luck" x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}"/>'
