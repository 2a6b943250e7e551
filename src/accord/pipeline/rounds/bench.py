"""Where a loop's judges judge: the store, the server over it, and each kind of judge at its queue.

For a simulated panel the store belongs to the run, and every stage that judges begins from a copy of it: a
stage that was killed starts again from there and ends as if nothing had happened. People's stores are never
set back.
"""

import math
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accord.client import Client
from accord.domain import (
    Completion,
    DataError,
    Judgment,
    Message,
    Preference,
    Prompt,
    Rating,
    Source,
    Streams,
    content_hash,
)
from accord.domain.errors import Waiting
from accord.domain.ids import IdSource, SeededIds, TimeOrderedIds
from accord.evaluation.judges import ChatEndpoint, EndpointConfig, LanguageModelJudge
from accord.feedback.serving import serving_here
from accord.pipeline.comparing_models import JUDGE_KEY
from accord.pipeline.material import KnownTaste
from accord.pipeline.rounds.choosing import Question, key_of
from accord.pipeline.rounds.desk import ANCHORS, EDIT, TASK, Desk, KnownPair, read_comparisons
from accord.pipeline.rounds.grading import Grading
from accord.pipeline.rounds.panel import PanelSession, TasteOfSupport, loop_panel
from accord.pipeline.rounds.plan import (
    LoopConfig,
    ModelJudgesConfig,
    PeopleJudgesConfig,
    SimulatedJudgesConfig,
)
from accord.pipeline.rounds.staff import assess_staff
from accord.pipeline.serving.votes import PROJECT as CHAT
from accord.pipeline.simulating import token_of
from accord.store.database.accounts import Accounts
from accord.store.database.engine import Database, open_database
from accord.store.database.projects import Projects
from accord.store.database.recall import pseudonyms, voided
from accord.training.habits import JudgmentsObjective

