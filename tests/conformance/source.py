"""What every source must do, whatever CRM is behind it. A subclass gives `rig()`: a fresh CRM and a way to connect to it.

A test that does not apply is named in `exempt` with the reason; nothing else is skipped.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar, Literal, Protocol

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.base import AuthError, ConfigError, ConnectorError, QuotaExhausted, Rejected, Source, Transient
from engine.model import CrmKind, Record, WriteBack

Trouble = Literal["html", "html_ok", "truncated", "empty", "reset"]


@dataclass
class Clock:
    """Time that passes only when somebody sleeps or moves it."""

    now: datetime = datetime(2026, 11, 22, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)

    async def sleep(self, seconds: float) -> None:
        self.move(seconds=max(seconds, 0.001))


class Crm(Protocol):
    """The other side, driven in neutral words. `page` is how many records a page of the source holds; `kind` is what it is tested with.

    `fields` are the top-level names a record may hold; `secrets` must never be seen; `look_back` is how late a commit may come.
    """

    kind: CrmKind
    merge_kind: CrmKind
    page: int
    fields: frozenset[str]
    secrets: tuple[str, ...]
    look_back: timedelta

    @property
    def clock(self) -> Clock: ...
    def add(self, names: Sequence[str]) -> list[str]: ...
    def name(self, record: Record) -> str: ...
    def rename(self, row: str, name: str) -> None: ...
    def rename_child(self, row: str, name: str) -> None: ...
    def add_late(self, name: str, made: datetime) -> Callable[[], str]: ...
    def delete(self, row: str) -> None: ...
    def undelete(self, row: str) -> None: ...
    def add_mergeable(self, names: Sequence[str]) -> list[str]: ...
    def merge(self, winner: str, loser: str) -> None: ...
    def polled(self) -> int: ...
    def calls(self) -> int: ...
    def trouble(self, what: Trouble, *, times: int = 1, skip: int = 0) -> None: ...
    def trouble_writing(self, what: Trouble) -> None: ...
    def revoke(self) -> None: ...
    def lock_out(self) -> None: ...
    def exhaust(self) -> None: ...
    def hide_a_field(self) -> str: ...
    def good_row(self, row: str, text: str) -> WriteBack: ...
    def bad_row(self, row: str) -> tuple[WriteBack, str]: ...
    def written(self, row: str) -> str: ...


@dataclass
class Rig:
    crm: Crm
    source: Callable[[], Source]


@dataclass
class Seen:
    """What a consumer has received, and the cursor it stored with the last page."""

    records: list[Record] = field(default_factory=list)
    cursor: str | None = None

    @property
    def ids(self) -> Counter[str]:
        return Counter(record.id for record in self.records)

    @property
    def latest(self) -> dict[str, Record]:
        return {record.id: record for record in self.records}


async def pull(rig: Rig, seen: Seen | None = None, *, pages: int = 0, kind: CrmKind | None = None) -> Seen:
    """What a pull from `seen` on brings, by a source made anew; stops after `pages` pages when given."""
    fresh = Seen(cursor=seen.cursor if seen else None)
    async with rig.source() as source:
        taken = 0
        stream = source.pull(kind or rig.crm.kind, fresh.cursor)
        async for page in stream:
            fresh.records += page.records
            fresh.cursor = page.cursor
            taken += 1
            assert taken < 500, "the pull does not end"
            if taken == pages:
                break
    return fresh


def names(rig: Rig, seen: Seen) -> set[str]:
    return {rig.crm.name(record) for record in seen.records}


def some(count: int) -> list[str]:
    return [f"deal {number}" for number in range(count)]


async def settled(rig: Rig) -> Seen:
    """A baseline, and time passed until looking back meets nothing."""
    seen = await pull(rig)
    for _ in range(2):
        rig.crm.clock.move(seconds=rig.crm.look_back.total_seconds() + 60)
        seen = await pull(rig, seen)
    return seen


class SourceConformance:
    """`examples` is how many histories are made up; fewer where each costs a real server's time."""

    exempt: ClassVar[Mapping[str, str]] = {}
    examples: ClassVar[int] = 25

    def rig(self) -> Rig:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _exempted(self, request: pytest.FixtureRequest) -> None:
        if reason := self.exempt.get(request.node.originalname or request.node.name):
            pytest.skip(reason)

    def test_exemptions_are_real_tests_with_reasons(self) -> None:
        assert all(hasattr(self, name) and reason.strip() for name, reason in self.exempt.items())

    # Reading everything

    async def test_everything_seeded_comes_once(self) -> None:
        rig = self.rig()
        ids = rig.crm.add(some(2 * rig.crm.page + 1))
        assert (await pull(rig)).ids == Counter(ids)

    async def test_equal_stamps_across_a_page_edge_all_come(self) -> None:
        rig = self.rig()
        rig.crm.add(["older"])
        rig.crm.clock.move(minutes=30)
        seen = await settled(rig)
        tied = rig.crm.add(some(3 * rig.crm.page + 1))
        parts, more = Seen(), seen
        for _ in range(50):
            more = await pull(rig, more, pages=1)
            parts.records += more.records
            if set(parts.ids) >= set(tied):
                break
        assert set(parts.ids) == set(tied)

    async def test_ids_are_text_and_times_are_aware(self) -> None:
        rig = self.rig()
        rig.crm.add(some(3))
        made = rig.crm.clock.now
        for record in (await pull(rig)).records:
            assert isinstance(record.id, str)
            assert record.id
            assert record.version
            assert record.modified_at.utcoffset() is not None
            assert record.modified_at == made

    async def test_records_hold_only_what_the_mapping_asks_for(self) -> None:
        rig = self.rig()
        rig.crm.add(some(2))
        for record in (await pull(rig)).records:
            assert set(record.fields) == rig.crm.fields

    # Going on

    async def test_a_second_pull_is_quiet(self) -> None:
        rig = self.rig()
        rig.crm.add(some(rig.crm.page + 1))
        rig.crm.clock.move(seconds=5)
        seen = await pull(rig)
        for _ in range(3):
            rig.crm.clock.move(seconds=30)
            seen = await pull(rig, seen)
            assert seen.records == []

    async def test_a_quiet_pull_costs_one_call_per_object(self) -> None:
        rig = self.rig()
        rig.crm.add(some(rig.crm.page + 1))
        seen = await settled(rig)
        before = rig.crm.calls()
        await pull(rig, seen)
        assert rig.crm.calls() - before == rig.crm.polled()

    async def test_what_changes_comes_again_with_a_new_version(self) -> None:
        rig = self.rig()
        row, *_ = rig.crm.add(some(4))
        seen = await pull(rig)
        for name in ("first", "second"):
            rig.crm.clock.move(seconds=20)
            rig.crm.rename(row, name)
            more = await pull(rig, seen)
            assert [record.id for record in more.records] == [row]
            assert rig.crm.name(more.records[0]) == name
            assert more.records[0].version != seen.latest[row].version
            seen = more

    async def test_a_second_change_within_one_second_is_not_lost(self) -> None:
        rig = self.rig()
        row, *_ = rig.crm.add(some(3))
        seen = await pull(rig)
        for name in ("first", "second"):
            rig.crm.rename(row, name)
            seen = await pull(rig, seen)
            assert names(rig, seen) == {name}
        rig.crm.delete(row)
        assert (await pull(rig, seen)).latest[row].deleted

    async def test_a_changed_child_brings_its_record_with_a_new_version(self) -> None:
        rig = self.rig()
        row, *_ = rig.crm.add(some(3))
        before = (await pull(rig)).latest[row]
        seen = await settled(rig)
        rig.crm.rename_child(row, "another child")
        more = await pull(rig, seen)
        assert set(more.ids) == {row}
        assert more.latest[row].version != before.version
        assert (await pull(rig, more)).records == []

    def test_any_interruption_and_resume_loses_nothing(self) -> None:
        steps = st.sampled_from(["page", "pages", "all", "add", "rename", "child", "wait", "delete"])

        @settings(max_examples=self.examples, deadline=None)
        @given(st.lists(steps, max_size=8))
        @example(["page", "rename", "page", "add", "page"])
        @example(["all", "add", "page", "rename", "page", "child", "pages", "wait"])
        def holds(plan: list[str]) -> None:
            asyncio.run(self._interrupted(plan))

        holds()

    async def _interrupted(self, plan: Sequence[str]) -> None:
        rig = self.rig()
        crm = rig.crm
        rows = crm.add(some(2 * crm.page + 1))
        truth, gone = dict(zip(rows, some(len(rows)), strict=True)), set[str]()
        got: dict[str, Record] = {}
        seen = Seen()
        for turn, step in enumerate([*plan, "all", "all"]):
            crm.clock.move(seconds=7)
            if step in ("page", "pages", "all"):
                seen = await pull(rig, seen, pages={"page": 1, "pages": 2}.get(step, 0))
                got |= seen.latest
            elif step == "add":
                truth[crm.add([f"new {turn}"])[0]] = f"new {turn}"
            elif step == "rename" and rows[0] not in gone:
                crm.rename(rows[0], f"name {turn}")
                truth[rows[0]] = f"name {turn}"
            elif step == "child":
                crm.rename_child(rows[1], f"child {turn}")
            elif step == "wait":
                crm.clock.move(hours=1)
            elif step == "delete" and rows[-1] not in gone:
                crm.delete(rows[-1])
                gone.add(rows[-1])
        assert {row: crm.name(record) for row, record in got.items() if row not in gone} == {
            row: name for row, name in truth.items() if row not in gone
        }
        assert all(got[row].deleted for row in gone if row in got)
        async with rig.source() as source:
            for record in await source.read(crm.kind, [rows[1]]):
                assert got[rows[1]].version == record.version

    async def test_a_change_in_the_middle_of_a_pull_is_not_lost(self) -> None:
        rig = self.rig()
        rows = rig.crm.add(some(2 * rig.crm.page + 1))
        got = Seen()
        async with rig.source() as source:
            async for page in source.pull(rig.crm.kind, None):
                if not got.records:
                    rig.crm.clock.move(seconds=3)
                    rig.crm.rename(rows[0], "renamed")
                    rig.crm.rename(rows[-1], "renamed too")
                got.records += page.records
                got.cursor = page.cursor
        more = await pull(rig, got)
        latest = {**got.latest, **more.latest}
        assert (rig.crm.name(latest[rows[0]]), rig.crm.name(latest[rows[-1]])) == ("renamed", "renamed too")
        assert set(latest) == set(rows)

    async def test_a_late_commit_behind_the_cursor_is_found(self) -> None:
        rig = self.rig()
        rig.crm.add(some(3))
        seen = await settled(rig)
        commit = rig.crm.add_late("late", rig.crm.clock.now)
        rig.crm.clock.move(seconds=rig.crm.look_back.total_seconds() / 2)
        rig.crm.add(["in time"])
        rig.crm.clock.move(seconds=10)
        seen = await pull(rig, seen)
        assert names(rig, seen) == {"in time"}
        commit()
        rig.crm.clock.move(seconds=10)
        assert names(rig, await pull(rig, seen)) == {"late"}

    # Deleting and merging

    async def test_a_deleted_record_is_flagged_and_comes_back_undeleted(self) -> None:
        rig = self.rig()
        row, other = rig.crm.add(some(2))
        seen = await pull(rig)
        assert not any(record.deleted for record in seen.records)
        rig.crm.clock.move(seconds=30)
        rig.crm.delete(row)
        seen = await pull(rig, seen)
        assert [(record.id, record.deleted) for record in seen.records] == [(row, True)]
        rig.crm.clock.move(seconds=30)
        rig.crm.undelete(row)
        seen = await pull(rig, seen)
        assert [(record.id, record.deleted) for record in seen.records] == [(row, False)]
        assert other not in seen.ids

    async def test_a_merge_names_the_winner(self) -> None:
        rig = self.rig()
        winner, loser = rig.crm.add_mergeable(["Acme", "Acme Inc."])
        kind = rig.crm.merge_kind
        seen = await pull(rig, kind=kind)
        rig.crm.clock.move(seconds=30)
        rig.crm.merge(winner, loser)
        merged = (await pull(rig, seen, kind=kind)).latest[loser]
        assert (merged.merged_into, merged.deleted) == (winner, True)

    # Reading again

    async def test_read_gives_the_same_record_as_pull_and_omits_what_is_not_there(self) -> None:
        rig = self.rig()
        rows = rig.crm.add(some(4))
        pulled = (await pull(rig)).latest
        async with rig.source() as source:
            found = {record.id: record for record in await source.read(rig.crm.kind, [rows[2], rows[0], _unlike(rows[0])])}
        assert found == {rows[0]: pulled[rows[0]], rows[2]: pulled[rows[2]]}

    async def test_a_deleted_record_is_read_as_deleted(self) -> None:
        rig = self.rig()
        row, other = rig.crm.add(some(2))
        rig.crm.delete(row)
        async with rig.source() as source:
            found = {record.id: record.deleted for record in await source.read(rig.crm.kind, [row, other, _unlike(row)])}
        assert found == {row: True, other: False}

    # Trouble

    async def test_a_token_revoked_in_mid_pull_is_renewed(self) -> None:
        rig = self.rig()
        rows = rig.crm.add(some(3 * rig.crm.page))
        got = Seen()
        async with rig.source() as source:
            async for page in source.pull(rig.crm.kind, None):
                got.records += page.records
                rig.crm.revoke()
        assert set(got.ids) == set(rows)

    @pytest.mark.parametrize("what", ["html", "html_ok", "truncated", "empty", "reset"])
    async def test_a_broken_answer_is_asked_for_again(self, what: Trouble) -> None:
        rig = self.rig()
        rows = rig.crm.add(some(2 * rig.crm.page + 1))
        rig.crm.trouble(what, skip=1)
        assert (await pull(rig)).ids == Counter(rows)

    @pytest.mark.parametrize("what", ["html", "html_ok", "truncated", "empty", "reset"])
    async def test_answers_that_stay_broken_are_transient_and_the_cursor_stands(self, what: Trouble) -> None:
        rig = self.rig()
        rows = rig.crm.add(some(2 * rig.crm.page + 1))
        seen = await pull(rig, pages=1)
        rig.crm.trouble(what, times=-1)
        with pytest.raises(Transient):
            await pull(rig, seen)
        rig.crm.trouble(what, times=0)
        more = await pull(rig, seen)
        assert set(seen.ids) | set(more.ids) == set(rows)

    async def test_refused_credentials_are_an_auth_error_that_says_what_to_do(self) -> None:
        rig = self.rig()
        rig.crm.lock_out()
        with pytest.raises(AuthError) as caught:
            await pull(rig)
        assert len(caught.value.message) > 30
        assert caught.value.system

    async def test_an_exhausted_quota_stops_the_pull(self) -> None:
        rig = self.rig()
        rows = rig.crm.add(some(2 * rig.crm.page + 1))
        seen = await pull(rig, pages=1)
        rig.crm.exhaust()
        before = rig.crm.calls()
        with pytest.raises(QuotaExhausted):
            await pull(rig, seen)
        assert rig.crm.calls() - before <= 1
        assert len(rows) > len(seen.records)

    async def test_errors_hold_no_secret(self) -> None:
        rig = self.rig()
        spoils: list[Callable[[Crm], None]] = [lambda crm: crm.lock_out(), lambda crm: crm.exhaust()]
        kinds: tuple[Trouble, ...] = ("html", "truncated", "reset")
        spoils += [partial(_always, what) for what in kinds]
        told = [await self._told(spoil) for spoil in spoils]
        assert all(told)
        assert not [secret for secret in rig.crm.secrets for text in told if secret in text]

    async def _told(self, spoil: Callable[[Crm], None]) -> str:
        """All that an error and what it came from say, once the CRM is spoilt."""
        rig = self.rig()
        rig.crm.add(some(2))
        spoil(rig.crm)
        with pytest.raises(ConnectorError) as caught:
            await pull(rig)
        error: BaseException | None = caught.value
        text = ""
        while error is not None:
            text += f"{error} {error!r} "
            error = error.__cause__ or error.__context__
        return text

    # Checking

    async def test_check_says_who_we_are(self) -> None:
        rig = self.rig()
        async with rig.source() as source:
            assert (await source.check()).identity

    async def test_check_names_a_field_that_is_gone(self) -> None:
        rig = self.rig()
        hidden = rig.crm.hide_a_field()
        async with rig.source() as source:
            with pytest.raises(ConfigError) as caught:
                await source.check()
        problem, *others = caught.value.problems
        assert hidden in problem.message
        assert problem.hint
        assert problem.path
        assert not others

    async def test_a_field_that_goes_in_mid_run_is_named(self) -> None:
        rig = self.rig()
        rig.crm.add(some(2))
        seen = await pull(rig)
        hidden = rig.crm.hide_a_field()
        with pytest.raises(ConfigError) as caught:
            await pull(rig, seen)
        assert hidden in caught.value.problems[0].message
        assert caught.value.problems[0].path

    # Writing back

    async def test_writing_back_twice_is_writing_once(self) -> None:
        rig = self.rig()
        (row,) = rig.crm.add(["deal"])
        for _ in range(2):
            async with rig.source() as source:
                assert list(await source.write_back([rig.crm.good_row(row, "on track")])) == [None]
        assert rig.crm.written(row) == "on track"

    async def test_every_row_written_back_has_its_own_result_in_order(self) -> None:
        rig = self.rig()
        first, bad, last = rig.crm.add(some(3))
        refused, at_fault = rig.crm.bad_row(bad)
        gone = rig.crm.good_row(_unlike(first), "nowhere")
        async with rig.source() as source:
            results = await source.write_back([rig.crm.good_row(first, "one"), refused, gone, rig.crm.good_row(last, "two")])
        assert (results[0], results[3]) == (None, None)
        assert isinstance(results[1], Rejected)
        assert results[1].field == at_fault
        assert isinstance(results[2], Rejected)
        assert (rig.crm.written(first), rig.crm.written(last)) == ("one", "two")

    async def test_the_last_value_written_to_a_record_stands(self) -> None:
        rig = self.rig()
        (row,) = rig.crm.add(["deal"])
        async with rig.source() as source:
            assert list(await source.write_back([rig.crm.good_row(row, "one"), rig.crm.good_row(row, "two")])) == [None, None]
        assert rig.crm.written(row) == "two"

    @pytest.mark.parametrize("what", ["html", "html_ok", "truncated", "reset"])
    async def test_a_write_whose_answer_is_lost_is_repeated(self, what: Trouble) -> None:
        rig = self.rig()
        (row,) = rig.crm.add(["deal"])
        rig.crm.trouble_writing(what)
        async with rig.source() as source:
            assert list(await source.write_back([rig.crm.good_row(row, "done")])) == [None]
        assert rig.crm.written(row) == "done"


def _always(what: Trouble, crm: Crm) -> None:
    crm.trouble(what, times=-1)


def _unlike(row: str) -> str:
    """An id of the same form that nothing has."""
    return row[:3] + "0" * 11 + "9" + row[15:] if len(row) == 18 else f"{row}0000"
