"""Who is at the chat page: anybody at this machine, who knows the key, or who has an account."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Protocol

from fastapi import HTTPException, Request

from accord.feedback.security import COOKIE, account_of
from accord.pipeline.serving.chat_request import ApiError
from accord.store.database.accounts import Accounts

KEY_COOKIE = "accord_chat"
"""Holds a text made from the key, never the key."""


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody who may chat and vote."""

    handle: str
    """By which his votes are told from others'."""
    user_id: str = ""
    csrf: str = ""
    """What his forms must send along; empty where the conversation's id is proof enough."""


class Entrance(Protocol):
    """Says who somebody is."""

    login: str
    """Where to send who is not known."""

    def visitor(self, request: Request, *, csrf: str | None = None) -> Visitor | None:
        """Who it is, None where not known; with `csrf`, what a form sent, raises where that is wrong."""
        ...


class LocalEntrance:
    """Anybody who reaches a server on loopback; the host's name is checked against pages from elsewhere."""

    login = "/chat"

    def __init__(self, hosts: tuple[str, ...]):
        self._hosts = hosts

    def visitor(self, request: Request, *, csrf: str | None = None) -> Visitor | None:
        """The one visitor there is."""
        if (request.url.hostname or "") not in self._hosts:
            raise ApiError(403, f"the host {request.url.hostname!r} is not this server's", code="wrong_host")
        return Visitor(handle="chat")


class KeyEntrance:
    """Who has given the server's key once; a cookie of this session remembers it."""

    login = "/chat/login"

    def __init__(self, key: str):
        self._key = key

    @property
    def cookie(self) -> str:
        """What the cookie holds."""
        return hmac.new(self._key.encode(), b"accord chat page", hashlib.sha256).hexdigest()

    def is_key(self, given: str) -> bool:
        """Whether that is the key."""
        return hmac.compare_digest(given.encode(), self._key.encode())

    def visitor(self, request: Request, *, csrf: str | None = None) -> Visitor | None:
        """Somebody with the cookie."""
        given = request.cookies.get(KEY_COOKIE, "")
        return Visitor(handle="chat") if hmac.compare_digest(given.encode(), self.cookie.encode()) else None


class AccountEntrance:
    """Who is signed in at the server of judgments."""

    login = "/login"

    def __init__(self, accounts: Accounts, project_id: str):
        self._accounts, self._project_id = accounts, project_id

    def visitor(self, request: Request, *, csrf: str | None = None) -> Visitor | None:
        """The account, where it may judge."""
        try:
            account = account_of(request, self._accounts, csrf=csrf)
        except HTTPException as error:
            if error.status_code == 401:
                return None
            raise
        if not account.may("annotate", self._project_id):
            raise HTTPException(403, "your role does not allow: annotate")
        found = self._accounts.find(request.cookies.get(COOKIE, ""))
        text = "" if found is None or found[1] is None else found[1]
        return Visitor(handle=account.handle, user_id=account.id, csrf=text)
