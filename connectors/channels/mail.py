"""E-mail, by SMTP (RFC 5321) with the standard library, step by step, so that what is known about a message is exact: until its last line has left
it was certainly not taken; then, without an answer, it may have been.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from threading import Thread
from time import monotonic
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from connectors.base import Ambiguous, AuthError, ConnectorError, Rejected, Runtime, Transient
from connectors.channels.message import Message, clean, cut, html, plain
from connectors.channels.settings import LOCAL, Settings

LONGEST = 6.0  # seconds for one message, all in all
_MOST = 200_000  # bytes of text
_GO_AHEAD = 354
_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
_EMAIL = re.compile(r"[\x21-\x3b\x3d\x3f\x41-\x7e]+@[A-Za-z0-9.-]+")


def _is_email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError(f"'{value[:60]}' is not an e-mail address")
    return value


Email = Annotated[str, AfterValidator(_is_email)]


class Mail(Settings):
    """People, by e-mail."""

    host: str = Field(min_length=1, description="The mail server.")
    port: int | None = Field(None, gt=0, lt=65536, description="587 for `starttls`, 465 for `implicit`, 25 for `none`, unless said.")
    tls: Literal["starttls", "implicit", "none"] = Field("starttls", description="How the connection is encrypted.")
    user: str = Field("", description="Who to log in as, where the server asks for it.")
    password: SecretStr | None = Field(None, description="The user's password.")
    sender: Email = Field(alias="from", description="Who the mail is from.")
    to: list[Email] = Field(min_length=1, description="Who gets it.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.user) != bool(self.password):
            raise ValueError("user and password go together")
        if self.password and self.tls == "none" and self.host not in LOCAL:
            raise ValueError("a password is not sent unencrypted; set tls: starttls or implicit")
        return self

    def open(self, name: str, runtime: Runtime) -> Mailer:
        return Mailer(name, self, runtime)


class Mailer:
    """Sends one mail to everybody in `to`."""

    per_minute = 30

    def __init__(self, name: str, settings: Mail, runtime: Runtime) -> None:
        self._name, self._settings, self._runtime = name, settings, runtime

    async def __aenter__(self) -> Mailer:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    async def send(self, message: Message) -> None:
        """Send it once. Raises Ambiguous when no answer came to the whole of it; any other error means that nobody got it."""
        mail = compose(self._settings, message, self._runtime.clock())
        error = await _in_a_thread(_Delivery(self._settings, mail))
        if error is not None:
            error.system = self._name
            raise error


def compose(settings: Mail, message: Message, at: datetime) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = settings.sender, ", ".join(settings.to)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{_identity(message, at)}@{settings.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    text = cut(clean(message.text), _MOST)
    # in seven bits, which every server takes
    mail.set_content(plain(text) + "\n", cte="quoted-printable")
    mail.add_alternative(html(text), subtype="html", cte="quoted-printable")
    return mail


def _identity(message: Message, at: datetime) -> str:
    """Always the same for the same notices."""
    keys = [item.get("key", "") for item in message.items] or [message.text, at.isoformat()]
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]


async def _in_a_thread(work: _Delivery) -> ConnectorError | None:
    """Not in the loop's own threads, which would be waited for at the end however long a server takes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[ConnectorError | None] = loop.create_future()

    def settle(error: ConnectorError | None, unforeseen: Exception | None) -> None:
        if done.done():
            return
        if unforeseen is not None:
            done.set_exception(unforeseen)
        else:
            done.set_result(error)

    def run() -> None:
        error, unforeseen = None, None
        try:
            error = work()
        except Exception as failure:  # noqa: BLE001 - whoever waits must hear of it, or waits for ever
            unforeseen = failure
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(settle, error, unforeseen)

    Thread(target=run, daemon=True, name="handoff-mail").start()
    return await done


