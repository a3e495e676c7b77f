"""How a mail leaves this machine: to a mail server, through the system's sendmail, or as files in a folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import date
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from listener import crash, mail
from listener.errors import MailError
from listener.wording import one_line

if TYPE_CHECKING:
    from listener.config import MailSettings

State = Literal["sent", "failed", "unknown"]
Way = Literal["smtp", "sendmail", "files"]


def way(settings: MailSettings) -> Way:
    """The way that is configured; without a mail server it is files."""
    return settings.via or ("smtp" if settings.host else "files")


def deliver(
    message: EmailMessage,
    settings: MailSettings,
    folder: Path,
    day: date,
    name: str = "digest",
    going: Callable[[], object] = bool,
) -> tuple[State, str]:
    """Hands a mail over in the configured way: how that ended, and why, or where it is. Files go to `folder`.

    "unknown": it may have been taken although nobody said so, and is not to be sent again. `going` is called just
    before the text leaves this process; until then the mail has certainly not gone, and what it raises ends it.
    """
    crash.here("mail.composed")
    try:
        if way(settings) == "files":
            return "sent", str(mail.write_files(message, folder, day, name)[1])
        send(message, settings, going)
    except MailError as error:
        return ("failed" if error.certain else "unknown"), str(error)
    return "sent", ""


def send(message: EmailMessage, settings: MailSettings, going: Callable[[], object] = bool) -> None:
    """Hands a mail to the mail server or to sendmail. Raises MailError, also where mails go to files."""
    if way(settings) == "sendmail":
        going()
        _sendmail(message, settings.sendmail, settings.timeout_s)
    else:
        mail.send(message, settings, going)


def _sendmail(message: EmailMessage, program: Path, timeout_s: float) -> None:
    """Gives a mail to a program that takes it as Sendmail's does, which Postfix, Exim, OpenSMTPD and msmtp bring.

    No shell, and the addresses cannot be taken for options. Once it has read the mail, only its own word tells whether
    it kept it.
    """
    sender, recipient = message["From"].addresses[0].addr_spec, message["To"].addresses[0].addr_spec
    # Programs of this kind read lines as the system writes them.
    body = message.as_bytes(policy=SMTP).replace(b"\r\n", os.linesep.encode())
    command = [str(program), "-i", "-f", sender, "--", recipient]
    try:
        run = subprocess.run(  # noqa: S603  # the operator names the program
            command, input=body, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MailError(
            f"{program} did not end within {timeout_s:g} s; it is not known whether it took the mail", certain=False
        ) from error
    except OSError as error:
        raise MailError(
            f"{program} cannot be run: {error.strerror or error}; set sendmail in the [mail] table", temporary=False
        ) from error
    if run.returncode:
        said = one_line((run.stderr or run.stdout).decode("utf-8", "replace"))[:300]
        temporary = run.returncode == os.EX_TEMPFAIL
        raise MailError(f"{program} refused the mail (exit {run.returncode}): {said or 'no word'}", temporary=temporary)
