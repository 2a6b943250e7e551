"""A loop of rounds whose every quantity is known: a small exact policy and no language model.

Choice of questions, panel, consensus, word on annotators, gates and monitors are the loop's own. Prints one
JSON line. Each prompt has a dozen answers, vectors of qualities with a known taste; the policy is a softmax
over them, and optimization is its exact optimum under a KL penalty. The panel of ten (experts, one who leans
left, one fond of length, one who tires, a careless one, a spammer) judges what is drawn; known pairs are
hidden in the work, and who is worth nothing is paused. Per round, exactly, over held-out prompts: win rate
against the start and against the round before, and KL from the start.

Besides, over the ten annotators, the rank correlation with their true accuracy on the pairs asked about: of
the accuracy the loop states (consensus of its pairs and known ones), of the gains the loop states (by the
margins of the round's reward), of those that annotator-aware training finds from everything judged so far,
and of the share of right answers if the truth of every pair were known, which shows what any count can
tell. And how often a monitor names what did not move.

    python benchmarks/loop_rounds.py --worlds 20 --rounds 3
    python benchmarks/loop_rounds.py --monitors 200    drift planted alone: what is named, and what falsely
"""

import argparse
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax

from accord.domain import Choice, Comparison, Completion, Judgment, Prompt, Source
from accord.evaluation.intervals import mean_estimate, share_estimate
from accord.evaluation.measurement import Measurement
from accord.pipeline.rounds.agreeing import Agreement, agree
from accord.pipeline.rounds.answers import AnswerGroup
from accord.pipeline.rounds.choosing import (
    MemberScores,
    Question,
    choose_anchors,
    choose_questions,
    pool_of,
)
from accord.pipeline.rounds.monitors import MonitorConfig, Seen, watch_round
from accord.pipeline.rounds.panel import Panelist, loop_panel
from accord.pipeline.rounds.plan import AgreeingConfig, AskingConfig
from accord.pipeline.rounds.releasing import decide, plan_of
from accord.pipeline.rounds.skills import find_gains, true_accuracies
from accord.pipeline.rounds.staff import assess_staff, correctness_streams
from accord.quality import AnswerView
from loop_labels import FloatArray, Votes, fit_aware, world_mean

QUALITIES = 8
ANSWERS = 12
HELD_OUT = 64
SPREAD = 0.15
"""Standard deviation of an answer's true worth, about that of the support task's."""
KL_STEP = 0.4
"""Nats each round moves the policy from where it began, on average over prompts."""
WAVE = 480
"""Judgments between two looks at the annotators."""
RIDGE = 2.0
MEMBERS = 4
TOPICS = (
    "my invoice is wrong", "is the bridge closed", "the parcel did not come", "how do I sign in",
    "which size fits", "can I pay later", "the screen stays dark", "who reads my letters",
)  # fmt: skip
ASKING = AskingConfig(prompts=60, comparisons=160, strategy="information", known_share=0.25, anchors=16)


