"""`init`, `check`, `schema`: a working example to start from, and everything that is wrong with a configuration, told at once and in place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from flows.cli import app
from tests.flows.desk import SECRET, Desk, local
from tests.flows.files import ONBOARDING, RULES
from tests.flows.world import MANAGER

ROOT = Path(__file__).parents[2]
CONNECTED = {
    "SALESFORCE_LOGIN_URL": "https://acme.my.salesforce.com",
    **dict.fromkeys(("SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET", "ASANA_TOKEN", "ASANA_WORKSPACE", "ASANA_TEAM"), "given"),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# init


def test_init_writes_a_configuration_that_checks_and_a_private_env_to_fill_in(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "handoff"
    made = CliRunner().invoke(app, ["init", str(folder)])
    assert made.exit_code == 0
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    _, _, rest = (folder / "rules.yaml").read_text(encoding="utf-8").partition("\n")
    assert rest == (ROOT / "rules.yaml").read_text(encoding="utf-8")
    for path in ("rules.yaml", "mappings/asana.yaml", "mappings/blueprints/vip-account-review.yaml"):
        schema = (folder / path).read_text(encoding="utf-8").splitlines()[0].partition("$schema=")[2]
        assert ((folder / path).parent / schema).is_file(), "editors find the schema each file names"
    assert ".env" in (folder / ".gitignore").read_text(encoding="utf-8").split()
    assert CliRunner().invoke(app, ["check", "--offline", "-C", str(folder)]).exit_code == 0


def test_init_overwrites_nothing_and_names_what_is_in_the_way(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["init", str(tmp_path)])
    (tmp_path / ".env").write_text("SALESFORCE_CLIENT_SECRET=kept", encoding="utf-8")
    (tmp_path / "rules.yaml").unlink()
    before = contents(tmp_path)
    again = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert again.exit_code == 2
    assert ".env" in again.stderr
    assert "rules.yaml" not in again.stderr
    assert contents(tmp_path) == before


def test_init_into_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    made = CliRunner().invoke(app, ["init", str(tmp_path / "file" / "inside")], env={"COLUMNS": "300"})
    assert made.exit_code == 2
    assert "cannot be written" in made.stderr


def test_after_init_check_names_each_variable_that_is_not_filled_in(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["init", str(tmp_path)])
    empty = dict.fromkeys(CONNECTED)
    checked = CliRunner().invoke(app, ["check", "-C", str(tmp_path)], env={**empty, "COLUMNS": "160"})
    assert checked.exit_code == 2
    for name in CONNECTED.keys() - {"SALESFORCE_LOGIN_URL"}:
        assert f"the environment variable {name} is not set" in checked.stderr
    assert "mappings/asana.yaml:7:10" in checked.stderr


# check


def test_check_tells_who_one_is_in_each_system(desk: Desk) -> None:
    told = desk.told("check")
    assert told["systems"]["salesforce"]["identity"].startswith("integration@handoff.test")
    assert told["systems"]["asana"]["identity"].startswith("Handoff")
    assert told["rules"] == 4


def test_check_offline_connects_to_nothing_and_needs_no_secret(desk: Desk) -> None:
    assert desk.do("check", "--offline", TOKEN=None, SECRET=None).exit_code == 0
    assert not desk.world.crm.seen
    assert not desk.world.tool.seen


def test_check_tells_all_problems_of_all_files_at_once_each_in_its_place_with_what_was_meant(desk: Desk) -> None:
    rules = RULES.replace("deal.amount >= 1000", "deal.amout >= 1000").replace("create: review", "create: reviw")
    desk.world.configure(
        local({"rules.yaml": rules, "mappings/blueprints/onboarding.yaml": ONBOARDING.replace("owner: manager", "owner: manger")})
    )
    checked = desk.do("check", "--offline")
    assert checked.exit_code == 2
    for place, hint in {
        "rules.yaml:29:": "review",
        "onboarding.yaml:6:": "manager",
        "rules.yaml:9:": "amount",
    }.items():
        assert place in checked.stderr, checked.stderr
        assert hint in checked.stderr
    assert checked.stderr.count("did you mean") >= 3


def test_check_puts_a_field_the_crm_does_not_have_where_the_mapping_names_it(desk: Desk) -> None:
    desk.world.configure(
        local({"mappings/salesforce.yaml": local({})["mappings/salesforce.yaml"].replace("tier: Tier__c", "tier: Teir__c")})
    )
    checked = desk.do("check")
    assert checked.exit_code == 2
    assert "mappings/salesforce.yaml:11:" in checked.stderr
    assert "Tier__c" in checked.stderr


def test_check_tells_of_every_system_that_refuses_not_only_the_first(desk: Desk) -> None:
    checked = desk.do("check", TOKEN="stale", SECRET="stale")
    assert checked.exit_code == 4
    assert "Salesforce refused the login" in checked.stderr
    assert "Asana answered 401" in checked.stderr


def test_a_refused_login_is_told_even_beside_a_wrong_mapping(desk: Desk) -> None:
    desk.world.configure(
        local({"mappings/salesforce.yaml": local({})["mappings/salesforce.yaml"].replace("tier: Tier__c", "tier: Teir__c")})
    )
    checked = desk.do("check", TOKEN="stale")
    assert checked.exit_code == 2
    assert "Asana answered 401" in checked.stderr


@pytest.mark.parametrize(
    ("verb", "env", "code"),
    [
        ("check", {"SECRET": "stale"}, 4),
        ("plan", {"SECRET": "stale"}, 4),
        ("sync", {"SECRET": "stale"}, 4),
        ("sync", {"TOKEN": "stale"}, 4),
        ("sync", {"CRM": "http://127.0.0.1:9"}, 5),
    ],
)
def test_refused_credentials_and_unreachable_systems_have_exit_codes_of_their_own(
    desk: Desk, verb: str, env: dict[str, str], code: int
) -> None:
    done = desk.do(verb, **env)
    assert done.exit_code == code
    assert "Traceback" not in done.output


# what users do to files


def _broken(text: bytes) -> Callable[[Path], Any]:
    return lambda rules: rules.write_bytes(text)


def _directory(rules: Path) -> None:
    rules.unlink()
    rules.mkdir()


def _loop(rules: Path) -> None:
    rules.unlink()
    rules.symlink_to(rules.name)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_broken(b""), "the file is empty"),
        (_broken(b"version: 1\x00"), "U+0000"),
        (_broken(b"\xff\xfev"), "not UTF-8"),
        (_broken(b"rules: [\n"), "this is not YAML"),
        (_broken(b"\t- x"), "tabs"),
        (_broken(b"!!python/object/apply:os.system ['true']"), "tags"),
        (_broken(b"a: &a [*a]"), "*a"),
        (_broken(b"version: 1\nversion: 1\n"), "twice"),
        (_broken(b"[" * 5000), "nesting"),
        (_broken(b"#" * 1_000_001), "larger than"),
        (_broken("version: 1 # \u202e\U0001f600".encode()), "missing key"),
        (_directory, "Is a directory"),
        (_loop, "symbolic links"),
        (Path.unlink, "handoff init"),
    ],
)
def test_a_hostile_file_is_a_problem_with_a_place_and_never_a_traceback(desk: Desk, spoil: Callable[[Path], Any], told: str) -> None:
    spoil(desk.folder / "rules.yaml")
    for verb in ("check", "plan"):
        done = desk.do(verb)
        assert done.exit_code == 2
        assert "rules.yaml" in done.stderr
        assert told in done.stderr
        assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("verb", ["check", "plan", "sync", "status", "history", "retry"])
def test_an_env_file_that_is_not_text_is_named(desk: Desk, verb: str) -> None:
    (desk.folder / ".env").write_bytes(b"\xff\xfe=1")
    done = desk.do(verb)
    assert done.exit_code == 2
    assert ".env" in done.stderr


def test_secrets_may_stand_in_the_env_file_as_they_are_and_the_environment_wins(desk: Desk) -> None:
    strange = "pa$$w${CRM}rd # \"'"
    desk.world.sf.oauth.client_secret = strange
    (desk.folder / ".env").write_text(f"SECRET='{strange[:-1]}\\''\nTOKEN=stale\n", encoding="utf-8")
    assert desk.do("check", SECRET=None).exit_code == 0


def test_a_state_file_named_in_the_env_file_lies_where_that_says_wherever_one_stands(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / ".env").write_text("HANDOFF_STATE=kept/here.db\n", encoding="utf-8")
    monkeypatch.chdir(desk.path)
    assert desk.do("sync", HANDOFF_STATE=None).exit_code == 0
    assert (desk.folder / "kept" / "here.db").is_file()


# schema


def test_the_schemas_accept_what_ships_and_refuse_a_typing_error() -> None:
    schemas = json.loads(CliRunner().invoke(app, ["schema"]).stdout)
    assert set(schemas) >= {"rules", "mapping", "blueprint"}
    shipped = {
        "rules": [ROOT / "rules.yaml"],
        "mapping": (ROOT / "mappings").glob("*.yaml"),
        "blueprint": (ROOT / "mappings" / "blueprints").glob("*.yaml"),
    }
    for name, paths in shipped.items():
        for path in paths:
            document = YAML(typ="safe").load(path)
            jsonschema.validate(document, schemas[name])
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**document, "verison": 1}, schemas[name])


def test_schemas_are_written_beside_the_configuration(desk: Desk) -> None:
    assert desk.do("schema", "--write").exit_code == 0
    assert {path.name for path in (desk.folder / "schemas").iterdir()} >= {
        "rules.schema.json",
        "mapping.schema.json",
        "blueprint.schema.json",
    }


def test_no_verb_says_what_is_secret(desk: Desk) -> None:
    assert SECRET not in desk.do("check").output
    assert MANAGER not in desk.do("check").output
