"""The way to another service and back: `/login/oidc` sends a browser there, `/login/oidc/back` lets it in.

The way is bound to the browser by a cookie of its own and taken once. What the other service answers is never
shown or logged.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from accord.domain.errors import StoreError
from accord.feedback.oidc import Provider, SignInRefused
from accord.feedback.oidc_config import OidcConfig
from accord.feedback.screen import Screen
from accord.feedback.security import COOKIE
from accord.store.database.accounts import Session
from accord.store.database.identities import WAY_MS, Identities

WAY_COOKIE = "accord_way"
UNKNOWN = "There is no account for you here yet. Ask your lead to add you, then try again."
LOST = "This way in was used before, took too long, or began in another browser. Begin again."


def oidc_routes(screen: Screen, provider: Provider, *, is_secure: bool) -> APIRouter:
    """Routes of the way in."""
    router = APIRouter(include_in_schema=False)
    identities = Identities(screen.accounts)

    @router.get("/login/oidc")
    def leave(request: Request) -> Response:
        way = identities.begin()
        try:
            answer = RedirectResponse(provider.address(way), status_code=303)
        except SignInRefused as error:
            return refused(request, str(error), 502)
        # Lax, for the browser comes back from elsewhere; it says nothing but which browser it was.
        answer.set_cookie(
            WAY_COOKIE, way.browser, max_age=WAY_MS // 1000, path="/login/oidc", httponly=True,
            samesite="lax", secure=is_secure,
        )  # fmt: skip
        return answer

    @router.get("/login/oidc/back")
    async def come_back(request: Request) -> Response:
        asked = request.query_params
        way = await run_in_threadpool(
            identities.take, asked.get("state", ""), request.cookies.get(WAY_COOKIE, "")
        )
        if way is None:
            return refused(request, LOST, 403)
        if "error" in asked or not asked.get("code"):
            return refused(request, "The other service did not let you in.", 403)
        try:
            claims = await run_in_threadpool(provider.claims, asked["code"], way)
            made = await run_in_threadpool(enter, identities, provider.config, claims)
        except (SignInRefused, StoreError) as error:
            return refused(request, str(error), 403)
        # A page and no redirect: the session's cookie is strict and goes along with none from elsewhere.
        page = screen.page("arrived.html", request, None)
        page.set_cookie(COOKIE, made.token, httponly=True, samesite="strict", secure=is_secure)
        page.delete_cookie(WAY_COOKIE, path="/login/oidc")
        return page

    def refused(request: Request, why: str, status: int) -> Response:
        facts: dict[str, Any] = {"failed": False, "given": "", "why": why, "other": provider.config.label}
        answer = screen.page("login.html", request, None, status=status, **facts)
        answer.delete_cookie(WAY_COOKIE, path="/login/oidc")
        return answer

    return router


def enter(identities: Identities, config: OidcConfig, claims: dict[str, Any]) -> Session:
    """Who these claims are here, and a session for him; raises `SignInRefused` for somebody unknown.

    A name that an account here has already is no proof of being its owner.
    """
    issuer, subject = config.issuer, claims["sub"]
    role = config.role_of(claims)
    found = identities.find(issuer, subject)
    if found is None and subject in config.accounts:
        found = identities.link(issuer, subject, config.accounts[subject])
    if found is None:
        if config.unknown != "make":
            raise SignInRefused(UNKNOWN)
        handle = claims.get(config.handle)
        if not isinstance(handle, str) or not handle.strip() or len(handle) > 200:
            raise SignInRefused(f"the other service does not say what you are called (claim {config.handle})")
        found = identities.make(issuer, subject, handle.strip(), role)
    return identities.enter(found, issuer, role if config.rules else None)
