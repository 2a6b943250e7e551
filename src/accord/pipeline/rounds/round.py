"""One round of a loop: every stage in order, each from named files to named files.

What the stages do is in their own rooms; here stands what passes from one to the next.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from accord.domain.judgments import Judgment
from accord.evaluation.measurement import Measurement
from accord.models import RewardModel, frozen_copy
from accord.pipeline.comparing_models import as_measurement_file
from accord.pipeline.rounds.agreeing import Agreement, agree
from accord.pipeline.rounds.answers import (
    cut_answers,
    drift_of,
    prompts_of_round,
    read_groups,
    sample_groups,
    write_groups,
)
from accord.pipeline.rounds.budget import allow, examined_count
from accord.pipeline.rounds.chatting import CHATTED, chatted_pairs, with_chatted
from accord.pipeline.rounds.choosing import (
    choose_anchors,
    choose_questions,
    domain_of,
    pool_of,
    read_questions,
    write_questions,
)
from accord.pipeline.rounds.closing import Closing
from accord.pipeline.rounds.examining import pair_questions
from accord.pipeline.rounds.grading import WrittenReward
from accord.pipeline.rounds.guard import Guard, Scorer
from accord.pipeline.rounds.jury import Jury
from accord.pipeline.rounds.measuring import measure_candidate, skills_of
from accord.pipeline.rounds.notifying import News
from accord.pipeline.rounds.queues import queue_pairs, queues_after, quotas_of
from accord.pipeline.rounds.recording import (
    read_measurements,
    read_record,
    verdict_lines,
    write_json,
    write_measurements,
)
from accord.pipeline.rounds.releasing import RoundRecord, decide, number_rows, plan_of
from accord.pipeline.rounds.rewarding import RewardLearner, is_by_judgment
from accord.pipeline.rounds.scorers import function_scores, member_scores, taste_scores
from accord.pipeline.rounds.skills import Skills
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.rounds.staff import other_annotators
from accord.pipeline.rounds.state import LoopState
from accord.pipeline.rounds.watching import watch
from accord.pipeline.stage_running import has_checkpoint
from accord.rollouts import ModelReward, Reward
from accord.store import hash_file
from accord.training import train_rloo

GIVEN = "answers.jsonl"
"""Of a round's sampling: what the newest policy answered."""
ANCHORS = "anchors.jsonl"
"""Of the first round's choice: pairs that are judged again in each later one."""
MEASURED = "measurements.json"
OTHERS = "others"
"""Folder of the snapshot that the guard's evidence rests on."""


