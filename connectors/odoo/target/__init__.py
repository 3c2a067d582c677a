"""Odoo's projects, written to over its public API."""

from connectors.odoo.target.fields import FieldMap
from connectors.odoo.target.target import OdooTarget

__all__ = ["FieldMap", "OdooTarget"]