MODEL_HANDLE = "model-judge"
"""Account of a language model that judges."""
BEFORE = "before.db"
"""Copy of the store as it was when a stage began."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What came of asking."""

    judgments: tuple[Judgment, ...]
    """All that count in the project, earlier rounds' among them."""
    n_new: int
    """Of what this stage asked, those of anchors among them; of known pairs and repeats none."""
    paused: Mapping[str, str] = field(default_factory=dict)
    """Annotators who got no more work -> why."""
    skipped: Sequence[str] = ()
    """Why a model judge gave no verdict, one a question it skipped."""

    @property
    def lines(self) -> list[str]:
        """What the stage says of itself."""
        paused = [f"paused: {name} ({why})" for name, why in self.paused.items()]
        skipped = [f"the model judge skipped {_of_skipped(self.skipped)}"] if self.skipped else []
        return [f"{self.n_new} judgments", *skipped, *paused]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Asks a loop's judges."""

    config: LoopConfig
    folder: Path
    """The run's."""
    streams: Streams
    taste: KnownTaste | None = None
    known: Sequence[KnownPair] = ()
    """Pairs whose better answer is known, hidden among the work."""
    grading: Grading | None = None
    """What a written policy asks beside the comparison."""

    @property
    def store(self) -> str:
        """The database: the run's own for a simulated or model judge, else the people's server's."""
        judges = self.config.judges
        return judges.store if isinstance(judges, PeopleJudgesConfig) else str(self.folder / "store.db")

    def ask(
        self,
        questions: Sequence[Question],
        *,
        project: str,
        batch: str,
        lot: int,
        overlap: int,
        folder: Path,
        cut: frozenset[tuple[str, str]] = frozenset(),
        paused: Mapping[str, str] | None = None,
        anchors: Sequence[Question] = (),
        advance: Callable[[int], None] = lambda n: None,
    ) -> Judged:
        """Set the questions out and return when all are judged; raises `Waiting` where people still must,
        and `DataError` where a model judge gives no verdict on any.

        `lot` numbers the stages that judge, `folder` is the stage's, `cut` names answers that ran out of
        tokens. `anchors` are pairs of an earlier round that are asked again among the others.
        """
        judges = self.config.judges
        ids: IdSource = TimeOrderedIds()
        if not isinstance(judges, PeopleJudgesConfig):
            _set_back(Path(self.store), folder / BEFORE)
            ids = SeededIds(self._stream_of_ids(project).value, lot)
        with self.opened() as database:
            projects = replace(Projects.of(database), ids=ids)
            desk = self._desk(database, project, projects)
            if not isinstance(judges, ModelJudgesConfig):
                asking = self.config.asking
                desk.check_people(self.known, share=asking.known_share, repeats=asking.repeat_share)
            mixed = _mix(questions, anchors, batch)
            panels = {} if isinstance(judges, ModelJudgesConfig) else self.config.asking.panels
            desk.set_out(
                [one for one, _ in mixed],
                overlap=overlap,
                batches=[name for _, name in mixed],
                panels=panels,
            )
            stopped: dict[str, str] = dict(paused or {})
            skipped: list[str] = []
            if isinstance(judges, SimulatedJudgesConfig):
                stopped |= self._simulate(desk, judges, ids, batch, cut, stopped, advance)
            elif isinstance(judges, ModelJudgesConfig):
                skipped = self._ask_model(desk, judges, ids, batch, advance)
            missing = desk.open_slots()
            if missing and isinstance(judges, PeopleJudgesConfig):
                raise Waiting(
                    f"{missing} judgments of {batch} are wanted in project {project!r} of {self.store}; "
                    f"`accord serve --store {self.store}` lets people in. Resume the run when they are done."
                )
            found = desk.judgments()
            # By what was asked, not by what was there before: people judge between two runs.
            asked = {(one.key, name) for one, name in mixed}
            everything = read_comparisons(database, desk.project_id)
            n_new = sum((key_of(one), one.meta["batch"]) in asked for one in everything)
        (folder / BEFORE).unlink(missing_ok=True)
        return Judged(judgments=tuple(found), n_new=n_new, paused=stopped, skipped=skipped)

    def _stream_of_ids(self, project: str) -> Streams:
        """Of the stage's ids: another one where a changed policy asks again what was asked before."""
        if self.grading is None:
            return self.streams.child("ids")
        return self.streams.child("ids", content_hash(self.grading.asked), len(self.judgments(project)))

    def _desk(self, database: Database, project: str, projects: Projects) -> Desk:
        task: dict[str, Any] = dict(TASK if self.grading is None else self.grading.task)
        if self.config.asking.has_corrections:
            task["questions"] = [*task.get("questions", ()), EDIT]
        guideline = getattr(self.config.judges, "guideline", "")
        if self.grading is not None:
            guideline = self.grading.guideline
        return Desk.open(database, project, projects, guideline=guideline, task=task)

    def panels(self, project: str) -> dict[str, str] | None:
        """Judgment to panel, where the config weighs panels in training; else None."""
        if self.config.reward.group_weights.mode == "none":
            return None
        return self.panel_of(project)

    def panel_of(self, project: str) -> dict[str, str]:
        """Judgment to panel, of all that came from a place of a panel."""
        if not self.config.asking.panels:
            return {}
        with self.opened() as database:
            desk = Desk.find(database, project, Projects.of(database))
            return {} if desk is None else desk.panels()

    def pseudonyms(self) -> dict[str, str] | None:
        """Handle to pseudonym, where the reward model learns who gave each judgment; else None."""
        if not isinstance(self.config.reward.objective, JudgmentsObjective):
            return None
        with self.opened() as database:
            return pseudonyms(database)

    def corrections(self, project: str) -> list[Preference]:
        """What people wrote anew, where the config asks for it."""
        if not self.config.asking.has_corrections:
            return []
        with self.opened() as database:
            desk = Desk.find(database, project, Projects.of(database))
            return [] if desk is None else desk.corrections()

    def grades(self, project: str) -> list[Rating]:
        """Grades of answers in a project that exists; none where it does not, or no policy asks for them."""
        if not self.config.policy_file:
            return []
        with self.opened() as database:
            desk = Desk.find(database, project, Projects.of(database))
            return [] if desk is None else desk.grades()

    def judgments(self, project: str) -> list[Judgment]:
        """Those of a project that exists; none where it does not."""
        with self.opened() as database:
            desk = Desk.find(database, project, Projects.of(database))
            return [] if desk is None else desk.judgments()

    def chat_votes(self) -> list[Judgment]:
        """Votes of the chat page at this store, where the config asks for them."""
        if not self.config.asking.has_chat_votes:
            return []
        with self.opened() as database:
            desk = Desk.find(database, CHAT, Projects.of(database))
            return [] if desk is None else desk.judgments()

    def anchor_judgments(self, project: str) -> list[Judgment]:
        """Those of anchor pairs that were asked again in a project; `meta` holds the batch."""
        with self.opened() as database:
            desk = Desk.find(database, project, Projects.of(database))
            return [] if desk is None else desk.anchor_judgments()

    def known_judgments(self, projects: Sequence[str]) -> list[Judgment]:
        """Those of known pairs, of several projects."""
        with self.opened() as database:
            desks = [Desk.find(database, name, Projects.of(database)) for name in projects]
            return [one for desk in desks if desk is not None for one in desk.known_judgments()]

    def voided(self) -> frozenset[str]:
        """Judgments that were called back."""
        with self.opened() as database:
            return frozenset(voided(database))

    @contextmanager
    def opened(self) -> Iterator[Database]:
        """The store, with its tables."""
        if "://" not in self.store:
            Path(self.store).parent.mkdir(parents=True, exist_ok=True)
        with closing(open_database(self.store)) as database:
            database.create()
            yield database

    def _simulate(
        self,
        desk: Desk,
        judges: SimulatedJudgesConfig,
        ids: IdSource,
        batch: str,
        cut: frozenset[tuple[str, str]],
        paused: Mapping[str, str],
        advance: Callable[[int], None],
    ) -> dict[str, str]:
        assert self.taste is not None
        with serving_here(desk.database, ids=ids) as address:
            session = PanelSession(
                address=address,
                accounts=replace(Accounts.of(desk.database), ids=ids),
                project_id=desk.project_id,
                panel=[one for one in loop_panel() if one.character.id not in paused],
                taste=TasteOfSupport(self.taste, cut),
                streams=self.streams.child("panel", batch),
                skills=tuple(sorted(self.config.asking.panels)),
                look=lambda: assess_staff(desk.judgments(), desk.known_judgments(), seed=self.config.seed),
                pause=desk.pause,
                wave=judges.wave,
            )
            session.run(advance)
        return {name: "; ".join(word.reasons) for name, word in session.paused.items()}

    def _ask_model(
        self,
        desk: Desk,
        judges: ModelJudgesConfig,
        ids: IdSource,
        batch: str,
        advance: Callable[[int], None],
    ) -> list[str]:
        """Why questions were skipped, one each."""
        endpoint = ChatEndpoint(
            EndpointConfig(model=judges.model, url=judges.url, key=os.environ.get(JUDGE_KEY, ""))
        )
        judge = LanguageModelJudge(endpoint, cache=self.folder / "verdicts")
        accounts = replace(Accounts.of(desk.database), ids=ids)
        with serving_here(desk.database, ids=ids) as address:
            client = Client(address, token_of(accounts, MODEL_HANDLE, source=Source.MODEL))
            n_done, skipped = judge_by_model(client, desk.project_id, judge, advance)
        if skipped and not n_done:
            raise DataError(
                f"{batch}: the model judge {judges.model!r} at {judges.url} gave no verdict on any pair and "
                f"skipped {_of_skipped(skipped)}; see that the endpoint answers and that the model says "
                "which answer is better in the form asked for, and resume the run"
            )
        return skipped


