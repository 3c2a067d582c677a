"""The Odoo that the other tests here run against is the one they are meant for."""

from __future__ import annotations

import httpx
import pytest

from tests.real.odoo import MODULES, Odoo

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("odoo")]


def test_it_is_odoo_19_with_the_modules_and_the_key_opens_it(odoo: Odoo) -> None:
    ask = {"domain": [["name", "in", MODULES], ["state", "=", "installed"]]}
    answer = httpx.post(f"{odoo.url}/json/2/ir.module.module/search_count", json=ask, headers={"Authorization": f"bearer {odoo.key}"})
    assert (odoo.version, answer.json()) == ("19.0", len(MODULES))
