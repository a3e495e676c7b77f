"""The contract that every source keeps; a source may have tests of its own beside it."""

from pathlib import Path

from listener.sources.contract import SourceContract


class TestGuestbook(SourceContract):
    kind = "guestbook"
    payloads = Path(__file__).parent / "payloads"
