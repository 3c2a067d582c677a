"""One token for all, asked for as rarely as possible and sent to nobody else; refusals that say what to do."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.base import AuthError, RateLimited, Runtime, Transient
from connectors.zoho import Connection, ZohoSource
from connectors.zoho.connection import CENTRES, is_vendors
from sandbox.web import InProcess
from tests.connectors.zoho_rig import DEAL, HOST, LOGIN, ZohoCrm, rig, street


async def quiet(source: ZohoSource) -> None:
    async with source:
        await source.read("deal", ["1"])


def connection(path: Path | None = None, **settings: object) -> Connection:
    return Connection.model_validate({**LOGIN, "accounts_url": HOST, "api_url": HOST, "token_file": path, **settings})


def source(crm: ZohoCrm, settings: Connection) -> ZohoSource:
    runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep, transport=InProcess({HOST: crm.box}))
    return ZohoSource(settings, {"deal": DEAL}, runtime=runtime)


async def test_many_runs_and_many_at_once_share_one_token() -> None:
    crm, make = rig()
    for _ in range(12):
        await quiet(make())
    await asyncio.gather(*(quiet(make()) for _ in range(6)))
    assert crm.app.calls["token"] == 1


async def test_a_token_is_replaced_before_it_ends() -> None:
    crm, make = rig()
    await quiet(make())
    crm.clock.move(minutes=59, seconds=30)
    await quiet(make())
    assert crm.app.calls["token"] == 2
    assert crm.app.calls["list"] == 2, "no request met a dead token"


async def test_many_requests_and_processes_that_meet_one_dead_token_ask_for_one_new_one() -> None:
    crm, make = rig()
    rows = crm.add(["a", "b", "c"])
    async with make() as one, make() as other:
        await one.read("deal", rows)
        await other.read("deal", rows)
        crm.revoke()
        await asyncio.gather(*(each.read("deal", rows) for each in (one, other) for _ in range(4)))
    assert crm.app.calls["token"] == 2


async def test_in_a_storm_of_refusals_the_tenth_token_is_never_asked_for() -> None:
    crm, make = rig()
    refused: list[RateLimited] = []
    for _ in range(15):
        crm.revoke()
        try:
            await quiet(make())
        except RateLimited as error:
            refused.append(error)
    assert crm.app.calls["token"] == 9
    assert len(refused) == 6
    assert all(0 < error.retry_after <= 600 for error in refused)
    crm.clock.move(minutes=10, seconds=1)
    await quiet(make())
    assert crm.app.calls["token"] == 10


async def test_an_answer_with_a_token_that_is_lost_counts_among_those_asked_for() -> None:
    crm, make = rig()
    crm.box.fault("POST /oauth", "reset_after", times=-1)
    for _ in range(5):
        with pytest.raises((Transient, RateLimited)):
            await quiet(make())
    assert crm.app.calls["token"] == 9


async def test_without_a_file_a_process_keeps_its_own_token() -> None:
    crm = ZohoCrm()
    async with source(crm, connection()) as one:
        for _ in range(3):
            await one.read("deal", ["1"])
    assert crm.app.calls["token"] == 1


async def test_the_file_is_its_owners_alone_and_holds_no_lasting_secret(tmp_path: Path) -> None:
    crm, path = ZohoCrm(), tmp_path / "below" / "zoho.token"
    await quiet(source(crm, connection(path)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.with_name("zoho.token.lock").stat().st_mode) == 0o600
    assert not [secret for secret in (LOGIN["client_secret"], LOGIN["refresh_token"]) if secret in path.read_text()]
    assert sorted(each.name for each in path.parent.iterdir()) == ["zoho.token", "zoho.token.lock"]


@pytest.mark.parametrize("held", ["", "{", "[]", '{"whose": "me"}', '{"whose": 1, "token": {}, "asked": 3}'])
async def test_a_file_that_is_broken_is_replaced(tmp_path: Path, held: str) -> None:
    crm, path = ZohoCrm(), tmp_path / "token"
    path.write_text(held)
    await quiet(source(crm, connection(path)))
    assert json.loads(path.read_text())["token"]["text"] in crm.app.oauth.tokens


async def test_the_token_of_another_client_is_not_used(tmp_path: Path) -> None:
    crm, path = ZohoCrm(), tmp_path / "token"
    await quiet(source(crm, connection(path)))
    crm.app.oauth.refresh_tokens.add("1000.other.refresh")
    await quiet(source(crm, connection(path, refresh_token="1000.other.refresh")))
    assert crm.app.calls["token"] == 2


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuthError, match=r"zoho\.token.*make its folder writable"):
        await quiet(source(ZohoCrm(), connection(tmp_path / "file" / "zoho.token")))


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"client_id": "1000.OTHER"}, "region"),
        ({"client_secret": "another"}, "client_secret"),
        ({"refresh_token": "1000.gone"}, "revoked"),
    ],
)
async def test_a_refusal_says_what_to_look_at(wrong: dict[str, str], advice: str) -> None:
    with pytest.raises(AuthError, match=advice) as caught:
        await quiet(source(ZohoCrm(), connection(None, **wrong)))
    assert not [secret for secret in wrong.values() if secret in caught.value.message]


async def test_zohos_own_refusal_of_too_many_is_understood() -> None:
    crm = ZohoCrm()
    crm.app.oauth.mints = 0
    with pytest.raises(RateLimited) as caught:
        await quiet(source(crm, connection()))
    assert caught.value.retry_after == 600
    assert crm.app.calls["token"] == 1


async def test_a_missing_scope_is_explained_and_costs_one_more_token_at_most() -> None:
    crm, make = rig()
    crm.app.oauth.grant(["ZohoCRM.modules.accounts.READ"])
    with pytest.raises(AuthError, match="scopes"):
        await quiet(make())
    assert crm.app.calls["token"] == 2


# hosts


@pytest.mark.parametrize("region", CENTRES)
async def test_each_region_has_its_hosts(region: str) -> None:
    crm, centre = ZohoCrm(), CENTRES[region]  # type: ignore[index]
    hosts = InProcess({f"https://{centre.accounts}": crm.box, f"https://{centre.api}": crm.box})
    settings = Connection.model_validate({**LOGIN, "region": region})
    runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep, transport=hosts)
    await quiet(ZohoSource(settings, {"deal": DEAL}, runtime=runtime))
    assert crm.app.calls["list"] == 1


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("https://www.zohoapis.eu", "https://www.zohoapis.eu"),
        ("https://sandbox.zohoapis.com", "https://sandbox.zohoapis.com"),
        ("https://www.zohoapis.com.evil.example", "https://www.zohoapis.com"),
        ("http://www.zohoapis.com", "https://www.zohoapis.com"),
        ("https://evil.example", "https://www.zohoapis.com"),
    ],
)
async def test_a_token_goes_to_the_vendors_hosts_only(told: str, asked: str) -> None:
    crm = ZohoCrm()
    crm.app.oauth.api_domain = told
    hosts = InProcess({"https://accounts.test": crm.box, asked: crm.box})
    runtime = Runtime(clock=crm.clock, sleep=crm.clock.sleep, transport=hosts)
    settings = Connection.model_validate({**LOGIN, "accounts_url": "https://accounts.test"})
    await quiet(ZohoSource(settings, {"deal": DEAL}, runtime=runtime))
    assert crm.app.calls["list"] == 1


def test_addresses_with_tricks_are_not_the_vendors() -> None:
    tricks = [
        "https://www.zohoapis.com@evil.example",
        "https://x@www.zohoapis.com",
        "https://www.zohoapis.com:8443",
        "https://zohoapis.com",
    ]
    assert not [address for address in tricks if is_vendors(address)]
    assert is_vendors("https://www.zohoapis.com.cn")


def test_an_override_is_an_address() -> None:
    with pytest.raises(ValueError, match="address"):
        connection(None, api_url="zoho.test")


async def test_a_clock_that_was_set_back_does_not_hold_tokens_up_for_ever(tmp_path: Path) -> None:
    crm, path = ZohoCrm(), tmp_path / "token"
    await quiet(source(crm, connection(path)))
    crm.clock.now = datetime(2026, 1, 1, tzinfo=UTC)
    crm.revoke()
    await quiet(source(crm, connection(path)))
    crm.clock.now += timedelta(minutes=1)
    assert crm.app.calls["token"] == 2


def test_processes_that_start_together_ask_for_one_token(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from connectors.zoho import Connection, ZohoSource; from engine.model import Read\n"
        "async def read():\n"
        "    async with ZohoSource(Connection.model_validate_json(sys.argv[1]), {'deal': Read('Deals', ('Deal_Name',))}) as source:\n"
        "        print(len(await source.read('deal', [sys.argv[2]])))\n"
        "asyncio.run(read())"
    )
    with street() as over:
        crm = ZohoCrm()
        crm.clock.now = datetime.now(UTC)
        (row,) = crm.add(["deal"])
        crm.box.fault("POST /oauth", "slow", times=-1, seconds=0.3)
        crm.box._sleep = asyncio.sleep
        address = over.house(crm.box)
        settings = json.dumps({**LOGIN, "accounts_url": address, "api_url": address, "token_file": str(tmp_path / "token")})
        command = [sys.executable, "-c", code, settings, row]
        started = [subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) for _ in range(3)]  # noqa: S603 – ours
        assert [each.communicate(timeout=60)[0].strip() for each in started] == [b"1"] * 3
    assert crm.app.calls["token"] == 1
