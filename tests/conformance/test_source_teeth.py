"""The source suite bites: each deliberately broken source is rejected by the test named beside it, and no test is without such a source."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors.base import AuthError, ConnectorError, Page, QuotaExhausted, Rejected, Report, Transient
from engine.model import CrmKind, Record, WriteBack
from tests.conformance.memory import SECRET, START, Mark, Memory, MemorySource, Place, Row
from tests.conformance.source import Rig, SourceConformance


class TestMemory(SourceConformance):
    def rig(self) -> Rig:
        crm = Memory()
        return Rig(crm, lambda: MemorySource(crm))


class LosesTies(MemorySource):
    def behind(self, place: Place, key: Place) -> bool:
        return place[0] > key[0]


class Loops(MemorySource):
    def step(self, mark: Mark) -> tuple[list[Row], bool, Mark]:
        return super().step(replace(mark, key=(mark.key[0], "")) if mark.key else mark)


class AdvancesEarly(MemorySource):
    """The cursor handed out with a page is already behind the next one."""

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        pages = [page async for page in super().pull(kind, cursor)]
        for page, following in zip(pages, [*pages[1:], pages[-1]], strict=True):
            yield Page(page.records, following.cursor)


class Snapshots(MemorySource):
    """Reads all at the start, and goes on from the end."""

    async def pull(self, kind: CrmKind, cursor: str | None) -> AsyncIterator[Page]:
        mark = Mark.parse(cursor)
        rows = [row for row in self.ask((START, "")) if row.touched > mark.at]
        for at in range(0, len(rows), 3):
            yield Page(tuple(self.record(row) for row in rows[at : at + 3]), Mark(at=self.crm.clock.now).text())
        yield Page((), Mark(at=self.crm.clock.now).text())


class NeverLooksBack(MemorySource):
    look_back = timedelta()


class Forgets(MemorySource):
    def fresh(self, rows: Sequence[Row], mark: Mark, *, last: bool) -> tuple[list[Row], Mark]:
        fresh, mark = super().fresh(rows, mark, last=last)
        return fresh, replace(mark, seen=frozenset())


class TrustsStamps(MemorySource):
    """Takes a record for known when its id and stamp are."""

    def fresh(self, rows: Sequence[Row], mark: Mark, *, last: bool) -> tuple[list[Row], Mark]:
        return super().fresh([replace(row, version=int(row.touched.timestamp())) for row in rows], mark, last=last)


class AsksTwice(MemorySource):
    def step(self, mark: Mark) -> tuple[list[Row], bool, Mark]:
        super().step(mark)
        return super().step(mark)


class MissesChildren(MemorySource):
    def ask(self, start: Place) -> list[Row]:
        return [row for row in super().ask(start) if (row.stamp, row.id) >= start]

    def place(self, row: Row) -> Place:
        return row.stamp, row.id


class DropsDeleted(MemorySource):
    def ask(self, start: Place) -> list[Row]:
        return [row for row in super().ask(start) if not row.deleted]


class Records(MemorySource):
    """Gives records changed in one respect."""

    def change(self, record: Record) -> Record:
        raise NotImplementedError

    def record(self, row: Row) -> Record:
        return self.change(super().record(row))


class NaiveTimes(Records):
    def change(self, record: Record) -> Record:
        return replace(record, modified_at=record.modified_at.replace(tzinfo=None))


class NumberIds(Records):
    def change(self, record: Record) -> Record:
        return replace(record, id=int(record.id))  # type: ignore[arg-type]


class OneVersion(Records):
    def change(self, record: Record) -> Record:
        return replace(record, version="1")


class VendorFields(Records):
    def change(self, record: Record) -> Record:
        return replace(record, fields={**record.fields, "attributes": {}})


class LosesTheWinner(Records):
    def change(self, record: Record) -> Record:
        return replace(record, merged_into="")


class NeverFlags(Records):
    def change(self, record: Record) -> Record:
        return replace(record, deleted=False)


class ReadsTheLiving(MemorySource):
    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        return [record for record in await super().read(kind, ids) if not record.deleted]


class ReadsInItsOwnWay(MemorySource):
    async def read(self, kind: CrmKind, ids: Sequence[str]) -> Sequence[Record]:
        return [replace(record, version=f"{record.version} again") for record in await super().read(kind, ids)]


class NeverRenews(MemorySource):
    def login(self) -> int:
        if self._token:
            raise AuthError("the token is dead", system="memory")
        return super().login()


class Impatient(MemorySource):
    tries = 1


class EndsQuietly(MemorySource):
    def ask(self, start: Place) -> list[Row]:
        try:
            return super().ask(start)
        except (Transient, AuthError):
            return []


class TellsAll(MemorySource):
    def login(self) -> int:
        try:
            return super().login()
        except AuthError as error:
            raise AuthError(f"{error.message} ({SECRET})", system="memory") from error


class Stubborn(MemorySource):
    def ask(self, start: Place) -> list[Row]:
        try:
            return super().ask(start)
        except QuotaExhausted as error:
            raise Transient("too many calls", system="memory") from error


class Nobody(MemorySource):
    async def check(self) -> Report:
        return replace(await super().check(), identity="")


class ChecksNothing(MemorySource):
    async def check(self) -> Report:
        return Report(identity="somebody")


class Vague(MemorySource):
    def missing(self) -> ConnectorError:
        return Rejected("bad query")


class Appends(MemorySource):
    def write(self, row: WriteBack) -> ConnectorError | None:
        return super().write(replace(row, fields={"status": self.crm.status.get(row.id, "") + str(row.fields.get("status"))}))


class StopsAtTheFirst(MemorySource):
    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        results: list[ConnectorError | None] = []
        for row in rows:
            failed = results[-1] if results else None
            results.append(failed or self.write(row))
        return results


class WritesTheFirst(MemorySource):
    async def write_back(self, rows: Sequence[WriteBack]) -> Sequence[ConnectorError | None]:
        return [self.write({row.id: row for row in reversed(rows)}[row.id]) for row in rows]


class WritesOnce(MemorySource):
    def write(self, row: WriteBack) -> ConnectorError | None:
        try:
            return self.crm.write(row)
        except OSError:
            return Transient("no answer", system="memory")


TEETH: tuple[tuple[type[MemorySource], str], ...] = (
    (Loops, "test_everything_seeded_comes_once"),
    (LosesTies, "test_equal_stamps_across_a_page_edge_all_come"),
    (NaiveTimes, "test_ids_are_text_and_times_are_aware"),
    (NumberIds, "test_ids_are_text_and_times_are_aware"),
    (VendorFields, "test_records_hold_only_what_the_mapping_asks_for"),
    (Forgets, "test_a_second_pull_is_quiet"),
    (AsksTwice, "test_a_quiet_pull_costs_one_call_per_object"),
    (OneVersion, "test_what_changes_comes_again_with_a_new_version"),
    (TrustsStamps, "test_a_second_change_within_one_second_is_not_lost"),
    (MissesChildren, "test_a_changed_child_brings_its_record_with_a_new_version"),
    (AdvancesEarly, "test_any_interruption_and_resume_loses_nothing"),
    (LosesTies, "test_any_interruption_and_resume_loses_nothing"),
    (Snapshots, "test_a_change_in_the_middle_of_a_pull_is_not_lost"),
    (NeverLooksBack, "test_a_late_commit_behind_the_cursor_is_found"),
    (DropsDeleted, "test_a_deleted_record_is_flagged_and_comes_back_undeleted"),
    (NeverFlags, "test_a_deleted_record_is_flagged_and_comes_back_undeleted"),
    (LosesTheWinner, "test_a_merge_names_the_winner"),
    (ReadsInItsOwnWay, "test_read_gives_the_same_record_as_pull_and_omits_what_is_not_there"),
    (ReadsTheLiving, "test_a_deleted_record_is_read_as_deleted"),
    (NeverRenews, "test_a_token_revoked_in_mid_pull_is_renewed"),
    (Impatient, "test_a_broken_answer_is_asked_for_again"),
    (EndsQuietly, "test_answers_that_stay_broken_are_transient_and_the_cursor_stands"),
    (EndsQuietly, "test_refused_credentials_are_an_auth_error_that_says_what_to_do"),
    (Stubborn, "test_an_exhausted_quota_stops_the_pull"),
    (TellsAll, "test_errors_hold_no_secret"),
    (Nobody, "test_check_says_who_we_are"),
    (ChecksNothing, "test_check_names_a_field_that_is_gone"),
    (Vague, "test_a_field_that_goes_in_mid_run_is_named"),
    (Appends, "test_writing_back_twice_is_writing_once"),
    (StopsAtTheFirst, "test_every_row_written_back_has_its_own_result_in_order"),
    (WritesTheFirst, "test_the_last_value_written_to_a_record_stands"),
    (WritesOnce, "test_a_write_whose_answer_is_lost_is_repeated"),
)


@pytest.mark.parametrize(("broken", "name"), TEETH, ids=[f"{broken.__name__}-{name}" for broken, name in TEETH])
def test_a_broken_source_is_rejected(broken: type[MemorySource], name: str) -> None:
    class Suite(SourceConformance):
        def rig(self) -> Rig:
            crm = Memory()
            return Rig(crm, lambda: broken(crm))

    with pytest.raises((AssertionError, ConnectorError, ExceptionGroup, pytest.fail.Exception)):
        run(Suite(), name)


def run(suite: SourceConformance, name: str) -> None:
    promise: Any = getattr(suite, name)
    arguments = {"what": "html"} if "what" in inspect.signature(promise).parameters else {}
    outcome = promise(**arguments)
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)


def test_every_promise_has_a_broken_source_it_rejects() -> None:
    promises = {name for name in dir(SourceConformance) if name.startswith("test_")} - {"test_exemptions_are_real_tests_with_reasons"}
    assert promises == {name for _, name in TEETH}


def test_an_exemption_without_a_reason_or_a_test_is_refused() -> None:
    class Idle(SourceConformance):
        exempt = {"test_a_merge_names_the_winner": " "}  # noqa: RUF012

    class Stray(SourceConformance):
        exempt = {"test_nothing_of_the_sort": "it is not there"}  # noqa: RUF012

    for suite in (Idle(), Stray()):
        with pytest.raises(AssertionError):
            suite.test_exemptions_are_real_tests_with_reasons()
