"""Reading over REST: pages in the order of modification, records by id, related lists, and what was deleted.

https://www.zoho.com/crm/developer/docs/api/v8/get-records.html: at most 50 fields and 200 records a call; page tokens beyond 2,000 records.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from connectors.base import Rejected, Transient
from connectors.http import Answer
from connectors.zoho.errors import EMPTY, SYSTEM, NoSuchField, NotAllowed, PageLost
from connectors.zoho.rest import Rest
from connectors.zoho.values import Row, chunks, stamp, together

MOST_FIELDS, MOST_TEXT = 50, 1_000  # of a `fields` parameter; the specification gives it 1,024 characters
IDS_PER_CALL = 50  # likewise 1,024 characters for `ids`, of up to 20 each
LONGEST_ID = 19
MOST_PAGES = 10_000
ALWAYS = ("Modified_Time",)
NEVER = "1970-01-01T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked for of one module. Fields in `optional` may be missing where an organisation has not switched them on."""

    module: str
    fields: tuple[str, ...]
    optional: frozenset[str] = field(default_factory=frozenset)

    @property
    def wanted(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*ALWAYS, *self.fields)))

    def slices(self) -> list[str]:
        """The fields in as many parameters as are needed, each with what is needed to put its rows together."""
        found: list[list[str]] = [list(ALWAYS)]
        for name in self.wanted[len(ALWAYS) :]:
            if len(found[-1]) == MOST_FIELDS or len(",".join([*found[-1], name])) > MOST_TEXT:
                found.append(list(ALWAYS))
            found[-1].append(name)
        return [",".join(names) for names in found]


@dataclass(frozen=True, slots=True)
class Batch:
    """One page of a scan: complete rows, the stamp to go on from (empty where there is no row), whether it is the last."""

    rows: Sequence[Row]
    key: str
    last: bool


