"""What another service says of who signs in through it: OpenID Connect's code flow, and what a token proves.

Authorization code with PKCE (S256), state and nonce; the token's signature by the keys of the discovery
document, RS256 or ES256 and nothing else. Leaves out the routes. No code, token, key or claim is logged or
put into an error.
"""

import base64
import hashlib
import http.client
import json
import math
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt

from accord.domain.errors import AccordError
from accord.feedback.oidc_config import OidcConfig, is_safe_address
from accord.store.database.identities import Way

ALGORITHMS = ("RS256", "ES256")
LEEWAY_S = 60
"""By which clocks may differ."""
MOST_BYTES = 1_000_000
"""Of an answer that are read."""
TIMEOUT_S = 10.0
KEYS_FOR_S = 3_600.0
"""Keys are taken for so long; then they are fetched anew, for one may have been taken back."""
KEYS_AFTER_S = 60.0
"""Keys are fetched anew for an unknown one, and no sooner than so long after the last time."""


class SignInRefused(AccordError):
    """Somebody may not come in this way; the message is for him and holds nothing secret."""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: code and secret are for this service alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Provider:
    """The other service; safe to use from several threads."""

    def __init__(self, config: OidcConfig, *, now: Callable[[], float] = time.monotonic):
        self.config, self._now = config, now
        self._opener = urllib.request.build_opener(_StayHere)
        self._lock = threading.Lock()
        self._found: Mapping[str, Any] | None = None
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched: float | None = None

    def address(self, way: Way) -> str:
        """Where the browser is sent."""
        digest = hashlib.sha256(way.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": self.config.redirect,
            "scope": " ".join(self.config.scopes),
            "state": way.state,
            "nonce": way.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        place = self._document()["authorization_endpoint"]
        return f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(asked)}"

    def claims(self, code: str, way: Way) -> dict[str, Any]:
        """What the service says of who came back with this code; raises `SignInRefused`."""
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.config.redirect,
            "client_id": self.config.client_id,
            "code_verifier": way.verifier,
        }
        secret = os.environ.get(self.config.secret, "") if self.config.secret else ""
        if secret:
            sent["client_secret"] = secret
        answer = self._fetch(self._document()["token_endpoint"], urlencode(sent).encode())
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInRefused("the other service sent no token that says who you are")
        return self._verified(token, way.nonce)

    def _verified(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise SignInRefused("the other service's token is signed in a way that is not taken")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(str(header.get("kid", "")), str(header["alg"])),
                algorithms=[str(header["alg"])],
                audience=self.config.client_id,
                issuer=self.config.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise SignInRefused(
                f"the other service's token does not hold ({type(error).__name__}); try again"
            ) from None
        audience = claims["aud"]
        is_for_others = isinstance(audience, list) and len(audience) > 1
        if is_for_others and claims.get("azp") != self.config.client_id:
            raise SignInRefused("the other service's token is for somebody else")
        if claims.get("nonce") != nonce:
            raise SignInRefused("the other service's token is not the one that was asked for; try again")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 300:
            raise SignInRefused("the other service's token names nobody")
        return claims

    def _key(self, name: str, algorithm: str) -> jwt.PyJWK:
        with self._lock:
            found = self._named(name, algorithm)
            age = math.inf if self._fetched is None else self._now() - self._fetched
            if age > KEYS_FOR_S or (found is None and age > KEYS_AFTER_S):
                self._keys, self._fetched = self._fetch_keys(), self._now()
                found = self._named(name, algorithm)
        if found is None:
            raise SignInRefused("the other service's token is signed with a key that it does not publish")
        return found

    def _named(self, name: str, algorithm: str) -> jwt.PyJWK | None:
        if name:
            found = self._keys.get(name)
            return found if found is not None and found.algorithm_name == algorithm else None
        fitting = [one for one in self._keys.values() if one.algorithm_name == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def _fetch_keys(self) -> dict[str, jwt.PyJWK]:
        listed = self._fetch(self._document()["jwks_uri"]).get("keys", [])
        made: dict[str, jwt.PyJWK] = {}
        for place, one in enumerate(listed if isinstance(listed, list) else []):
            if (
                not isinstance(one, dict)
                or one.get("kty") not in ("RSA", "EC")
                or one.get("use", "sig") != "sig"
            ):
                continue
            try:
                key = jwt.PyJWK(one)
            except jwt.PyJWTError:
                continue  # of a kind we do not take
            made[str(one.get("kid", f"#{place}"))] = key
        return made

    def _document(self) -> Mapping[str, Any]:
        """The discovery document, read once; its issuer must be the one that was configured."""
        if self._found is None:
            found = self._fetch(self.config.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if found.get("issuer") != self.config.issuer:
                raise SignInRefused(
                    "the other service is not the one that was configured: its issuer differs"
                )
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not is_safe_address(found.get(name)):
                    raise SignInRefused(f"the other service's discovery document has no safe {name}")
            self._found = found
        return self._found

    def _fetch(self, address: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(address, body, {"Accept": "application/json"})
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                data = answer.read(MOST_BYTES + 1)
            found = json.loads(data) if len(data) <= MOST_BYTES else None
        except urllib.error.HTTPError as error:
            error.close()
            raise SignInRefused(f"the other service refused: it answered {error.code}; try again") from None
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise SignInRefused(f"the other service does not answer ({type(error).__name__})") from None
        if not isinstance(found, dict):
            raise SignInRefused("the other service sent something that cannot be read")
        return found
