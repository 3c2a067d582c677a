"""Figures for Prometheus, made afresh for each who asks. https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.facts import Facts, HubFacts, StateFacts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Samples = Iterable[tuple[Sequence[str], float]]


def exposition(facts: Facts) -> bytes:
    """What is known, as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(facts))
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self._facts
        readable: Mapping[str, object] = {"state": facts.state, "hub": facts.hub}
        told = [([name], float(found is not None)) for name, found in readable.items()]
        yield _gauge("readable", "Whether a database could be read just now.", ["database"], told)
        if facts.state is not None:
            yield from _of_state(facts.state, facts.at)
        if facts.hub is not None:
            yield from _of_hub(facts.hub, facts.at)


def _of_state(state: StateFacts, now: datetime) -> Iterator[Metric]:
    lag = [([*place], _age(at, now)) for place, at in state.read.items()]
    yield _gauge("source_lag_seconds", "Since a source was last read to its end.", ["system", "kind"], lag)
    yield _gauge(
        "pending", "What is not done yet, or was given up.", ["what"], [([name], count) for name, (count, _) in state.piles.items()]
    )
    ages = [([name], _age(since, now)) for name, (_, since) in state.piles.items() if since]
    yield _gauge("pending_oldest_seconds", "Age of the eldest of these.", ["what"], ages)
    yield _counter("run_errors", "Runs that met an error, by its class.", ["error"], [([kind], n) for kind, n in state.errors.items()])
    left = [([name], budget.left) for name, (budget, _) in state.budgets.items()]
    yield _gauge("api_quota_left", "Calls a system has left for us and all others, as it last told.", ["system"], left)
    most = [([name], budget.most) for name, (budget, _) in state.budgets.items()]
    yield _gauge("api_quota", "Calls it grants a day.", ["system"], most)
    told = [([name], _age(at, now)) for name, (_, at) in state.budgets.items()]
    yield _gauge("api_quota_told_seconds", "Since it told.", ["system"], told)
    yield from _of_run(state, now)


def _of_run(state: StateFacts, now: datetime) -> Iterator[Metric]:
    run = state.run
    if run is None:
        return
    yield _gauge("last_run_started_seconds", "Since the last run began.", [], [([], _age(run.started_at, now))])
    result = run.outcome or "under way"
    yield _gauge("last_run_result", "What the last run came to.", ["result"], [([result], 1)])
    if run.ended_at is not None:
        yield _gauge("last_run_duration_seconds", "How long it took.", [], [([], _age(run.started_at, run.ended_at))])
    calls = [([name.removeprefix("calls ")], count) for name, count in run.counts.items() if name.startswith("calls ")]
    yield _gauge("last_run_calls", "Calls it made.", ["system"], calls)


def _of_hub(hub: HubFacts, now: datetime) -> Iterator[Metric]:
    feeds = {name: feed for name, feed in hub.feeds.items() if name}
    for what, help_ in (
        ("deliveries", "Genuine deliveries."),
        ("events", "Events they told of."),
        ("hints", "Records they named, once a commit."),
        ("missed", "Changes that polling found and no push had told."),
    ):
        yield _counter(f"push_{what}", help_, ["system"], [([name], getattr(feed, what)) for name, feed in feeds.items()])
    refused = [([*place], count) for place, count in hub.refused.items()]
    yield _counter(
        "push_refused", "Deliveries that were not taken; without a system where the path was unknown.", ["system", "reason"], refused
    )
    silent = [([name], _age(feed.last_at, now)) for name, feed in feeds.items() if feed.last_at]
    yield _gauge("push_last_delivery_seconds", "Since the last genuine delivery.", ["system"], silent)
    waiting = [([name], count) for name, (count, _) in hub.hints.items()]
    yield _gauge("inbox_hints", "Records told of that wait to be read.", ["system"], waiting)
    ages = [([name], _age(since, now)) for name, (_, since) in hub.hints.items()]
    yield _gauge("inbox_oldest_seconds", "Age of the eldest of these.", ["system"], ages)
    expiring = [([one.system, one.resource], -_age(one.expires_at, now)) for one in hub.subscriptions if one.expires_at]
    yield _gauge("subscription_expires_in_seconds", "Until a subscription expires.", ["system", "resource"], expiring)
    health = [([one.system, one.resource], float(one.healthy)) for one in hub.subscriptions]
    yield _gauge("subscription_healthy", "Whether a subscription is well.", ["system", "resource"], health)
    count, since = hub.approvals
    yield _gauge("approvals_waiting", "Plans that wait for a person.", [], [([], count)])
    if since is not None:
        yield _gauge("approvals_oldest_seconds", "Age of the eldest of these.", [], [([], _age(since, now))])


def _gauge(name: str, told: str, labels: Sequence[str], samples: Samples) -> Metric:
    made = GaugeMetricFamily(f"handoff_{name}", told, labels=labels)
    for values, value in samples:
        made.add_metric(values, value)
    return made


def _counter(name: str, told: str, labels: Sequence[str], samples: Samples) -> Metric:
    made = CounterMetricFamily(f"handoff_{name}", told, labels=labels)
    for values, value in samples:
        made.add_metric(values, value)
    return made


def _age(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()
