"""Errors, named by their consequence: what the program does next is the class, what a person does is the text."""

from __future__ import annotations


class ListenerError(Exception):
    """Something a person can mend. The message names place and remedy; the CLI prints it without a traceback."""


class ConfigError(ListenerError):
    """The configuration cannot be used."""


class QueryError(ListenerError):
    """A brand query cannot be read. `position` is the 0-based offset in `query` where it went wrong."""

    def __init__(self, message: str, query: str, position: int) -> None:
        self.query = query
        self.position = position
        on_one_line = "".join(letter if letter.isprintable() else " " for letter in query)  # as the caret needs it
        super().__init__(f"{message}\n  {on_one_line}\n  {' ' * position}^")


class StoreError(ListenerError):
    """The database cannot be used: locked, full, damaged, or written by a newer version."""


class ModelError(ListenerError):
    """A model folder cannot be used: files missing or damaged, or labels that differ from ours."""


class MailError(ListenerError):
    """A mail could not be handed over. `certain` is False when the server may have taken it all the same."""

    def __init__(self, message: str, *, certain: bool = True, temporary: bool = True) -> None:
        super().__init__(message)
        self.certain = certain
        self.temporary = temporary


class TakenOver(Exception):
    """Another process sends what this one was slow over: nothing is wrong, and nothing is left to do here."""


class SourceError(ListenerError):
    """A source could not be read. Only its subclasses are raised.

    `payload` is the start of the reply, for a source that finds more in it than its status says, and so that a parser
    can be mended. `status` is its HTTP status, 0 without one. `after` is the delay in seconds that a server asked for,
    maybe another one of the same run.
    """

    def __init__(self, message: str, payload: bytes = b"", status: int = 0) -> None:
        super().__init__(message)
        self.payload = payload[:65536]
        self.status = status
        self.after: float | None = None


class Retry(SourceError):
    """Try again later: rate limit, overload, no network."""

    def __init__(self, message: str, after: float | None = None, payload: bytes = b"", status: int = 0) -> None:
        super().__init__(message, payload, status)
        self.after = after


class Refused(SourceError):
    """We are not let in: credentials, robots.txt, a bot wall, a closed interface. A person has to act."""


class Unauthorised(Refused):
    """The credentials are not taken: wrong, expired or revoked. Others would help."""


class Disabled(Refused):
    """The source cannot begin here: credentials or a package are missing. Nobody was asked."""


class Broken(SourceError):
    """The reply is not what this source sends: a layout changed, or it is another kind of document."""
