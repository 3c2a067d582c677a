"""The accounts servers: access tokens for a refresh token or a code, their limits, and which data centre they are good for."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sandbox.web import Reply, Request
from sandbox.zoho.world import Clock

CENTRES = {
    "accounts.zoho.com": "www.zohoapis.com",
    "accounts.zoho.eu": "www.zohoapis.eu",
    "accounts.zoho.in": "www.zohoapis.in",
    "accounts.zoho.com.au": "www.zohoapis.com.au",
    "accounts.zoho.com.cn": "www.zohoapis.com.cn",
    "accounts.zoho.jp": "www.zohoapis.jp",
    "accounts.zohocloud.ca": "www.zohoapis.ca",
    "accounts.zoho.sa": "www.zohoapis.sa",
}
WINDOW = timedelta(minutes=10)
EVERYTHING = (
    "ZohoCRM.modules.ALL",
    "ZohoCRM.settings.ALL",
    "ZohoCRM.users.ALL",
    "ZohoCRM.org.ALL",
    "ZohoCRM.bulk.ALL",
    "ZohoCRM.coql.READ",
    "ZohoCRM.notifications.ALL",
    "ZohoSearch.securesearch.READ",
)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. `host` is the API host of its data centre, empty where any will do."""

    text: str
    ends: datetime
    scopes: frozenset[str]
    host: str
    refresh: str


@dataclass(slots=True)
class OAuth:
    """One client and its user. `mints` is how many access tokens a refresh token gives in ten minutes, `live` how many live at once.

    `api_domain`, when set, is told instead of the host that was asked. `busy_status` goes with the refusal of too many mints: 400 is
    what others met in production.
    """

    clock: Clock
    client_id: str = "1000.HANDOFFCLIENT"
    client_secret: str = "handoff-secret"
    refresh_tokens: set[str] = field(default_factory=lambda: {"1000.handoff.refresh"})
    codes: set[str] = field(default_factory=set)
    scopes: frozenset[str] = frozenset(EVERYTHING)
    life: float = 3600
    mints: int = 10
    live: int = 30
    api_domain: str = ""
    busy_status: int = 400
    tokens: dict[str, Token] = field(default_factory=dict)
    issued: int = 0
    _minted: defaultdict[str, deque[datetime]] = field(default_factory=lambda: defaultdict(deque))

    def grant(self, scopes: Iterable[str]) -> None:
        """Tokens minted from now on are good for these scopes alone."""
        self.scopes = frozenset(scopes)

    def add_code(self) -> str:
        """A code as the API console makes one, good for one exchange."""
        self.codes.add(f"1000.code{len(self.codes)}.handoff")
        return max(self.codes)

    def revoke_access(self) -> None:
        """No access token is good any more; refresh tokens are."""
        self.tokens.clear()

    def revoke_refresh(self) -> None:
        """The user takes the connection away."""
        self.tokens.clear()
        self.refresh_tokens.clear()

    def find(self, text: str, host: str) -> Token | None:
        """The token, when it is good now and at this host."""
        token = self.tokens.get(text)
        if token is None or token.ends <= self.clock():
            return None
        return token if not token.host or host not in CENTRES.values() or token.host == host else None

    def answer(self, request: Request) -> Reply | None:
        """What the accounts server says; None where the path is not one of its."""
        match request.method, request.path.rstrip("/"):
            case "POST", "/oauth/v2/token":
                return self._token(request)
            case "POST", "/oauth/v2/token/revoke":
                return self._revoke(request)
            case "GET", "/oauth/serverinfo":
                return Reply.json(200, {"result": "success", "locations": _locations()})
            case _:
                return None

    def _token(self, request: Request) -> Reply:
        form = {**request.query, **_form(request)}
        if form.get("client_id") != self.client_id:
            return _no("invalid_client")
        if form.get("client_secret") != self.client_secret:
            return _no("invalid_client_secret")
        match form.get("grant_type"):
            case "refresh_token":
                refresh, extra = form.get("refresh_token", ""), {}
            case "authorization_code" if form.get("code", "") in self.codes:
                self.codes.discard(form["code"])
                refresh = f"1000.refresh{len(self.refresh_tokens)}.handoff"
                self.refresh_tokens.add(refresh)
                extra = {"refresh_token": refresh}
            case "authorization_code":
                return _no("invalid_code")
            case _:
                return _no("unsupported_grant_type")
        if refresh not in self.refresh_tokens:
            return _no("invalid_code")
        return self._mint(request, refresh, extra)

    def _mint(self, request: Request, refresh: str, extra: Mapping[str, str]) -> Reply:
        now, minted = self.clock(), self._minted[refresh]
        while minted and minted[0] <= now - WINDOW:
            minted.popleft()
        if len(minted) >= self.mints:
            words = "You have made too many requests continuously. Please try again after some time."
            return Reply.json(self.busy_status, {"error_description": words, "error": "Access Denied", "status": "failure"})
        minted.append(now)
        self.issued += 1
        host = _host(request)
        token = Token(f"1000.{self.issued:032x}.handoff", now + timedelta(seconds=self.life), self.scopes, CENTRES.get(host, ""), refresh)
        self.tokens[token.text] = token
        mine = [each.text for each in self.tokens.values() if each.refresh == refresh]
        for eldest in mine[: -self.live]:
            del self.tokens[eldest]
        given = {"access_token": token.text, "scope": " ".join(sorted(self.scopes)), "api_domain": self._domain(host)}
        return Reply.json(200, {**given, **extra, "token_type": "Bearer", "expires_in": int(self.life)})

    def _domain(self, host: str) -> str:
        if self.api_domain:
            return self.api_domain
        return f"https://{CENTRES[host]}" if host in CENTRES else f"http://{host}"

    def _revoke(self, request: Request) -> Reply:
        text = {**request.query, **_form(request)}.get("token", "")
        if text not in self.tokens and text not in self.refresh_tokens:
            return Reply.json(400, {"error": "invalid_code", "status": "failure"})
        self.refresh_tokens.discard(text)
        self.tokens = {key: each for key, each in self.tokens.items() if text not in (key, each.refresh)}
        return Reply.json(200, {"status": "success"})


def allows(granted: frozenset[str], needed: str) -> bool:
    """Whether a scope such as ZohoCRM.modules.deals.READ is among those granted, by itself or within a wider one."""
    have = {each.lower() for each in granted}
    *parts, operation = needed.lower().split(".")
    wider = [".".join(parts[:length]) for length in range(2, len(parts) + 1)]
    return any(f"{name}.{each}" in have for name in wider for each in (operation, "all"))


def _locations() -> dict[str, str]:
    names = ("us", "eu", "in", "au", "cn", "jp", "ca", "sa")
    return {name: f"https://{host}" for name, host in zip(names, CENTRES, strict=True)}


def _no(error: str) -> Reply:
    """A refusal, which Zoho sends with status 200."""
    return Reply.json(200, {"error": error})


def _host(request: Request) -> str:
    return request.headers.get("host", "127.0.0.1")


def _form(request: Request) -> dict[str, str]:
    try:
        return request.form()
    except UnicodeDecodeError:
        return {}
