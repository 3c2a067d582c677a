"""Pipedrive's webhooks, version 2: who signs in, and which records are named."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from connectors.pipedrive.push import Settings
from tests.connectors.push_rig import SYSTEMS, TOKEN, by_pipedrive, compact, delivery, endpoint

PIPEDRIVE = SYSTEMS["pipedrive"]
OWN = replace(PIPEDRIVE, settings=Settings(user="üser", password="pass:wörd"))


def event(entity: object = "deal", id: object = "77", **meta: object) -> bytes:
    told = {
        "action": "change",
        "entity": entity,
        "entity_id": id,
        "id": "8f2c1d1e-0000-4000-8000-000000000000",
        "company_id": "9",
        "timestamp": "2026-11-30T09:59:58.000Z",
        "user_id": "3",
        "attempt": 1,
        "version": "2.0",
        **meta,
    }
    return compact({"meta": told, "data": {"id": 666, "stage_id": 4}, "previous": {"stage_id": 3}})


@pytest.mark.parametrize(
    ("body", "hints"),
    [
        (event(), ["deal:77"]),
        (event(id=77), ["deal:77"]),
        (event("organization"), ["customer:77"]),
        (event("person"), ["contact:77"]),
        (event("deal", action="delete", merged_to_id="78"), ["deal:77", "deal:78"]),
        (event("organization", merged_from_id=79), ["customer:77", "customer:79"]),
        (event("product"), []),
        (event("pipeline"), []),
        (event(id=None), []),
        (event(id=["77"]), []),
        (event(id="7 7"), []),
    ],
)
def test_an_event_names_its_records(body: bytes, hints: list[str]) -> None:
    received = PIPEDRIVE.receive(by_pipedrive(body))
    assert [f"{hint.kind}:{hint.id}" for hint in received.hints] == hints
    assert (received.events, received.status) == (1, 200)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"meta":{}}', b'{"meta":[]}', b'{"v":1,"event":"updated.deal","meta":{"object":"deal","id":7}}']
)
def test_a_webhook_of_version_1_and_what_is_none_are_refused(body: bytes) -> None:
    assert PIPEDRIVE.refuses(by_pipedrive(body)) == (400, "body")


def test_user_and_password_may_be_ones_own() -> None:
    assert OWN.receive(by_pipedrive(event(), "üser", "pass:wörd")).events == 1
    assert OWN.refuses(by_pipedrive(event())) == (401, "signature")


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        basic("handoff:"),
        basic(f":{TOKEN}"),
        basic(f"Handoff:{TOKEN}"),
        basic(f"handoff:{TOKEN}x"),
        basic(f"handoff:{TOKEN}") + "x",
        basic(f"handoff:{TOKEN}").replace("Basic", "Bearer"),
        f"Basic handoff:{TOKEN}",
        TOKEN,
    ],
)
def test_another_sign_in_is_refused(given: str) -> None:
    assert PIPEDRIVE.refuses(delivery(event(), {"authorization": given})) == (401, "signature")
    assert PIPEDRIVE.refuses(delivery(event())) == (401, "signature")


def test_the_scheme_may_be_written_in_any_case() -> None:
    assert PIPEDRIVE.receive(delivery(event(), {"authorization": basic(f"handoff:{TOKEN}").replace("Basic", "basic")})).events == 1


def test_without_a_password_nobody_signs_in() -> None:
    assert replace(PIPEDRIVE, at=endpoint(token="")).refuses(by_pipedrive(event(), password="")) == (401, "signature")


def test_a_user_with_a_colon_is_not_configured() -> None:
    with pytest.raises(ValueError, match="user"):
        Settings(user="a:b")


def test_the_data_is_not_believed() -> None:
    assert all(hint.id != "666" for hint in PIPEDRIVE.receive(by_pipedrive(event())).hints)
