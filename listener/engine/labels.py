"""The label sets: the one place where they are written. A saved model carries a copy, and loading compares the two."""

from __future__ import annotations

MOMENTS = ("none", "ltzmot", "zmot", "fmot", "smot", "imot", "tmot")
SENTIMENTS = ("negative", "neutral", "positive")
TOUCHPOINTS = (
    "advertising", "website_app", "price", "booking", "payment", "delivery", "arrival", "staff", "support", "product",
    "cleanliness", "food", "facilities", "location", "comfort", "returns", "loyalty",
)  # fmt: skip

# The headline of a trend: research before buying, the transaction itself, feedback after it.
PHASES = {
    "none": "none",
    "ltzmot": "research",
    "zmot": "research",
    "fmot": "research",
    "smot": "transaction",
    "imot": "transaction",
    "tmot": "feedback",
}

MOMENT_NAMES = {
    "none": "no moment",
    "ltzmot": "trigger (less than zero)",
    "zmot": "research (zero moment)",
    "fmot": "first sight (first moment)",
    "smot": "purchase (second moment)",
    "imot": "waiting (interim)",
    "tmot": "feedback (third moment)",
}

# Where a touchpoint is not called by its label.
TOUCHPOINT_NAMES = {"website_app": "website or app"}