class _Delivery:
    """One mail's way to the server. Each step has what is left of the time."""

    def __init__(self, settings: Mail, mail: EmailMessage) -> None:
        self._settings, self._mail = settings, mail
        self._end = monotonic() + LONGEST
        self._where = f"{settings.host}:{settings.port or _PORTS[settings.tls]}"

    def __call__(self) -> ConnectorError | None:
        try:
            smtp = self._connect()
        except (OSError, ValueError, smtplib.SMTPException) as error:  # a name that can be none is a ValueError
            return Transient(f"cannot reach {self._where} ({type(error).__name__}); check the address, tls and the network")
        try:
            self._greet(smtp)
            self._address(smtp)
            return self._hand_over(smtp)
        except ConnectorError as error:
            return error
        except (OSError, smtplib.SMTPException) as error:
            return Transient(f"{self._where} broke off ({type(error).__name__})")
        finally:
            self._leave(smtp)

    def _left(self, smtp: smtplib.SMTP) -> smtplib.SMTP:
        left = self._end - monotonic()
        if left <= 0 or smtp.sock is None:
            raise TimeoutError
        smtp.sock.settimeout(left)
        return smtp

    def _connect(self) -> smtplib.SMTP:
        port = self._settings.port or _PORTS[self._settings.tls]
        if self._settings.tls == "implicit":
            return smtplib.SMTP_SSL(self._settings.host, port, timeout=LONGEST / 2, context=ssl.create_default_context())
        return smtplib.SMTP(self._settings.host, port, timeout=LONGEST / 2)

    def _greet(self, smtp: smtplib.SMTP) -> None:
        self._expect(self._left(smtp).ehlo(), "EHLO")
        if self._settings.tls == "starttls":
            if not smtp.has_extn("starttls"):
                raise AuthError(f"{self._where} offers no STARTTLS; set tls to what it offers")
            self._left(smtp).starttls(context=ssl.create_default_context())
            self._expect(self._left(smtp).ehlo(), "EHLO")
        if self._settings.password:
            try:
                self._left(smtp).login(self._settings.user, self._settings.password.get_secret_value())
            except smtplib.SMTPAuthenticationError as refused:
                raise AuthError(f"{self._where} refused the user or the password ({refused.smtp_code})") from None
            except smtplib.SMTPNotSupportedError:
                raise AuthError(f"{self._where} asks for no login, or for none that is known here") from None

    def _address(self, smtp: smtplib.SMTP) -> None:
        self._expect(self._left(smtp).mail(self._settings.sender), "the sender")
        answers = [self._left(smtp).rcpt(to) for to in self._settings.to]
        if not any(code in (250, 251) for code, _ in answers):
            self._expect(answers[0], "every recipient")

    def _hand_over(self, smtp: smtplib.SMTP) -> ConnectorError | None:
        code, words = self._left(smtp).docmd("DATA")
        if code == _GO_AHEAD:
            try:
                self._left(smtp).send(_stuffed(self._mail.as_bytes()))
                code, words = self._left(smtp).getreply()
            except (OSError, smtplib.SMTPException):
                return Ambiguous(f"no answer from {self._where}; the mail may have arrived")
            if code == 250:
                return None
        told = f"{self._where} answered {code}: {_words(words)}"
        return Rejected(told) if code >= 500 else Transient(told)

    def _expect(self, answer: tuple[int, bytes], what: str) -> None:
        code, words = answer
        if code not in (250, 251):
            told = f"{self._where} refused {what} ({code}: {_words(words)})"
            raise AuthError(told) if code >= 500 else Transient(told)

    def _leave(self, smtp: smtplib.SMTP) -> None:
        with suppress(OSError, smtplib.SMTPException):
            self._left(smtp).quit()
        smtp.close()


def _stuffed(mail: bytes) -> bytes:
    """A mail as it goes over the line: nothing in it looks like its end. RFC 5321, 4.5.2."""
    return re.sub(rb"(?m)^\.", b"..", mail) + (b"" if mail.endswith(b"\r\n") else b"\r\n") + b".\r\n"


def _words(answer: bytes | Sequence[bytes]) -> str:
    text = answer if isinstance(answer, bytes) else b" ".join(answer)
    return " ".join(text.decode("utf-8", "replace").split())[:200]
