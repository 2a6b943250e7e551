"""Who is asking, a browser by its session or a program by its token; and headers on every answer."""

import hmac

from fastapi import FastAPI, HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class _Headers:
    """Adds the security headers to every answer, without a task of its own for each request."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS:
                    headers[name] = value
                if not scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def install_headers(app: FastAPI) -> None:
    """Put the security headers on every answer; nothing of the interface is kept by caches."""
    app.add_middleware(_Headers)
