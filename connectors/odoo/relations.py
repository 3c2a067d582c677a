"""Which rows of Odoo's models a kind is made of, and how the rows of another model belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.odoo.rpc import Domain
from engine.model import CrmKind


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows of a child model belong where `path` on them and `of` on the parent lead to the same value.

    `watch` are the models whose changes concern the parent's content, each with its own path to that value.
    """

    path: str
    of: str = "id"
    domain: Domain = ()
    watch: Mapping[str, str] = field(default_factory=dict)


# Unqualified leads share the deals' table; a customer is a company, or a person without one.
DOMAINS: Mapping[tuple[CrmKind, str], Domain] = {
    ("deal", "crm.lead"): (("type", "=", "opportunity"),),
    ("customer", "res.partner"): ("|", ("is_company", "=", True), ("parent_id", "=", False), ("partner_share", "=", True)),
    ("contact", "res.partner"): (("is_company", "=", False), ("partner_share", "=", True)),
}
RELATIONS: Mapping[tuple[str, str], Relation] = {
    # the people of the customer: of the company the deal's contact works for, or the one private customer
    ("crm.lead", "res.partner"): Relation(
        path="commercial_partner_id",
        of="partner_id.commercial_partner_id",
        domain=(("is_company", "=", False), ("type", "=", "contact"), ("active", "=", True)),
        watch={"res.partner": "commercial_partner_id"},
    ),
    # what was ordered; a quotation may have rivals
    ("crm.lead", "sale.order.line"): Relation(
        path="order_id.opportunity_id",
        domain=(("display_type", "=", False), ("order_id.state", "in", ("sale", "done"))),
        watch={"sale.order.line": "order_id.opportunity_id", "sale.order": "opportunity_id"},
    ),
    # a row is written by the very transaction that writes the deal, and never again: nothing to watch
    ("crm.lead", "mail.tracking.value"): Relation(
        path="mail_message_id.res_id",
        domain=(("mail_message_id.model", "=", "crm.lead"), ("field_id.name", "=", "stage_id")),
    ),
}
