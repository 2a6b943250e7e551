"""Routes for what takes long: files of items come in, snapshots go out."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from accord.domain.errors import DataError, StoreError
from accord.feedback.importing import begin_import, import_file, import_id, progress_of
from accord.feedback.item_rows import FORMATS
from accord.feedback.keyed import IdempotencyKey, asked_for, asked_of, repeats_of
from accord.feedback.security import need
from accord.feedback.snapshots import snapshot_lines, take_snapshot
from accord.feedback.work import Work
from accord.store.database.accounts import Account
from accord.store.database.projects import Projects
from accord.store.database.repeats import Asked, Repeats
from accord.store.database.tables import project
from accord.store.rows import KNOWN_SUFFIXES, data_suffix

MOST_BYTES = 8 << 30
"""Of a file that is sent."""
Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]
Hash = Annotated[str, Field(min_length=24, max_length=64, pattern=r"^[0-9a-f]+$")]


def job_routes(work: Work, projects: Projects, signed_in: Any) -> APIRouter:
    """Imports and snapshots of a project."""
    router = APIRouter(prefix="/api/v1/projects/{project_id}", tags=["projects"])
    _imports(router, work, projects, signed_in)
    _snapshots(router, work, signed_in)
    return router


def _imports(router: APIRouter, work: Work, projects: Projects, signed_in: Any) -> None:
    @router.post("/imports", status_code=202)
    async def start_import(
        project_id: Id,
        request: Request,
        jobs: BackgroundTasks,
        account: Annotated[Account, Depends(signed_in)],
        name: Annotated[str, Query(max_length=200)] = "items.jsonl",
        format: Annotated[str, Query(max_length=40)] = "auto",
        overlap: Annotated[int, Query(ge=1, le=100)] = 1,
        key: IdempotencyKey = None,
    ) -> dict[str, Any]:
        """Take a file as the body; the answer names the import, which goes on behind it."""
        need(account, "import", project_id)
        check_project(work, project_id)
        suffix = data_suffix(Path(name))
        if not suffix:
            raise DataError(f"name is {name!r}; expected one that ends in {', '.join(KNOWN_SUFFIXES)}")
        if format not in FORMATS:
            raise DataError(f"format is {format!r}; expected one of {', '.join(FORMATS)}")
        path = await _spool(request, suffix)
        name_of_it = await run_in_threadpool(import_id, path)

        def begin() -> dict[str, Any]:
            job = begin_import(projects, project_id, name_of_it)
            return {"id": job.id, "is_done": job.is_done}

        try:
            if key is None:
                begun = await run_in_threadpool(begin)
            else:
                asked = asked_for(request, key, name_of_it.encode())
                begun = await run_in_threadpool(repeats_of(request).once, account.id, asked, begin)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        jobs.add_task(_run, projects, project_id, path, format, overlap)
        return begun

    @router.get("/imports/{import_name}")
    def ask_import(
        project_id: Id, import_name: Hash, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, Any]:
        """How far an import has come."""
        need(account, "import", project_id)
        found = progress_of(work.database, project_id, import_name)
        if found is None:
            raise StoreError(f"there is no import {import_name!r} of this project")
        return asdict(found)


def _snapshots(router: APIRouter, work: Work, signed_in: Any) -> None:
    @router.post("/snapshots", status_code=201)
    def snapshot(
        project_id: Id,
        account: Annotated[Account, Depends(signed_in)],
        asked: Annotated[Asked | None, Depends(asked_of)],
        repeats: Annotated[Repeats, Depends(repeats_of)],
    ) -> dict[str, Any]:
        """Fix what is judged by now under a hash of its content."""
        need(account, "export", project_id)
        check_project(work, project_id)

        def act() -> dict[str, Any]:
            return asdict(take_snapshot(work, project_id))

        return act() if asked is None else dict(repeats.once_apart(account.id, asked, act))

    @router.get("/snapshots/{snapshot_hash}/rows")
    def rows(
        project_id: Id, snapshot_hash: Hash, account: Annotated[Account, Depends(signed_in)]
    ) -> StreamingResponse:
        """The rows of a snapshot, the same bytes each time."""
        need(account, "export", project_id)
        lines = snapshot_lines(work, project_id, snapshot_hash)
        return StreamingResponse(lines, media_type="application/x-ndjson")


def check_project(work: Work, project_id: str) -> None:
    """Raises `StoreError` where there is no such project."""
    with work.database.read() as connection:
        found = connection.execute(select(project.c.id).where(project.c.id == project_id)).scalar()
    if found is None:
        raise StoreError(f"there is no project {project_id!r}")


async def _spool(request: Request, suffix: str) -> Path:
    size = 0
    with tempfile.NamedTemporaryFile(suffix=suffix, delete=False) as out:
        try:
            async for piece in request.stream():
                size += len(piece)
                if size > MOST_BYTES:
                    raise HTTPException(413, f"the file is larger than {MOST_BYTES} bytes")
                out.write(piece)
        except BaseException:
            Path(out.name).unlink(missing_ok=True)
            raise
    return Path(out.name)


def _run(projects: Projects, project_id: str, path: Path, shape: str, overlap: int) -> None:
    try:
        import_file(projects, project_id, path, shape=shape, overlap=overlap)
    finally:
        path.unlink(missing_ok=True)
