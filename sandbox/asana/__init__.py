"""A stand-in of the Asana API (https://developers.asana.com), version 1.0."""

from sandbox.asana.app import Asana

__all__ = ["Asana"]
