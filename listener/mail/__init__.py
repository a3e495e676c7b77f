"""A digest as a mail: composed once, always the same, and handed to one SMTP server over a checked connection."""

from __future__ import annotations

import base64
import os
import re
import smtplib
import ssl
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import date, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, getaddresses
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

from listener import crash
from listener.errors import ConfigError, MailError
from listener.text import fingerprint

if TYPE_CHECKING:
    from listener.config import MailSettings

# Everything that ends a header line for some mail reader, and the marks that turn its text around.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_LEADING_DOT = re.compile(rb"(?m)^\.")
_SUBJECT_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Rendered:
    """One digest in its three spellings: a one-line subject, plain text, a whole HTML document.

    `pictures` are those that the HTML shows as cid:NAME: (NAME, PNG) each.
    """

    subject: str
    text: str
    html: str
    pictures: tuple[tuple[str, bytes], ...] = ()


def one_line(text: str) -> str:
    """The text on one line, safe in a header: control and direction marks become spaces, runs of white space one."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def compose(
    rendered: Rendered, sender: str, recipient: str, day: date, cadence: str, now: datetime, *, period: str = ""
) -> EmailMessage:
    """The mail of one digest or notice: plain text and HTML as alternatives.

    `now` (aware) becomes the Date header. Message-ID and boundary depend on recipient, cadence, period (without one the
    day) and the sender's domain alone, so that a digest sent twice is one mail to the reader that receives it. All of a
    week refer to one id, by which mail readers show them as one conversation.
    Raises MailError when an address is not one plain address.
    """
    from_address, to_address = address(sender, "mail.sender"), address(recipient, "the recipient's email")
    name = fingerprint(to_address.addr_spec.lower(), cadence, period or day.isoformat())
    kind = "digest" if cadence in ("daily", "weekly") else one_line(cadence)
    year, week, _ = day.isocalendar()
    thread = fingerprint(to_address.addr_spec.lower(), cadence, f"{year}-W{week:02}")
    message = EmailMessage(policy=SMTP)
    message["From"] = from_address
    message["To"] = to_address
    message["Subject"] = one_line(rendered.subject)[:_SUBJECT_LENGTH]
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{name}.listener@{from_address.domain}>"
    message["References"] = f"<{thread}.listener@{from_address.domain}>"
    message["List-Id"] = f"Listener {kind} <{_label(cadence)}.listener.{from_address.domain}>"
    message["List-Unsubscribe"] = f"<mailto:{quote(from_address.addr_spec, safe='@')}?subject=unsubscribe>"
    message["Auto-Submitted"] = "auto-generated"
    # Quoted-printable: lines stay short and every server takes it, 8BITMIME or not.
    message.set_content(rendered.text, cte="quoted-printable")
    message.add_alternative(rendered.html, subtype="html", cte="quoted-printable")
    _attach(message, rendered, name)
    message.set_boundary(f"=_{name}")
    return message


def _attach(message: EmailMessage, rendered: Rendered, name: str) -> None:
    """The pictures, as parts of the HTML and of nothing else."""
    html = message.get_payload()[-1]  # type: ignore[index]
    assert isinstance(html, EmailMessage)
    for number, (cid, png) in enumerate(rendered.pictures):
        html.add_related(png, "image", "png", cid=f"<{cid}>", disposition="inline", filename=f"{number + 1}.png")
    if rendered.pictures:
        html.set_boundary(f"=_related_{name}")


def address(text: str, setting: str) -> Address:
    """One mail address, with or without a display name. Raises MailError, naming `setting`, for anything else."""
    wrong = MailError(f"{setting} is not one mail address: {one_line(text)!r}", temporary=False)
    if _UNPRINTABLE.search(text):
        raise wrong
    found = getaddresses([text])
    username, _, domain = found[0][1].rpartition("@") if len(found) == 1 else ("", "", "")
    if not username or not domain or len(found[0][1].split()) != 1 or found[0][1] not in text:  # it mends and joins
        raise wrong
    try:
        username.encode("ascii")
        return Address(found[0][0], username, domain.encode("idna").decode("ascii"))
    except UnicodeError:
        raise MailError(
            f"{setting} cannot be used: {text!r} has letters outside ASCII before the @, or no valid domain",
            temporary=False,
        ) from None
    except (ValueError, HeaderParseError):
        raise wrong from None


def _label(cadence: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", cadence.lower()).strip("-") or "digest"


def send(message: EmailMessage, settings: MailSettings, going: Callable[[], object] = bool) -> None:
    """Hands one mail to the configured server; returns when the server has taken it. `going` is called just before the
    text is sent: until then the mail has certainly not gone, and what `going` raises ends it.

    Raises MailError: `temporary` says that trying again may help, `certain=False` that the server may have taken the
    mail although it never said so. The connection is never less safe than `settings.security` asks.
    """
    place = f"mail server {settings.host}:{settings.port}"
    if not settings.host:
        raise MailError("no mail server is configured; set host in the [mail] table", temporary=False)
    try:
        password = settings.password() if settings.username else ""
    except ConfigError as error:
        raise MailError(str(error), temporary=False) from error
    with closing(_connect(settings, place)) as server:
        _log_in(server, settings, password, place)
        _hand_over(server, message, place, going)
        with suppress(smtplib.SMTPException, OSError):  # the mail is taken; a rude goodbye changes nothing
            server.quit()


def _connect(settings: MailSettings, place: str) -> smtplib.SMTP:
    """An open session, encrypted and checked as the settings say, after EHLO."""
    server: smtplib.SMTP | None = None
    try:
        if settings.security == "tls":
            server = smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout_s, context=_tls(settings))
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
        server.ehlo_or_helo_if_needed()
        if settings.security == "starttls":
            server.starttls(context=_tls(settings))
            server.ehlo()
        return server
    except BaseException as error:
        if server is not None:
            server.close()
        if isinstance(error, (smtplib.SMTPException, OSError)):
            _explain_connection(error, settings, place)
        raise


def _tls(settings: MailSettings) -> ssl.SSLContext:
    ca_file = settings.ca_file
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise MailError(f"mail.ca_file {ca_file} cannot be used: {error}", temporary=False) from error


def _explain_connection(error: Exception, settings: MailSettings, place: str) -> NoReturn:
    if isinstance(error, ssl.SSLCertVerificationError):
        raise MailError(
            f"{place}: its certificate is not trusted ({error.verify_message}); mail.host must be the name in the"
            " certificate, and mail.ca_file the authority of a private one",
            temporary=False,
        ) from error
    if isinstance(error, ssl.SSLError):
        raise MailError(
            f"{place}: no encrypted connection ({error.reason or error}); check mail.port and mail.security"
            " (port 465 goes with tls, port 587 with starttls)",
            temporary=False,
        ) from error
    if isinstance(error, smtplib.SMTPNotSupportedError):
        raise MailError(
            f"{place} does not offer STARTTLS, and mail.security asks for it; nothing was sent"
            " (try security = 'tls' with port 465)",
            temporary=False,
        ) from error
    if isinstance(error, smtplib.SMTPResponseException):
        raise MailError(f"{place} does not let us in: {_reply(error)}", temporary=_is_temporary(error)) from error
    if isinstance(error, TimeoutError):
        raise MailError(f"{place} did not answer in {settings.timeout_s:g} s; check mail.host and mail.port") from error
    raise MailError(f"{place} cannot be reached ({error}); check mail.host and mail.port") from error


def _log_in(server: smtplib.SMTP, settings: MailSettings, password: str, place: str) -> None:
    if not settings.username:
        return
    secret = "mail.password_file" if settings.password_file else "mail.password_env"
    try:
        server.login(settings.username, password)
    except smtplib.SMTPNotSupportedError:
        raise MailError(
            f"{place} offers no login over this connection; check mail.security, or remove mail.username",
            temporary=False,
        ) from None
    except smtplib.SMTPResponseException as error:
        reply = _without(_reply(error), settings.username, password)
        # `from None`: the server's answer may repeat what it was sent.
        raise MailError(
            f"{place} refused the login of {settings.username!r}: {reply}; check mail.username and {secret}",
            temporary=_is_temporary(error),
        ) from None
    except UnicodeError:
        raise MailError(
            f"{place}: user name or password holds letters outside ASCII; check mail.username and {secret}",
            temporary=False,
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        raise MailError(f"{place} broke off during the login ({type(error).__name__})") from None


def _without(reply: str, username: str, password: str) -> str:
    """The server's reply with the password struck out, in the spellings in which SMTP carries it."""
    plain = f"\0{username}\0{password}".encode()
    for spelling in (password, base64.b64encode(password.encode()).decode(), base64.b64encode(plain).decode()):
        if spelling:
            reply = reply.replace(spelling, "***")
    return reply


