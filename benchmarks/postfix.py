"""A digest, handed to a real Postfix on loopback and read back from a Maildir.

sudo python benchmarks/postfix.py

Starts the system's Postfix with a configuration, a queue and a Maildir of its own in a temporary folder, on a free port
of loopback with STARTTLS, and stops it again; the Postfix of the machine, if one runs, is not touched. Needs root, as
Postfix does. Sends by SMTP with the certificate checked, through sendmail, to a recipient that is refused and to one
that is greylisted, and says what came of each.
"""

from __future__ import annotations

import email
import email.policy
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from email.message import EmailMessage
from pathlib import Path

import trustme

from listener.config import MailSettings
from listener.mail import Rendered, compose
from listener.mail.delivery import deliver

POSTFIX, SENDMAIL = "/usr/sbin/postfix", "/usr/sbin/sendmail"
DAY, NOW = date(2026, 11, 21), datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
RENDERED = Rendered(
    "Harbour & Pine: 43 mentions, grüßt", "Grüße\n\n.a line that starts with a dot\n" + "long " * 400 + "\n",
    "<p>Grüße <b>" + "x" * 5000 + "</b></p>\n",
)  # fmt: skip

MAIN = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
mail_owner = postfix
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination =
mynetworks = 127.0.0.0/8
maillog_file = {root}/log/mail
maillog_file_prefixes = {root}/log
virtual_mailbox_domains = hotel.example
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = inline:{{ {{ anna@hotel.example = anna/ }}, {{ grey@hotel.example = grey/ }} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_cert_file = {root}/conf/server.pem
smtpd_tls_security_level = encrypt
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ grey@hotel.example = 450 4.2.0 Greylisted }} }},
    permit_mynetworks, reject
smtputf8_enable = no
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
smtp unix - - n - - smtp
showq unix n - n - - showq
flush unix n - n 1000? 0 flush
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(root: Path) -> Iterator[int]:
    """Postfix on a port of loopback, with everything it writes below `root`."""
    import pwd

    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    owner = pwd.getpwnam("postfix")
    for name in ("conf", "queue", "data", "mail", "log"):
        (root / name).mkdir()
    for name in ("data", "mail"):
        os.chown(root / name, owner.pw_uid, owner.pw_gid)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(root / "ca.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(root / "conf" / "server.pem")
    (root / "conf" / "main.cf").write_text(MAIN.format(root=root, uid=owner.pw_uid, gid=owner.pw_gid))
    (root / "conf" / "master.cf").write_text(MASTER.format(port=port))
    command = [POSTFIX, "-c", str(root / "conf")]
    subprocess.run([*command, "start"], check=True, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        subprocess.run([*command, "stop"], check=True, stderr=subprocess.DEVNULL)


def message(to: str, day: date = DAY) -> EmailMessage:
    return compose(RENDERED, "Listener <listener@hotel.example>", to, day, "daily", NOW)


def arrived(root: Path, number: int) -> list[EmailMessage]:
    """The mails in Anna's Maildir, once there are so many."""
    until = time.monotonic() + 20
    box = root / "mail" / "anna" / "new"
    while time.monotonic() < until and (not box.exists() or len(list(box.iterdir())) < number):
        time.sleep(0.1)
    found = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in box.iterdir()]
    return sorted(found, key=lambda mail: str(mail["Message-ID"]))  # type: ignore[return-value]


def whole(mail: EmailMessage) -> bool:
    """Whether subject and both bodies came through as they were written."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    return (
        mail["Subject"] == RENDERED.subject
        and text is not None and text.get_content() == RENDERED.text
        and html is not None and html.get_content() == RENDERED.html
    )  # fmt: skip


def check(root: Path, port: int) -> bool:
    smtp = MailSettings(
        host="localhost", port=port, security="starttls", sender="listener@hotel.example", ca_file=root / "ca.pem"
    )
    stranger = MailSettings(host="localhost", port=port, security="starttls", sender="listener@hotel.example")
    wrapper = root / "sendmail"
    wrapper.write_text(f'#!/bin/sh\nexec {SENDMAIL} -C {root}/conf "$@"\n')
    wrapper.chmod(stat.S_IRWXU)
    local = MailSettings(via="sendmail", sendmail=wrapper, sender="listener@hotel.example")
    anna = "anna@hotel.example"
    steps = (
        ("SMTP, STARTTLS, certificate checked", "sent", message(anna), smtp),
        ("the same through sendmail, of another day", "sent", message(anna, date(2026, 11, 20)), local),
        ("a certificate nobody vouches for", "failed", message(anna), stranger),
        ("a recipient that is greylisted", "failed", message("grey@hotel.example"), smtp),
        ("a recipient that does not exist", "failed", message("nobody@hotel.example"), smtp),
    )
    right = True
    for what, wanted, mail, settings in steps:
        state, detail = deliver(mail, settings, root, DAY)
        right &= state == wanted
        print(f"{what}: {state}{f' ({detail})' if detail else ''}")
    mails = arrived(root, 2)
    same_thread = len({str(mail["References"]) for mail in mails}) == 1
    ids = {str(mail["Message-ID"]) for mail in mails}
    print(f"in the Maildir: {len(mails)} mails, whole: {[whole(mail) for mail in mails]}, ids: {len(ids)}, "
          f"one conversation: {same_thread}")  # fmt: skip
    for name in ("Message-ID", "References", "List-Id", "List-Unsubscribe", "Auto-Submitted", "Date", "Return-Path"):
        print(f"  {name}: {mails[0][name]}")
    return right and len(mails) == 2 and all(map(whole, mails)) and len(ids) == 2 and same_thread


def main() -> None:
    if os.geteuid() or not Path(POSTFIX).exists():
        sys.exit("this needs root, and the package postfix")
    root = Path(tempfile.mkdtemp(prefix="listener-postfix-"))
    root.chmod(0o755)
    try:
        with postfix(root) as port:
            right = check(root, port)
    finally:
        log = root / "log" / "mail"
        told = log.read_text() if log.exists() else ""
        shutil.rmtree(root)
    print("all as it should be" if right else f"not as it should be\n{told}")
    sys.exit(not right)


if __name__ == "__main__":
    main()
