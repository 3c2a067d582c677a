"""Users and the organisation."""

from __future__ import annotations

from sandbox.web import Reply
from sandbox.zoho.calls import Call
from sandbox.zoho.errors import invalid
from sandbox.zoho.values import Row
from sandbox.zoho.world import ORG, World

ACTIVE = frozenset({"ActiveUsers", "ActiveConfirmedUsers", "ConfirmedUsers", "AllActiveUsers"})
ADMINS = frozenset({"AdminUsers", "ActiveConfirmedAdmins"})
KINDS = (
    ACTIVE | ADMINS | {"AllUsers", "CurrentUser", "DeactiveUsers", "NotConfirmedUsers", "DeletedUsers", "DeveloperUsers", "ActiveLiteUser"}
)


def users(call: Call) -> Reply:
    kind = call.query.get("type", "AllUsers")
    if kind not in KINDS:
        raise invalid(param_name="type")
    found = [each for each in call.world.users.values() if _is(call.world, each, kind)]
    size, page = call.number("per_page", 200, 200), call.number("page", 1)
    part = found[(page - 1) * size : page * size]
    if not part:
        return Reply(204)
    info = {"per_page": size, "count": len(part), "page": page, "more_records": page * size < len(found)}
    return Reply.json(200, {"users": [_user(call.world, each) for each in part], "info": info})


def one_user(call: Call) -> Reply:
    found = call.world.users.get(call.parts["id"])
    return Reply(204) if found is None else Reply.json(200, {"users": [_user(call.world, found)]})


def _is(world: World, person: Row, kind: str) -> bool:
    active: bool = person["status"] == "active"
    if kind in ACTIVE:
        return active
    if kind in ADMINS:
        return active and bool(person["profile"] == "Administrator")
    return kind == "AllUsers" or (kind == "DeactiveUsers" and not active) or bool(kind == "CurrentUser" and person["id"] == world.user)


def _user(world: World, person: Row) -> Row:
    profile = person["profile"]
    told = {name: person[name] for name in ("id", "full_name", "first_name", "last_name", "email", "status", "confirm", "zuid")}
    return {
        **told,
        "profile": {"name": profile, "id": world.id_of(f"profile {profile}")},
        "role": {"name": "CEO", "id": world.id_of("role CEO")},
        "time_zone": world.time_zone,
        "locale": "en_US",
        "language": "en_US",
        "country_locale": "en_US",
        "type__s": "Regular User",
        "created_time": None,
    }


def org(call: Call) -> Reply:
    """The organisation; its own time zone is the user's here."""
    world = call.world
    edition = {"free": "free", "standard": "standard", "professional": "professional", "ultimate": "ultimate"}.get(
        world.edition, "enterprise"
    )
    about = {
        "company_name": "Handoff Test Org",
        "id": f"{ORG}{999:012d}",
        "zgid": "70000001",
        "domain_name": "org70000001",
        "type": "production",
        "currency": "US Dollar",
        "currency_symbol": "$",
        "currency_locale": "en_US",
        "iso_code": "USD",
        "country_code": "US",
        "time_zone": world.time_zone,
        "mc_status": False,
        "primary_email": "ada@handoff.test",
        "license_details": {
            "users_license_purchased": 5,
            "portal_users_license_purchased": 0,
            "paid": edition != "free",
            "paid_type": edition,
            "paid_expiry": None,
            "trial_type": None,
            "trial_expiry": None,
        },
    }
    return Reply.json(200, {"org": [about]})