def _hand_over(server: smtplib.SMTP, message: EmailMessage, place: str, going: Callable[[], object]) -> None:
    """MAIL, RCPT, DATA. Only what happens after the text is on its way leaves it open whether the mail was taken."""
    sender, recipient = message["From"].addresses[0].addr_spec, message["To"].addresses[0].addr_spec
    body = _LEADING_DOT.sub(b"..", message.as_bytes(policy=SMTP))
    _ask(lambda: server.mail(sender), f"{place} refused the sender {sender}", "check mail.sender", place)
    _ask(lambda: server.rcpt(recipient), f"{place} refused the recipient {recipient}", "check its address", place)
    _ask(lambda: server.docmd("DATA"), f"{place} refused the mail", "", place)
    going()
    try:
        server.send(body + b".\r\n")
        crash.here("mail.text")
        code, reply = server.getreply()
    except (smtplib.SMTPException, OSError) as error:
        raise MailError(
            f"{place} broke off after the text was sent ({_what(error)}); it is not known whether it took the mail",
            certain=False,
        ) from error
    if code != 250:
        answer = smtplib.SMTPResponseException(code, reply)
        raise MailError(f"{place} refused the mail: {_reply(answer)}", temporary=_is_temporary(answer))
    crash.here("mail.accepted")