class Reading:
    def __init__(self, rest: Rest, *, page_size: int) -> None:
        self._rest = rest
        self._size = str(page_size)

    async def scan(self, shape: Shape, start: str) -> AsyncIterator[Batch]:
        """Rows modified at `start` or later (all of them, when empty), oldest first; rows may come twice. At least one batch, the last one marked.

        Each page begins anew at the stamp the last one ended with, so that rows that move while we read are met again and none is stepped
        over. Page tokens are followed only within one stamp; such a walk is repeated until it brings nothing new, for whether tokens keep
        their place among rows that move is not documented.
        """
        anchor, token, met, news, lost = start, "", set[tuple[str, str]](), False, 0
        while True:
            try:
                rows, following = await self._page(shape, anchor, token)
            except PageLost as failure:
                token, lost = "", lost + 1
                if lost > 3:
                    raise Transient(f"paging through {shape.module} does not get through: {failure}", system=SYSTEM) from failure
                continue
            keys = {(row["id"], row["Modified_Time"]) for row in rows}
            news |= bool(token and keys - met)
            met |= keys
            last = stamp(rows[-1]["Modified_Time"]) if rows else anchor
            through = not following or last > anchor
            again = bool(through and token and news)
            yield Batch(await self._complete(shape, rows), last if rows else "", last=not following and not again)
            if not following and not again:
                return
            if not through:
                token = following
            elif again:
                token, news = "", False
            else:
                anchor, token, met = last, "", set()

    async def _page(self, shape: Shape, since: str, token: str) -> tuple[list[Row], str]:
        order = {"sort_by": "Modified_Time", "sort_order": "asc"}
        params = {"fields": shape.slices()[0], "per_page": self._size, **order, **_at(token)}
        headers = {"If-Modified-Since": since} if since else {}
        answer = await self._rest.get(f"/{shape.module}", headers=headers, **params)
        return _dated(shape.module, rows_of(answer)), _following(answer)

    async def by_id(self, shape: Shape, ids: Sequence[str]) -> list[Row]:
        """Complete rows of these ids, each once; ids that are not there are left out."""
        wanted = [each for each in dict.fromkeys(ids) if each.isdigit() and len(each) <= LONGEST_ID]
        found = await together(*(self._by_id(shape, part) for part in chunks(wanted, IDS_PER_CALL)))
        return [row for rows in found for row in rows]

    async def _by_id(self, shape: Shape, ids: Sequence[str]) -> list[Row]:
        return await self._complete(shape, await self._slice(shape.module, shape.slices()[0], ids))

    async def _slice(self, module: str, fields: str, ids: Sequence[str]) -> list[Row]:
        return _dated(module, rows_of(await self._rest.get(f"/{module}", ids=",".join(ids), fields=fields, per_page=str(IDS_PER_CALL))))

    async def _complete(self, shape: Shape, rows: Sequence[Row], tries: int = 4) -> list[Row]:
        """The rows with the fields of the further slices. What changed between two slices is read again, what went is left out."""
        slices = shape.slices()[1:]
        if not slices or not rows:
            return list(rows)
        parts = [(part, names) for part in chunks(rows, IDS_PER_CALL) for names in slices]
        answers = await together(*(self._slice(shape.module, names, [row["id"] for row in part]) for part, names in parts))
        known, moved = {row["id"]: dict(row) for row in rows}, set[str]()
        for (part, _), more in zip(parts, answers, strict=True):
            found = {row["id"]: row for row in more}
            for row in part:
                same = found.get(row["id"], {}).get("Modified_Time") == row["Modified_Time"]
                moved |= set() if same else {row["id"]}
                known[row["id"]] |= found.get(row["id"], {}) if same else {}
        return [row for id, row in known.items() if id not in moved] + await self._again(shape, sorted(moved), tries)

    async def _again(self, shape: Shape, ids: Sequence[str], tries: int) -> list[Row]:
        if not ids:
            return []
        if not tries:
            raise Transient(f"records of {shape.module} change faster than their fields can be read", system=SYSTEM)
        return await self._complete(shape, await self._slice(shape.module, shape.slices()[0], ids), tries - 1)

    async def related(self, module: str, row: str, name: str, fields: Sequence[str]) -> list[Row]:
        """A related list of one record, whole, in the order its rows were made. Empty when the record is gone."""
        found: list[Row] = []
        token = ""
        for _ in range(MOST_PAGES):
            params = {"fields": ",".join(fields), "per_page": self._size, **_at(token)}
            try:
                answer = await self._rest.get(f"/{module}/{row}/{name}", headers=None, **params)
            except PageLost as lost:
                raise Transient(f"paging through {name} does not get through: {lost}", system=SYSTEM) from lost
            except Rejected as refusal:
                if "relation name" in refusal.message:
                    raise NoSuchField(f"{module} has no related list {name}", field=name, module=module) from refusal
                if refusal.field or not refusal.message.startswith("INVALID_DATA"):
                    raise
                return []
            found += rows_of(answer)
            token = _following(answer)
            if not token:
                break
        return sorted(found, key=lambda each: (len(str(each.get("id"))), str(each.get("id"))))  # ids grow, and are numbers

    async def whole(self, module: str, row: str) -> Row | None:
        """One record with its subforms; None when it is gone."""
        try:
            rows = rows_of(await self._rest.get(f"/{module}/{quote(row, safe='')}"))
        except Rejected as refusal:
            if not refusal.message.startswith("INVALID_DATA"):
                raise
            rows = []
        return rows[0] if rows else None

    async def deleted(self, module: str, since: str) -> AsyncIterator[list[Row]]:
        """What was deleted at `since` or later, in no order: pages of rows with `id` and `deleted_time`."""
        headers = {"If-Modified-Since": since} if since else {}
        for page in range(1, MOST_PAGES):
            answer = await self._rest.get(f"/{module}/deleted", headers=headers, type="all", page=str(page), per_page="200")
            yield rows_of(answer)
            if not _info(answer).get("more_records"):
                return

    async def count(self, module: str) -> int | None:
        """How many records there are; None when that may not be asked."""
        try:
            return int((await self._rest.get(f"/{module}/actions/count")).data["count"])
        except (NotAllowed, Rejected, KeyError, TypeError, ValueError):
            return None


def _at(token: str) -> dict[str, str]:
    return {"page_token": token} if token else {}


def rows_of(answer: Answer) -> list[Row]:
    if answer.status in EMPTY:
        return []
    rows = answer.data.get("data")
    if not isinstance(rows, list):
        raise Transient("the answer holds no list of records", system=SYSTEM)
    return rows


def _dated(module: str, rows: list[Row]) -> list[Row]:
    """Every row with a stamp: what was never modified is as old as can be."""
    for row in rows:
        if "Modified_Time" not in row:
            raise NoSuchField(f"{module} has no Modified_Time, so its changes cannot be followed", module=module)
        row["Modified_Time"] = row["Modified_Time"] or NEVER
    return rows


def _info(answer: Answer) -> Mapping[str, object]:
    info = answer.data.get("info") if answer.status not in EMPTY else None
    return info if isinstance(info, Mapping) else {}


def _following(answer: Answer) -> str:
    info = _info(answer)
    return str(info.get("next_page_token") or "") if info.get("more_records") else ""
