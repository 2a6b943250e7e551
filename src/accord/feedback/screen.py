"""What every page has in common: templates, who is looking, in which language and with which looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.exceptions import HTTPException

from accord.feedback.catalog import LANGUAGES, Words, preferred_language, words_of
from accord.feedback.keys import keys_of
from accord.feedback.markdown import render_markdown
from accord.feedback.security import COOKIE, account_of
from accord.store.database.accounts import Account, Accounts
from accord.store.database.settings import Settings

HERE = Path(__file__).parent
MAX_FORM = 4_000_000
"""Bytes of a form that are read."""
LOOKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "theme": ("auto", "light", "dark", "contrast"),
        "language": ("auto", *LANGUAGES),
        "font": ("plain", "legible", "serif"),
        "size": ("normal", "large", "larger"),
    }
)
"""What can be set of how pages look; the first is the default."""


@dataclass(frozen=True)
class Screen:
    """Renders templates for whoever looks."""

    accounts: Accounts
    settings: Settings
    environment: Environment

    @classmethod
    def of(cls, accounts: Accounts, settings: Settings) -> "Screen":
        """With the templates beside this module."""
        environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["markdown"] = render_markdown
        environment.filters["moment"] = _moment
        return cls(accounts, settings, environment)

    def visitor(self, request: Request) -> Account | None:
        """Who is looking; nobody where he is not signed in."""
        try:
            return account_of(request, self.accounts)
        except HTTPException:
            return None

    def words(self, request: Request, account: Account | None) -> Words:
        """The words of the pages in the visitor's language."""
        chosen = (self.settings.read(account.id) if account else {}).get("language", "auto")
        if chosen in LANGUAGES:
            return words_of(chosen)
        return words_of(preferred_language(request.headers.get("accept-language", "")))

    def page(
        self, name: str, request: Request, account: Account | None, *, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A whole page."""
        return HTMLResponse(self.render(name, request, account, **values), status_code=status)

    def render(self, name: str, request: Request, account: Account | None, **values: Any) -> str:
        """A template with the visitor's frame around what it is given."""
        return self.environment.get_template(name).render({**self._frame(request, account), **values})

    def _frame(self, request: Request, account: Account | None) -> dict[str, Any]:
        wishes = self.settings.read(account.id) if account else {}
        found = self.accounts.find(request.cookies.get(COOKIE, "")) if account else None
        words = self.words(request, account)
        return {
            "t": words,
            "language": words.language,
            "handle": account.handle if account else "",
            "csrf": "" if found is None else found[1],
            "looks": {name: wishes.get(name, choices[0]) for name, choices in LOOKS.items()},
            "keys": keys_of(wishes.get("keys", {})),
        }


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form, each with its values; 413 for one that is too long."""
    body = await request.body()
    if len(body) > MAX_FORM:
        raise HTTPException(413, f"the form has {len(body)} bytes; at most {MAX_FORM} are read")
    text = body.decode(errors="replace")
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=10_000)
    except ValueError as error:
        raise HTTPException(422, f"the form cannot be read: {error}") from error


def field_of(form: Mapping[str, list[str]], name: str) -> str:
    """The first value of a field; empty where it is not there."""
    return form.get(name, [""])[0]


def wants_json(request: Request) -> bool:
    """Whether a script asks, which takes its answer as data."""
    return "application/json" in request.headers.get("accept", "")
