"""The interface of people: coming in, skills, guidelines, consent, how one stands, rounds of calibration."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from accord.feedback.calibrating import Calibrating
from accord.feedback.guidelines import Guidelines
from accord.feedback.keyed import KeyedRoute
from accord.feedback.own_work import NEWEST, alerts_of, answer_alert, feedback_of, standing_of, take_test_anew
from accord.feedback.paging import MOST, After, Limit
from accord.feedback.policy import parse_policy
from accord.feedback.security import need
from accord.feedback.work import Work
from accord.store.database.accounts import PERMISSIONS, Account, Role
from accord.store.database.people import People
from accord.store.database.projects import Projects
from accord.store.database.states import PersonState
from accord.store.database.vault import Vault

Id = Annotated[str, Field(min_length=1, max_length=36, pattern=r"^[0-9a-zA-Z-]+$")]
Project = Annotated[str, Query(max_length=36)]
Text = Annotated[str, Field(max_length=200_000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class InvitationBody(_Body):
    """Whom a link is to make."""

    role: Role = Role.ANNOTATOR
    project: str = Field(default="", max_length=36)
    skills: list[str] = Field(default=[], max_length=50)
    days: float = Field(default=7.0, gt=0, le=90)


class AcceptBody(_Body):
    """Who one wants to be."""

    token: str = Field(max_length=100)
    handle: str = Field(min_length=1, max_length=200)
    password: str = Field(max_length=1000)


class SkillBody(_Body):
    """What somebody can."""

    skill: str = Field(max_length=60)
    level: int = Field(default=1, ge=1, le=5)
    days: float | None = Field(default=None, gt=0, le=36_500)


class StateBody(_Body):
    """How somebody is to stand in a project."""

    state: PersonState
    reason: str = Field(default="", max_length=200)


class TextBody(_Body):
    """A version of a guideline, or of the terms."""

    markdown: Text
    requires_ack: bool = True
    changelog: str = Field(default="", max_length=10_000)


class AttributesBody(_Body):
    """What somebody says of himself; all of it is of his free will."""

    values: dict[str, str] = Field(max_length=50)


class RoundBody(_Body):
    """Who judges what in a round."""

    name: str = Field(min_length=1, max_length=200)
    items: list[str] = Field(min_length=1, max_length=500)
    people: list[str] = Field(min_length=2, max_length=200)


class CloseBody(_Body):
    """What comes of a round: a new version of the guideline, or none."""

    guideline: TextBody | None = None


class AnswerBody(_Body):
    """One's own word on what was noticed."""

    answer: str = Field(min_length=1, max_length=10_000)


def people_router(work: Work, people: People, vault: Vault, signed_in: Any) -> APIRouter:
    """All routes about people."""
    router = APIRouter(prefix="/api/v1", tags=["people"])
    guidelines, calibrating = Guidelines(work), Calibrating(work)
    router.include_router(_doors(people, signed_in))
    router.include_router(_own(work, people, guidelines, signed_in))
    router.include_router(_leading(work, people, guidelines, signed_in))
    router.include_router(_rounds(calibrating, guidelines, signed_in))
    router.include_router(_secret(people, vault, signed_in))
    return router


