"""Errors over HTTP: one JSON shape on every route, as RFC 9457 describes it.

`type` and `title` name the kind of problem, `detail` says what was wrong with this request.
"""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from accord.domain.errors import AccordError, ConfigError, DataError, LeaseLost, StoreError

STATUS = ((LeaseLost, 410), (StoreError, 409), (DataError, 422), (ConfigError, 422), (AccordError, 400))
"""Which status an error of ours becomes; the first that fits."""


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that says what went wrong."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, media_type="application/problem+json", headers=headers)


def install_problems(app: FastAPI) -> None:
    """Let every error leave in the one shape."""

    @app.exception_handler(AccordError)
    def _ours(request: Request, error: AccordError) -> JSONResponse:
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        return problem(status, str(error))

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers) if error.headers else None
        return problem(error.status_code, str(error.detail), headers)

    @app.exception_handler(RequestValidationError)
    def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        found = [".".join(map(str, one["loc"])) + ": " + str(one["msg"]) for one in error.errors()]
        return problem(422, "; ".join(found))

    @app.exception_handler(Exception)
    def _unexpected(request: Request, error: Exception) -> JSONResponse:
        """Says nothing of the error, which is logged; who asked may not see what the server knows."""
        return problem(500, "the server failed at this request; its log says where")
