"""Salesforce, read over REST and Bulk API 2.0 and written back to."""

from connectors.salesforce.connection import Connection
from connectors.salesforce.source import SalesforceSource

__all__ = ["Connection", "SalesforceSource"]
