"""What a run came to, counted while its pages come in."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from listener.errors import SourceError
from listener.records import Outcome, Page, Run, Saved


class Tally:
    """Counts a run while its pages come in."""

    def __init__(self) -> None:
        self.seen = self.new = self.edited = self.deleted = 0
        self.skipped: Counter[str] = Counter()
        self.pages = self.unchanged = 0
        self.outcome: Outcome | None = None
        self.error = ""
        self.after: float | None = None  # seconds that the server asks us to wait

    def add(self, page: Page, seen: int, saved: Saved) -> None:
        self.seen += seen
        self.new += saved.new
        self.edited += saved.edited
        self.deleted += saved.deleted
        self.skipped.update(page.skipped)
        self.pages += 1
        self.unchanged += page.unchanged

    def may_go_on(self) -> bool:
        """Whether the source can be asked more: one dead forum of several does not make the others silent."""
        return self.outcome is None or (self.pages > 0 and self.outcome in ("refused", "broken"))

    def failed(self, outcome: Outcome, error: Exception) -> None:
        """Notes what went wrong; what went wrong first is what people are told, and the longest wait counts."""
        if isinstance(error, SourceError) and error.after is not None:
            self.after = max(error.after, self.after or 0.0)
        if self.outcome is not None:
            return
        self.outcome = outcome
        self.error = str(error) or type(error).__name__

    def postpone(self) -> None:
        """A server that is tired once all that is new has been read makes no failed run: we wait, as it asks."""
        if self.outcome == "retry":
            self.outcome, self.error = None, ""

    def run(self, name: str, started: datetime, finished: datetime) -> Run:
        seconds = max(0.0, (finished - started).total_seconds())
        silent: Outcome = "unchanged" if self.pages and self.unchanged == self.pages else "empty"
        brought = self.seen or self.edited or self.deleted or self.skipped
        outcome: Outcome = self.outcome or ("ok" if brought else silent)
        return Run(
            name,
            started,
            seconds,
            self.seen,
            self.new,
            dict(self.skipped),
            outcome,
            self.error,
            self.edited,
            self.deleted,
        )
