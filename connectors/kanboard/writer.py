"""Carrying writes out, kind by kind. What fails before a write has left is true of that write: certainly not done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from connectors.base import AuthError, ConnectorError, Create, Gone, Publish, Rejected, Remote, Update, Write
from connectors.kanboard.columns import Columns
from connectors.kanboard.comments import Comments
from connectors.kanboard.dependencies import Dependencies
from connectors.kanboard.projects import Projects
from connectors.kanboard.site import Site
from connectors.kanboard.tasks import Tasks

Outcome = Remote | ConnectorError


class Writer:
    def __init__(
        self, site: Site, *, projects: Projects, columns: Columns, tasks: Tasks, comments: Comments, dependencies: Dependencies
    ) -> None:
        self._site = site
        self._projects = projects
        self._columns = columns
        self._tasks = tasks
        self._comments = comments
        self._dependencies = dependencies

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Answers in the order of the writes. Raises AuthError when it met every one of them."""
        lanes: defaultdict[str, list[int]] = defaultdict(list)
        for at, write in enumerate(writes):
            lanes[_lane(at, write)].append(at)
        outcomes: dict[int, Outcome] = {}
        for lane in lanes.values():
            outcomes |= zip(lane, await self._carry([writes[at] for at in lane]), strict=True)
        refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, AuthError)]
        if refusals and len(refusals) == len(writes):
            raise refusals[0]
        return [outcomes[at] for at in range(len(writes))]

    async def _carry(self, writes: Sequence[Write]) -> list[Outcome]:
        try:
            await self._site.load()
            self._site.resolve(email for write in writes for email in emails(write))
            return await self._kind(writes)
        except ConnectorError as error:
            return [error] * len(writes)

    async def _kind(self, writes: Sequence[Write]) -> list[Outcome]:
        match writes[0]:
            case Publish() as publish:
                return [await self._projects.publish(publish)]
            case Update() as change:
                return await self._change(change, [write for write in writes if isinstance(write, Update)])
        return await self._make([write for write in writes if isinstance(write, Create)])

    async def _change(self, first: Update, changes: Sequence[Update]) -> list[Outcome]:
        match first.kind:
            case "project":
                return [await self._projects.change(first)]
            case "section":
                return [await self._columns.change(first)]
            case "comment":
                return [await self._comments.change(first)]
            case "task":
                return await self._tasks.change(changes)
        raise Rejected(f"Kanboard does not change a {first.kind} once it is made")

    async def _make(self, creates: Sequence[Create]) -> list[Outcome]:
        first = creates[0]
        match first.item.kind:
            case "project":
                return [await self._projects.make(first)]
            case "section":
                head = (await self._projects.heads(creates))[first.project]
                return [head] * len(creates) if isinstance(head, Gone) else await self._columns.make(head, creates)
            case "task":
                return await self._tasks.make(creates, await self._projects.heads(creates))
            case "comment":
                return await self._comments.make(creates)
            case "dependency":
                return await self._dependencies.make(creates)
        raise Rejected(f"Kanboard has no {first.item.kind}")


def emails(write: Write) -> set[str]:
    """Everybody a write names."""
    fields = write.fields if isinstance(write, Update) else write.item.fields
    leads = {str(fields[name]) for name in ("assignee", "owner") if fields.get(name)}
    return leads | set(fields.get("followers") or ())


def _lane(at: int, write: Write) -> str:
    """What can be carried out together: tasks, comments, dependencies; the sections of one project, in order."""
    match write:
        case Create(item=item) if item.kind == "section":
            return f"section {write.project}"
        case Create(item=item) if item.kind != "project":
            return f"create {item.kind}"
        case Update(kind="task"):
            return "update task"
    return f"alone {at}"
