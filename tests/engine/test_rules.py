"""Which rules wake, in which order, and what each says."""

from __future__ import annotations

from tests.engine.planning import Desk, change, deal, planner
from tests.flows.files import RULES

WON = change(deal(), deal(status="won", stage="Won"))


def with_rules(*rules: str) -> Desk:
    return Desk(planner({"rules.yaml": RULES + "".join(rules)}))


def test_a_rule_that_several_events_wake_acts_once_for_the_first_of_them() -> None:
    rule = "  - name: many\n    on: [deal.updated, deal.stage_changed, deal.won]\n    do: [{set_status: on_track, on: onboarding}]\n"
    plan = with_rules(rule).plan(WON)
    assert [(d.event, d.verdict) for d in plan.decisions if d.rule == "many"] == [("deal.won", "acts")]


def test_rules_speak_in_the_order_they_are_written() -> None:
    rules = [f"  - name: {name}\n    on: [deal.won]\n    do: [{{set_status: on_track, on: onboarding}}]\n" for name in ("zebra", "ape")]
    assert [decision.rule for decision in with_rules(*rules).plan(WON).decisions] == ["onboard", "zebra", "ape"]


def test_a_disabled_rule_is_silent() -> None:
    rule = "  - name: off\n    enabled: false\n    on: [deal.won]\n    do: [{set_status: on_track, on: onboarding}]\n"
    assert [decision.rule for decision in with_rules(rule).plan(WON).decisions] == ["onboard"]


def test_a_condition_that_cannot_be_worked_out_is_a_decision_and_stops_no_other_rule() -> None:
    files = RULES.replace("version: 1\n", "version: 1\ncurrencies: {base: EUR, rates: {}}\n")
    action = "    do: [{set_status: on_track, on: onboarding}]\n"
    rule = f"  - name: odd\n    on: [deal.won]\n    when: deal.amount | convert(deal.currency, 'EUR') > 1\n{action}"
    plan = Desk(planner({"rules.yaml": files + rule})).plan(change(deal(currency="USD"), deal(currency="USD", status="won")))
    assert {(d.rule, d.verdict) for d in plan.decisions} == {("onboard", "acts"), ("odd", "failed")}
    assert "USD" in next(d.reason for d in plan.decisions if d.rule == "odd")


def test_conditions_see_what_was_before() -> None:
    rule = "  - name: grown\n    on: [deal.amount_changed]\n    when: deal.amount > before.amount\n    do: [{set_status: on_track, on: onboarding}]\n"
    desk = with_rules(rule)
    desk.plan(WON)
    verdicts = [desk.plan(change(deal(status="won", amount=a), deal(status="won", amount=b))) for a, b in ((5, 9), (9, 5))]
    assert [[d.verdict for d in plan.decisions if d.rule == "grown"] for plan in verdicts] == [["acts"], ["passed"]]
