"""What holds for every system that pushes: junk, bombs, and bodies of which one byte is another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from connectors import push
from connectors.push import Delivery, Received, Refused
from connectors.registry import PUSHES, push_settings, receiver
from engine.model import Hint
from tests.connectors.push_rig import AT, SYSTEMS, TOKEN, URL, System, compact, message

EACH = pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
SIGNED = {name: system for name, system in SYSTEMS.items() if system.signed}
JSON = {name: system for name, system in SYSTEMS.items() if name != "salesforce"}

# Words that mean something to one system or another, so that junk gets far
WORDS = [
    *("_model", "_id", "crm.lead", "project.task", "event_name", "task.create", "token", TOKEN, "module", "Deals", "ids", "events"),
    *("meta", "entity", "entity_id", "deal", "merged_to_id", "header", "event_type", "type", "url_verification", "challenge", "v-token"),
    *("drive.file.bitable_record_changed_v1", "encrypt", "EventType", "check_url", "data", "id", "subscriptionType", "deal.merge"),
    *("object.creation", "objectTypeId", "0-3", "objectId", "mergedObjectIds", "deal.associationChange", "associationType"),
    *("DEAL_TO_COMPANY", "fromObjectId", "toObjectId"),
]
words = st.sampled_from(WORDS) | st.text(max_size=5)
numbers = st.integers() | st.integers(min_value=10**300, max_value=10**301) | st.floats() | st.booleans() | st.none()
values: st.SearchStrategy[Any] = st.recursive(
    words | numbers, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(words, inner, max_size=6), max_leaves=25
)


def twisted(sample: Any) -> st.SearchStrategy[Any]:
    """What looks like a sample, with anything in the place of some of it."""
    if isinstance(sample, dict):
        return st.fixed_dictionaries({}, optional={name: twisted(value) for name, value in sample.items()}) | values
    if isinstance(sample, list):
        return st.lists(st.one_of(*map(twisted, sample)), max_size=4) | values
    return st.just(sample) | values


bodies = st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode())
latin = st.text(st.characters(max_codepoint=255), max_size=80)
HEADERS = [
    *("content-type", "authorization", "x-hook-secret", "x-hook-signature", "x-hubspot-signature-v3", "x-hubspot-request-timestamp"),
    *("x-lark-signature", "x-lark-request-timestamp", "x-lark-request-nonce", "x-hub-signature", "x-hubspot-signature"),
]
GIVEN = ["application/json", "text/xml", "Basic ", "Basic aGFuZG9mZjo=", f"sha256={'0' * 64}", "1796032800", "1796032800000", "²", "-1"]
headers = st.dictionaries(st.sampled_from(HEADERS), latin | st.sampled_from(GIVEN), max_size=6)
queries = st.dictionaries(st.sampled_from(["msg_signature", "signature", "timestamp", "timeStamp", "nonce", "token"]), latin, max_size=4)


def taken(system: System, delivery: Delivery) -> bool:
    """Whether it is taken. Whatever else happens than being taken or refused is a failure."""
    try:
        received = system.receive(delivery)
    except Refused:
        return False
    assert isinstance(received, Received)
    for hint in received.hints:
        assert hint == push.TOOL or (0 < len(hint.id) <= 128 and hint.id.isprintable() and " " not in hint.id)
    assert len(set(received.hints)) == len(received.hints)
    return True


def test_each_system_that_pushes_is_here() -> None:
    assert set(SYSTEMS) == set(PUSHES)


@EACH
def test_what_is_genuine_is_taken(system: System) -> None:
    assert system.receive(system.send(system.sample)).hints


@pytest.mark.parametrize("name", PUSHES)
def test_the_registry_knows_its_parts(name: str) -> None:
    system = SYSTEMS[name]
    model = push_settings(name)
    assert model is not None
    assert (model, receiver(name)) == (type(system.settings), system.module.receive)
    assert all(each.description for each in model.model_fields.values())


@pytest.mark.parametrize("name", sorted(set(PUSHES) - {"asana", "zoho", "odoo"}))
def test_what_is_to_be_done_by_hand_names_the_address(name: str) -> None:
    told = SYSTEMS[name].module.HOW.format(url=URL, token=TOKEN)
    assert URL in told


@EACH
@settings(max_examples=100, deadline=None)
@given(body=bodies, headers=headers, query=queries, method=st.sampled_from(["POST", "POST", "POST", "GET", "PUT", ""]))
def test_whatever_arrives_is_taken_or_refused(
    system: System, body: bytes, headers: Mapping[str, str], query: Mapping[str, str], method: str
) -> None:
    url = f"{URL}?{query['nonce']}" if "nonce" in query else URL
    taken(system, Delivery(method, url, query, headers, body, AT))


@EACH
@settings(max_examples=100, deadline=None)
@given(body=bodies)
def test_whatever_is_genuine_is_taken_or_refused(system: System, body: bytes) -> None:
    taken(system, system.send(body))


@pytest.mark.parametrize("system", JSON.values(), ids=JSON)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_is_nearly_as_it_should_be_is_taken_or_refused(system: System, data: st.DataObject) -> None:
    taken(system, system.send(compact(data.draw(twisted(json.loads(system.sample))))))


@pytest.mark.parametrize("system", SIGNED.values(), ids=SIGNED)
def test_no_byte_of_what_is_signed_may_be_another(system: System) -> None:
    sent = system.send(system.sample)
    for place in range(len(sent.body)):
        for flip in (0x01, 0x20, 0x80):
            body = bytearray(sent.body)
            body[place] ^= flip
            assert not taken(system, replace(sent, body=bytes(body))), (place, flip)


@EACH
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"])
def test_only_a_post_is_taken(system: System, method: str) -> None:
    assert system.refuses(replace(system.send(system.sample), method=method)) == (405, "method")


BOMBS = {
    "nothing": b"",
    "no object": b"7",
    "null": b"null",
    "depth": b"[" * 100_000,
    "depth of objects": b'{"a":' * 100_000,
    "depth, closed": b"[" * 50_000 + b"]" * 50_000,
    "a number without end": b'{"_id":' + b"9" * 100_000 + b"}",
    "NaN": b'{"_model":"crm.lead","_id":1,"event_name":"x","a":NaN}',
    "infinity": b'{"_model":"crm.lead","_id":1,"event_name":"x","a":-Infinity}',
    "not UTF-8": b'{"_model":"crm.lead","_id":1,"event_name":"\xff"}',
    "UTF-16": '{"_model":"crm.lead","_id":1,"event_name":"x"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + b'{"_model":"crm.lead","_id":1,"event_name":"x"}',
    "two things": b'{"_model":"crm.lead","_id":1,"event_name":"x"}{}',
    "a key twice": b'{"_model":"crm.lead","_id":1,"event_name":"x","_id":2}',
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("system", JSON.values(), ids=JSON)
def test_a_body_that_is_no_json_of_ours_is_refused(system: System, body: bytes) -> None:
    assert not taken(system, system.send(body))


@pytest.mark.parametrize("name", ["odoo", "salesforce", "generic"])
@pytest.mark.parametrize("given", ["", "application/x-www-form-urlencoded", "text/plain", "application/json5", "multipart/form-data"])
def test_a_body_of_another_type_is_refused(name: str, given: str) -> None:
    sent = SYSTEMS[name].send(SYSTEMS[name].sample)
    assert SYSTEMS[name].refuses(replace(sent, headers={**sent.headers, "content-type": given})) == (415, "type")


def test_a_type_may_have_parameters() -> None:
    push.typed(Delivery("POST", URL, {}, {"content-type": "Application/JSON ; charset=utf-8"}, b"", AT), "application/json")


@EACH
def test_a_refusal_tells_nothing_of_what_came(system: System) -> None:
    marker = b"MARKER-of-a-customer"
    broken = message(organization=marker.decode()) if system is SYSTEMS["salesforce"] else b'{"token":"' + marker + b'","x":NaN}'
    with pytest.raises(Refused) as refused:
        system.receive(system.send(broken))
    assert marker.decode() not in f"{refused.value}{refused.value.reason}{refused.value.args}"


# the parts they share


def test_where_there_is_no_secret_nothing_is_it() -> None:
    assert push.same("a", "a")
    assert not any(push.same(given, "") for given in ("", "a", None))
    assert not any(push.same(given, "1") for given in (1, True, None, ["1"], b"1", "\ud800"))


@pytest.mark.parametrize(("seconds", "fits"), [(0, True), (300, True), (-300, True), (301, False), (-301, False), (10**9, False)])
@pytest.mark.parametrize("per_second", [1, 1000])
def test_a_moment_may_be_five_minutes_off(seconds: int, fits: bool, per_second: Any) -> None:
    stamp = str((int(AT.timestamp()) + seconds) * per_second)
    if fits:
        push.timely(stamp, AT, per_second=per_second)
        return
    with pytest.raises(Refused) as refused:
        push.timely(stamp, AT, per_second=per_second)
    assert (refused.value.status, refused.value.reason) == (401, "stale")


@pytest.mark.parametrize("stamp", ["", " ", "-1796032800", "1796032800.0", "1e9", "²", "٣", "9" * 400, "0x6B0E0A20"])
def test_what_is_no_moment_is_stale(stamp: str) -> None:
    with pytest.raises(Refused, match="stale"):
        push.timely(stamp, AT, per_second=1)


JUNK: list[object] = [None, "", " ", "a b", "a\n", "a\x00", "\ud800", "a" * 129, True, 0, -1, 1.0, 10**200, [], {}, "\u2028"]


def test_what_cannot_be_an_id_is_no_hint() -> None:
    assert push.named([("deal", each) for each in JUNK]) == ()
    good = [("deal", "a" * 128), ("deal", 7), ("deal", "7"), ("customer", "7"), (None, "9"), ("deal", "編號")]
    assert push.named(good) == (Hint("deal", "a" * 128), Hint("deal", "7"), Hint("customer", "7"), Hint("deal", "編號"))  # type: ignore[arg-type]


def test_a_path_leads_to_nothing_where_nothing_is() -> None:
    data = {"a": {"b": 1, "c": "x"}}
    assert [push.at(data, "a", "b"), push.at(data, "a", "b", "c"), push.at([], "a"), push.at(data)] == [1, None, None, data]
    assert [push.word(data, "a", "c"), push.word(data, "a", "b"), push.word(None, "a")] == ["x", "", ""]


def test_settings_keep_a_wrong_secret_out_of_their_errors() -> None:
    model = push_settings("dingtalk")
    assert model is not None
    with pytest.raises(ValueError, match="43 letters") as wrong:
        model.model_validate({"token": "t", "aes_key": "almost-the-key", "owner": "o"})
    assert "almost" not in str(wrong.value)


# the pages


def examples() -> Iterator[Any]:
    """Each `push:` section that a page of a system shows."""
    for page in sorted((Path(__file__).parents[2] / "docs" / "systems").glob("*.md")):
        text = re.sub(r"^   (?=\S|  )", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for name, body in re.findall(r"^```yaml\n# mappings/(\w+)\.yaml\n(push:.*?)^```$", text, re.MULTILINE | re.DOTALL):
            section = YAML(typ="safe").load(body.replace("${DINGTALK_AES_KEY}", "k" * 43))["push"]
            system = section.pop("system", name)  # whose webhooks they are
            yield pytest.param(system, section, id=system)


def test_each_system_that_pushes_has_a_page_that_shows_how() -> None:
    assert {each.id for each in examples()} == set(PUSHES)


@pytest.mark.parametrize(("system", "section"), list(examples()))
def test_a_push_section_of_a_page_is_one(system: str, section: dict[str, Any]) -> None:
    model = push_settings(system)
    assert model is not None
    model.model_validate(section)