@dataclass
class World:
    """Prompts, answers, taste, panel, and everything judged so far."""

    seed: int
    n_prompts: int
    judgments: list[Judgment] = field(default_factory=list)
    known: list[Judgment] = field(default_factory=list)
    again: list[Judgment] = field(default_factory=list)
    """Of anchors, by later rounds."""
    examined: list[Judgment] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    n_done: dict[str, int] = field(default_factory=dict)
    """Of each in the session under way: whoever tires comes back rested."""

    def __post_init__(self) -> None:
        draws = np.random.default_rng([self.seed, 1])
        taste = draws.normal(size=QUALITIES)
        self.taste = SPREAD * taste / np.linalg.norm(taste)
        self.features = draws.normal(size=(self.n_prompts + HELD_OUT, ANSWERS, QUALITIES))
        self.words = draws.integers(20, 60, size=(self.n_prompts + HELD_OUT, ANSWERS))
        self.gold = 0.5 + self.features @ self.taste
        self.prompts = [Prompt.from_text(f"question {i:05d}") for i in range(len(self.features))]
        self.draws = np.random.default_rng([self.seed, 2])
        self.panel = {one.character.id: one for one in loop_panel()}

    def place(self, prompt: Prompt, text: str) -> tuple[int, int]:
        """Which prompt and answer a text is."""
        return int(prompt.text.split()[1]), int(text.split()[1])

    def view(self, prompt: Prompt, text: str) -> AnswerView:
        """What an annotator sees of an answer."""
        i, k = self.place(prompt, text)
        return AnswerView(total=float(self.gold[i, k]), words=int(self.words[i, k]))

    def judge(self, question: Question, who: Panelist, batch: str) -> Judgment:
        """His answer to a pair, in an order drawn for him."""
        name = who.character.id
        done = self.n_done.get(name, 0)
        self.n_done[name] = done + 1
        left, right = question.first, question.second
        if self.draws.random() < 0.5:
            left, right = right, left
        views = self.view(question.prompt, left), self.view(question.prompt, right)
        character = who.after(done)
        chances = character.choice_probabilities(*views)
        draw = self.draws.random()
        choice = Choice.LEFT if draw < chances.left else Choice.TIE
        if chances.left <= draw < chances.left + chances.right:
            choice = Choice.RIGHT
        number = len(self.judgments) + len(self.known) + len(self.again) + len(self.examined)
        return Judgment(
            comparison=Comparison(prompt=question.prompt, left=left, right=right),
            annotator_id=name,
            choice=choice,
            source=Source.SIMULATED,
            meta={"judgment_id": f"j{number:06d}", "batch": batch},
        )

    def ask(self, questions: Sequence[Question], batch: str, into: list[Judgment]) -> None:
        """Three judge each pair; known pairs are hidden in the work, and after each wave some are paused."""
        self.n_done = {}
        for question in questions:
            at_work = [one for name, one in self.panel.items() if name not in self.paused]
            for place in self.draws.permutation(len(at_work))[: ASKING.judgments_per_pair].tolist():
                into.append(self.judge(question, at_work[place], batch))
                if self.draws.random() < ASKING.known_share / (1 - ASKING.known_share):
                    self.known.append(self.judge_known(at_work[place]))
                if (len(into) + len(self.known)) % WAVE == 0:
                    self.pause()
        self.pause()

    def judge_known(self, who: Panelist) -> Judgment:
        """His answer to a pair of which one answer is clearly better; everybody meets others."""
        i = int(self.draws.integers(self.n_prompts))
        order = np.argsort(self.gold[i])
        better, worse = (f"answer {order[place]} of {i}" for place in (-1, 0))
        question = Question(
            prompt=self.prompts[i], first=better, second=worse, inclusion=1.0, score=1.0, is_random=True
        )
        given = self.judge(question, who, "known")
        return replace(given, meta={**given.meta, "better": better})

    def pause(self) -> None:
        """Those worth nothing get no more work."""
        for word in assess_staff(self.judgments, self.known, seed=self.seed):
            if not word.verdict.may_work:
                self.paused.add(word.annotator_id)


@dataclass
class Policy:
    """A softmax over each prompt's answers."""

    logits: FloatArray
    """[prompt, answer]"""

    @property
    def chances(self) -> FloatArray:
        """[prompt, answer]"""
        return np.exp(log_softmax(self.logits, axis=1))

    def improve(self, reward: FloatArray) -> "Policy":
        """The optimum of reward less beta KL from this one, with beta such that KL is `KL_STEP`."""
        low, high = 0.0, 1e4
        for _ in range(60):
            scale = (low + high) / 2
            made = Policy(self.logits + scale * reward)
            low, high = (scale, high) if made.kl(self) < KL_STEP else (low, scale)
        return Policy(self.logits + low * reward)

    def kl(self, other: "Policy") -> float:
        """Nats an answer, mean over prompts."""
        gap = log_softmax(self.logits, axis=1) - log_softmax(other.logits, axis=1)
        return float((self.chances * gap).sum(axis=1).mean())

    def wins(self, other: "Policy", gold: FloatArray) -> FloatArray:
        """[prompt] Chance that an answer of this is truly better than one of the other, ties half."""
        better = (np.sign(gold[:, :, None] - gold[:, None, :]) + 1) / 2
        return np.einsum("pa,pab,pb->p", self.chances, better, other.chances)


