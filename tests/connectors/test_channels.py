"""Each kind of channel against its stand-in over loopback TCP: what it sends, and what it makes of every answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apprise.plugins.dingtalk import NotifyDingTalk
from pydantic import ValidationError

from connectors.base import Ambiguous, AuthError, ConnectorError, RateLimited, Rejected, Runtime, Transient
from connectors.channels import Channel, Message, dingtalk, feishu, webhook
from connectors.channels.message import cut, html, plain
from sandbox.notify import TOKEN, Services
from sandbox.web import Reply, Sandbox, serve

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRET = "SEC-handoff-example"
PATHS = {
    "slack": f"/slack/T1/B1/{TOKEN}",
    "teams": f"/teams/workflows/1/triggers/manual/paths/invoke?api-version=2016-06-01&sig={TOKEN}",
    "feishu": f"/feishu/hook/{TOKEN}",
    "dingtalk": f"/dingtalk/robot/send?access_token={TOKEN}",
    "wecom": f"/wecom/send?key={TOKEN}",
    "webhook": f"/hook/{TOKEN}",
}
SIGNED = ("feishu", "dingtalk", "webhook")


class Rig:
    """All services on one server, and channels to them. The clock stands unless moved."""

    def __init__(self, address: str, sandbox: Sandbox, services: Services) -> None:
        self.address, self.sandbox, self.services = address, sandbox, services
        self.now = NOW
        self.runtime = Runtime(clock=lambda: self.now, sleep=asyncio.sleep, random=random.Random(1))

    def channel(self, kind: str, *, secret: str = SECRET, path: str = "") -> Channel:
        settings = {"url": self.address + (path or PATHS[kind]), **({"secret": secret} if kind in SIGNED and secret else {})}
        return Channel.model_validate({kind: settings})

    async def send(self, kind: str, text: str = "Hello", **settings: Any) -> None:
        async with self.channel(kind, **settings).open("desk", self.runtime) as ready:
            await ready.send(Message(text, [{"key": "k", "source": "s", "rule": "r", "text": text}]))

    def texts(self, kind: str) -> list[str]:
        return self.services.texts("hook" if kind == "webhook" else kind)


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    made: list[Rig] = []
    services = Services(lambda: made[0].now, feishu=SECRET, dingtalk=SECRET, hook=SECRET)
    sandbox = Sandbox(services)
    async with serve(sandbox) as address:
        made.append(Rig(address, sandbox, services))
        yield made[0]


@pytest.mark.parametrize("kind", PATHS)
async def test_a_message_arrives_as_people_read_it(kind: str) -> None:
    async with rig() as here:
        await here.send(kind, "**Won**: 苏州 \\*Acme\\* & [the project](https://asana.test/1)")
        (text,) = here.texts(kind)
    wanted = {
        "slack": "*Won*: 苏州 *Acme* &amp; <https://asana.test/1|the project>",
        "teams": "**Won**: 苏州 \\*Acme\\* & [the project](https://asana.test/1)",
    }
    assert text == wanted.get(kind, "Won: 苏州 *Acme* & the project (https://asana.test/1)")


# Self-computed from the documented formulas, with openssl.


def test_feishu_signs_nothing_with_time_and_secret_as_the_key() -> None:
    assert feishu.sign("1599360473", SECRET) == "obS6uuDa0LbSJoYLMBWsxjHg834uKUGMgnBAWWRE/3A="


def test_dingtalk_signs_time_and_secret_with_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dingtalk.sign("1577262236757", SECRET) == "ko9LO1SyRCGp2H9SjAgU4qovMfOT1Rs6ZiFxfAIiCwA="
    monkeypatch.setattr("apprise.plugins.dingtalk.time.time", lambda: 1577262236.757)
    other: Any = NotifyDingTalk(token="t", secret="SECabc123")  # type: ignore[no-untyped-call]  # what somebody else makes of the formula
    stamp, quoted = other.get_signature()
    assert other.unquote(quoted) == dingtalk.sign(stamp, "SECabc123")


def test_a_webhook_signs_time_and_body() -> None:
    assert webhook.sign("1700000000", b'{"a": 1}', SECRET) == "1175563b1ac976dfe31b8e01478a621620496425a52c7ddf4daf299e41fb8433"


@pytest.mark.parametrize("kind", SIGNED)
async def test_a_wrong_secret_is_for_a_person_to_mend(kind: str) -> None:
    async with rig() as here:
        with pytest.raises(AuthError) as raised:
            await here.send(kind, secret="another")
        with pytest.raises(AuthError):
            await here.send(kind, secret="")
        assert not here.texts(kind)
    assert raised.value.system == "desk"
    assert "another" not in str(raised.value)


@pytest.mark.parametrize("kind", ["feishu", "dingtalk"])
async def test_a_clock_that_is_wrong_makes_a_signature_stale(kind: str) -> None:
    async with rig() as here:
        behind = Runtime(clock=lambda: here.now - timedelta(hours=2))
        async with here.channel(kind).open("desk", behind) as ready:
            with pytest.raises(AuthError, match="clock"):
                await ready.send(Message("Hello"))


@pytest.mark.parametrize("kind", PATHS)
async def test_an_address_that_is_not_valid_any_more_is_told_without_it(kind: str) -> None:
    async with rig() as here:
        gone = (
            PATHS[kind].replace(TOKEN, "0ther-token").replace("/hook/", "/nowhere/")
            if kind == "webhook"
            else PATHS[kind].replace(TOKEN, "0ther-token")
        )
        with pytest.raises(AuthError) as raised:
            await here.send(kind, path=gone)
    assert "0ther-token" not in f"{raised.value!r} {raised.value.__cause__!r} {raised.value.message}"


@pytest.mark.parametrize(("kind", "most", "pause"), [("slack", 60, 30), ("feishu", 5, 60), ("dingtalk", 20, 600), ("wecom", 20, 60)])
async def test_too_many_are_refused_for_a_while(kind: str, most: int, pause: float) -> None:
    async with rig() as here:
        for _ in range(most):
            await here.send(kind)
        with pytest.raises(RateLimited) as raised:
            await here.send(kind)
        assert len(here.texts(kind)) == most
    assert raised.value.retry_after == pause


@pytest.mark.parametrize("kind", PATHS)
async def test_a_lost_answer_is_doubt_and_sent_once(kind: str) -> None:
    async with rig() as here:
        here.sandbox.fault("POST", "reset_after")
        with pytest.raises(Ambiguous) as raised:
            await here.send(kind)
        assert len(here.texts(kind)) == 1
        assert sum(here.sandbox.seen.values()) == 1
    assert TOKEN not in f"{raised.value!r} {raised.value.message} {raised.value.__cause__!r}"


@pytest.mark.parametrize("kind", PATHS)
async def test_nobody_there_is_certain(kind: str) -> None:
    async with rig() as here:
        address, here.address = here.address, "http://127.0.0.1:1"
        with pytest.raises(Transient) as raised:
            await here.send(kind)
        assert address
    assert "127.0.0.1:1" in str(raised.value)
    assert TOKEN not in str(raised.value)


ANSWERS: list[tuple[str, int, Any, type[ConnectorError]]] = [
    *((kind, 500, "", Transient) for kind in PATHS),
    *((kind, 503, "", Transient) for kind in PATHS),
    *((kind, 502, "", Ambiguous) for kind in PATHS),
    *((kind, 504, "", Ambiguous) for kind in PATHS),
    *((kind, 429, "", RateLimited) for kind in PATHS),
    ("slack", 200, "<html>", Ambiguous),
    ("slack", 400, "invalid_payload", Rejected),
    ("slack", 410, "channel_is_archived", AuthError),
    ("teams", 400, "", Rejected),
    ("webhook", 422, "", Rejected),
    *((kind, 200, "<html>", Ambiguous) for kind in ("feishu", "dingtalk", "wecom")),
    ("feishu", 200, {"code": 9499, "msg": "Bad Request"}, Rejected),
    ("feishu", 200, {"code": 1, "msg": "busy"}, Transient),
    ("dingtalk", 200, {"errcode": -1, "errmsg": "busy"}, Transient),
    ("dingtalk", 200, {"errcode": 310000, "errmsg": "keywords not in content"}, AuthError),
    ("wecom", 200, {"errcode": 40058, "errmsg": "invalid"}, Rejected),
    ("wecom", 200, {"errcode": 99, "errmsg": f"key {TOKEN} is odd"}, Transient),
]


@pytest.mark.parametrize(("kind", "status", "body", "error"), ANSWERS)
async def test_an_answer_means(kind: str, status: int, body: Any, error: type[ConnectorError], monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig() as here:
        reply = Reply(status, body.encode()) if isinstance(body, str) else Reply.json(status, body)
        monkeypatch.setattr(here.services, "handle", lambda _request: reply)
        with pytest.raises(ConnectorError) as raised:
            await here.send(kind)
        assert sum(here.sandbox.seen.values()) == 1
    assert type(raised.value) is error
    assert TOKEN not in raised.value.message


@pytest.mark.parametrize("kind", PATHS)
async def test_a_message_that_is_too_long_is_cut_to_what_the_service_takes(kind: str) -> None:
    async with rig() as here:
        await here.send(kind, "数据 " * 30_000)
        assert here.texts(kind)


async def test_a_name_calls_nobody() -> None:
    async with rig() as here:
        evil = '<!channel> <@all> <at user_id="all">x</at> @all'
        escaped = "".join(f"\\{one}" if one in "<>@!" else one for one in evil)
        for kind in ("slack", "wecom", "feishu", "dingtalk"):
            await here.send(kind, escaped)
        assert "<!" not in here.texts("slack")[0]
        assert "<@" not in here.texts("wecom")[0]
        body = here.services.taken["feishu"][0].body
        assert {part["tag"] for line in body["content"]["post"]["en_us"]["content"] for part in line} == {"text"}
        assert here.services.taken["dingtalk"][0].body["at"] == {"isAtAll": False}


async def test_a_webhook_is_given_what_programs_want() -> None:
    async with rig() as here:
        await here.send("webhook", "**Won**")
        (taken,) = here.services.taken["hook"]
    assert taken.body == {"text": "Won", "markdown": "**Won**", "notices": [{"key": "k", "source": "s", "rule": "r", "text": "**Won**"}]}


async def test_nothing_logs_an_address(caplog: pytest.LogCaptureFixture) -> None:
    async with rig() as here:
        with caplog.at_level("DEBUG"):
            await here.send("slack")
    told = [record.getMessage() for record in caplog.records if record.name.startswith(("httpx", "handoff", "httpcore"))]
    assert TOKEN not in "".join(told)


# settings


@pytest.mark.parametrize(
    ("channel", "told"),
    [
        ({}, "has to be of one kind"),
        ({"slack": {"url": "https://a.test/x"}, "wecom": {"url": "https://a.test/x"}}, "has to be of one kind"),
        ({"slack": {"url": "http://hooks.slack.com/secret"}}, "should begin with https://"),
        ({"slack": {"url": "hooks.slack.com/secret"}}, "should be an address"),
        ({"teams": {"url": "https://acme.webhook.office.com/secret"}}, "has retired"),
        ({"email": {"host": "h", "from": "nobody", "to": ["a@b.test"]}}, "not an e-mail address"),
        ({"email": {"host": "h", "from": "a@b.test", "to": ["a@b.test"], "user": "u"}}, "go together"),
        ({"email": {"host": "h", "from": "a@b.test", "to": ["a@b.test"], "user": "u", "password": "secret", "tls": "none"}}, "unencrypted"),
    ],
)
def test_settings_that_cannot_be_right_are_refused(channel: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Channel.model_validate(channel)
    assert told in str(raised.value.errors(include_input=False, include_url=False, include_context=False))


def test_secrets_do_not_show() -> None:
    shown = repr([Channel.model_validate({kind: {"url": f"https://a.test{PATHS[kind]}", "secret": SECRET}}) for kind in SIGNED])
    assert TOKEN not in shown
    assert SECRET not in shown


# words


def test_markdown_as_plain_text() -> None:
    text = "# Title\n\n- one **two**\n- `three`\n\n1. four\n\n> five  \nsix\n\n```\n*as it is*\n```\n\n---\n\n<b>seven</b> <https://a.test>"
    lines = [
        "Title",
        "",
        "- one two",
        "- three",
        "",
        "1. four",
        "",
        "five",
        "six",
        "",
        "*as it is*",
        "",
        "———",
        "",
        "<b>seven</b> https://a.test",
    ]
    assert plain(text).split("\n") == lines


def test_html_holds_no_markup_of_the_text() -> None:
    assert html("<script>x</script> [a](javascript:alert)") == "<p>&lt;script&gt;x&lt;/script&gt; [a](javascript:alert)</p>\n"


def test_a_cut_keeps_whole_characters() -> None:
    assert cut("数据数据", 10) == "数据…"
    assert cut("short", 10) == "short"


def test_the_subject_is_the_first_line() -> None:
    assert Message("**Won**: Größe 数据\n\nmore").subject == "Won: Größe 数据"
    assert Message("  ").subject == "Handoff"
