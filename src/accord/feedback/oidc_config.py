"""What a config says of another service that people sign in through, and which role their claims give.

    issuer = "https://login.example.org"
    client_id = "accord"
    redirect = "https://accord.example.org/login/oidc/back"

Leaves out talking to that service.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from accord.domain.errors import ConfigError
from accord.store.database.accounts import Role

LOCAL = ("127.0.0.1", "localhost", "::1")
TEXTS = ("issuer", "client_id", "redirect", "secret", "label", "handle", "unknown", "role")
NEEDED = ("issuer", "client_id", "redirect")
USUAL_SCOPES = ("openid", "profile")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A claim that gives a role."""

    claim: str
    has: str
    """Its value, or one of its values."""
    role: Role

    def fits(self, claims: Mapping[str, Any]) -> bool:
        """Whether these claims have it."""
        value = claims.get(self.claim)
        return self.has in value if isinstance(value, list) else value == self.has


@dataclass(frozen=True, kw_only=True)
class OidcConfig:
    """The other service, and who is who there."""

    issuer: str
    """Its address; the discovery document lies under it."""
    client_id: str
    """What this server is called there."""
    redirect: str
    """Address of this server as browsers know it, ending in /login/oidc/back; given to the service as is."""
    secret: str = ""
    """Environment variable of the client's secret; empty for a public client."""
    label: str = "Sign in with your organization"
    """What the button says."""
    scopes: tuple[str, ...] = USUAL_SCOPES
    """What is asked for; openid is one of them."""
    handle: str = "preferred_username"
    """Claim that a new account is called by."""
    unknown: str = "refuse"
    """Somebody without an account here is refused, or one is made (make)."""
    role: Role = Role.ANNOTATOR
    """Of accounts that are made, and where no rule fits."""
    rules: tuple[Rule, ...] = ()
    """The first that fits gives the role, at each sign-in; without rules roles stay as they are here."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """Subject there to handle here, for accounts that are there already."""

    def role_of(self, claims: Mapping[str, Any]) -> Role:
        """The role these claims give."""
        return next((rule.role for rule in self.rules if rule.fits(claims)), self.role)


def read_oidc(path: Path) -> OidcConfig:
    """A config from its file; raises `ConfigError` with all that is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"]) from error
    known = {one.name for one in fields(OidcConfig)}
    problems = [
        f"{name}: not known; expected one of {', '.join(sorted(known))}" for name in sorted(set(data) - known)
    ]
    problems += [f"{name}: is not there" for name in NEEDED if not data.get(name)]
    problems += [
        f"{name}: {data[name]!r}; expected a text"
        for name in TEXTS
        if not isinstance(data.get(name, ""), str)
    ]
    if problems:
        raise ConfigError(str(path), problems)
    problems += _address_problems(data) + _people_problems(data)
    values: dict[str, Any] = {name: data[name] for name in known & set(data)}
    values["role"] = _role(data.get("role", "annotator"), "role", problems)
    values["rules"] = tuple(_rules(data.get("rules", []), problems))
    values["scopes"] = tuple(data.get("scopes", USUAL_SCOPES))
    if problems:
        raise ConfigError(str(path), problems)
    return OidcConfig(**values)


def _address_problems(data: Mapping[str, Any]) -> list[str]:
    problems = [
        f"{name}: {data[name]!r}; expected https://..., or http:// on this machine"
        for name in ("issuer", "redirect")
        if not is_safe_address(data[name])
    ]
    if not data["redirect"].endswith("/login/oidc/back"):
        problems.append("redirect: expected it to end in /login/oidc/back")
    return problems


def _people_problems(data: Mapping[str, Any]) -> list[str]:
    problems = []
    if data.get("unknown", "refuse") not in ("refuse", "make"):
        problems.append(f"unknown: {data['unknown']!r}; expected refuse or make")
    scopes, accounts = data.get("scopes", ["openid"]), data.get("accounts", {})
    is_list = isinstance(scopes, list) and all(isinstance(one, str) for one in scopes)
    if not is_list or "openid" not in scopes:
        problems.append(f"scopes: {scopes!r}; expected a list of texts with openid")
    if not isinstance(accounts, dict) or not all(isinstance(one, str) for one in accounts.values()):
        problems.append("accounts: expected a table, subject to handle")
    return problems


def _rules(given: Any, problems: list[str]) -> list[Rule]:
    made = []
    for place, one in enumerate(given if isinstance(given, list) else [given]):
        if not isinstance(one, dict) or set(one) != {"claim", "has", "role"}:
            problems.append(f"rules[{place}]: {one!r}; expected claim, has and role")
            continue
        role = _role(one["role"], f"rules[{place}].role", problems)
        made.append(Rule(claim=str(one["claim"]), has=str(one["has"]), role=role))
    return made


def _role(given: Any, place: str, problems: list[str]) -> Role:
    try:
        return Role(given)
    except ValueError:
        problems.append(f"{place}: {given!r}; expected one of {', '.join(Role)}")
        return Role.ANNOTATOR


def is_safe_address(address: Any) -> bool:
    """Whether what is sent there is read by nobody on the way: https, or this machine."""
    if not isinstance(address, str):
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    is_plain = parts.scheme == "http" and parts.hostname in LOCAL
    return (parts.scheme == "https" or is_plain) and bool(parts.hostname) and "@" not in parts.netloc
