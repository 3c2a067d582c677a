"""Who gets in: tokens, sessions, forms of other sites, hosts that are not ours."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from flows.cli import app
from hub.guard import COOKIE
from state.tokens import Tokens
from tests.hub import rig
from tests.hub.rig import Hub

CLOSED = ["/", "/pushes", "/approvals", "/approvals/1", "/metrics", "/api/status", "/api/approvals", "/api/openapi.json", "/nothing"]
OPEN = ["/healthz", "/sign-in", "/static/hub.css"]


def form_token(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


@pytest.mark.parametrize("path", CLOSED)
def test_everything_wants_somebody_who_may_come_in(hub: Hub, path: str) -> None:
    answer = hub.client.get(path)
    assert answer.status_code == (401 if path.startswith(("/api", "/metrics")) else 303)
    assert hub.client.get(path, headers={"authorization": "Bearer handoff_wrong"}).status_code == 401
    assert hub.client.get(path, headers={"authorization": f"Basic {hub.token()}"}).status_code == 401
    assert hub.client.post(path).status_code in {401, 403}


@pytest.mark.parametrize("path", OPEN)
def test_little_is_open(hub: Hub, path: str) -> None:
    assert hub.client.get(path).status_code == 200


def test_a_token_gets_a_program_in_until_it_is_removed(hub: Hub) -> None:
    bearer = hub.bearer()
    assert hub.client.get("/api/approvals", headers=bearer).json() == []
    (token,) = hub.look(lambda db: Tokens(db).all())
    assert token.used_at == hub.clock()
    hub.look(lambda db: Tokens(db).remove(token.name))
    assert hub.client.get("/api/approvals", headers=bearer).status_code == 401


def test_somebody_signs_in_looks_and_signs_out(hub: Hub) -> None:
    browser = hub.browser()
    asked = browser.get("/approvals")
    assert asked.headers["location"] == "/sign-in?next=/approvals"
    answer = browser.post("/sign-in", data={"token": f" {hub.token(name='Zoë 王')} ", "next": "/approvals"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/approvals")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    page = browser.get("/")
    assert "Zoë 王" in page.text
    assert hub.token(name="Zoë 王") not in page.text
    kept = browser.cookies[COOKIE]
    assert browser.post("/sign-out", data={"form_token": form_token(page)}).status_code == 303
    assert COOKIE not in browser.cookies
    assert browser.get("/").status_code == 303
    assert hub.client.get("/", headers={"cookie": f"{COOKIE}={kept}x"}).status_code == 303


def test_a_session_ends_with_its_time_and_with_its_token(hub: Hub) -> None:
    browser = hub.signed_in()
    hub.clock.move(hours=11, minutes=59)
    assert browser.get("/").status_code == 200
    hub.clock.move(minutes=1)
    assert browser.get("/").status_code == 303
    other = hub.signed_in()
    hub.look(lambda db: Tokens(db).remove("a reader"))
    assert other.get("/").status_code == 303
    hub.look(lambda db: Tokens(db).add("a reader", "approver", "another secret", hub.clock()))
    assert other.get("/").status_code == 303


def test_a_cookie_signed_for_something_else_is_none(hub: Hub) -> None:
    from datetime import timedelta

    from hub.sessions import Sessions

    hub.token()
    mark = hub.look(lambda db: Tokens(db).all())[0].mark
    claims = {"sub": "a reader", "via": mark, "jti": "1"}
    ours = Sessions(hub.endpoints.derive("session"), hub.clock)
    others = Sessions(b"k" * 32, hub.clock)
    statuses = {}
    for name, cookie in {
        "ours": ours.sign("session", claims, timedelta(hours=1)),
        "purpose": ours.sign("oidc", claims, timedelta(hours=1)),
        "key": others.sign("session", claims, timedelta(hours=1)),
        "over": ours.sign("session", claims, timedelta(hours=-1)),
        "unsigned": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIHJlYWRlciJ9.",
    }.items():
        statuses[name] = hub.client.get("/", headers={"cookie": f"{COOKIE}={cookie}"}).status_code
    assert statuses == {"ours": 200, "purpose": 303, "key": 303, "over": 303, "unsigned": 303}


def test_wrong_tokens_are_tried_a_few_times_and_then_not_looked_at_for_a_while(hub: Hub) -> None:
    browser, right = hub.browser(), hub.token()
    assert [browser.post("/sign-in", data={"token": "wrong"}).status_code for _ in range(11)] == [401] * 10 + [429]
    assert browser.post("/sign-in", data={"token": right}).status_code == 429
    hub.clock.move(seconds=11)
    assert browser.post("/sign-in", data={"token": right}).status_code == 303


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\r\nset-cookie: x"])
def test_nobody_is_sent_elsewhere_after_signing_in(hub: Hub, to: str) -> None:
    answer = hub.browser().post("/sign-in", data={"token": hub.token(), "next": to})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "HERE"}, 303),
        ({"origin": "null"}, 303),
    ],
)
def test_a_form_of_another_site_is_refused(hub: Hub, headers: dict[str, str], status: int) -> None:
    headers = {name: value.replace("HERE", hub.url) for name, value in headers.items()}
    browser = hub.signed_in()
    given = {"form_token": form_token(browser.get("/"))}
    assert browser.post("/sign-out", data=given, headers=headers).status_code == status
    assert hub.browser().post("/sign-in", data={"token": hub.token()}, headers=headers).status_code == status


@pytest.mark.parametrize("given", [{}, {"form_token": ""}, {"form_token": "0" * 64}])
def test_a_form_without_this_sessions_token_is_refused(hub: Hub, given: dict[str, str]) -> None:
    browser = hub.signed_in()
    assert browser.post("/sign-out", data=given).status_code == 403
    other = hub.signed_in()
    assert browser.post("/sign-out", data={"form_token": form_token(other.get("/"))}).status_code == 403
    assert browser.get("/").status_code == 200


def test_a_host_that_is_not_ours_gets_nothing_but_a_sign_of_life(hub: Hub) -> None:
    evil = {"host": "evil.example"}
    assert hub.client.get("/", headers=hub.bearer() | evil).status_code == 421
    assert hub.client.get("/sign-in", headers=evil).status_code == 421
    assert hub.client.get("/healthz", headers=evil).status_code == 200
    assert hub.client.get("/", headers=hub.bearer() | {"host": "HUB.example.com"}).status_code == 200


def test_pages_tell_browsers_to_be_careful(hub: Hub) -> None:
    for path in ("/sign-in", "/", "/nothing", "/static/hub.css", "/healthz"):
        told = hub.client.get(path).headers
        assert "default-src 'self'" in told["content-security-policy"]
        assert "frame-ancestors 'none'" in told["content-security-policy"]
        assert "unsafe-inline" not in told["content-security-policy"]
        assert (told["x-content-type-options"], told["referrer-policy"]) == ("nosniff", "no-referrer")
        assert "strict-transport-security" not in told
        assert ("no-store" in told["cache-control"]) == (path != "/static/hub.css")
        assert "server" not in told


def test_under_its_public_name_the_hub_is_behind_tls_and_cookies_go_nowhere_else(hub: Hub) -> None:
    public = {"host": "hub.example.com"}
    answer = hub.browser().post("/sign-in", data={"token": hub.token()}, headers=public | {"origin": "https://hub.example.com"})
    assert (answer.status_code, "secure" in answer.headers["set-cookie"].lower()) == (303, True)
    assert "max-age" in answer.headers["strict-transport-security"]


def test_whom_somebody_speaks_for_is_believed_of_a_proxy_only(tmp_path: Path) -> None:
    with rig.hub(tmp_path) as hub:
        tries = [{"x-forwarded-for": f"198.51.100.{n}"} for n in range(11)]
        statuses = [hub.client.post("/sign-in", data={"token": "no"}, headers=one).status_code for one in tries]
        assert statuses[-1] == 429
    with rig.hub(tmp_path, behind_proxy=True) as hub:
        statuses = [hub.client.post("/sign-in", data={"token": "no"}, headers=one).status_code for one in tries]
        assert statuses[-1] == 401


@pytest.mark.parametrize("is_told", [True, False])
def test_nobody_has_more_to_say_than_fits_a_body(hub: Hub, *, is_told: bool) -> None:
    content = b" " * 100_000 if is_told else iter([b" " * 4096] * 25)
    answer = hub.client.post("/api/approvals/1", content=content, headers={**hub.bearer("reader"), "content-type": "application/json"})
    assert answer.status_code == (413 if is_told else 400)


def test_a_form_holds_only_so_much(hub: Hub) -> None:
    assert hub.browser().post("/sign-in", data={"token": "x" * 100_000}).status_code == 413
    assert hub.browser().post("/sign-in", content=iter([b"x" * 4096] * 25)).status_code == 413
    assert hub.browser().post("/sign-in", content=b"token=x" + b"&a=b" * 60).status_code == 400


@pytest.mark.parametrize("other", [b'prefs={"a": 1}', b"theme=dark blue", b"list[0]=1", "city=Köln".encode()])
def test_what_other_applications_keep_beside_it_signs_nobody_out(hub: Hub, other: bytes) -> None:
    session = hub.signed_in().cookies[COOKIE].encode()
    for both in (other + b"; " + COOKIE.encode() + b"=" + session, COOKIE.encode() + b"=" + session + b"; " + other):
        assert hub.browser().get("/", headers=[(b"cookie", both)]).status_code == 200


@pytest.mark.parametrize("words", ["access add ana", "access list", "approvals", "approvals approve 1"])
def test_the_wrong_folder_gets_no_state(words: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*words.split(), "-C", str(tmp_path)])
    assert done.exit_code == 2
    assert "rules.yaml  cannot be read" in done.stderr.replace("\n", "")
    assert "name the folder it is in with -C" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_access_is_given_listed_and_taken_from_the_command_line(tmp_path: Path) -> None:
    def do(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["access", *words, "--state", str(tmp_path / "s.db")], env={"COLUMNS": "200"})
        assert done.exit_code == code, done.output
        return done.output

    secret = do("add", "Ana 安娜", "--role", "approver").split()[0]
    with rig.hub(tmp_path) as hub:
        assert hub.client.get("/api/approvals", headers={"authorization": f"Bearer {secret}"}).status_code == 200
    listed = do("list")
    assert "Ana 安娜  approver" in listed
    assert "2026-03-02 09:00" in listed
    assert secret not in listed
    assert secret.encode() not in (tmp_path / "s.hub.db").read_bytes()
    assert "there is a token Ana 安娜 already" in do("add", "Ana 安娜", code=2)
    do("add", " ", code=2)
    do("remove", "Ana 安娜")
    do("remove", "Ana 安娜", code=2)
    assert "None yet" in do("list")
