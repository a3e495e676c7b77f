"""The colours of pictures: everybody has to be able to tell what is drawn, on a screen and on a grey print."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from listener.charts import LOOKS

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
