"""What people see and decide, page by page, and the same for programs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.model import Action, Hint, Item
from hub.plans import sheets
from hub.show import said
from state import Note, Outbox, Store
from state.approvals import Approval, Approvals, Question
from state.inbox import Arrivals, Inbox
from state.subscriptions import Subscribed, Subscriptions
from tests.hub.rig import START, Hub
from tests.hub.test_access import form_token

PROJECT = "salesforce:deal:006/onboarding"
NASTY = '<script>alert("1")</script>\u202e 王小明'


def action(op: str, kind: str, slot: str = "", **more: Any) -> dict[str, Any]:
    shared = {"target": "asana", "source": "salesforce:deal:006", "event": "deal.won", "why": "rule onboard, rules.yaml:6"}
    return {"op": op, "kind": kind, "key": f"{PROJECT}/{slot}" if slot else PROJECT, **shared, **more}


PLAN = {
    "digest": "abc123",
    "actions": [
        action("create", "project", fields={"name": f"Onboarding {NASTY}", "start_on": "2026-03-09", "owner": "mia@example.com"}),
        action("create", "task", "kickoff", fields={"name": "Kick off", "due_on": "2026-03-11", "notes": "**Bring** <img src=x>"}),
        action("update", "task", "scope", changed={"due_on": "2026-03-20", "custom.value": "1200"}),
        action("create", "comment", "note", fields={"text": "Now worth [more](javascript:alert)"}),
        action("publish", "project"),
    ],
    "decisions": [{"source": "salesforce:deal:007", "rule": "onboard", "verdict": "passed", "reason": "deal.amount is 10"}],
}


def ask(hub: Hub, subject: str = "salesforce:deal:006", **plan: Any) -> Approval:
    question = Question(subject, "abc123", f"Big deal {NASTY}", ["rule onboard asks for a person"], {**PLAN, **plan})
    made: Approval = hub.look(lambda db: Approvals(db).ask(question, hub.clock(), hub.clock() + timedelta(hours=72)))
    return made


def made(hub: Hub) -> Store:
    assert isinstance(hub.state, Path)
    return Store(hub.state, now=START)


def test_without_a_state_the_overview_says_what_to_do(hub: Hub) -> None:
    page = hub.signed_in().get("/")
    assert page.status_code == 200
    assert "handoff sync" in page.text


def test_the_overview_says_where_things_stand_and_what_waits_with_the_commands(hub: Hub) -> None:
    with made(hub) as store:
        store.start_run("20260302-1", "sync", START)
        store.end_run("20260302-1", "with errors", {"created": 3}, START + timedelta(seconds=90), error="asana: refused <it>")
        store.save_recheck("salesforce", "deal", {"006": "no such field <b>"}, START)
    hub.look(lambda db: Inbox(db).store(arrived("1"), hub.clock()))
    ask(hub)
    page = hub.signed_in().get("/").text
    for shown in ("20260302-1", "with errors", "3 created", "90 s", "asana: refused &lt;it&gt;", "no such field &lt;b&gt;"):
        assert shown in page
    assert "handoff resolve undecided/006 dismiss" in page
    assert "1 record" in page
    assert 'href="/approvals/1"' in page


def arrived(*ids: str) -> Arrivals:
    made = Arrivals()
    made.add("salesforce", [Hint("deal", id_) for id_ in ids], events=len(ids))
    return made


def test_pushes_are_shown_with_what_is_wrong_with_them(hub: Hub) -> None:
    hub.look(lambda db: Inbox(db).store(arrived("1", "2"), hub.clock()))
    hub.look(lambda db: Inbox(db).note_missed("salesforce", 4, hub.clock()))
    rows = [
        Subscribed("asana", "11", "1", expires_at=START + timedelta(hours=3)),
        Subscribed("asana", "12", "2", healthy=False, detail="it was <deleted>"),
    ]
    hub.look(lambda db: Subscriptions(db).save(rows, hub.clock()))
    page = hub.signed_in().get("/pushes").text
    assert "its subscription expires at 2026-03-02 12:00 UTC" in page
    assert "12: it was &lt;deleted&gt;" in page
    assert "it has a <code>push:</code> section, and nobody asked it to push" in page
    assert "salesforce</b>: " not in page


def test_an_approval_is_readable_whole_and_none_of_it_is_markup(hub: Hub) -> None:
    with made(hub) as store:
        item = Item(f"{PROJECT}/scope", "task", {"name": "Scope", "due_on": "2026-03-15"}, PROJECT, PROJECT)
        cause = ("onboarding", "deal.won", START, "onboard", "rule")
        store.start_run("r", "sync", START)
        with store.transaction():
            Outbox(store).decide([Action("create", item, "asana", "salesforce:deal:006", *cause)], "r", START)
    one = ask(hub)
    page = hub.signed_in("approver").get(f"/approvals/{one.number}").text
    for shown in ("Kick off", "2026-03-11", "mia@example.com", "Scope", "2026-03-20", "<strong>Bring</strong>", "deal.amount is 10"):
        assert shown in page
    assert "<del><bdi>2026-03-15</bdi></del>" in page
    assert "王小明" in page
    for never in ("<script", "<img", 'javascript:alert"', "\u202e"):
        assert never not in page


def test_an_approver_approves_by_name_and_once(hub: Hub) -> None:
    one, browser = ask(hub), hub.signed_in("approver", "Ana 安娜")
    page = browser.get(f"/approvals/{one.number}")
    given = {"form_token": form_token(page), "answer": "approve"}
    assert browser.post(f"/approvals/{one.number}", data=given).status_code == 303
    found = hub.look(lambda db: Approvals(db).get(one.number))
    assert (found.state, found.decided_by, found.decided_at) == ("approved", "Ana 安娜", hub.clock())
    again = browser.post(f"/approvals/{one.number}", data=given | {"answer": "reject", "words": "no"})
    assert (again.status_code, "is approved already" in again.text) == (409, True)
    listed = browser.get("/approvals").text
    assert "Ana 安娜" in listed
    assert "Nothing waits" in listed


def test_rejecting_needs_words_which_are_kept(hub: Hub) -> None:
    one, browser = ask(hub), hub.signed_in("approver")
    given = {"form_token": form_token(browser.get(f"/approvals/{one.number}")), "answer": "reject"}
    assert browser.post(f"/approvals/{one.number}", data=given | {"words": "  "}).status_code == 400
    assert browser.post(f"/approvals/{one.number}", data=given | {"words": "<b>too early</b>"}).status_code == 303
    assert hub.look(lambda db: Approvals(db).get(one.number)).words == "<b>too early</b>"
    assert "&lt;b&gt;too early" in browser.get(f"/approvals/{one.number}").text


def test_readers_only_read(hub: Hub) -> None:
    one, browser = ask(hub), hub.signed_in("reader")
    page = browser.get(f"/approvals/{one.number}")
    assert "deciding is for approvers" in page.text
    given = {"form_token": form_token(page), "answer": "approve"}
    assert browser.post(f"/approvals/{one.number}", data=given).status_code == 403
    answer = hub.client.post(f"/api/approvals/{one.number}", json={"answer": "approved"}, headers=hub.bearer("reader"))
    assert answer.status_code == 403
    assert hub.look(lambda db: Approvals(db).get(one.number)).state == "waiting"


@pytest.mark.parametrize("answer", ["", "approved", "dismiss"])
def test_an_approval_is_not_decided_by_a_form_without_an_answer_or_its_token(hub: Hub, answer: str) -> None:
    one, browser = ask(hub), hub.signed_in("approver")
    token = form_token(browser.get(f"/approvals/{one.number}"))
    assert browser.post(f"/approvals/{one.number}", data={"form_token": token, "answer": answer}).status_code == 400
    assert browser.post(f"/approvals/{one.number}", data={"answer": "approve"}).status_code == 403
    assert hub.look(lambda db: Approvals(db).get(one.number)).state == "waiting"


def test_what_has_expired_is_not_approved(hub: Hub) -> None:
    one = ask(hub)
    hub.clock.move(hours=73)
    browser = hub.signed_in("approver")
    page = browser.get(f"/approvals/{one.number}")
    assert 'value="approve"' not in page.text
    answer = browser.post(f"/approvals/{one.number}", data={"form_token": form_token(page), "answer": "approve"})
    assert (answer.status_code, "is expired already" in answer.text) == (409, True)


def test_what_is_not_there_is_said_so(hub: Hub) -> None:
    assert hub.signed_in().get("/approvals/99").status_code == 404
    assert hub.client.get("/api/approvals/99", headers=hub.bearer()).json() == {"error": "there is no approval 99"}


def decide(hub: Hub, number: int, **given: Any) -> httpx.Response:
    return hub.client.post(f"/api/approvals/{number}", json=given, headers=hub.bearer("approver", "deploy bot"))


def test_programs_see_and_decide_the_same(hub: Hub) -> None:
    one, other = ask(hub), ask(hub, "salesforce:deal:007")
    (first, _) = hub.client.get("/api/approvals", headers=hub.bearer()).json()
    assert (first["number"], first["plan"]["digest"]) == (one.number, "abc123")
    assert decide(hub, one.number, answer="approved").json()["decided_by"] == "deploy bot"
    assert decide(hub, one.number, answer="rejected", words="no").status_code == 409
    assert decide(hub, other.number, answer="rejected").status_code == 422
    assert decide(hub, other.number, answer="maybe").status_code == 422
    assert decide(hub, other.number, answer="rejected", words="no").json()["words"] == "no"
    assert hub.client.get("/api/approvals", headers=hub.bearer()).json() == []
    assert len(hub.client.get("/api/approvals?state=any", headers=hub.bearer()).json()) == 2


def test_a_cookie_decides_nothing_by_the_programs_way(hub: Hub) -> None:
    one, browser = ask(hub), hub.signed_in("approver")
    assert browser.post(f"/api/approvals/{one.number}", json={"answer": "approved"}).status_code == 403


def test_status_for_programs(hub: Hub) -> None:
    assert hub.client.get("/api/status", headers=hub.bearer()).status_code == 503
    with made(hub) as store:
        store.note("r", [Note("salesforce:deal:006", "deal.won", "onboard", "acts", "")], START)
    hub.look(lambda db: Inbox(db).store(arrived("1"), hub.clock()))
    told = hub.client.get("/api/status", headers=hub.bearer()).json()
    assert (told["counts"]["open"], told["hints"]["salesforce"]["waiting"], told["feeds"]["salesforce"]["events"]) == (0, 1, 1)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("do `handoff <x>` now", "do <code>handoff &lt;x&gt;</code> now"),
        ("<b>`<i>", "&lt;b&gt;`&lt;i&gt;"),
        ("", ""),
    ],
)
def test_commands_stand_out_and_nothing_in_a_message_is_markup(words: str, shown: str) -> None:
    assert said(words) == shown


def test_a_plan_of_any_shape_is_shown() -> None:
    assert sheets({}, {}) == []
    (sheet,) = sheets({"actions": [{"op": "update", "key": "a:b:c/d/e", "changed": {"custom": {"x": None, "y": ["1", True]}}}]}, {})
    (line,) = sheet.lines
    assert (sheet.key, line.changes) == ("a:b:c/d", [("custom", None, "x: nothing, y: 1, yes")])


def test_a_task_stands_below_its_section_and_a_sub_task_below_its_task() -> None:
    def made(kind: str, slot: str, **lies: str) -> dict[str, object]:
        return {"op": "create", "kind": kind, "key": f"a:b:c/d{slot}", "fields": {"name": slot}, **lies}

    project, first, second = "a:b:c/d", "a:b:c/d/begin", "a:b:c/d/deliver"
    actions = [
        *(made("project", ""), made("section", "/begin", parent=project), made("section", "/deliver", parent=project)),
        *(made("task", "/scope", parent=project, section=second), made("task", "/kickoff", parent=project, section=first)),
        *(made("task", "/agenda", parent="a:b:c/d/kickoff"), made("task", "/loose", parent=project, section="a:b:c/d/elsewhere")),
    ]
    (sheet,) = sheets({"actions": actions}, {})
    assert [line.name for line in sheet.lines][1:] == ["/begin", "/kickoff", "/agenda", "/deliver", "/scope", "/loose"]


@pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999999", "x"])
def test_what_is_no_number_is_no_approval(hub: Hub, number: str) -> None:
    page = hub.signed_in().get(f"/approvals/{number}")
    assert page.status_code == 422
    assert "<h1>" in page.text
    told = hub.client.get(f"/api/approvals/{number}", headers=hub.bearer())
    assert (told.status_code, told.json()["error"].partition(":")[0]) == (422, "number")


@pytest.mark.parametrize("more", [rb'"words": "\ud800"', rb'"\ud800": 1', b'"more": NaN', b'"words": 9'])
def test_what_cannot_be_sent_back_is_refused_in_words_all_the_same(hub: Hub, more: bytes) -> None:
    body = b'{"answer": "approved", ' + more + b"}"
    told = hub.client.post("/api/approvals/1", content=body, headers={**hub.bearer("approver"), "content-type": "application/json"})
    assert (told.status_code, bool(told.json()["error"])) == (422, True)
