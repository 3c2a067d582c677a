"""A real Roundup as a source of feedback, driven in neutral words, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime

import httpx

from connectors.base import Runtime
from connectors.roundup import Connection, RoundupSource
from engine.model import CrmKind, Read, Record, WriteBack
from tests.conformance.source import Clock, Rig, Trouble
from tests.real.roundup import Person, Roundup
from tests.real.wire import Fault, Wire
from tests.real.wire import Trouble as WireTrouble

STATUS, EMAIL = "handoff_status", "assignee.address"
FEEDBACK = Read("bug", ("title", "messages.content", EMAIL), places={EMAIL: ("read", "feedback", "fields", "owner.email")})
WRITE_BACK: Mapping[CrmKind, Mapping[str, str]] = {"feedback": {"project_status": STATUS}}
_STOCK = "id, _activity, _creation, _actor, _creator, __retired__"
MESSAGE = f"INSERT INTO _msg ({_STOCK}, _summary) VALUES (?, ?, ?, 1, 1, 0, 'a child')"  # noqa: S608 - our own names
BUG = f"INSERT INTO _bug ({_STOCK}, _title, _assignee) VALUES (?, ?, ?, 1, 1, 0, ?, ?)"  # noqa: S608 - our own names


class DatedWire(Wire):
    """The server's answers are dated by the test's clock, like all that the test stamps in its database."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        answer.headers["Date"] = format_datetime(self._clock(), usegmt=True)
        return answer


class RoundupCrm:
    """See `Crm`. Items begin in the database, which is quicker than the server; what happens to them later is done by a person through it."""

    kind: CrmKind = "feedback"
    merge_kind: CrmKind = "feedback"
    page = 2
    fields = frozenset({"title", "messages", "assignee"})
    look_back = timedelta(seconds=120)

    def __init__(self, place: Roundup, person: Person) -> None:
        place.wipe()
        self.place, self.person = place, person
        self.clock = Clock()
        self.wire: DatedWire = DatedWire(self.clock)
        self.password = place.password
        self.secrets: tuple[str, ...] = (place.password,)

    def source(
        self,
        *,
        reads: Mapping[CrmKind, Read] | None = None,
        write_back: Mapping[CrmKind, Mapping[str, str]] = WRITE_BACK,
        **settings: object,
    ) -> RoundupSource:
        """`settings` are fields of the connection."""
        plain: dict[str, object] = {"url": self.place.url, "login": self.place.login, "password": self.password, "page_size": self.page}
        connection = Connection.model_validate({**plain, "sweep_minutes": 0, **settings})
        runtime = Runtime(clock=self.clock, sleep=self.clock.sleep, transport=self.wire)
        return RoundupSource(connection, reads or {"feedback": FEEDBACK}, runtime=runtime, write_back=write_back)

    def add(self, names: Sequence[str]) -> list[str]:
        return [self._insert(name, self.clock.now) for name in names]

    def _insert(self, name: str, made: datetime) -> str:
        """A bug of Ann's with one message."""
        at = made.strftime("%Y%m%d%H%M%S.000")
        with self.place.sql() as sql:
            bug, message = (self._next(sql.execute, each) for each in ("bug", "msg"))
            sql.execute(MESSAGE, (message, at, at))
            sql.execute(BUG, (bug, at, at, name, self.place.ann))
            sql.execute("INSERT INTO bug_messages (linkid, nodeid) VALUES (?, ?)", (message, bug))
            self.place.text(message, "a child")
        return str(bug)

    @staticmethod
    def _next(execute: Callable[..., object], name: str) -> int:
        row = execute("UPDATE ids SET num = num + 1 WHERE name = ? RETURNING num - 1", (name,)).fetchone()  # type: ignore[attr-defined]
        return int(row[0])

    def _stamp(self, table: str, row: str) -> None:
        with self.place.sql() as sql:
            sql.execute(f"UPDATE _{table} SET _activity = ? WHERE id = ?", (self.clock.now.strftime("%Y%m%d%H%M%S.000"), int(row)))  # noqa: S608

    def name(self, record: Record) -> str:
        return str(record.fields["title"])

    def rename(self, row: str, name: str) -> None:
        self.person.change(f"bug/{row}", title=name)
        self._stamp("bug", row)

    def rename_child(self, row: str, name: str) -> None:
        message = self.message(row)
        self.person.change(f"msg/{message}", content=name)
        self._stamp("msg", message)

    def message(self, row: str) -> str:
        with self.place.sql() as sql:
            return str(sql.execute("SELECT min(linkid) FROM bug_messages WHERE nodeid = ?", (int(row),)).fetchone()[0])

    def add_late(self, name: str, made: datetime) -> Callable[[], str]:
        return lambda: self._insert(name, made)

    def delete(self, row: str) -> None:
        self.person.retire(f"bug/{row}")

    def undelete(self, row: str) -> None:
        self.person.restore(f"bug/{row}")

    def add_mergeable(self, names: Sequence[str]) -> list[str]:
        raise NotImplementedError("nothing is merged")

    def merge(self, winner: str, loser: str) -> None:
        raise NotImplementedError("nothing is merged")

    def polled(self) -> int:
        """Bugs, messages, and the ids there are."""
        return 3

    def calls(self) -> int:
        return len(self.wire.sent)

    def trouble(self, what: Trouble, *, times: int = 1, skip: int = 0) -> None:
        self.wire.faults.clear()
        self.wire.fault(lambda _: True, what, times=times, skip=skip)

    def trouble_writing(self, what: Trouble) -> None:
        done: WireTrouble = "lost" if what == "reset" else what
        self.wire.faults.append(Fault(lambda request: request.method == "PATCH", done))

    def revoke(self) -> None:
        raise NotImplementedError("a password cannot be renewed")

    def lock_out(self) -> None:
        self.password = "a-wrong-password"

    def exhaust(self) -> None:
        self.wire.fault(lambda _: True, "busy", times=-1)

    def hide_a_field(self) -> str:
        """The user loses the role that may see others' e-mail; Roundup then leaves it out without a word."""
        self.add(["somebody's"])
        with self.place.sql() as sql:
            sql.execute("UPDATE _user SET _roles = 'User' WHERE _username = ?", (self.place.login,))
        return EMAIL

    def good_row(self, row: str, text: str) -> WriteBack:
        return WriteBack("feedback", row, {STATUS: text})

    def bad_row(self, row: str) -> tuple[WriteBack, str]:
        return WriteBack("feedback", row, {"nothing_of_that_name": "x"}), "nothing_of_that_name"

    def written(self, row: str) -> str:
        return str(self.person.held(f"bug/{row}")[STATUS])


def rig(place: Roundup, person: Person) -> Rig:
    crm = RoundupCrm(place, person)
    return Rig(crm, crm.source)
