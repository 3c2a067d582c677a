"""A real Prefect server for the tests of a module."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prefect.settings import PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

# Prefect leaves connections to its server to the garbage collector.
_LOOSE = ("DeprecationWarning", "ResourceWarning", "pytest.PytestUnraisableExceptionWarning")
MARKS = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in _LOOSE]


@contextmanager
def prefect_server() -> Iterator[None]:
    """For as long as the block lasts; what Prefect leaves behind is collected without a word."""
    with prefect_test_harness(server_startup_timeout=120), temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}):
        yield
    with warnings.catch_warnings(action="ignore"):
        gc.collect()
