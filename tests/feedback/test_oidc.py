"""Signing in through another service: who may come in, and every way in that must stay shut."""

import base64
import hashlib
import json
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sqlalchemy import select
from starlette.testclient import TestClient

from accord.domain.errors import ConfigError
from accord.feedback.app import create_app
from accord.feedback.oidc import KEYS_FOR_S, Provider
from accord.feedback.oidc_config import read_oidc
from accord.store.database import Accounts, PasswordCost, Role, open_database, verify_chain
from accord.store.database.live_tables import identity, sign_in
from accord.store.database.tables import role_binding, user
from accord.store.database.vault import Vault

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
BACK = "https://testserver/login/oidc/back"
SECRET = "a secret that stays one"


def public(key: Any, name: str) -> dict:
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    kind = jwt.algorithms.RSAAlgorithm if is_rsa else jwt.algorithms.ECAlgorithm
    made = json.loads(kind.to_jwk(key.public_key()))
    return {**made, "kid": name, "use": "sig", "alg": "RS256" if is_rsa else "ES256"}


class Elsewhere:
    """A provider on a loopback port; what it puts into its tokens can be changed."""

    def __init__(self) -> None:
        self.codes: dict[str, dict] = {}
        self.changes: dict[str, Any] = {}
        self.key, self.algorithm, self.kid = RSA, "RS256", "first"
        self.keys = [public(RSA, "first"), public(CURVE, "second")]
        self.n_key_requests = 0
        self.is_broken = False
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                return

            def do_GET(self) -> None:
                outer._answer(self, outer._document(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                found = outer._token({name: values[0] for name, values in parse_qs(body).items()})
                outer._answer(self, found)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=10)

    def _answer(self, to: Any, body: dict | None) -> None:
        if self.is_broken:
            to.wfile.write(b"no HTTP at all\r\n\r\n")
            return
        data = json.dumps(body or {"error": "invalid_grant"}).encode()
        to.send_response(400 if body is None else 200)
        to.send_header("Content-Length", str(len(data)))
        to.end_headers()
        to.wfile.write(data)

    def _document(self, path: str) -> dict:
        if path == "/keys":
            self.n_key_requests += 1
            return {"keys": self.keys}
        return {
            "issuer": self.changes.get("document_issuer", self.issuer),
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }

    def authorize(self, address: str, **claims: Any) -> dict[str, str]:
        """What the browser brings back, after somebody signed in there."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = {**asked, "claims": claims}
        return {"code": code, "state": asked["state"]}

    def _token(self, sent: dict[str, str]) -> dict | None:
        asked = self.codes.pop(sent.get("code", ""), None)
        if asked is None:
            return None
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if challenge != asked["code_challenge"] or sent.get("client_secret") != SECRET:
            return None
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": "accord", "sub": "subject-1", "iat": now, "exp": now + 300,
            "nonce": asked["nonce"], "preferred_username": "ann", **asked["claims"], **self.changes,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm == "none":
            return {"id_token": jwt.encode(claims, None, algorithm="none", headers={"kid": self.kid})}
        made = jwt.encode(claims, self.key, algorithm=self.algorithm, headers={"kid": self.kid})
        return {"id_token": made}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    monkeypatch.setenv("ACCORD_TEST_SECRET", SECRET)
    made = Elsewhere()
    yield made
    made.close()


class Door:
    """The server with this way in, and a browser before it."""

    def __init__(self, tmp_path: Path, elsewhere: Elsewhere, lines: str):
        self.elsewhere, self.passed_s = elsewhere, 0.0
        file = tmp_path / "oidc.toml"
        file.write_text(
            f'issuer = "{elsewhere.issuer}"\nclient_id = "accord"\nredirect = "{BACK}"\n'
            f'secret = "ACCORD_TEST_SECRET"\n{lines}'
        )
        self.database = open_database(tmp_path / "accord.db")
        self.database.create()
        self.accounts = Accounts.of(self.database, PasswordCost(n=16, r=1, p=1))
        self.accounts.add("owner", "correct horse battery", Role.OWNER)
        self.provider = Provider(read_oidc(file), now=lambda: time.monotonic() + self.passed_s)
        self.app = create_app(self.database, other=self.provider)
        self.browser = self.fresh()

    def fresh(self) -> TestClient:
        return TestClient(self.app, base_url="https://testserver", follow_redirects=False)

    def leave(self, **claims: Any) -> dict[str, str]:
        answer = self.browser.get("/login/oidc")
        assert answer.status_code == 303, answer.text
        return self.elsewhere.authorize(answer.headers["location"], **claims)

    def pass_time(self, seconds: float) -> None:
        self.passed_s += seconds

    def sign_in(self, **claims: Any) -> Any:
        return self.browser.get("/login/oidc/back", params=self.leave(**claims))

    def me(self) -> Any:
        return self.browser.get("/api/v1/me")


@pytest.fixture
def door(request: pytest.FixtureRequest, tmp_path: Path, elsewhere: Elsewhere) -> Iterator[Door]:
    made = Door(tmp_path, elsewhere, getattr(request, "param", 'unknown = "make"\n'))
    yield made
    made.database.close()


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "first"), (CURVE, "ES256", "second")])
def test_somebody_new_comes_in_with_either_signature(door, key, algorithm, kid):
    door.elsewhere.key, door.elsewhere.algorithm, door.elsewhere.kid = key, algorithm, kid
    answer = door.sign_in()
    assert answer.status_code == 200, answer.text
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    me = door.me().json()
    assert (me["handle"], me["roles"]) == ("ann", {"": "annotator"})
    # The second time he is the same, whatever he is called there by then.
    door.browser = door.fresh()
    assert door.sign_in(preferred_username="ann-married").status_code == 200
    assert door.me().json()["id"] == me["id"]
    assert verify_chain(door.database).n_events > 0


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("wrong nonce", {"nonce": "another"}),
        ("no nonce", {"nonce": None}),
        ("expired", {"exp": int(time.time()) - 600, "iat": int(time.time()) - 900}),
        ("no expiry", {"exp": None}),
        ("another audience", {"aud": "somebody-else"}),
        ("several audiences, not for us", {"aud": ["accord", "other"], "azp": "other"}),
        ("another issuer", {"iss": "https://evil.example"}),
        ("no subject", {"sub": None}),
        ("from the future", {"iat": int(time.time()) + 3600, "nbf": int(time.time()) + 3600}),
    ],
)
def test_a_token_that_does_not_hold_lets_nobody_in(door, what, changes):
    door.elsewhere.changes = changes
    assert door.sign_in().status_code == 403, what
    assert door.me().status_code == 401


def test_a_wrong_signature_lets_nobody_in(door):
    door.elsewhere.key = OTHER_RSA
    assert door.sign_in().status_code == 403
    assert door.me().status_code == 401


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_token_without_an_asymmetric_signature_lets_nobody_in(door, algorithm):
    # The public key as the shared secret of an HMAC is an old trick.
    door.elsewhere.algorithm, door.elsewhere.key = algorithm, "x" * 64
    assert door.sign_in().status_code == 403
    assert door.me().status_code == 401


def test_an_unknown_key_is_looked_for_once_and_then_not_for_a_while(door):
    assert door.sign_in().status_code == 200
    door.elsewhere.kid = "never published"
    before = door.elsewhere.n_key_requests
    for _ in range(3):
        assert door.sign_in().status_code == 403
    assert door.elsewhere.n_key_requests - before <= 1


def test_a_state_is_taken_once_and_in_its_own_browser(door):
    back = door.leave()
    stranger = door.fresh()
    assert stranger.get("/login/oidc/back", params=back).status_code == 403
    assert door.browser.get("/login/oidc/back", params={**back, "state": "made up"}).status_code == 403
    door.browser.get("/login/oidc")  # the browser's newest way is the one it can take
    again = door.leave()
    assert door.browser.get("/login/oidc/back", params=again).status_code == 200
    assert door.browser.get("/login/oidc/back", params=again).status_code == 403
    with door.database.read() as connection:
        assert again["state"] not in str(connection.execute(select(sign_in)).all())


def test_who_declines_there_is_told_so(door):
    back = door.leave()
    answer = door.browser.get("/login/oidc/back", params={"error": "access_denied", "state": back["state"]})
    assert answer.status_code == 403
    assert "did not let you in" in answer.text


@pytest.mark.parametrize("door", [""], indirect=True)
def test_somebody_unknown_is_refused_unless_the_config_says_otherwise(door):
    answer = door.sign_in()
    assert answer.status_code == 403
    assert "no account for you here" in answer.text
    with door.database.read() as connection:
        assert connection.execute(select(user.c.handle)).scalars().all() == ["owner"]


def test_a_name_that_is_taken_is_no_way_into_its_account(door):
    answer = door.sign_in(preferred_username="owner")
    assert answer.status_code == 403
    assert "taken" in answer.text
    with door.database.read() as connection:
        assert connection.execute(select(identity)).all() == []


@pytest.mark.parametrize("door", ['[accounts]\n"subject-1" = "owner"\n'], indirect=True)
def test_an_account_that_is_there_is_linked_by_its_subject(door):
    assert door.sign_in().status_code == 200
    assert door.me().json()["handle"] == "owner"


RULES = 'unknown = "make"\n[[rules]]\nclaim = "groups"\nhas = "leads"\nrole = "lead"\n'


@pytest.mark.parametrize("door", [RULES], indirect=True)
def test_claims_give_roles_at_each_sign_in(door):
    door.sign_in(groups=["staff", "leads"])
    assert door.me().json()["roles"] == {"": "lead"}
    door.browser = door.fresh()
    door.sign_in(groups=["staff"])
    assert door.me().json()["roles"] == {"": "annotator"}


@pytest.mark.parametrize(
    "door", ['[accounts]\n"subject-1" = "owner"\n' + RULES.split("\n", 1)[1]], indirect=True
)
def test_an_owner_stays_owner_whatever_is_claimed(door):
    door.sign_in(groups=[])
    with door.database.read() as connection:
        assert connection.execute(select(role_binding.c.role)).scalars().all() == ["owner"]


def test_erasing_somebody_forgets_who_he_is_elsewhere(door, tmp_path):
    door.sign_in()
    person = door.me().json()["id"]
    Vault(door.accounts, tmp_path / "a.key").erase(person, by="owner")
    with door.database.read() as connection:
        assert connection.execute(select(identity)).all() == []


def test_nothing_secret_is_logged_or_shown(door, caplog):
    with caplog.at_level(logging.DEBUG):
        back = door.leave()
        door.elsewhere.changes = {"nonce": "another"}
        answer = door.browser.get("/login/oidc/back", params=back)
    said = answer.text + caplog.text.replace(str(door.elsewhere.issuer), "")
    for secret in (SECRET, "subject-1"):
        assert secret not in said
    ours = "".join(one.getMessage() for one in caplog.records if one.name.startswith("accord"))
    assert back["code"] not in ours
    assert back["state"] not in ours


def test_a_provider_that_calls_itself_otherwise_is_not_trusted(door):
    door.elsewhere.changes = {"document_issuer": "https://evil.example"}
    assert door.browser.get("/login/oidc").status_code == 502


def test_a_provider_that_does_not_speak_http_is_said_to_be_away(door):
    door.elsewhere.is_broken = True
    assert door.browser.get("/login/oidc").status_code == 502
    door.elsewhere.is_broken = False
    back = door.leave()
    door.elsewhere.is_broken = True
    assert door.browser.get("/login/oidc/back", params=back).status_code == 403


@pytest.mark.parametrize("odd", [{"n": 5}, {"n": "A", "e": "A"}, {"kty": "EC", "crv": "P-256", "x": "@"}])
def test_a_published_key_that_cannot_be_read_stops_no_other(door, odd):
    door.elsewhere.keys.insert(0, {**public(RSA, "odd"), **odd})
    assert door.sign_in().status_code == 200


def test_keys_are_forgotten_after_a_while_and_those_taken_back_hold_no_longer(door):
    assert door.sign_in().status_code == 200
    door.elsewhere.keys = [public(OTHER_RSA, "first")]
    door.pass_time(KEYS_FOR_S + 1)
    assert door.sign_in().status_code == 403
    door.elsewhere.key = OTHER_RSA
    assert door.sign_in().status_code == 200


def test_the_login_page_offers_it(door):
    assert "Sign in with your organization" in door.browser.get("/login").text


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (
            'issuer = "http://login.example"\nclient_id = "a"\nredirect = "https://x/login/oidc/back"',
            "issuer: ",
        ),
        ('issuer = "https://l.example"\nclient_id = "a"\nredirect = "https://x/back"', "redirect: expected"),
        ('issuer = "https://l.example"', "client_id: is not there"),
        (
            'odd = 1\nissuer = "https://l.example"\nclient_id = "a"\nredirect = "https://x/login/oidc/back"',
            "odd: ",
        ),
        (
            'role = "king"\nissuer = "https://l.example"\nclient_id = "a"\n'
            'redirect = "https://x/login/oidc/back"',
            "role: 'king'",
        ),
    ],
)
def test_what_is_wrong_with_the_config_is_said(tmp_path, lines, named):
    file = tmp_path / "oidc.toml"
    file.write_text(lines)
    with pytest.raises(ConfigError) as error:
        read_oidc(file)
    assert any(named in problem for problem in error.value.problems), error.value.problems