@dataclass
class Round:
    """One round of a loop."""

    loop: LoopState
    number: int
    before: Sequence[RoundRecord]

    def run(self) -> RoundRecord:
        """All stages in order; the round's record."""
        loop = self.loop
        self.streams = loop.streams.child("round", self.number)
        self.jury = Jury(loop, self.number)
        self.first = "tune" if loop.material.demonstrations else ""
        self.queues = queues_after(self.before, loop.config.queue)
        self.start = {"released": loop.incumbent, "newest": loop.newest, "tuned": loop.tuned}[
            loop.config.start_from
        ]
        self._sample()
        self._choose()
        self._judge()
        self._agree()
        self._learn_reward()
        self._learn_grades()
        self._gather_evidence()
        self._optimize()
        self._answer()
        self._examine()
        self._watch()
        return self._decide()

    def name(self, stage: str) -> str:
        """The stage's name in the journal."""
        return f"r{self.number}-{stage}"

    def path(self, stage: str) -> Path:
        """The stage's folder."""
        return self.loop.runner.journal.path(self.name(stage))

    def _stage(
        self,
        stage: str,
        what: str,
        work: Callable[[Path], Mapping[str, Any]],
        *,
        settings: Any = None,
        after: tuple[str, ...],
    ) -> bool:
        needed = tuple(one for one in (self.first, *after) if one)
        return self.loop.stage(self.name(stage), what, work, settings=settings, after=needed)

    def _earlier(self, stage: str) -> tuple[str, ...]:
        """That stage of the round before, where there is one."""
        return (f"r{self.number - 1}-{stage}",) if self.number > 1 else ()

    def _sample(self) -> None:
        """Fresh answers of the newest policy to this round's prompts."""
        loop, asking = self.loop, self.loop.config.asking
        prompts = prompts_of_round(loop.material.policy_prompts, self.number, asking.prompts)

        def work(folder: Path) -> Mapping[str, Any]:
            groups = sample_groups(
                loop.newest,
                prompts,
                asking.answers_per_prompt,
                asking.sampling,
                streams=self.streams.child("sample"),
                report_progress=lambda done, total: loop.narrator.progress("sample", done, total),
            )
            write_groups(folder / GIVEN, groups)
            distinct = sum(len(group.pairs) for group in groups)
            return {"answers": sum(len(group.answers) for group in groups), "pairs": distinct}

        what = f"the policy answers {len(prompts)} prompts {asking.answers_per_prompt} times"
        self._stage("sample", what, work, settings=asdict(asking), after=self._earlier("decide"))
        self.groups = read_groups(self.path("sample") / GIVEN)

    def _choose(self) -> None:
        loop = self.loop
        self.allowed = allow(
            loop.config,
            self._spent(),
            pairs=min(loop.config.asking.comparisons, sum(len(group.pairs) for group in self.groups)),
            anchors=len(loop.anchors),
            prompts=min(loop.config.asking.examined_prompts, len(loop.material.heldout)),
        )
        asking = loop.config.asking
        if self.allowed.left is not None:
            asking = replace(asking, comparisons=max(1, self.allowed.pairs))
        quotas = quotas_of(self.queues, loop.config.queue, asking.comparisons)

        def work(folder: Path) -> Mapping[str, Any]:
            asked: dict[str, int] = {}
            for questions in loop.asked.values():
                for one in questions:
                    asked[domain_of(one.prompt)] = asked.get(domain_of(one.prompt), 0) + 1
            pool = pool_of(
                self.groups,
                scores=None if loop.reward_model is None else member_scores(loop.reward_model),
                asked=asked,
            )
            chosen = choose_questions(
                pool,
                asking,
                generator=np.random.default_rng(self.streams.child("choose").value),
                quotas=quotas,
                facts={"round": self.number, "policy": loop.newest.version},
            )
            write_questions(folder / "questions.jsonl", chosen)
            if self.number == 1:
                draws = np.random.default_rng(self.streams.child("anchors").value)
                write_questions(folder / ANCHORS, choose_anchors(chosen, asking.anchors, generator=draws))
            at_random = sum(one.is_random for one in chosen)
            taken = queue_pairs(self.queues, [domain_of(one.prompt) for one in chosen])
            said = f"{len(chosen)} of {len(pool.pairs)} pairs, {at_random} of them by the random stream"
            lines = [said, *(f"{count} for gate {gate}, not passed yet" for gate, count in taken.items())]
            lines += self.allowed.lines
            return {
                "questions": len(chosen),
                "pool": len(pool.pairs),
                "queue_pairs": taken,
                "lines": lines,
            }

        what = f"which pairs to ask about ({asking.strategy})"
        settings: dict[str, Any] = {**asdict(asking), "quotas": [asdict(one) for one in quotas]}
        if self.allowed.left is not None:
            settings["allowed"] = asdict(self.allowed)
        self._stage("choose", what, work, settings=settings, after=(self.name("sample"),))
        loop.asked[self.number] = read_questions(self.path("choose") / "questions.jsonl")
        if self.number == 1:
            loop.anchors = read_questions(self.path("choose") / ANCHORS)

    def _judge(self) -> None:
        """The chosen pairs through the queue; in the end everything judged so far is in the store."""
        loop, asking = self.loop, self.loop.config.asking
        questions = loop.asked[self.number]
        anchors = loop.anchors if self.number > 1 and self.allowed.anchors else []
        cut = cut_answers(self.groups)
        if self.number == 1:
            loop.anchors_cut = cut

        def work(folder: Path) -> Mapping[str, Any]:
            judged = self.jury.ask(
                questions,
                "judge",
                overlap=asking.judgments_per_pair,
                folder=folder,
                cut=cut | loop.anchors_cut,
                anchors=anchors,
            )
            return {"judgments": judged.n_new, "paused": dict(judged.paused), "lines": judged.lines}

        again = f" and {len(anchors)} anchors again" if anchors else ""
        what = f"{self.jury.who} judge {len(questions)} pairs{again}, {asking.judgments_per_pair} each"
        after = (self.name("choose"), *self._earlier("examine"))
        self._stage("judge", what, work, settings=self.jury.asked, after=after)

    def _agree(self) -> None:
        loop = self.loop

        def work(folder: Path) -> Mapping[str, Any]:
            votes = loop.bench.chat_votes()
            self._take_votes(votes, folder)
            judgments = [*loop.bench.judgments(self.jury.project("judge")), *votes]
            self.policy_kl = self._policy_kl()
            guard = loop.config.guard
            others = frozenset[str]()
            if guard.every and guard.evidence == "annotators":
                others = other_annotators(judgments, guard.annotators)
                self._agreed(judgments, those=others).snapshot.write(folder / OTHERS)
            found = self._agreed(judgments, without=others)
            found.snapshot.write(folder)
            facts = found.snapshot.facts
            lines = [
                f"{len(found.snapshot.preferences)} pairs from {facts['judgments']} judgments of "
                f"{facts['annotators']} annotators, snapshot {found.snapshot.hash[:12]}"
            ]
            lines += [f"left out: {name} ({why})" for name, why in found.snapshot.left_out.items()]
            return {
                "snapshot": found.snapshot.hash,
                "judgments": facts["judgments"] + facts["judgments_left_out"],
                "policy_kl": self.policy_kl,
                "words": [word.row for word in found.words],
                "annotators": [asdict(one) for one in found.annotators],
                "lines": lines,
            }

        what = "judgments become preferences, with a word on everybody"
        settings = {**asdict(loop.config.agreeing), "guard": asdict(loop.config.guard)}
        if loop.config.asking.has_chat_votes:
            settings["has_chat_votes"] = True
        if is_by_judgment(loop.config):
            settings["objective"] = loop.config.reward.objective.type
        self._stage("agree", what, work, settings=settings, after=(self.name("judge"),))
        self.snapshot = Snapshot.read(self.path("agree"))

    def _take_votes(self, votes: Sequence[Judgment], folder: Path) -> None:
        """Note in the stage's folder which pairs of the chat page this round sees for the first time."""
        loop = self.loop
        if not votes:
            return
        earlier = [number for number in loop.asked if number < self.number]
        folders = {number: loop.runner.journal.path(f"r{number}-agree") for number in earlier}
        before = with_chatted({number: loop.asked[number] for number in earlier}, folders)
        before[self.number] = loop.asked[self.number]
        known = {one.key for questions in before.values() for one in questions}
        heldout = {prompt.id for prompt in loop.material.heldout}
        write_questions(folder / CHATTED, chatted_pairs(votes, known, heldout))

    def _agreed(
        self,
        judgments: Sequence[Judgment],
        *,
        those: frozenset[str] | None = None,
        without: frozenset[str] = frozenset(),
    ) -> Agreement:
        """The agreement of everybody, or of `those` annotators alone, or of all `without` some."""
        config, bench = self.loop.config, self.loop.bench
        project = self.jury.project("judge")
        folders = {number: self.loop.runner.journal.path(f"r{number}-agree") for number in self.loop.asked}
        return agree(
            judgments,
            with_chatted(self.loop.asked, folders),
            config.agreeing,
            round_number=self.number,
            project=config.name,
            voided=bench.voided(),
            known=bench.known_judgments([project, self.jury.project("examine")]),
            grades=bench.grades(project),
            corrections=bench.corrections(project),
            panels=bench.panels(project),
            drift=self.policy_kl,
            pseudonyms=bench.pseudonyms(),
            those=those,
            without=without,
            seed=config.seed,
        )

    def _policy_kl(self) -> dict[int, float]:
        """KL, nats an answer, from each earlier round's policy to the newest, on that round's answers.

        Old pairs are weighed by it; empty where the config does not ask for that.
        """
        config, path = self.loop.config, self.loop.runner.journal.path
        earlier = range(1, self.number if config.agreeing.half_drift is not None else 1)
        temperature = config.asking.sampling.scoring_temperature
        return {
            number: drift_of(read_groups(path(f"r{number}-sample") / GIVEN), self.loop.newest, temperature)
            for number in earlier
        }

    def _learn_reward(self) -> None:
        loop = self.loop
        begin = loop.reward_model if loop.config.warm_start else None
        loop.reward_model = self._train_reward("reward", self.snapshot, begin)

    def _learn_grades(self) -> None:
        """Of a written policy: a head for each dimension, learnt from grades."""
        loop, grading = self.loop, self.loop.grading
        self.heads: RewardModel | None = None
        if grading is None:
            return
        ratings = grading.placed(self.snapshot.ratings)
        loop.set_model(loop.tuned)

        def work(folder: Path) -> Mapping[str, Any]:
            return grading.learn(
                loop.model,
                ratings,
                loop.config.reward,
                folder,
                observers=loop.narrator.observers(),
                streams=self.streams.child("grades"),
            )

        what = f"learn {len(grading.ids)} dimensions of the written policy from {len(ratings)} grades"
        settings = asdict(grading.heads_config(loop.config.reward))
        self._stage("grades", what, work, settings=settings, after=(self.name("agree"),))
        self.heads = grading.read_heads(loop.model, self.path("grades") / "model", loop.config.reward)

    def _reward(self) -> Reward:
        """What the policy is optimized against."""
        assert self.loop.reward_model is not None
        compared = ModelReward(self.loop.reward_model)
        if self.loop.grading is None or self.heads is None:
            return compared
        return WrittenReward(compared, self.heads, self.loop.grading.charter, compared.is_bf16)

    def _gather_evidence(self) -> None:
        """What the guard holds against the reward: a known taste, a function, or other annotators' reward."""
        loop, guard = self.loop, self.loop.config.guard
        self.evidence: Scorer | None = None
        if not guard.every:
            return
        if guard.evidence == "function":
            self.evidence = function_scores(guard.function)
            return
        if guard.evidence == "taste":
            assert loop.material.taste is not None
            self.evidence = taste_scores(loop.material.taste)
            return
        others = Snapshot.read(self.path("agree") / OTHERS)
        reward = ModelReward(self._train_reward("evidence", others, None))
        self.evidence = lambda prompts, answers: reward.score(prompts, answers).values

    def _train_reward(self, stage: str, snapshot: Snapshot, begin: RewardModel | None) -> RewardModel:
        """A reward model of this snapshot, as a stage."""
        loop, name = self.loop, self.name(stage)
        learner = RewardLearner(
            loop=loop, snapshot=snapshot, begin=begin, name=name, streams=self.streams.child(stage)
        )
        who = "what is preferred" if stage == "reward" else "what the other annotators prefer"
        what = f"learn {who} from {learner.amount}"
        settings = {**asdict(loop.config.reward), "warm_start": begin is not None}
        after = (self.name("agree"), *(self._earlier(stage) if begin is not None else ()))
        self._stage(stage, what, learner.learn, settings=settings, after=after)
        return learner.trained[0] if learner.trained else loop.read_reward_model(self.path(stage) / "model")

    def _optimize(self) -> None:
        loop, grading = self.loop, self.loop.grading
        config = loop.config.policy if grading is None else grading.policy_config(loop.config.policy)

        def work(folder: Path) -> Mapping[str, Any]:
            loop.set_model(self.start)
            guard = self._guard(folder)
            observers = [*loop.narrator.observers(), *([] if guard is None else [guard])]
            result = train_rloo(
                loop.model,
                list(loop.material.policy_prompts),
                self._reward(),
                config,
                run_dir=folder,
                observers=observers,
                resume=has_checkpoint(folder),
                streams=self.streams.child("policy"),
            )
            metrics = result.metrics
            said = (
                f"reward {metrics['reward/mean']:.2f}, KL {metrics['kl/k1']:.2f} nats, "
                f"{metrics['length/mean']:.0f} tokens an answer after {result.steps} steps"
            )
            stopped = "" if guard is None else guard.verdict
            return {
                "steps": result.steps,
                "metrics": dict(metrics),
                "guard": stopped,
                "version": loop.model.version,
                "lines": [said, *([f"guard: {stopped}"] if stopped else [])],
            }

        what = f"RLOO on {len(loop.material.policy_prompts)} prompts against the reward model"
        settings: dict[str, Any] = {
            "policy": asdict(loop.config.policy),
            "guard": asdict(loop.config.guard),
            "start": self.start.version,
        }
        after: tuple[str, ...] = (self.name("reward"),)
        function = Path(loop.config.guard.function.rpartition(":")[0])
        if function.suffix == ".py":
            settings["function"] = hash_file(function)
        if grading is not None:
            settings["written"], after = grading.weights, (*after, self.name("grades"))
        if self._stage("policy", what, work, settings=settings, after=after):
            loop.read_model(self.path("policy") / "model")
        if stopped := str(self._facts("policy")["guard"]):
            loop.notices.post(News.HALTED, f"round {self.number}", stopped, round=self.number)
        loop.newest = frozen_copy(loop.model)

    def _guard(self, folder: Path) -> Guard | None:
        config, material = self.loop.config, self.loop.material
        if not config.guard.every:
            return None
        assert self.evidence is not None
        reward = self._reward()
        return Guard(
            policy=self.loop.model,
            prompts=list(material.heldout[: config.guard.prompts]),
            proxy=lambda prompts, answers: reward.score(prompts, answers).values,
            evidence=self.evidence,
            config=config.guard,
            sampling=config.policy.sampling,
            streams=self.streams.child("guard"),
            folder=folder / "guard",
        )

    def _answer(self) -> None:
        """Candidate and incumbent answer the held-out prompts, with the same draws."""
        loop, asking = self.loop, self.loop.config.asking
        prompts = loop.material.heldout[: self._examined_count()]

        def work(folder: Path) -> Mapping[str, Any]:
            for place, (name, model) in enumerate(
                (("candidate", loop.newest), ("incumbent", loop.incumbent))
            ):
                loop.narrator.progress("answer", place, 2)
                streams = loop.streams.child("answer", self.number)
                groups = sample_groups(model, prompts, 1, asking.sampling, streams=streams)
                write_groups(folder / f"{name}.jsonl", groups)
            return {"prompts": len(prompts)}

        what = f"candidate and incumbent answer {len(prompts)} held-out prompts"
        settings = {
            "asking": asdict(asking),
            "incumbent": loop.incumbent.version,
            "prompts": len(prompts),
        }
        self._stage("answer", what, work, settings=settings, after=(self.name("policy"),))
        self.candidate = read_groups(self.path("answer") / "candidate.jsonl")
        self.other = read_groups(self.path("answer") / "incumbent.jsonl")

    def _examined_count(self) -> int:
        """Held-out prompts to compare on: more where a gate was left undecided, as far as the budget goes."""
        loop = self.loop
        domains = [domain_of(one) for one in loop.material.heldout]
        spent = self._spent() + int(self._facts("judge")["judgments"])
        return examined_count(loop.config, self.allowed, domains, self.queues, spent=spent)

    def _spent(self) -> int:
        """Judgments of the rounds before."""
        return self.before[-1].judgments if self.before else 0

    def _facts(self, stage: str) -> Mapping[str, Any]:
        """What a finished stage of this round measured."""
        record = self.loop.runner.journal.record(self.name(stage))
        return {} if record is None else record.facts

    def _examine(self) -> None:
        """The same judges compare them; nothing of it is trained on."""
        asking = self.loop.config.asking
        questions = pair_questions(self.candidate, self.other, {"round": self.number})
        cut = cut_answers([*self.candidate, *self.other])

        def work(folder: Path) -> Mapping[str, Any]:
            judged = self.jury.ask(
                questions, "examine", overlap=asking.judgments_per_examined, folder=folder, cut=cut
            )
            write_questions(folder / "questions.jsonl", questions)
            return {"judgments": judged.n_new, "paused": dict(judged.paused), "lines": judged.lines}

        what = f"{self.jury.who} compare candidate and incumbent on {len(questions)} prompts"
        after = (self.name("answer"), self.name("judge"))
        self._stage("examine", what, work, settings=self.jury.asked, after=after)

    def _watch(self) -> None:
        """What moved since the round before and since the first."""
        loop = self.loop
        kept: list[Sequence[Measurement]] = []

        def work(folder: Path) -> Mapping[str, Any]:
            found = watch(loop, self.number, self.snapshot.left_out)
            kept.append(found.measurements)
            write_measurements(folder / MEASURED, found.measurements)
            return {"rows": [dict(row) for row in found.rows], "lines": found.lines}

        settings = asdict(loop.config.monitors)
        after = (self.name("agree"), self.name("answer"), self.name("judge"), *self._earlier("drift"))
        self._stage("drift", "what moved, and what to do about it", work, settings=settings, after=after)
        self.moved = kept[0] if kept else read_measurements(self.path("drift") / MEASURED)

    def _decide(self) -> RoundRecord:
        loop = self.loop
        plan = plan_of(loop.config.gates)
        plan = plan if loop.grading is None else loop.grading.gates(plan)
        kept: list[RoundRecord] = []

        def work(folder: Path) -> Mapping[str, Any]:
            examined = read_questions(self.path("examine") / "questions.jsonl")
            comparison = measure_candidate(
                loop,
                self._reward(),
                self.number,
                self.candidate,
                self.other,
                self.jury.votes(examined, self.snapshot.left_out),
                project=self.jury.project("examine"),
            )
            skills = self._skills(self.jury.votes(examined, ()))
            further = (*self.moved, *skills.measurements)
            comparison = replace(comparison, measurements=(*comparison.measurements, *further))
            release = decide(plan, comparison.measurements, today=loop.clock.now().date())
            write_json(folder / "measurements.json", as_measurement_file(comparison))
            record = self._closing().record(release, number_rows(comparison.measurements), skills.rows)
            kept.append(record)
            write_json(folder / "record.json", asdict(record))
            return {
                "released": record.is_released,
                "verdict": release.verdict.value,
                "lines": verdict_lines(record),
            }

        settings = {
            "gates": plan.hash,
            "removal": loop.config.agreeing.has_removal,
            "queue": asdict(loop.config.queue),
        }
        after = (self.name("examine"), self.name("drift"))
        self._stage("decide", "gates: release or not", work, settings=settings, after=after)
        record = kept[0] if kept else read_record(self.path("decide") / "record.json")
        if record.is_released:
            loop.incumbent = loop.newest
        return record

    def _skills(self, votes: Sequence[Judgment]) -> Skills:
        """How strongly everybody's choices follow this round's reward, and whether that orders them truly."""
        path = self.loop.runner.journal.path
        sampled = [path(f"r{number}-sample") / GIVEN for number in range(1, self.number + 1)]
        cut = cut_answers([group for one in sampled for group in read_groups(one)])
        projects = (self.jury.project("judge"), self.jury.project("examine"))
        return skills_of(self.loop, votes, self._facts("agree")["words"], projects, cut)

    def _closing(self) -> Closing:
        return Closing(
            loop=self.loop,
            number=self.number,
            before=self.before,
            start=self.start.version,
            snapshot=self.snapshot,
            paused=self.jury.paused(),
            anchors=self.allowed.anchors,
        )
