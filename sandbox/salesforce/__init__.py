"""A stand-in of Salesforce: its REST and Bulk query APIs over an org held in memory."""

from sandbox.salesforce.app import Salesforce
from sandbox.salesforce.loader import Loaded, load_csv
from sandbox.salesforce.org import Org
from sandbox.salesforce.transaction import Transaction

__all__ = ["Loaded", "Org", "Salesforce", "Transaction", "load_csv"]