def _ask(command: Callable[[], tuple[int, bytes]], refused: str, remedy: str, place: str) -> None:
    """Gives one command; raises MailError when it is refused or the connection is lost."""
    try:
        code, reply = command()
    except (smtplib.SMTPException, OSError) as error:
        raise MailError(f"{place} broke off before the mail was sent ({_what(error)})") from error
    if code not in (250, 251, 252, 354):
        answer = smtplib.SMTPResponseException(code, reply)
        hint = f"; {remedy}" if remedy and not _is_temporary(answer) else ""
        raise MailError(f"{refused}: {_reply(answer)}{hint}", temporary=_is_temporary(answer))


def _is_temporary(error: smtplib.SMTPResponseException) -> bool:
    """RFC 5321, 4.2.1: 4yz is a transient refusal, 5yz a permanent one. 421 and nonsense (-1) may pass too."""
    return not 500 <= error.smtp_code < 600


def _reply(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
    return one_line(f"{error.smtp_code} {text}")[:300]


def _what(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else one_line(str(error)) or type(error).__name__


def _alone(message: EmailMessage) -> str:
    """The HTML as a file of its own, its pictures in it."""
    html = message.get_body(("html",))
    text = str(html.get_content()) if html else ""
    for part in message.walk():
        if cid := str(part.get("Content-ID", ""))[1:-1]:
            data = base64.b64encode(part.get_payload(decode=True)).decode()  # type: ignore[arg-type]
            text = text.replace(f'"cid:{cid}"', f'"data:image/png;base64,{data}"')
    return text


def write_files(message: EmailMessage, folder: Path, day: date, name: str = "digest") -> tuple[Path, Path, Path]:
    """Writes the mail, its HTML and its plain text as `{name}-{day}.eml`, `.html` and `.txt`; returns the three paths.

    Each file is there whole or not at all. Raises MailError when the folder cannot be written.
    """
    plain = message.get_body(("plain",))
    contents = {
        ".eml": message.as_bytes(policy=SMTP),
        ".html": _alone(message).encode(),
        ".txt": plain.get_content().encode() if plain else b"",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}-{day.isoformat()}{suffix}" for suffix in contents]
        for path, content in zip(paths, contents.values(), strict=True):
            _replace(path, content)
    except OSError as error:
        raise MailError(
            f"the digest cannot be written to {folder}: {error.strerror or error}", temporary=False
        ) from error
    return paths[0], paths[1], paths[2]


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)  # mkstemp gives 0600, and these files are made to be passed on
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
