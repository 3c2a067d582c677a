"""A person's word on what waits: try it again, give it up, or take an object that is there already. Each is written to the audit trail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from connectors.base import ConfigError, Conflict, Create, Rejected, Remote, Runtime, Target
from engine.model import Problem
from flows.configuration import Loaded
from flows.session import open_target
from flows.waiting import Waiting, waiting
from state import Intent, Link, Note, Outbox, Store
from state.waiting import dismiss_back, retry_back, state_of

Way = Literal["retry", "dismiss", "adopt"]
_STATES = {"open": "open: the next sync goes on with it", "done": "done", "dismissed": "dismissed for good"}
_REACHES = {"retry": "open", "dismiss": "dismissed", "adopt": "done"}


def find(store: Store, ref: str) -> Waiting:
    """What waits under a number, a name such as `write-back/006…`, or a record's id. Raises ConfigError when it is nothing, or more than one."""
    everything = waiting(store)
    found = [one for one in everything if ref == one.ref] or [one for one in everything if one.row and _is(one, ref)]
    if len(found) == 1:
        return found[0]
    if found:
        raise _refusal(f"{ref} waits for more than one thing", f"name one: {', '.join(one.ref for one in found)}")
    if (settled := _action(store, ref)) is not None:
        raise _refusal(f"{ref} does not wait for a person, it is {_STATES[settled.state]}", f"it was to {settled.op} {settled.key}")
    raise _refusal(f"nothing waits under {ref}", "`handoff status` lists what waits")


def settled(store: Store, ref: str, way: Way) -> Intent | None:
    """The action of a number about which exactly this was decided already."""
    intent = _action(store, ref)
    if intent is None or intent.state != _REACHES[way]:
        return None
    return intent if any(note["verdict"] == f"resolved: {way}" for note in store.audit(key=intent.key, limit=5)) else None


def _action(store: Store, ref: str) -> Intent | None:
    return state_of(store, int(ref)) if re.fullmatch(r"[0-9]{1,18}", ref) else None


def decide(store: Store, one: Waiting, way: Way, *, by: str, now: datetime, remote: Remote | None = None) -> None:
    """Carry a decision out in the state. Raises ConfigError for one that makes no sense for this."""
    if way not in one.ways:
        raise _refusal(f"{one.ref} cannot be decided by {way}", f"it can be: {', '.join(one.ways)}")
    with store.transaction():
        if one.action is not None:
            _settle(Outbox(store), one.action, way, now, remote)
        elif one.kind == "undecided" and one.row:
            store.clear_recheck(one.row.system, one.row.kind, [one.row.id])
        elif one.row:
            (retry_back if way == "retry" else dismiss_back)(store, one.row)
        store.note("", [_note(store, one, way, by, remote)], now)


def _settle(outbox: Outbox, intent: Intent, way: Way, now: datetime, remote: Remote | None) -> None:
    match way:
        case "retry":
            outbox.retry(intent.seq, now)
        case "dismiss":
            outbox.dismiss(intent.seq, now)
        case "adopt":
            assert remote is not None  # noqa: S101 - looked at in the tool before
            outbox.adopt(intent.seq, remote.id, now, url=remote.url)


def _note(store: Store, one: Waiting, way: Way, by: str, remote: Remote | None) -> Note:
    link = Outbox(store).links([one.action.key])[one.action.key] if one.action else None
    told = f"by {by}: {one.what}; it waited because: {one.why}"
    detail = {"by": by, **({"object": remote.url or remote.id} if remote else {})}
    if link is None:
        return Note(one.source, "", "", f"resolved: {way}", told, detail=detail)
    return Note(link.source, link.event, link.rule, f"resolved: {way}", told, link.item.key, detail)


# adopting: asked of the tool itself


async def seek(loaded: Loaded, store: Store, one: Waiting, named: str, runtime: Runtime) -> Remote:
    """The object a person means, by its id or address, after a look into the tool. Raises ConfigError when it cannot be the one."""
    intent = one.action
    if intent is None or "adopt" not in one.ways:
        raise _refusal(f"{one.ref} is nothing an object could be taken for", f"it can be decided by {', '.join(one.ways)}")
    links = Outbox(store).project_links(intent.project)
    link = links[intent.key]
    if link.item.kind != "project" and not links[intent.project].remote_id:
        raise _refusal(f"the project of {one.ref} is not made yet, so nothing can be in it", "retry or dismiss it")
    async with open_target(loaded, intent.target, runtime) as target:
        if not named:
            raise await _candidates(target, intent, links)
        remote = await _look(target, link, named)
        await _suits(target, store, link, links[link.item.project], remote)
    return remote


async def _candidates(target: Target, intent: Intent, links: dict[str, Link]) -> ConfigError:
    """Without an object named: which ones carry the key."""
    item = links[intent.key].item
    project, parent, section = (links[key].remote_id if key else "" for key in (item.project, item.parent, item.section))
    (found,) = await target.find([Create(item, intent.nonce, project=project, parent=parent, section=section)])
    carry = found.theirs if isinstance(found, Conflict) else [found.url or found.id] if isinstance(found, Remote) else []
    hint = f"it may be: {', '.join(carry)}" if carry else f"nothing in {target.system} carries its key"
    return _refusal(f"which object shall be taken for {item.kind} {item.fields.get('name', item.key)!r}? Name it with --id", hint)


async def _look(target: Target, link: Link, named: str) -> Remote:
    kind = link.item.kind
    for id_ in _ids(named):
        try:
            (remote,) = await target.read(kind, [id_])
        except Rejected:
            continue  # not an id of this kind
        if remote is not None:
            return remote
    raise _refusal(
        f"there is no {kind} {named} in {target.system}, or it is not visible to the integration", "copy its address from the tool"
    )


def _ids(named: str) -> Sequence[str]:
    """An id as it is; of an address the parts that may be one, the last first."""
    if "/" not in named:
        return [named]
    return [part for part in reversed(urlsplit(named).path.split("/")) if re.search(r"\d", part)]


async def _suits(target: Target, store: Store, link: Link, project: Link, remote: Remote) -> None:
    key, kind = link.item.key, link.item.kind
    if remote.key and remote.key != key:
        raise _refusal(f"{kind} {remote.url or remote.id} carries another key, {remote.key}", "it is something else's; name another")
    for other in Outbox(store).matching(remote.id):
        if other.item.key != key and other.target == link.target and other.item.kind == kind:
            raise _refusal(f"{kind} {remote.url or remote.id} stands for {other.item.key} already", "name another")
    if kind != "project" and remote.id not in {child.id for child in await target.children(project.remote_id)}:
        raise _refusal(f"{kind} {remote.url or remote.id} is not in the project", f"move it into {project.url or project.remote_id} first")


def _refusal(message: str, hint: str = "") -> ConfigError:
    return ConfigError([Problem(message, hint=hint)])


def _is(one: Waiting, ref: str) -> bool:
    assert one.row is not None  # noqa: S101 - asked of rows only
    return ref in (one.row.id, one.source) or (len(ref) == 15 and one.row.id[:15] == ref)