def judge_by_model(
    client: Client,
    project_id: str,
    judge: LanguageModelJudge,
    advance: Callable[[int], None] = lambda n: None,
) -> tuple[int, list[str]]:
    """Let a model answer everything the queue has for it; what it will not answer is skipped.

    How many it answered, and why it skipped the others, one each.
    """
    n_done, skipped = 0, list[str]()
    while taken := client.next(project_id):
        work = taken[0]
        shown = work["shown"]
        prompt = Prompt(messages=tuple(Message(one["role"], one["content"]) for one in shown["messages"]))
        left, right = (Completion(text=text) for text in shown["candidates"][:2])
        (verdict,) = judge.judge([prompt], [left], [right])
        question = work["task"]["questions"][0]
        if math.isnan(verdict.left):
            client.skip(work, "the judge gave no verdict")
            skipped.append(verdict.reason)
            continue
        client.submit(work, {question["id"]: {"choice": _grade(verdict.left, question["scale"])}})
        n_done += 1
        advance(n_done)
    return n_done, skipped


def _of_skipped(reasons: Sequence[str]) -> str:
    """How many questions, and the commonest reason."""
    ((why, often),) = Counter(reasons).most_common(1)
    return f"{len(reasons)} questions ({why}{'' if often == len(reasons) else f', {often} times'})"


def _mix(
    questions: Sequence[Question], anchors: Sequence[Question], batch: str
) -> list[tuple[Question, str]]:
    """Anchors at even distances among the questions, each with its batch, so that they are not all last."""
    again = batch.partition("-")[0] + ANCHORS
    placed = [((i + 0.5) / len(anchors), one, again) for i, one in enumerate(anchors)]
    placed += [((i + 0.5) / len(questions), one, batch) for i, one in enumerate(questions)]
    return [(one, name) for _, one, name in sorted(placed, key=lambda row: row[0])]


def _grade(share: float, scale: int) -> int:
    """A preference for left in [0, 1] on a scale whose first grade is left clearly better."""
    return 1 + round((1 - share) * (scale - 1))


def _set_back(store: Path, copy: Path) -> None:
    """Put the store back to how it was when the stage first began, or note how it is now."""
    if copy.exists() and copy.stat().st_size:
        _copy(copy, store)  # in place: a server may have the store open
    elif copy.exists():
        for leftover in (store, Path(f"{store}-wal"), Path(f"{store}-shm")):
            leftover.unlink(missing_ok=True)
    elif store.exists():
        unfinished = copy.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        _copy(store, unfinished)
        unfinished.replace(copy)
    else:
        with closing(sqlite3.connect(copy)):
            pass  # an empty database: there was none


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
