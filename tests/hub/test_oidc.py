"""Signing in by way of an OpenID provider that answers on loopback, and everything a provider, or somebody in its name, may get wrong."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.base import ConfigError
from hub import oidc
from hub.oidc import client
from sandbox.oidc import Oidc, new_key
from sandbox.web import Sandbox
from tests.flows.desk import on_loopback
from tests.hub import rig
from tests.hub.rig import Clock, Hub

PUBLIC = "http://127.0.0.1:1"  # where the provider sends people back to; the tests go to the hub's own port instead


@dataclass(slots=True)
class House:
    """A hub, the provider it trusts, and somebody with a browser."""

    hub: Hub
    provider: Oidc
    browser: httpx.Client

    def leave(self, to: str = "/approvals") -> str:
        """Off to the provider; gives where it sends one back to."""
        away = self.browser.get("/sign-in/oidc", params={"next": to})
        assert away.status_code == 303, away.text
        back = httpx.get(away.headers["location"])
        return str(back.headers["location"]).removeprefix(PUBLIC)

    def sign_in(self) -> httpx.Response:
        return self.browser.get(self.leave())


@contextmanager
def house(path: Path, **env: str) -> Iterator[House]:
    clock = Clock()
    provider = Oidc(clock, client_id="hub", client_secret="s3cret", redirect=f"{PUBLIC}/sign-in/back")
    with on_loopback([Sandbox(provider)]) as (provider.issuer,):
        listed = {"HANDOFF_OIDC_READERS": "*@example.com, guest@elsewhere.example", "HANDOFF_OIDC_APPROVERS": "ana@example.com"}
        named = {"HANDOFF_OIDC_ISSUER": provider.issuer, "HANDOFF_OIDC_CLIENT_ID": "hub", "HANDOFF_OIDC_CLIENT_SECRET": "s3cret"}
        given: dict[str, Any] = {**listed, **named, **env}
        with rig.hub(path, url=PUBLIC, **given) as hub:
            hub.clock.now = clock.now
            provider.clock = hub.clock
            yield House(hub, provider, hub.browser())


@pytest.fixture(name="at")
def at(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as ready:
        yield ready


def test_somebody_on_the_list_comes_in_by_their_e_mail(at: House) -> None:
    assert "organisation" in at.browser.get("/sign-in").text
    answer = at.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals")
    page = at.browser.get("/").text
    assert "mia@example.com" in page
    assert "<small>reader</small>" in page
    assert "handoff_attempt" not in at.browser.cookies


@pytest.mark.parametrize(
    ("email", "role"),
    [("Ana@Example.com", "approver"), ("guest@elsewhere.example", "reader"), ("x@elsewhere.example", ""), ("x@example.com.evil", "")],
)
def test_the_list_says_who_may_do_what(at: House, email: str, role: str) -> None:
    at.provider.person["email"] = email
    assert at.sign_in().status_code == (303 if role else 403)
    page = at.browser.get("/")
    assert (f"<small>{role}</small>" in page.text) if role else page.status_code == 303


FORGED: dict[str, dict[str, Any]] = {
    "nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "audience": {"aud": "somebody else"},
    "several audiences": {"aud": ["hub", "other"], "azp": "other"},
    "issuer": {"iss": "https://evil.example"},
    "expired": {"exp": 1_700_000_000},
    "from the future": {"iat": 4_000_000_000, "exp": 4_000_000_300},
    "no end": {"exp": None},
    "e-mail not verified": {"email_verified": False},
    "e-mail perhaps verified": {"email_verified": None},
    "e-mail verified in words": {"email_verified": "false"},
    "no e-mail": {"email": None},
    "no subject": {"sub": None},
}


@pytest.mark.parametrize("what", FORGED)
def test_what_the_provider_says_is_believed_only_when_all_of_it_is_right(at: House, what: str) -> None:
    at.provider.claims = FORGED[what]
    assert at.sign_in().status_code == 403
    assert at.browser.get("/").status_code == 303
    at.provider.claims = {}
    assert at.sign_in().status_code == 303


def test_a_signature_by_another_key_is_none(at: House) -> None:
    at.provider.signs_with = new_key()
    assert at.sign_in().status_code == 403


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_signature_anybody_could_make_is_none(at: House, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    public = at.provider.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    monkeypatch.setattr(jwt.algorithms.HMACAlgorithm, "prepare_key", lambda self, key: key)  # the library would not sign so by itself
    at.provider.algorithm, at.provider.signs_with = algorithm, None if algorithm == "none" else public
    assert at.sign_in().status_code == 403


def test_a_provider_that_takes_a_new_key_is_asked_for_it(at: House) -> None:
    assert at.sign_in().status_code == 303
    at.provider.key, at.provider.key_id = new_key(), "second"
    at.provider.signs_with = at.provider.key
    at.hub.clock.move(minutes=2)
    assert at.sign_in().status_code == 303


def test_a_state_that_is_not_ours_a_code_twice_and_a_cookie_of_somebody_else_are_refused(at: House) -> None:
    back = at.leave()
    assert at.browser.get(back.replace("state=", "state=x")).status_code == 403
    assert at.browser.get("/sign-in/back?error=access_denied&state=x").status_code == 403
    assert at.hub.browser().get(back).status_code == 400
    assert at.browser.get(back).status_code == 303
    assert at.browser.get(back).status_code == 400
    again = at.leave()
    at.hub.clock.move(minutes=11)
    assert at.browser.get(again).status_code == 400


def test_a_code_is_of_no_use_without_the_verifier_it_was_asked_for_with(at: House) -> None:
    stolen = at.leave()
    thief = at.hub.browser()
    other = House(at.hub, at.provider, thief)
    mine = other.leave()
    code = stolen.split("code=")[1].split("&")[0]
    assert thief.get(mine.replace(mine.split("code=")[1].split("&")[0], code)).status_code == 403


def test_whoever_is_taken_off_the_list_is_out(tmp_path: Path) -> None:
    with house(tmp_path) as at:
        assert at.sign_in().status_code == 303
        cookie = dict(at.browser.cookies)
        assert at.browser.get("/").status_code == 200
    with house(tmp_path, HANDOFF_OIDC_READERS="") as at:
        at.browser.cookies.update(cookie)
        assert at.browser.get("/").status_code == 303


def test_a_provider_that_is_somebody_else_or_away_is_said_so(at: House) -> None:
    at.provider.metadata = {"issuer": "https://evil.example"}
    assert at.browser.get("/sign-in/oidc").status_code == 502
    at.provider.metadata = {"token_endpoint": "http://evil.example/token"}
    assert at.browser.get("/sign-in/oidc").status_code == 502
    at.provider.metadata = {}
    assert at.sign_in().status_code == 303


def test_an_e_mail_nobody_verified_counts_where_that_was_asked_for(tmp_path: Path) -> None:
    with house(tmp_path, HANDOFF_OIDC_UNVERIFIED_EMAIL="yes") as at:
        at.provider.claims = {"email_verified": None}
        assert at.sign_in().status_code == 303


def test_a_session_of_the_providers_is_over_with_its_time(at: House) -> None:
    assert at.sign_in().status_code == 303
    at.hub.clock.now += timedelta(hours=12)
    assert at.browser.get("/").status_code == 303


@pytest.mark.parametrize(
    ("env", "url", "told"),
    [
        ({"HANDOFF_OIDC_READERS": "*"}, "https://hub.example.com", "HANDOFF_OIDC_CLIENT_ID is not set"),
        ({"HANDOFF_OIDC_CLIENT_ID": "a", "HANDOFF_OIDC_CLIENT_SECRET": "b", "HANDOFF_OIDC_READERS": "*"}, "", "HANDOFF_HUB_URL is not set"),
        ({"HANDOFF_OIDC_CLIENT_ID": "a", "HANDOFF_OIDC_CLIENT_SECRET": "b"}, "https://hub.example.com", "nobody may come in"),
        ({"HANDOFF_OIDC_ISSUER": "http://idp.example.com"}, "https://hub.example.com", "not an https address"),
    ],
)
def test_a_configuration_that_cannot_work_is_said_before_anybody_tries(env: dict[str, str], url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        client({"HANDOFF_OIDC_ISSUER": "https://idp.example.com", **env}, url)
    assert client({}, url) is None


def test_a_provider_that_stalls_holds_up_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "_TIMEOUT", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(40) as crowd:
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {"ISSUER": issuer, "CLIENT_ID": "hub", "CLIENT_SECRET": "s3cret", "READERS": "*@example.com"}
        named: dict[str, Any] = {f"HANDOFF_OIDC_{name}": value for name, value in env.items()}
        with rig.hub(tmp_path, url=PUBLIC, **named) as hub:
            asked = [crowd.submit(httpx.get, f"{hub.url}/sign-in/oidc", timeout=60) for _ in range(40)]
            wait(asked, return_when=FIRST_COMPLETED)
            begun = time.monotonic()
            assert hub.deliver(*(f"{number:050}" for number in range(2000))).status_code == 200
            assert time.monotonic() - begun < 2
            assert {one.result().status_code for one in asked} == {502}
