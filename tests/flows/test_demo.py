"""`handoff demo`: the whole job with no account and no network, on the sample and on anybody's CSV files."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from datetime import date
from pathlib import Path

import pytest

from connectors.base import ConfigError
from flows.demo_data.tables import look_through
from tests.flows.desk import HANDOFF, wait_for

SPARKLE = Path(__file__).parents[3] / "shared" / "data" / "sparklesquad-crm"
ACCOUNTS = "account,revenue,employees\nAcme,10.5,20\n"
PRODUCTS = "product,sales_price\nWidget,5\n"
TEAMS = "sales_agent,manager,regional_office\nAnn Lee,Bo Boss,West\n"
HEAD = "opportunity_id,sales_agent,product,account,deal_stage,created_on,close_date,close_value\n"


def demo(out: Path, *words: str, timeout: float = 120) -> tuple[int, str, str]:
    command = [str(HANDOFF), "demo", "--out", str(out), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout, cwd=out.parent)  # noqa: S603 - the command itself
    return done.returncode, " ".join(done.stdout.split()), done.stderr


def folder(path: Path, deals: str, **files: str) -> Path:
    """CSV files of a CRM; a text replaces a file, an empty one leaves it empty."""
    path.mkdir()
    texts = {"accounts": ACCOUNTS, "products": PRODUCTS, "sales_teams": TEAMS, "sales_pipeline": deals, **files}
    for name, text in texts.items():
        (path / f"{name}.csv").write_text(text, encoding="utf-8")
    return path


def assert_self_contained(page: str) -> None:
    """Nothing is loaded from anywhere: links lead out, resources do not."""
    assert not re.findall(r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*\b(?:src|data)\s*=\s*[\"']?(?!data:)", page)
    assert not re.findall(r"<link\b[^>]*\bhref\s*=\s*[\"']?(?!data:)", page)
    assert not re.findall(r"@import|url\(\s*[\"']?(?!data:|#)", page)


def test_the_demo_tells_the_whole_story_and_ends_with_nothing_to_do(tmp_path: Path) -> None:
    code, told, errors = demo(tmp_path / "out")
    assert code == 0, errors
    assert "\x1b" not in told
    for part in ("nothing created for them", "What will be done", "What was passed over", "rules.yaml:", "is false (", "published"):
        assert part in told, part
    assert "nothing to do" in told.split("Sync again")[1]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert_self_contained(page)
    made = re.search(r"(\d+) projects, one self-contained page", told)
    assert made is not None
    assert int(made.group(1)) == len(re.findall(r"<svg\b", page)) > 5
    for word in ("Kickoff", "handover", "rule onboard-won-deals", "/lightning/r/Opportunity/006", "app.asana.com"):
        assert word.lower() in page.lower(), word


@pytest.mark.nightly
def test_the_stand_ins_stay_for_other_verbs_as_the_demo_says(tmp_path: Path) -> None:
    config = tmp_path / "out" / "config"
    command = [str(HANDOFF), "demo", "--out", str(tmp_path / "out"), "--stay"]
    with (tmp_path / "told").open("w") as told:
        process = subprocess.Popen(command, stdout=told, start_new_session=True)  # noqa: S603 - the command itself
    try:
        wait_for(lambda: "until Ctrl-C" in (tmp_path / "told").read_text(encoding="utf-8"), 120)
        curl = re.search(r"curl -X PATCH .*", (tmp_path / "told").read_text(encoding="utf-8"))
        assert curl is not None
        assert subprocess.run(shlex.split(curl[0]), check=False, timeout=30).returncode == 0  # noqa: S603 - as a person pastes it
        done = subprocess.run([str(HANDOFF), "sync", "-C", str(config), "--json"], check=False, capture_output=True, text=True, timeout=60)  # noqa: S603
        assert json.loads(done.stdout)["counts"]["published"] >= 1
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130


def test_a_folder_of_anybodys_csv_files_is_played_with_all_its_dirt_and_every_row_counted(tmp_path: Path) -> None:
    deals = HEAD + (
        "A1,Ann Lee,Widget,Acme,Won,2024-01-02,2024-02-10,1000.50\n"
        "A2,Ann Lee,Widget,,Won,2024-01-03,2024-02-11,12\n"  # no account
        "A3,Nobody Known,Gizmo,Neverheard,Won,2024-01-04,2024-02-12,7\n"  # nothing of it is listed
        'A4,Ann Lee,Widget,"Quote ""Q"" & Söhne\nGmbH 🚀 <b>x</b>",Won,2024-01-05,2024-02-13,9\n'
        "A1,Ann Lee,Widget,Acme,Won,2024-01-06,2024-02-14,3\n"  # the same id again
        "A6,,,Acme,In_Progress,2024-01-07,,\n"
        "A7,Ann Lee,Widget,Acme,Lost,2024-01-08,2024-02-15,0\n"
        "A8,Ann Lee,Widget,Acme,Won,2024-01-09,2024-02-16,\n"  # no amount
    )
    code, told, errors = demo(tmp_path / "out", "--data", str(folder(tmp_path / "crm", deals)))
    assert code == 0, errors + told
    assert "8 deals (1 without an account)" in told
    assert "8 deals recorded" in told
    assert "Backfill since 2024-02-01: 6 deals were won since then" in told
    assert "Won since 2024-02-01: 6 · projects in Asana: 6" in told
    assert "keys held twice: 0" in told
    assert "nothing to do" in told.split("Sync again")[1]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert_self_contained(page)
    assert "<b>x</b>" not in page
    assert "Söhne" in page


@pytest.mark.parametrize(
    ("deals", "files", "told"),
    [
        ("", {}, "sales_pipeline.csv:1: the file is empty"),
        (HEAD, {}, "there is no deal in it"),
        ("opportunity_id,account\nA1,Acme\n", {}, "deal_stage"),
        (
            HEAD + "A1,Ann Lee,Widget,Acme,Won,soon,2024-02-10,1\n",
            {},
            "sales_pipeline.csv:2: created_on is not a day such as 2026-11-22: 'soon'",
        ),
        (HEAD + "A1,Ann Lee,Widget,Acme,Won,2024-01-02,,about 5k\n", {}, "close_value is not a number such as 1000.50: 'about 5k'"),
        (HEAD + "A1,Ann Lee,Widget,Acme,,2024-01-02,,nan\n", {}, "deal_stage is empty"),
        (HEAD + "A1,Ann Lee,Widget,Acme,Won,2024-01-02,2024-02-10,1\n", {"accounts": "name\nAcme\n"}, "account"),
    ],
    ids=["an empty file", "no deal", "missing columns", "a day that is none", "an amount in words", "no stage", "a column by another name"],
)
def test_what_cannot_be_used_as_it_stands_is_told_with_its_line(deals: str, files: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        look_through(folder(tmp_path / "crm", deals, **files))
    assert told in str(refused.value)


def test_all_that_is_wrong_is_told_at_once_without_a_flood_and_nothing_is_played(tmp_path: Path) -> None:
    deals = HEAD + "A1,Ann Lee,Widget,Acme,Won,2024-01-02,2024-02-10,about 5k\n" * 30
    code, out, errors = demo(tmp_path / "out", "--data", str(folder(tmp_path / "crm", deals, accounts="name\nAcme\n")))
    assert code == 2, out + errors
    assert f"{tmp_path}/crm/accounts.csv:1  there is no column account" in errors
    assert f"{tmp_path}/crm/sales_pipeline.csv:20  close_value" in errors
    assert "and 11 more" in errors
    assert "Traceback" not in errors
    assert "baseline" not in out


def test_a_folder_without_deals_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, errors = demo(tmp_path / "out", "--data", str(tmp_path / "empty"))
    assert code == 2
    assert "sales_pipeline.csv" in errors


@pytest.mark.nightly
@pytest.mark.skipif(not SPARKLE.is_dir(), reason="the CRM export lies outside of the repository and is not there")
def test_a_real_export_becomes_one_project_for_each_deal_won_in_its_last_month(tmp_path: Path) -> None:
    code, told, errors = demo(tmp_path / "out", "--data", str(SPARKLE), timeout=280)
    assert code == 0, errors
    assert "14,277 deals recorded" in told
    found = re.search(r"Won since 2017-12-01: ([\d,]+) · projects in Asana: ([\d,]+) · tasks: [\d,]+ · keys held twice: 0", told)
    assert found is not None
    assert found.group(1) == found.group(2)
    again = told.split("Sync again")[1]
    assert "nothing to do" in again
    assert re.search(r"shows 50 of [\d,]+ projects|50 of [\d,]+ projects", told)
    assert date(2017, 12, 1).isoformat() in told
