"""Small charts of letters, for a terminal and for mails without pictures."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], low: float = 0.0, high: float | None = None) -> str:
    """One block a value, from `low` to `high` (else the largest): ▁▃█. None, where nothing is known, is a blank."""
    known = [value for value in values if value is not None]
    top = max(known, default=low) if high is None else high
    return "".join(" " if value is None else _block(value, low, top) for value in values)


def _block(value: float, low: float, high: float) -> str:
    share = (value - low) / (high - low) if high > low else 0.0
    return _BLOCKS[round(min(1.0, max(0.0, share)) * (len(_BLOCKS) - 1))]
