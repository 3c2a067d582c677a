"""A stand-in of Zoho CRM: its accounts servers and REST API (v2 to v8) over an organisation held in memory."""

from sandbox.zoho.app import Zoho
from sandbox.zoho.schema import Field
from sandbox.zoho.world import World

__all__ = ["Field", "World", "Zoho"]
