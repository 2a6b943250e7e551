"""Who is asking, a browser by its session or a program by its token; and headers on every answer."""

import hmac
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, HTTPException, Request, Response

from accord.store.database.accounts import TOKEN_PREFIX, Account, Accounts

COOKIE = "accord_session"
CSRF_HEADER = "x-csrf-token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
"""On every answer: nothing from elsewhere is loaded, run or framed."""


def account_of(request: Request, accounts: Accounts, *, csrf: str | None = None) -> Account:
    """Whose request this is; 401 where nobody is signed in, 403 where the CSRF text is missing or wrong.

    `csrf` is what a form sent in place of the header.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found = accounts.find(token) if token.startswith(TOKEN_PREFIX) else None
        if found is None:
            raise HTTPException(401, "the token is unknown or over", {"WWW-Authenticate": "Bearer"})
        return found[0]
    found = accounts.find(request.cookies.get(COOKIE, ""))
    if found is None or found[0].scopes is not None:
        raise HTTPException(401, "sign in first", {"WWW-Authenticate": "Bearer"})
    account, wanted = found
    if request.method not in SAFE_METHODS:
        sent = request.headers.get(CSRF_HEADER, "") if csrf is None else csrf
        if not hmac.compare_digest(sent.encode(), wanted.encode()):
            raise HTTPException(403, f"the header {CSRF_HEADER} is missing or wrong; reload the page")
    return account


def need(account: Account, permission: str, project_id: str = "") -> None:
    """403 where this account may not do that here."""
    if not account.may(permission, project_id):
        raise HTTPException(403, f"your role does not allow: {permission}")


def install_headers(app: FastAPI) -> None:
    """Put the security headers on every answer; nothing of the interface is kept by caches."""

    @app.middleware("http")
    async def _headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        for name, value in HEADERS:
            response.headers[name] = value
        if not request.url.path.startswith("/static/"):
            response.headers["Cache-Control"] = "no-store"
        return response
