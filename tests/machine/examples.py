"""What the machine once found, and what it would rarely come upon: short stories with a known end. All is well after each of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from tests.machine.machine import Sync
from tests.machine.tool import Ways
from tests.machine.world import Nap

Story = Callable[[Sync], object]
SEEN_FROM_BIRTH = Ways(provisional=False)
LAGGING = Ways(lag=timedelta(seconds=30), provisional=False)


def a_project(machine: Sync, ways: Ways = SEEN_FROM_BIRTH) -> None:
    machine.begin(ways)
    machine.run(patience=180)


def an_undisturbed_run(machine: Sync) -> None:
    a_project(machine, Ways())


def a_lost_answer(machine: Sync) -> None:
    machine.begin(SEEN_FROM_BIRTH)
    machine.suffer({("write", 1): "lost"}, patience=180)


def a_lost_answer_and_a_look_up_that_lags(machine: Sync) -> None:
    machine.begin(LAGGING)
    machine.suffer({("write", 1): "late:59"}, patience=180)


def a_late_commit(machine: Sync) -> None:
    machine.begin(SEEN_FROM_BIRTH)
    machine.suffer({("write", 1): "late:45"}, patience=180)


def a_lost_answer_and_a_look_up_that_fails(machine: Sync) -> None:
    machine.begin(SEEN_FROM_BIRTH)
    machine.suffer({("write", 1): "lost", ("find", 1): "never"}, patience=180)


def a_deal_won_again(machine: Sync) -> None:
    a_project(machine)
    machine.win()
    machine.run(patience=180)


def more_deals_than_a_run_may_act_on(machine: Sync) -> None:
    machine.begin(Ways())
    machine.flood()
    machine.run(patience=180)


def a_name_changed_while_the_one_before_is_not_written_yet(machine: Sync) -> None:
    a_project(machine)
    machine.rename()
    machine.suffer({("write", 1): "never"})
    machine.rename()
    machine.run(patience=180)


def a_lost_name_that_comes_late(machine: Sync) -> None:
    a_project(machine)
    machine.rename()
    machine.suffer({("write", 1): "late:45"})
    machine.rename()
    machine.run(patience=180)


def a_lost_publishing_that_comes_late(machine: Sync) -> None:
    machine.begin(Ways(batch=1))
    machine.suffer({("write", 5): "late:45"})
    machine.run(patience=180)
    machine.rename()
    machine.run(patience=180)


def a_refused_name_tried_again_after_a_newer_one(machine: Sync) -> None:
    a_project(machine)
    machine.rename()
    machine.suffer({("write", 1): "refused:0"})
    machine.rename()
    machine.run(patience=180)
    machine.try_parked_again()


def a_name_changed_before_its_project_is_known_to_be_shown(machine: Sync) -> None:
    machine.begin(Ways(batch=1))
    machine.suffer({("write", 5): "lost"})
    machine.rename()
    machine.run()


def a_name_changed_before_its_task_is_known_to_be_made(machine: Sync) -> None:
    machine.begin(Ways(batch=1))
    machine.suffer({("write", 3): "lost", ("find", 1): "never"})
    machine.rename()
    machine.run()


def a_name_changed_again_while_its_task_is_made_twice(machine: Sync) -> None:
    machine.begin(Ways(batch=1))
    machine.suffer({("write", 3): "never", ("find", 1): "never"})
    machine.rename()
    machine.suffer({("find", 1): "never"}, rest=1200)
    machine.suffer({("write", 1): "lost", ("find", 2): "never"})
    machine.rename()
    machine.run()


def a_persons_edit_before_a_change(machine: Sync) -> None:
    a_project(machine)
    machine.edit()
    machine.rename()
    machine.run(patience=180)


def two_workers(machine: Sync) -> None:
    machine.begin(Ways())
    machine.share()


def a_worker_that_sleeps_through_its_lease(machine: Sync) -> None:
    machine.begin(Ways(batch=1))
    machine.share(nap=Nap(2, 200))


def a_death(machine: Sync, at: int) -> None:
    machine.begin(SEEN_FROM_BIRTH)
    machine.die(at, rest=70)


DEATHS: tuple[Story, ...] = tuple(partial(a_death, at=at) for at in range(1, 81))
STORIES: tuple[Story, ...] = (
    an_undisturbed_run,
    a_lost_answer,
    a_lost_answer_and_a_look_up_that_lags,
    a_late_commit,
    a_lost_answer_and_a_look_up_that_fails,
    a_deal_won_again,
    more_deals_than_a_run_may_act_on,
    a_name_changed_while_the_one_before_is_not_written_yet,
    a_lost_name_that_comes_late,
    a_lost_publishing_that_comes_late,
    a_refused_name_tried_again_after_a_newer_one,
    a_name_changed_before_its_project_is_known_to_be_shown,
    a_name_changed_before_its_task_is_known_to_be_made,
    a_name_changed_again_while_its_task_is_made_twice,
    a_persons_edit_before_a_change,
    two_workers,
    a_worker_that_sleeps_through_its_lease,
)


def play(story: Story, kind: type[Sync] = Sync) -> Sync:
    """Tell it, let things quieten down, see that all is well."""
    machine = kind()
    try:
        story(machine)
        machine.all_well_after_all()
    finally:
        machine.folder.cleanup()
    return machine


def name_of(story: Story) -> str:
    if isinstance(story, partial):
        return f"a death at step {story.keywords['at']}"
    return story.__name__.replace("_", " ")
