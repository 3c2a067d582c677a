"""Odoo: its CRM, read and written back to, and its projects, written to."""

from connectors.odoo.connection import Connection

__all__ = ["Connection"]
