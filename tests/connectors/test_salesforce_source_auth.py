"""Signing in to Salesforce: three grants, refusals explained, one login however many requests need it."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from connectors.base import AuthError, RateLimited, Runtime, Transient
from connectors.salesforce import Connection, SalesforceSource
from sandbox.web import InProcess
from tests.conformance.source import Rig, pull
from tests.connectors.salesforce_rig import HOST, READS, SalesforceCrm, rig

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
JWT = {"auth": "jwt", "username": "integration@handoff.test", "private_key": PRIVATE}


def source(crm: SalesforceCrm, **settings: object) -> SalesforceSource:
    connection = Connection.model_validate({"login_url": HOST, "client_id": "handoff-client", **settings})
    runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep, transport=InProcess({HOST: crm.box}))
    return SalesforceSource(connection, READS, runtime=runtime)


async def refusal(crm: SalesforceCrm, **settings: object) -> str:
    with pytest.raises(AuthError) as caught:
        await pull(Rig(crm, lambda: source(crm, **settings)))
    return caught.value.message


async def test_a_signed_assertion_opens_the_org() -> None:
    crm = SalesforceCrm()
    crm.app.oauth.public_key = PUBLIC
    ids = crm.add(["deal"])
    assert list((await pull(Rig(crm, lambda: source(crm, **JWT)))).ids) == ids


async def test_refusals_of_an_assertion_say_what_to_do() -> None:
    crm = SalesforceCrm()
    crm.app.oauth.public_key = PUBLIC
    assert "https://test.salesforce.com" in await refusal(crm, **JWT, audience="https://wrong.test")
    crm.app.oauth.approved = False
    assert "pre-authorise" in await refusal(crm, **JWT)
    crm.app.oauth.public_key = ""
    assert "private key" in await refusal(crm, **JWT)


async def test_a_private_key_that_cannot_be_read_is_said_without_showing_it() -> None:
    broken = PRIVATE[:200] + PRIVATE[400:]
    words = await refusal(SalesforceCrm(), **{**JWT, "private_key": broken})
    assert "private_key cannot be read" in words
    assert PRIVATE[60:100] not in words


async def test_an_app_without_its_run_as_user_is_explained() -> None:
    crm = SalesforceCrm()
    crm.app.oauth.run_as = False
    assert "run-as user" in await refusal(crm, client_secret="handoff-secret")


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def refreshing(path: Path) -> dict[str, object]:
    secrets = {"client_secret": "handoff-secret", "refresh_token": "5Aep861-first"}
    return {"auth": "refresh_token", **secrets, "refresh_token_file": str(path)}


async def test_a_rotated_refresh_token_is_stored_for_its_owner_only_and_used_from_then_on(tmp_path: Path) -> None:
    crm, path = SalesforceCrm(), tmp_path / "token"
    crm.app.oauth.rotate = True
    for _ in range(3):
        await pull(Rig(crm, lambda: source(crm, **refreshing(path))))
        assert {path.read_text()} == crm.app.oauth.refresh_tokens
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files(tmp_path) == ["token"]


async def test_a_rotated_refresh_token_that_cannot_be_stored_is_not_used(tmp_path: Path) -> None:
    crm = SalesforceCrm()
    crm.app.oauth.rotate = True
    assert "cannot be stored" in await refusal(crm, **refreshing(tmp_path / "missing" / "token"))
    assert crm.calls() == 0


async def test_a_used_up_refresh_token_asks_for_a_new_authorisation(tmp_path: Path) -> None:
    crm = SalesforceCrm()
    crm.app.oauth.refresh_tokens.clear()
    assert "authorise the app again" in await refusal(crm, **refreshing(tmp_path / "token"))
    assert crm.app.calls["token"] == 1


async def test_many_requests_that_meet_one_dead_token_cause_one_login() -> None:
    crm, make = rig()
    ids = crm.add([f"deal {number}" for number in range(8)])
    async with make() as one:
        await one.read("deal", ids[:1])
        crm.revoke()
        found = await asyncio.gather(*(one.read("deal", [row]) for row in ids))
    assert [record.id for (record,) in found] == ids
    assert crm.app.calls["token"] == 2


async def test_a_session_that_may_not_use_the_api_is_an_auth_error_after_one_new_login() -> None:
    crm, make = rig()
    words = "This session is not valid for use with the REST API"
    crm.app.fail("query", "INVALID_SESSION_ID", words, status=401, times=-1)
    with pytest.raises(AuthError, match="session security level"):
        await pull(Rig(crm, make))
    assert crm.app.calls["token"] == 2


async def test_too_many_logins_are_a_rate_limit() -> None:
    crm, make = rig()
    crm.app.fail("token", "LOGIN_RATE_EXCEEDED", "Login Rate Exceeded", status=403, times=-1)
    with pytest.raises(RateLimited):
        await pull(Rig(crm, make))


async def test_a_login_page_in_place_of_a_token_is_transient() -> None:
    crm, make = rig()
    crm.box.fault("POST .*/token", "html_ok", times=-1)
    with pytest.raises(Transient):
        await pull(Rig(crm, make))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "client_secret is needed by auth: client_credentials"),
        ({"auth": "jwt"}, "username is needed by auth: jwt; private_key is needed"),
        ({"auth": "refresh_token", "refresh_token": "x"}, "refresh_token_file is needed"),
        ({"auth": "jwt", "username": "u", "private_key": "MIIE"}, "beginning with -----BEGIN"),
        ({"client_secret": "x", "login_url": "acme.my.salesforce.com"}, "must be an address"),
        ({"client_secret": "x", "login_url": "https://login.salesforce.com"}, "My Domain"),
        ({"client_secret": "x", "api_version": "66"}, "api_version"),
        ({"client_secret": "x", "colour": "red"}, "colour"),
    ],
)
def test_a_connection_that_cannot_work_is_refused_with_the_field_at_fault(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Connection.model_validate({"login_url": HOST, "client_id": "app", **settings})
    assert words in str(caught.value)


def test_secrets_are_shown_by_nothing() -> None:
    connection = Connection.model_validate({"login_url": HOST, "client_id": "app", "client_secret": "hush"})
    assert "hush" not in repr(connection) + str(connection) + connection.model_dump_json()
    with pytest.raises(ValidationError) as caught:
        Connection.model_validate({"login_url": HOST, "client_id": "app", "client_secret": "hush", "auth": "jwt", "private_key": "hush"})
    assert "hush" not in str(caught.value)


def test_a_sandbox_org_has_the_audience_of_sandboxes() -> None:
    for url, audience in (("https://acme--dev.sandbox.my.salesforce.com", "test"), ("https://acme.my.salesforce.com", "login")):
        assert Connection.model_validate({"login_url": url, "client_id": "a", **JWT}).jwt_audience == f"https://{audience}.salesforce.com"


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Connection.model_fields.values())
