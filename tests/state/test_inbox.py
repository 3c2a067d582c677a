"""The inbox, on either engine: hints collapse per record, stay until they are settled, and survive being told again while they are read."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.base import StateError
from engine.model import Hint
from state import Store
from state.hub import open_hub, place
from state.inbox import Arrivals, Inbox
from tests.state.conftest import NOW

LATER = NOW + timedelta(minutes=1)


@pytest.fixture(name="inbox")
def opened(place: Path | str) -> Iterator[Inbox]:
    with closing(open_hub(place, now=NOW)) as db:
        yield Inbox(db)


def arrivals(*ids: str, system: str = "salesforce", times: int = 1) -> Arrivals:
    arrived = Arrivals()
    for _ in range(times):
        arrived.add(system, [Hint("deal", id_) for id_ in ids], events=len(ids))
    return arrived


def test_ten_thousand_events_on_one_deal_are_one_hint(inbox: Inbox) -> None:
    for _ in range(10):
        inbox.store(arrivals("006", times=1000), NOW)
    (told,) = inbox.take(["salesforce"])
    assert (told.source, told.count, told.first_at) == ("salesforce:deal:006", 10_000, NOW)
    feed = inbox.feeds()["salesforce"]
    assert (feed.deliveries, feed.events, feed.hints, feed.last_at) == (10_000, 10_000, 10, NOW)


def test_a_hint_stays_until_it_is_settled_and_when_it_was_told_again_meanwhile(inbox: Inbox) -> None:
    inbox.store(arrivals("1", "2"), NOW)
    taken = inbox.take(["salesforce"])
    assert [told.hint.id for told in taken] == ["1", "2"]
    inbox.store(arrivals("2"), LATER)
    inbox.settle(taken)
    (left,) = inbox.take(["salesforce"])
    assert (left.hint.id, left.last_at) == ("2", LATER)
    inbox.settle([left])
    assert inbox.take(["salesforce"]) == []


def test_a_hint_that_another_process_settled_and_that_came_again_stays(inbox: Inbox) -> None:
    inbox.store(arrivals("1"), NOW)
    slow, quick = inbox.take(["salesforce"]), inbox.take(["salesforce"])
    inbox.settle(quick)
    inbox.store(arrivals("1"), LATER)
    inbox.settle(slow)
    assert [told.first_at for told in inbox.take(["salesforce"])] == [LATER]


def test_hints_told_first_are_taken_first_and_only_of_the_systems_asked_for(inbox: Inbox) -> None:
    inbox.store(arrivals("b"), NOW)
    inbox.store(arrivals("a"), LATER)
    inbox.store(arrivals("x", system="zoho"), NOW)
    assert [told.hint.id for told in inbox.take(["salesforce"], most=1)] == ["b"]
    assert [told.hint.id for told in inbox.take(["zoho", "salesforce"])] == ["b", "x", "a"]
    assert inbox.take([]) == []
    assert inbox.waiting() == {"salesforce": (2, NOW), "zoho": (1, NOW)}
    inbox.forget(["zoho"])
    assert set(inbox.waiting()) == {"salesforce"}


def test_what_is_refused_and_what_polling_found_is_counted(inbox: Inbox) -> None:
    arrived = arrivals("1")
    arrived.refuse("salesforce", "signature")
    arrived.refuse("", "path")
    inbox.store(arrived, NOW)
    inbox.store(arrived, NOW)
    inbox.note_missed("salesforce", 3, LATER)
    feed = inbox.feeds()["salesforce"]
    assert (feed.missed, feed.missed_at, feed.refused) == (3, LATER, {"signature": 2})
    assert inbox.refusals() == {("", "path"): 2, ("salesforce", "signature"): 2}
    assert inbox.known("salesforce", "deal", ["1", "2"]) == {"1"}


def test_the_hub_writes_while_somebody_else_has_the_state(place: Path | str) -> None:
    with Store(place, now=NOW), closing(open_hub(place, now=NOW)) as one, closing(open_hub(place, now=NOW)) as other:
        Inbox(one).store(arrivals("1"), NOW)
        Inbox(other).store(arrivals("1"), NOW)
        assert [told.count for told in Inbox(one).take(["salesforce"])] == [2]


def test_many_may_open_and_write_at_once(place: Path | str) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with closing(open_hub(place, now=NOW)) as db:
                for _ in range(20):
                    with db.atomic():
                        Inbox(db).take(["salesforce"])
                        Inbox(db).store(arrivals("1"), NOW)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with closing(open_hub(place, now=NOW)) as db:
        assert [told.count for told in Inbox(db).take(["salesforce"])] == [80]


def test_the_hubs_file_lies_beside_the_state_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "handoff.db"
    assert place(path) == tmp_path / "handoff.hub.db"
    (tmp_path / "handoff.hub.db").write_bytes(b"something else entirely")
    with pytest.raises(StateError, match="not a handoff state file"):
        open_hub(path, now=NOW)


def test_what_is_stored_stays_while_this_process_and_others_open_and_close_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    look = f"from tests.state.test_inbox import counted; from pathlib import Path; print(counted(Path({str(path)!r})))"
    with closing(open_hub(path, now=NOW)) as first, closing(open_hub(path, now=NOW)):
        for number in range(1, 4):
            Inbox(first).store(arrivals(str(number)), NOW)
            told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)  # noqa: S603 - ourselves
            assert int(told.stdout) == number


def counted(path: Path) -> int:
    """How many hints another process finds. It opens and closes everything as any process does."""
    with closing(open_hub(path, now=NOW)) as db:
        return len(Inbox(db).take(["salesforce"]))