def fit_reward(features: FloatArray, p_first: FloatArray, weights: FloatArray) -> FloatArray:
    """Ridge logistic regression on soft labels; [quality]."""

    def loss(taste: FloatArray) -> tuple[float, FloatArray]:
        margin = features @ taste
        value = -(weights * (p_first * log_expit(margin) + (1 - p_first) * log_expit(-margin))).sum()
        slope = features.T @ (weights * (expit(margin) - p_first))
        return float(value + RIDGE / 2 * taste @ taste), slope + RIDGE * taste

    return np.asarray(minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B").x)


def learn(world: World, agreement: Agreement) -> FloatArray:
    """[member, quality] Rewards of the snapshot: the fit, and bootstraps of its pairs."""
    pairs = agreement.snapshot.preferences
    rows = []
    for pair in pairs:
        places = [world.place(pair.prompt, text) for text in (pair.chosen, pair.rejected)]
        rows.append(world.features[places[0]] - world.features[places[1]])
    features = np.stack(rows)
    p_first = np.array([pair.p_chosen for pair in pairs])
    weights = np.array([pair.weight for pair in pairs])
    takes = [np.arange(len(pairs))]
    takes += [world.draws.integers(0, len(pairs), len(pairs)) for _ in range(MEMBERS)]
    return np.stack([fit_reward(features[take], p_first[take], weights[take]) for take in takes])


def sample(world: World, policy: Policy, places: Sequence[int], count: int) -> list[AnswerGroup]:
    """`count` answers of a policy to each prompt."""
    chances = policy.chances
    return [
        AnswerGroup(
            world.prompts[i],
            tuple(
                Completion(text=f"answer {k} of {i}")
                for k in world.draws.choice(ANSWERS, size=count, p=chances[i]).tolist()
            ),
        )
        for i in places
    ]


def run_world(seed: int, rounds: int) -> list[dict[str, Any]]:
    """One loop; a row a round."""
    world = World(seed, ASKING.prompts * rounds)
    start = Policy(np.zeros((len(world.prompts), ANSWERS)))
    newest = incumbent = start
    asked: dict[int, list[Question]] = {}
    members: FloatArray | None = None
    anchors: list[Question] = []
    seen: list[Seen] = []
    rows = []
    held = slice(world.n_prompts, None)
    for number in range(1, rounds + 1):
        places = range((number - 1) * ASKING.prompts, number * ASKING.prompts)
        asked[number] = choose(world, sample(world, newest, places, 3), members)
        if number == 1:
            anchors = choose_anchors(asked[1], ASKING.anchors, generator=world.draws)
        world.ask(asked[number], f"r{number}-judge", world.judgments)
        if number > 1:
            world.ask(anchors, f"r{number}-anchors", world.again)
        agreement = agree(
            world.judgments, asked, AgreeingConfig(), round_number=number, project="x", known=world.known,
            seed=seed,
        )  # fmt: skip
        members = learn(world, agreement)
        before = newest
        newest = newest.improve(world.features @ members[0])
        votes, release = examine(world, number, newest, incumbent, start)
        left_out = agreement.snapshot.left_out
        seen.append(see(world, number, asked, anchors, newest, left_out))
        then = [seen[-2]] if number == 2 else [seen[-2], seen[0]] if number > 2 else []
        counted = [one for one in world.judgments if one.annotator_id not in left_out]
        lots = [int(str(one.meta["batch"])[1:].partition("-")[0]) for one in counted]
        found = watch_round(seen[-1], then, correctness_streams(counted, lots), MonitorConfig(), seed=seed)
        gold = world.gold[held]
        rows.append(
            {
                "against_start": float(held_of(newest, held).wins(held_of(start, held), gold).mean()),
                "against_before": float(held_of(newest, held).wins(held_of(before, held), gold).mean()),
                "gold": float((newest.chances[held] * gold).sum(axis=1).mean()),
                "kl": held_of(newest, held).kl(held_of(start, held)),
                "judged_win_rate": votes,
                "released": float(release),
                "paused": sorted(world.paused),
                "judgments": len(world.judgments) + len(world.known) + len(world.again) + len(world.examined),
                "named": [row["kind"] for row in found.rows if row["state"] == "moved"],
                **ranks(world, asked, members),
            }
        )
        if release:
            incumbent = newest
    return rows


def held_of(policy: Policy, held: slice) -> Policy:
    """The policy on the held-out prompts alone."""
    return Policy(policy.logits[held])


def choose(world: World, groups: Sequence[AnswerGroup], members: FloatArray | None) -> list[Question]:
    """The loop's own choice, by what the bootstraps of the reward disagree about."""

    pool = pool_of(groups, scores=None if members is None else member_scores(world, members[1:]))
    return choose_questions(pool, ASKING, generator=world.draws)


def member_scores(world: World, members: FloatArray) -> MemberScores:
    """[member, answer] rewards of answers by their texts."""

    def scores(prompts: Sequence[Prompt], answers: Sequence[Completion]) -> FloatArray:
        seen = [world.place(prompt, answer.text) for prompt, answer in zip(prompts, answers, strict=True)]
        features = np.stack([world.features[place] for place in seen])
        return members @ features.T

    return scores


def examine(
    world: World, number: int, newest: Policy, incumbent: Policy, start: Policy
) -> tuple[float, bool]:
    """Win rate of one sampled answer each by the panel, and whether the loop's gates release."""
    places = range(world.n_prompts, len(world.prompts))
    mine, its = (sample(world, one, places, 1) for one in (newest, incumbent))
    pairs = [(a.answers[0].text, b.answers[0].text) for a, b in zip(mine, its, strict=True)]
    questions = [
        Question(prompt=group.prompt, first=a, second=b, inclusion=1.0, score=1.0, is_random=True)
        for group, (a, b) in zip(mine, pairs, strict=True)
        if a != b
    ]
    begin = len(world.examined)
    world.ask(questions, f"r{number}-examine", world.examined)
    share: dict[str, list[float]] = {group.prompt.id: [] for group in mine}
    candidate = {group.prompt.id: text for group, (text, _) in zip(mine, pairs, strict=True)}
    for one in world.examined[begin:]:
        is_left = one.comparison.left == candidate[one.comparison.prompt.id]
        share[one.comparison.prompt.id].append(
            one.choice.left_share if is_left else 1 - one.choice.left_share
        )
    shares = np.array([np.mean(votes) if votes else 0.5 for votes in share.values()])
    kl = [held_of(newest, slice(i, i + 1)).kl(held_of(start, slice(i, i + 1))) for i in places]
    measured = [
        Measurement(metric="win_rate", estimate=share_estimate(shares, seed=world.seed)),
        Measurement(metric="kl_from_tuned", estimate=mean_estimate(np.array(kl), seed=world.seed)),
    ]
    release = decide(plan_of("loop"), measured, today=datetime.date(2026, 1, 1))
    return float(shares.mean()), release.exit_code == 0


def see(
    world: World,
    number: int,
    asked: Mapping[int, Sequence[Question]],
    anchors: Sequence[Question],
    policy: Policy,
    left_out: Mapping[str, str],
) -> Seen:
    """What the monitors see of a round; answers are named by their place, so they are left out."""
    keys = {one.key for one in anchors}

    def by_pair(found: Sequence[Judgment]) -> dict[tuple[str, str, str], list[Judgment]]:
        made: dict[tuple[str, str, str], list[Judgment]] = {}
        for one in found:
            if one.annotator_id not in left_out:
                first, second = sorted((one.comparison.left, one.comparison.right))
                made.setdefault((one.comparison.prompt.id, first, second), []).append(one)
        return made

    own = by_pair([one for one in world.judgments if one.meta["batch"] == f"r{number}-judge"])
    again = by_pair([one for one in world.again if one.meta["batch"] == f"r{number}-anchors"])
    return Seen(
        name=f"round {number}",
        prompts=[one.prompt for one in asked[number]],
        anchors={key: votes for key, votes in own.items() if key in keys} if number == 1 else again,
        votes=own,
    )


def ranks(world: World, asked: Mapping[int, Sequence[Question]], members: FloatArray) -> dict[str, Any]:
    """Rank correlation over annotators of the accuracy the loop states with the true one, and how many.

    The true one is the chance to be right, where he takes a side, on all pairs asked about so far, over both
    orders on screen; of who tires it is the mean over a session.
    """
    words = {word.annotator_id: word for word in assess_staff(world.judgments, world.known, seed=world.seed)}
    pairs = [
        (world.view(one.prompt, one.first), world.view(one.prompt, one.second))
        for questions in asked.values()
        for one in questions
    ]
    everything = [*world.judgments, *world.known, *world.again, *world.examined]
    truth = true_accuracies(list(world.panel.values()), pairs, everything)
    names = sorted(words)
    told_gains = {
        one.annotator: one.gain for one in find_gains(everything, member_scores(world, members[:1]))
    }
    decided = [one for one in everything if one.choice.is_decided]
    sides = [(world.place(one.comparison.prompt, one.comparison.left),
              world.place(one.comparison.prompt, one.comparison.right)) for one in decided]  # fmt: skip
    features = np.stack([world.features[left] - world.features[right] for left, right in sides])
    is_left = np.array([one.choice is Choice.LEFT for one in decided])
    who = np.array([names.index(one.annotator_id) for one in decided])
    votes = Votes(np.arange(len(decided)), who, np.ones(len(decided), dtype=np.bool_), is_left)
    gains = fit_aware(features, votes, len(names))[1]
    is_better = np.array([world.gold[left] > world.gold[right] for left, right in sides])
    right = np.bincount(who, is_better == is_left) / np.bincount(who)
    found = {
        "rank_of_stated_accuracy": [words[name].accuracy for name in names],
        "rank_of_stated_gains": [told_gains[name] for name in names],
        "rank_of_gains": gains,
        "rank_if_all_were_known": right,
    }
    told = {
        name: float(stats.spearmanr(values, [truth[one] for one in names]).statistic)
        for name, values in found.items()
    }
    return {**told, "decided_each": len(decided) / len(names)}


PLANTED = ("nothing", "covariate", "policy_induced", "preference", "annotator")


def watch_planted(worlds: int) -> dict[str, dict[str, Any]]:
    """Of so many worlds with each kind of drift planted alone: how many name each kind, and anything false.

    Round 2 against round 1: 60 prompts of eight topics, 48 held-out answers, 16 anchors and 5 votes a pair,
    ten annotators with 40 judgments a round. The second round is harder for everybody, which is nobody's
    decline.
    """
    told: dict[str, dict[str, Any]] = {}
    for planted in PLANTED:
        counts = dict.fromkeys(PLANTED[1:], 0)
        false = 0
        for seed in range(worlds):
            draws = np.random.default_rng([seed, 7])
            then, now = (_planted(draws, place, planted) for place in (1, 2))
            rows = watch_round(now, [then], _planted_streams(draws, planted), MonitorConfig(), seed=seed).rows
            named = {row["kind"] for row in rows if row["state"] == "moved"}
            for kind in named:
                counts[kind] += 1
            false += bool(named - {planted})
        told[planted] = {**counts, "anything_false": false}
    return told


def _planted(draws: np.random.Generator, place: int, planted: str) -> Seen:
    is_moved = place == 2
    topics = draws.integers(2 if is_moved and planted == "covariate" else 0, 8, size=60)
    prompts = [
        Prompt.from_text(f"{TOPICS[topic]} {draws.integers(1000):03d}", meta={"number": i + 100 * place})
        for i, topic in enumerate(topics.tolist())
    ]
    more = " please" if is_moved and planted == "policy_induced" else ""
    answers = {
        f"p{i:02d}": f"{TOPICS[i % 8]} {TOPICS[draws.integers(8)]}" + (more if draws.random() < 0.6 else "")
        for i in range(48)
    }
    shares = np.random.default_rng(11).beta(1, 1, size=16)
    if is_moved and planted == "preference":
        shares[:6] = 1 - shares[:6]
    anchors = {}
    for i, share in enumerate(shares.tolist()):
        key = (f"anchor {i}", "a", "b")
        anchors[key] = [_vote(key, who, bool(draws.random() < share)) for who in range(5)]
    return Seen(name=f"round {place}", prompts=prompts, answers=answers, anchors=anchors)


def _vote(key: tuple[str, str, str], who: int, is_first: bool) -> Judgment:
    pair = Comparison(prompt=Prompt.from_text(key[0]), left=key[1], right=key[2])
    choice = Choice.LEFT if is_first else Choice.RIGHT
    return Judgment(comparison=pair, annotator_id=f"w{who}", choice=choice, source=Source.SIMULATED)


def _planted_streams(draws: np.random.Generator, planted: str) -> list[Any]:
    judgments, lots = [], []
    for i in range(266):
        lot = 1 + (i >= 133)
        truth = bool(draws.random() < 0.5)
        for who in draws.permutation(10)[:3].tolist():
            right = 0.88 if lot == 1 else 0.8
            if who == 4 and lot == 2 and planted == "annotator":
                right = 0.5
            key = (f"pair {i}", "a", "b")
            judgments.append(_vote(key, who, truth == bool(draws.random() < right)))
            lots.append(lot)
    return correctness_streams(judgments, lots)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--monitors", type=int, help="Only the monitors, on so many worlds of each kind.")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    given = parser.parse_args()
    if given.monitors:
        print(json.dumps({"worlds": given.monitors, "planted": watch_planted(given.monitors)}))
        return
    worlds = [run_world(given.first + i, given.rounds) for i in range(given.worlds)]
    names = (
        "against_start", "against_before", "gold", "kl", "judged_win_rate", "released", "judgments",
        "decided_each",
        "rank_of_stated_accuracy", "rank_of_stated_gains", "rank_of_gains", "rank_if_all_were_known",
    )  # fmt: skip
    body: dict[str, Any] = {"worlds": given.worlds, "rounds": []}
    for place in range(given.rounds):
        rows = [world[place] for world in worlds]
        named = [row["named"] for row in rows]
        body["rounds"].append(
            {name: world_mean([row[name] for row in rows]) for name in names}
            | {
                "rose": sum(row["against_before"] > 0.5 for row in rows),
                "paused": {
                    name: sum(name in row["paused"] for row in rows)
                    for name in sorted({one for row in rows for one in row["paused"]})
                },
                "named": {
                    kind: sum(kind in one for one in named)
                    for kind in sorted({kind for one in named for kind in one})
                },
            }
        )
    body["rose_each_round"] = sum(all(row["against_before"] > 0.5 for row in world) for world in worlds)
    print(json.dumps(body))


if __name__ == "__main__":
    main()
