"""E-mail against a real SMTP dialogue on loopback, and what is known about a mail wherever it ends."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.base import Ambiguous, AuthError, ConnectorError, Rejected, Runtime, Transient
from connectors.channels import Channel, Message
from connectors.channels import mail as channel_mail
from sandbox.mail import MailServer, serve_mail

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RUNTIME = Runtime(clock=lambda: NOW, random=random.Random(1))
USER, PASSWORD = "handoff", "pa55word-of-the-mailbox"
ITEMS = [{"key": "k", "source": "s", "rule": "r", "text": "x"}]


@asynccontextmanager
async def told(server: MailServer, text: str = "**Won**: Größe 数据", **settings: Any) -> AsyncIterator[None]:
    """A mail is sent to the server, before the block."""
    async with serve_mail(server) as port:
        given = {
            "host": "127.0.0.1",
            "port": port,
            "tls": "none",
            "from": "handoff@example.com",
            "to": ["a@b.test", "c@d.test"],
            **settings,
        }
        async with Channel.model_validate({"email": given}).open("post", RUNTIME) as ready:
            await ready.send(Message(text, ITEMS))
        yield


async def send(server: MailServer, text: str = "Hello", **settings: Any) -> None:
    async with told(server, text, **settings):
        pass


async def test_a_mail_arrives_as_it_was_meant() -> None:
    server = MailServer()
    await send(server, "**Won**: Größe 数据\n\n.\n\n[it](https://asana.test/1) & <more>")
    (mail,) = server.kept
    assert server.recipients == [["a@b.test", "c@d.test"]]
    assert mail["Subject"] == "Won: Größe 数据"
    assert (mail["From"], mail["To"]) == ("handoff@example.com", "a@b.test, c@d.test")
    assert (mail["Date"], mail["Auto-Submitted"]) == ("Mon, 02 Mar 2026 09:00:00 +0000", "auto-generated")
    plain, html = (part.get_content().replace("\r\n", "\n") for part in mail.iter_parts())
    assert plain == "Won: Größe 数据\n\n.\n\nit (https://asana.test/1) & <more>\n"
    assert "<strong>Won</strong>: Größe 数据" in html
    assert {part["Content-Transfer-Encoding"] for part in mail.iter_parts()} == {"quoted-printable"}
    assert '<a href="https://asana.test/1">it</a> &amp; &lt;more&gt;' in html


async def test_equal_notices_have_one_message_id() -> None:
    server = MailServer()
    await send(server)
    await send(server)
    first, second = server.kept
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"].endswith("@example.com>")


async def test_who_has_to_log_in_does() -> None:
    server = MailServer(users={USER: PASSWORD})
    await send(server, user=USER, password=PASSWORD)
    assert len(server.kept) == 1


async def test_a_wrong_password_is_for_a_person_to_mend() -> None:
    server = MailServer(users={USER: PASSWORD})
    with pytest.raises(AuthError) as raised:
        await send(server, user=USER, password="an0ther-password")
    with pytest.raises(AuthError, match="530"):
        await send(server)
    assert not server.kept
    assert "an0ther-password" not in f"{raised.value!r} {raised.value.__cause__!r}"
    assert raised.value.system == "post"


@pytest.mark.parametrize(
    ("verb", "answer", "error"),
    [
        ("MAIL", "550 5.7.1 not you", AuthError),
        ("MAIL", "451 4.3.0 later", Transient),
        ("RCPT", "550 5.1.1 nobody", AuthError),
        ("RCPT", "450 4.2.0 greylisted", Transient),
        ("DATA", "554 5.6.0 spam", Rejected),
        ("DATA", "452 4.3.1 full", Transient),
        ("EHLO", "502 no", AuthError),
    ],
)
async def test_an_answer_means(verb: str, answer: str, error: type[ConnectorError]) -> None:
    server = MailServer(refuses={verb: answer})
    with pytest.raises(ConnectorError) as raised:
        await send(server)
    assert type(raised.value) is error
    assert not server.kept


@pytest.mark.parametrize(
    ("drops", "error", "kept"), [("connect", Transient, 0), ("rcpt", Transient, 0), ("data", Transient, 0), ("after data", Ambiguous, 1)]
)
async def test_until_the_last_line_left_nothing_was_taken(drops: Any, error: type[ConnectorError], kept: int) -> None:
    server = MailServer(drops=drops)
    with pytest.raises(ConnectorError) as raised:
        await send(server)
    assert type(raised.value) is error
    assert len(server.kept) == kept


@pytest.mark.parametrize(("stalls", "error"), [("connect", Transient), ("rcpt", Transient), ("data", Transient), ("after data", Ambiguous)])
async def test_a_server_that_stalls_is_left(stalls: Any, error: type[ConnectorError], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_mail, "LONGEST", 0.4)
    with pytest.raises(ConnectorError) as raised:
        await send(MailServer(stalls=stalls))
    assert type(raised.value) is error


async def test_nobody_there_is_certain() -> None:
    channel = Channel.model_validate({"email": {"host": "127.0.0.1", "port": 1, "from": "a@b.test", "to": ["a@b.test"]}})
    async with channel.open("post", RUNTIME) as ready:
        with pytest.raises(Transient, match=r"127\.0\.0\.1:1"):
            await ready.send(Message("Hello"))


# encrypted


def certificate(folder: Path) -> tuple[Path, Path]:
    """One for 127.0.0.1, signed by itself, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return public, private


def encrypting(folder: Path) -> tuple[MailServer, Path]:
    public, private = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return MailServer(users={USER: PASSWORD}, tls=context), public


async def test_starttls_comes_before_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, public = encrypting(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    await send(server, tls="starttls", user=USER, password=PASSWORD)
    assert len(server.kept) == 1
    assert server.commands.index("STARTTLS") < server.commands.index("AUTH")


async def test_a_server_nobody_vouches_for_gets_no_password(tmp_path: Path) -> None:
    server, _ = encrypting(tmp_path)
    with pytest.raises(Transient, match="SSLCertVerificationError"):
        await send(server, tls="starttls", user=USER, password=PASSWORD)
    assert "AUTH" not in server.commands


async def test_a_server_without_starttls_gets_no_password() -> None:
    server = MailServer(users={USER: PASSWORD})
    with pytest.raises(AuthError, match="STARTTLS"):
        await send(server, tls="starttls", user=USER, password=PASSWORD)
    assert server.commands == ["EHLO", "QUIT"]


@pytest.mark.parametrize("host", ["mail..example.test", ".example.test", f"{'a' * 70}.test"])
async def test_a_name_that_can_be_none_is_no_server_to_wait_for(host: str) -> None:
    with pytest.raises(Transient, match="cannot reach"):
        async with asyncio.timeout(5):
            await send(MailServer(), host=host)


async def test_what_nobody_foresaw_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_mail, "_words", None)
    with pytest.raises(TypeError):
        async with asyncio.timeout(5):
            await send(MailServer(refuses={"RCPT": "550 no"}))
