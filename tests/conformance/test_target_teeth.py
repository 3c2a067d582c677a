"""The target suite bites: each deliberately broken target is rejected by the test named beside it, and no test is without such a target."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from connectors.base import (
    Ambiguous,
    AuthError,
    Changed,
    Conflict,
    ConnectorError,
    Create,
    Locate,
    Progress,
    Publish,
    Rejected,
    Remote,
    Report,
    Transient,
    Update,
    Write,
    nowhere,
)
from engine.model import ItemKind
from tests.conformance.memory_tool import SECRET, MemoryTarget, MemoryTool, Outcome, Thing
from tests.conformance.target import Rig, TargetConformance


class TestMemory(TargetConformance):
    def rig(self) -> Rig:
        tool = MemoryTool()
        return Rig(tool, lambda: MemoryTarget(tool))


class Nobody(MemoryTarget):
    async def check(self) -> Report:
        return Report("")


class ChecksNothing(MemoryTarget):
    def enter(self) -> None:
        return None


class NeverFinds(MemoryTarget):
    def look(self, create: Create) -> Remote | Conflict | None:
        return None


class FindsByKind(MemoryTarget):
    def is_ours(self, thing: Thing, create: Create) -> bool:
        return not thing.archived


class NoAddress(MemoryTarget):
    def told(self, thing: Thing) -> Remote:
        return Remote(thing.id, thing.kind, "", thing.key)


class TakesTheFirst(MemoryTarget):
    def settle(self, ours: Sequence[Thing]) -> Remote | Conflict | None:
        return super().settle(ours[:1])


class OnePage(MemoryTarget):
    page = 100


class RetriesCreates(MemoryTarget):
    def send(self, writes: Sequence[Write], tries: int = 3) -> list[Outcome]:
        outcomes = super().send(writes)
        return super().send(writes) if any(isinstance(one, Ambiguous) for one in outcomes) else outcomes


class DoubtIsTransient(MemoryTarget):
    def doubt(self, write: Write) -> ConnectorError:
        return Transient("no answer")


class AllIsDoubt(MemoryTarget):
    def doubt(self, write: Write) -> ConnectorError:
        return Ambiguous("no answer")


class DoubtsTheFirst(MemoryTarget):
    def send(self, writes: Sequence[Write], tries: int = 3) -> list[Outcome]:
        outcomes = super().send(writes)
        return [one if at == 0 or not isinstance(one, Ambiguous) else Transient("?") for at, one in enumerate(outcomes)]


class RefusedIsDoubt(MemoryTarget):
    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes = await super().write(writes)
        return [Ambiguous(one.message) if self.tool.cut and isinstance(one, ConnectorError) else one for one in outcomes]


class WaitsTwice(MemoryTarget):
    def create(self, create: Create) -> Outcome:
        if create.item.kind == "dependency":
            self.tool.things[create.parent].waits += create.depends_on
            return Remote(create.parent, "dependency")
        return super().create(create)


class ForgetsTheLate(MemoryTarget):
    def is_ours(self, thing: Thing, create: Create) -> bool:
        return super().is_ours(thing, create) and not self.tool.later


class ConfusesAttempts(MemoryTarget):
    def look(self, create: Create) -> Remote | Conflict | None:
        return self.settle([thing for thing in self.tool.of(create.item.kind) if self.is_ours(thing, create)])


class SweepsByDeleting(MemoryTarget):
    async def sweep(self, nonces: Sequence[str]) -> list[str]:
        swept = await super().sweep(nonces)
        for id in swept:
            del self.tool.things[id]
        return swept


class BusyIsTransient(MemoryTarget):
    def send(self, writes: Sequence[Write], tries: int = 3) -> list[Outcome]:
        return super().send(writes, 0) if "busy" not in str(self.tool.troubles) else [Transient("busy") for _ in writes]


class Impatient(MemoryTarget):
    def send(self, writes: Sequence[Write], tries: int = 0) -> list[Outcome]:
        return super().send(writes, 0)


class AllOrNothing(MemoryTarget):
    def send(self, writes: Sequence[Write], tries: int = 3) -> list[Outcome]:
        outcomes = super().send(writes)
        refusal = next((one for one in outcomes if isinstance(one, Rejected)), None)
        return [refusal or one for one in outcomes]


class Shuffles(MemoryTarget):
    def send(self, writes: Sequence[Write], tries: int = 3) -> list[Outcome]:
        outcomes = super().send([*writes][::-1])
        return outcomes if all(isinstance(one, Remote) for one in outcomes) else outcomes[::-1]


class UpdatesGhosts(MemoryTarget):
    def update(self, update: Update) -> Outcome:
        return super().update(update) if update.id in self.tool.things else Remote(update.id, update.kind)


class TellsAll(MemoryTarget):
    def doubt(self, write: Write) -> ConnectorError:
        return Ambiguous(f"no answer to a request with {SECRET}")


class Cuts(MemoryTarget):
    """Holds forty characters of a name and no markup."""

    def held(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        fields = super().held(fields)
        return {name: value[:40].replace("<", "") if isinstance(value, str) else value for name, value in fields.items()}

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return bool(ours == held)


class Lenient(Cuts):
    """Compares what is left of both sides."""

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return bool(self.held({field: ours})[field] == self.held({field: held})[field])


class NeverDiffers(MemoryTarget):
    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return True


class LosesPeople(MemoryTarget):
    def held(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: () if name == "followers" else value for name, value in super().held(fields).items()}

    def same(self, kind: ItemKind, field: str, ours: Any, held: Any) -> bool:
        return bool(ours == held)


class Replaces(MemoryTarget):
    def update(self, update: Update) -> Outcome:
        self.tool.things[update.id].fields.clear()
        return super().update(update)


class LosesTheKey(MemoryTarget):
    def update(self, update: Update) -> Outcome:
        self.tool.things[update.id].key = ""
        return super().update(update)


class Strict(MemoryTarget):
    def create(self, create: Create) -> Outcome:
        if create.item.fields.get("assignee") == self.tool.unknown:
            return Rejected("nobody is called that")
        return super().create(create)


class Homeless(MemoryTarget):
    def create(self, create: Create) -> Outcome:
        outcome = super().create(create)
        if isinstance(outcome, Remote) and create.item.kind == "task":
            self.tool.things[outcome.id].section = ""
        return outcome


class ForgetsSubtasks(MemoryTarget):
    async def children(self, project: str) -> list[Remote]:
        return [one for one in await super().children(project) if self.tool.things[one.id].parent == project]


class Eager(MemoryTarget):
    def create(self, create: Create) -> Outcome:
        outcome = super().create(create)
        if create.item.kind == "project" and isinstance(outcome, Remote):
            self.tool.seen.append(f"handoff {create.nonce}")
        return outcome


class ShowsAgain(MemoryTarget):
    def publish(self, publish: Publish) -> Outcome:
        shown = self.tool.things[publish.id].public
        outcome = super().publish(publish)
        self.tool.seen += ["again"] if shown else []
        return outcome


class PublishingIsDoubt(MemoryTarget):
    def doubt(self, write: Write) -> ConnectorError:
        return Ambiguous("?") if isinstance(write, Publish) else super().doubt(write)


class KnowsAll(MemoryTarget):
    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        changed = await super().changes(cursor)
        return Changed(changed.projects, changed.cursor, complete=True)


class Blind(MemoryTarget):
    async def changes(self, cursor: str | None, *, locate: Locate = nowhere) -> Changed:
        changed = await super().changes(cursor)
        return Changed(frozenset(), changed.cursor, changed.complete)


class CountsAll(MemoryTarget):
    def count(self, project: str) -> Progress:
        tasks = [thing for thing in self.tool.of("task") if thing.project == project]
        return Progress(project, sum(task.done for task in tasks), len(tasks))


class Insists(MemoryTarget):
    async def progress(self, projects: Sequence[str]) -> list[Progress]:
        return [self.count(project) for project in projects]


class LosesOrder(MemoryTarget):
    """Makes what follows a lost section at once, and the lost one last."""

    def send(self, writes: Sequence[Write], tries: int = 3) -> list[Outcome]:
        if not self.tool.troubles.get("section", ("", 0))[1] or not all(isinstance(one, Create) for one in writes):
            return super().send(writes)
        self.tool.troubles.clear()
        for write in writes[1:]:
            self.carry(write)
        return [self.doubt(write) for write in writes]


class Hides(MemoryTarget):
    """Swallows the refusal of its token."""

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        try:
            return await super().write(writes)
        except AuthError as error:
            return [error for _ in writes]


TEETH: tuple[tuple[type[MemoryTarget], str], ...] = (
    (Nobody, "test_check_says_who_we_are"),
    (ChecksNothing, "test_a_refused_token_is_an_auth_error_that_says_what_to_do"),
    (Hides, "test_a_refused_token_is_an_auth_error_that_says_what_to_do"),
    (NeverFinds, "test_what_was_made_is_found_by_its_key"),
    (FindsByKind, "test_what_was_never_made_is_not_found"),
    (NoAddress, "test_a_created_object_comes_with_its_address"),
    (TakesTheFirst, "test_two_published_projects_with_one_key_are_a_conflict_that_names_them"),
    (TakesTheFirst, "test_two_tasks_with_one_key_are_a_conflict"),
    (OnePage, "test_look_ups_see_past_the_first_page"),
    (RetriesCreates, "test_a_create_whose_answer_is_lost_is_ambiguous_and_there_once"),
    (DoubtIsTransient, "test_a_create_whose_answer_is_lost_is_ambiguous_and_there_once"),
    (RetriesCreates, "test_a_server_error_on_a_create_is_ambiguous"),
    (RefusedIsDoubt, "test_an_address_nobody_listens_at_is_transient_and_nothing_is_made"),
    (DoubtsTheFirst, "test_a_lost_batch_leaves_each_of_its_creates_in_doubt"),
    (AllIsDoubt, "test_an_update_whose_answer_is_lost_is_transient_and_may_be_repeated"),
    (AllIsDoubt, "test_a_lost_dependency_is_transient_and_its_repetition_harmless"),
    (WaitsTwice, "test_a_lost_dependency_is_transient_and_its_repetition_harmless"),
    (ForgetsTheLate, "test_a_late_commit_is_not_found_at_first_and_adopted_later"),
    (ConfusesAttempts, "test_a_late_commit_beside_a_second_attempt_stays_out_of_sight_and_is_swept"),
    (SweepsByDeleting, "test_a_late_commit_beside_a_second_attempt_stays_out_of_sight_and_is_swept"),
    (BusyIsTransient, "test_too_many_requests_say_when_to_come_back_and_nothing_is_made"),
    (Impatient, "test_a_busy_moment_is_waited_out"),
    (AllOrNothing, "test_each_write_of_a_batch_has_its_own_outcome"),
    (UpdatesGhosts, "test_what_is_gone_is_gone"),
    (TellsAll, "test_errors_hold_no_secret"),
    (Cuts, "test_names_survive_whatever_is_in_them"),
    (Cuts, "test_notes_survive_whatever_is_in_them"),
    (Lenient, "test_nasty_names_are_kept_and_not_merely_alike"),
    (Lenient, "test_long_notes_are_kept_whole"),
    (LosesPeople, "test_dates_people_and_milestones_survive"),
    (NeverDiffers, "test_an_edit_by_a_person_shows"),
    (Replaces, "test_an_update_sets_its_fields_and_leaves_the_others"),
    (LosesTheKey, "test_an_update_sets_its_fields_and_leaves_the_others"),
    (LosesTheKey, "test_an_update_by_another_run_keeps_the_key"),
    (Strict, "test_somebody_unknown_does_not_lose_the_task"),
    (Homeless, "test_a_task_stands_in_its_project_and_section"),
    (Shuffles, "test_sections_stand_in_the_order_given_with_none_besides"),
    (LosesOrder, "test_sections_keep_their_order_when_an_answer_is_lost"),
    (ForgetsSubtasks, "test_children_are_all_that_is_in_a_project"),
    (Eager, "test_nobody_sees_a_project_before_it_is_published"),
    (ShowsAgain, "test_publishing_twice_is_publishing_once"),
    (PublishingIsDoubt, "test_a_publication_whose_answer_is_lost_is_transient"),
    (KnowsAll, "test_the_first_look_at_changes_says_that_all_may_have_changed"),
    (Blind, "test_a_finished_task_names_its_project_and_counts"),
    (CountsAll, "test_a_finished_task_names_its_project_and_counts"),
    (Blind, "test_a_finished_sub_task_names_its_project"),
    (KnowsAll, "test_a_forgotten_story_is_told"),
    (OnePage, "test_progress_counts_past_the_first_page_and_omits_what_is_gone"),
    (Insists, "test_progress_counts_past_the_first_page_and_omits_what_is_gone"),
)


@pytest.mark.parametrize(("broken", "name"), TEETH, ids=[f"{broken.__name__}-{name}" for broken, name in TEETH])
def test_a_broken_target_is_rejected(broken: type[MemoryTarget], name: str) -> None:
    class Suite(TargetConformance):
        def rig(self) -> Rig:
            tool = MemoryTool()
            return Rig(tool, lambda: broken(tool))

    with pytest.raises((AssertionError, ConnectorError, ExceptionGroup, pytest.fail.Exception)):
        run(Suite(), name)


def run(suite: TargetConformance, name: str) -> None:
    promise: Any = getattr(suite, name)
    arguments = {"what": "lost"} if "what" in inspect.signature(promise).parameters else {}
    asyncio.run(promise(**arguments))


def test_every_promise_has_a_broken_target_it_rejects() -> None:
    promises = {name for name in dir(TargetConformance) if name.startswith("test_")} - {"test_exemptions_are_real_tests_with_reasons"}
    assert promises == {name for _, name in TEETH}


def test_an_exemption_without_a_reason_or_a_test_is_refused() -> None:
    class Idle(TargetConformance):
        exempt = {"test_a_forgotten_story_is_told": " "}  # noqa: RUF012

    class Stray(TargetConformance):
        exempt = {"test_nothing_of_the_sort": "it is not there"}  # noqa: RUF012

    for suite in (Idle(), Stray()):
        with pytest.raises(AssertionError):
            suite.test_exemptions_are_real_tests_with_reasons()