def _doors(people: People, signed_in: Any) -> APIRouter:
    router = APIRouter(route_class=KeyedRoute)

    @router.post("/invitations", status_code=201)
    def invite(body: InvitationBody, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        # A lead invites into his project whom he could be himself; all else is for who looks after people.
        place = body.project
        may_all = account.may("people", place)
        is_below = PERMISSIONS[body.role] <= PERMISSIONS[Role.REVIEWER] | {"watch"}
        if not may_all and not (place and is_below and account.may("manage", place)):
            need(account, "people", place)
        token = people.invite(body.role, account.id, project_id=place, skills=body.skills, days=body.days)
        return {"token": token, "path": f"/join/{token}"}

    @router.post("/invitations/accept", status_code=201)
    def accept(body: AcceptBody) -> dict[str, str]:
        return {"id": people.accept(body.token, body.handle, body.password)}

    @router.post("/users/{user_id}/skills", status_code=201)
    def grant(
        user_id: Id, body: SkillBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, str]:
        need(account, "people")
        people.grant_skill(user_id, body.skill, body.level, source="admin", by=account.id, days=body.days)
        return {"status": "granted"}

    @router.post("/me/skills", status_code=201)
    def declare(body: SkillBody, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        people.grant_skill(account.id, body.skill, body.level, source="self", by=account.id)
        return {"status": "noted"}

    @router.get("/me/skills")
    def own_skills(account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        return {"skills": people.skills_of(account.id)}

    return router


def _own(work: Work, people: People, guidelines: Guidelines, signed_in: Any) -> APIRouter:
    router = APIRouter(route_class=KeyedRoute)

    @router.get("/me/standing")
    def own_standing(project: Project, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "annotate", project)
        return standing_of(work, project, account.id)

    @router.get("/me/feedback")
    def feedback(
        project: Project,
        account: Annotated[Account, Depends(signed_in)],
        limit: Limit = NEWEST,
        after: After = None,
    ) -> dict[str, Any]:
        need(account, "annotate", project)
        return feedback_of(work, project, account.id, limit=limit, after=after).told("feedback")

    @router.post("/me/requalify")
    def requalify(project: Project, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        need(account, "annotate", project)
        take_test_anew(work, people, project, account.id)
        return {"status": "testing"}

    @router.post("/alerts/{alert_id}/answer")
    def answer(
        alert_id: Id, body: AnswerBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, str]:
        answer_alert(work, alert_id, account.id, body.answer)
        return {"status": "noted"}

    @router.get("/projects/{project_id}/guideline")
    def guideline(project_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "annotate", project_id)
        return {"guideline": guidelines.newest(project_id, account.id)}

    @router.post("/guidelines/{definition_id}/ack")
    def acknowledge(definition_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        need(account, "annotate", guidelines.project_of(definition_id))
        people.acknowledge(account.id, definition_id)
        return {"status": "read"}

    @router.get("/projects/{project_id}/terms")
    def terms(project_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "annotate", project_id)
        return {"terms": guidelines.newest(project_id, account.id, "terms")}

    @router.post("/terms/{definition_id}/agree")
    def agree(definition_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        need(account, "annotate", guidelines.project_of(definition_id))
        people.agree(account.id, definition_id)
        return {"status": "agreed"}

    @router.delete("/projects/{project_id}/consent")
    def withdraw(project_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        need(account, "annotate", project_id)
        people.withdraw(account.id, project_id)
        return {"status": "withdrawn"}

    return router


def _leading(work: Work, people: People, guidelines: Guidelines, signed_in: Any) -> APIRouter:
    router = APIRouter(route_class=KeyedRoute)

    @router.post("/projects/{project_id}/guideline", status_code=201)
    def publish(
        project_id: Id, body: TextBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, str]:
        need(account, "manage", project_id)
        return {"id": guidelines.publish(project_id, "guideline", **body.model_dump())}

    @router.post("/projects/{project_id}/terms", status_code=201)
    def publish_terms(
        project_id: Id, body: TextBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, str]:
        need(account, "manage", project_id)
        return {"id": guidelines.publish(project_id, "terms", **body.model_dump())}

    @router.put("/projects/{project_id}/policy")
    def policy(
        project_id: Id, body: dict[str, Any], account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, str]:
        need(account, "manage", project_id)
        parse_policy(body, "policy")
        projects = Projects(work.database, work.queue.clock, work.queue.ids)
        return {"id": projects.add_definition(project_id, "policy", body)}

    @router.post("/projects/{project_id}/people/{user_id}/state")
    def set_state(
        project_id: Id, user_id: Id, body: StateBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, str]:
        need(account, "manage", project_id)
        people.set_state(user_id, project_id, body.state, by=account.id, reason=body.reason)
        return {"status": body.state.value}

    @router.get("/projects/{project_id}/alerts")
    def alerts(
        project_id: Id,
        account: Annotated[Account, Depends(signed_in)],
        limit: Limit = MOST,
        after: After = None,
    ) -> dict[str, Any]:
        need(account, "manage", project_id)
        return alerts_of(work, project_id, limit=limit, after=after).told("alerts")

    return router


def _rounds(calibrating: Calibrating, guidelines: Guidelines, signed_in: Any) -> APIRouter:
    router = APIRouter(route_class=KeyedRoute)

    @router.post("/projects/{project_id}/calibrations", status_code=201)
    def open_round(
        project_id: Id, body: RoundBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, str]:
        need(account, "manage", project_id)
        return {"id": calibrating.open(project_id, body.name, body.items, body.people, account.id)}

    @router.get("/calibrations/{round_id}")
    def report(round_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "manage", calibrating.project_of(round_id))
        return calibrating.report(round_id)

    @router.post("/calibrations/{round_id}/close")
    def close(
        round_id: Id, body: CloseBody, account: Annotated[Account, Depends(signed_in)]
    ) -> dict[str, Any]:
        project_id = calibrating.project_of(round_id)
        need(account, "manage", project_id)
        made = None
        if body.guideline is not None:
            made = guidelines.publish(project_id, "guideline", **body.guideline.model_dump())
        calibrating.close(round_id, account.id, next_guideline_id=made)
        return {"guideline_id": made}

    return router


def _secret(people: People, vault: Vault, signed_in: Any) -> APIRouter:
    router = APIRouter(route_class=KeyedRoute)

    @router.get("/me/attributes")
    def own(account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        _in_person(account)
        return {"values": vault.own(account.id)}

    @router.put("/me/attributes")
    def keep(body: AttributesBody, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        _in_person(account)
        vault.keep(account.id, body.values)
        return {"status": "kept"}

    @router.get("/projects/{project_id}/attributes/{name}")
    def count(project_id: Id, name: str, account: Annotated[Account, Depends(signed_in)]) -> dict[str, Any]:
        need(account, "manage", project_id)
        return {"counts": vault.count(project_id, name), "fewest": 10}

    @router.delete("/users/{user_id}")
    def erase(user_id: Id, account: Annotated[Account, Depends(signed_in)]) -> dict[str, str]:
        need(account, "people")
        vault.erase(user_id, by=account.id)
        return {"status": "erased"}

    return router


def _in_person(account: Account) -> None:
    if account.scopes is not None:
        raise HTTPException(403, "what you say of yourself is for you alone, not for a token; sign in")
