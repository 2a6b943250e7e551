"""The config of a loop of rounds: what is asked, who judges, what is trained, what a release must show.

Composes the configs of the parts. A file is one of a loop where it says `type = "loop"`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from accord.domain import ConfigError
from accord.pipeline.cards.config import CardConfig
from accord.pipeline.plan import ModelConfig, SupportTaskConfig, TaskConfig
from accord.pipeline.rounds.monitors import MonitorConfig
from accord.pipeline.rounds.queues import QueueConfig
from accord.rollouts import SamplingConfig
from accord.training import OnlineConfig, RewardTrainingConfig, SftConfig
from accord.training.habits import JudgmentsObjective
from accord.training.reward import PairsObjective

PACKAGED_GATES = ("loop", "default")
"""Plans of gates that are no files."""
ENSEMBLE_STRATEGIES = ("disagreement", "information")
"""What to ask by where members of the reward model disagree."""


@dataclass(frozen=True, kw_only=True)
class AskingConfig:
    """What a round asks of those who judge."""

    prompts: int = 60
    """Training prompts of a round; each round has others until all were used."""
    answers_per_prompt: int = 3
    """Fresh answers of the newest policy to each; every pair of different ones may be asked about."""
    comparisons: int = 120
    """Pairs asked about in a round, at most."""
    judgments_per_pair: int = 3
    """How many judge each pair."""
    strategy: Literal["random", "disagreement", "information", "margin", "coverage"] = "random"
    """How the active stream scores pairs: all alike, where members of the reward ensemble disagree, by what
    an
    answer would tell about them, where the reward is undecided, or by domains asked about least."""
    random_share: float = 0.3
    """Share of the pairs drawn with equal chances beside the active stream, for estimates nobody steered."""
    examined_prompts: int = 48
    """Held-out prompts on which candidate and incumbent are compared by the same judges."""
    judgments_per_examined: int = 3
    """How many judge each of these."""
    known_share: float = 0.1
    """Share of everybody's work that is a known pair, hidden: a demonstration against one of another
    question."""
    known_pairs: int = 40
    """How many of them there are; nobody meets one twice."""
    repeat_share: float = 0.05
    """Share that is an own earlier pair with its sides swapped."""
    anchors: int = 16
    """Pairs of the first round that are judged again in every later one and never trained on again: what
    changes on them is a change of taste. 10 are the fewest that tell anything; 0 for none."""
    panels: Mapping[str, int] = field(default_factory=dict)
    """Quotas: of each pair, so many of its judgments come from annotators who have this skill; the others
    from anybody. Simulated annotators are dealt out to the panels in turn."""
    has_corrections: bool = False
    """Whoever judges may also write the better answer anew: the text is learnt as better than what it came
    from. Of people."""
    has_chat_votes: bool = False
    """Votes of the chat page at the same store are learnt too, as pairs of the round that first sees them;
    those on held-out prompts are not. Of people."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How answers are sampled, for asking and for examining."""

    def __post_init__(self) -> None:
        _check(
            "asking",
            self,
            {"prompts": 1, "answers_per_prompt": 2, "comparisons": 1, "judgments_per_pair": 1,
             "examined_prompts": 2, "judgments_per_examined": 1, "known_pairs": 0, "anchors": 0},
            extra=[
                f"{name} is {share}; expected 0 to {top}"
                for name, top in (("random_share", 1), ("known_share", 0.9), ("repeat_share", 0.9))
                if not 0 <= (share := getattr(self, name)) <= top
            ]
            + self._of_panels(),
        )  # fmt: skip

    def _of_panels(self) -> list[str]:
        wrong = [f"panels.{name} is {count}; expected 1 or more" for name, count in self.panels.items()
                 if count < 1]  # fmt: skip
        total = sum(self.panels.values())
        for name in ("judgments_per_pair", "judgments_per_examined"):
            if total > getattr(self, name):
                wrong.append(
                    f"panels ask for {total} judgments of a pair and {name} is {getattr(self, name)}"
                )
        return wrong


@dataclass(frozen=True, kw_only=True)
class SimulatedJudgesConfig:
    """A panel of known character at the real server; needs the support task, whose taste is known."""

    type: Literal["simulated"] = "simulated"
    """Tells the kinds of judges apart."""
    wave: int = 120
    """Judgments between two looks at the annotators, after which some may be paused."""

    def __post_init__(self) -> None:
        _check("judges", self, {"wave": 1})


@dataclass(frozen=True, kw_only=True)
class PeopleJudgesConfig:
    """People at a server: the run waits, without a process, until they have judged."""

    type: Literal["people"] = "people"
    """Tells the kinds of judges apart."""
    store: str = "accord-workspace/accord.db"
    """Database of the server: a file, or a postgresql:// URL."""
    guideline: str = ""
    """Markdown shown beside each pair; a changed one is a new version."""


@dataclass(frozen=True, kw_only=True)
class ModelJudgesConfig:
    """A language model behind an OpenAI-compatible endpoint, at the queue like anybody; never counted as
    people."""

    type: Literal["model"] = "model"
    """Tells the kinds of judges apart."""
    model: str
    """Its name at the endpoint."""
    url: str
    """Address of the endpoint; its key is read from ACCORD_JUDGE_KEY."""
    price_asked: float | None = None
    """Price of a million tokens of questions, in the currency of `card`; none says that it is not known."""
    price_answered: float | None = None
    """Price of a million tokens of its answers; none says that it is not known."""

    def __post_init__(self) -> None:
        _check(
            "judges",
            self,
            {},
            extra=[
                f"{name} is {price}; expected a number, 0 or more, or none"
                for name in ("price_asked", "price_answered")
                if (price := getattr(self, name)) is not None and not 0 <= price < math.inf
            ],
        )


JudgesConfig = SimulatedJudgesConfig | PeopleJudgesConfig | ModelJudgesConfig


@dataclass(frozen=True, kw_only=True)
class AgreeingConfig:
    """How judgments become the preferences a reward model learns from."""

    method: Literal["dawid_skene", "majority", "vote_share", "annotator_aware"] = "dawid_skene"
    """How the votes on a pair become `p_chosen`."""
    weighting: Literal["one", "information"] = "one"
    """What a pair counts: alike, or by what its votes tell."""
    half_life: float | None = 2.0
    """Rounds after which a pair counts half; none lets old pairs count in full."""
    half_drift: float | None = None
    """Drift after which a pair counts half: KL, nats an answer, from the policy that gave its answers to the
    newest; none leaves drift out."""
    has_removal: bool = True
    """Leave out judgments of annotators whose labels are worth nothing; they stay in the store."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; expected above 0, or none"
            for name in ("half_life", "half_drift")
            if (value := getattr(self, name)) is not None and not 0 < value < math.inf
        ]
        if problems:
            raise ConfigError("agreeing", problems)

    def weight_of_age(self, age: int) -> float:
        """2^(-age / half_life), age in rounds."""
        return 1.0 if self.half_life is None else 2.0 ** (-age / self.half_life)

    def weight_of_drift(self, kl: float) -> float:
        """2^(-KL / half_drift); an estimate below 0 is no drift."""
        return 1.0 if self.half_drift is None else 2.0 ** (-max(kl, 0.0) / self.half_drift)


@dataclass(frozen=True, kw_only=True)
class GuardConfig:
    """A watch on the policy while it learns: held-out evidence against the reward that is optimized."""

    every: int = 0
    """Steps between two looks; 0 for no guard."""
    evidence: Literal["annotators", "taste", "function"] = "annotators"
    """What the reward is held against: a second reward model that learns from annotators the first does not
    hear, the support task's known taste, or `function`, such as a check that answers can be verified by."""
    function: str = ""
    """"module:function" or "file.py:function" of (prompts, completions), one number for each answer, higher
    is better. Its code is run; a file is found beside the config."""
    annotators: float = 0.4
    """Share of the annotators whose judgments are evidence and teach the policy's reward model nothing."""
    prompts: int = 24
    """Held-out prompts of each look."""
    confidence: float = 0.9
    """Of the one-sided bound under which evidence counts as fallen."""
    patience: int = 1
    """Looks in a row that must show the fall before the run stops and goes back to its best look."""

    def __post_init__(self) -> None:
        _check("guard", self, {"every": 0, "prompts": 2, "patience": 1})
        if not 0.5 < self.confidence < 1:
            raise ConfigError("guard", [f"confidence is {self.confidence}; expected between 0.5 and 1"])
        if not 0 < self.annotators < 1:
            raise ConfigError("guard", [f"annotators is {self.annotators}; expected between 0 and 1"])
        if (self.evidence == "function") != bool(self.function):
            raise ConfigError(
                "guard",
                [
                    f"evidence is {self.evidence} and function is {self.function!r}; "
                    "evidence = 'function' goes with the function's name, the others without one"
                ],
            )

    def beside(self, path: Path) -> "GuardConfig":
        """With the function's file found from the folder of the config's, and named in full."""
        place, colon, name = self.function.rpartition(":")
        if not place.endswith(".py"):
            return self
        found = next((one for one in (path.parent / place, Path(place)) if one.is_file()), None)
        if found is None:
            raise ConfigError(
                str(path),
                [f"guard.function: there is no {place} in {path.parent}; name the file that holds {name}"],
            )
        return replace(self, function=f"{found.resolve()}{colon}{name}")


@dataclass(frozen=True, kw_only=True)
class StopConfig:
    """When no further round begins."""

    max_judgments: int | None = None
    """Judgments of all rounds together; a round asks no more than what is left, and says so. Known pairs
    and repeats do not count."""
    max_hours: float | None = None
    """Time in stages, waiting for people not counted."""
    max_kl: float | None = None
    """KL of the newest policy from the fine-tuned start, nats an answer."""
    on_fail: bool = True
    """End when a blocking gate fails."""
    patience: int | None = None
    """Rounds in a row without a release."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; expected above 0, or none"
            for name in ("max_judgments", "max_hours", "max_kl", "patience")
            if (value := getattr(self, name)) is not None and not value > 0
        ]
        if problems:
            raise ConfigError("stop", problems)


@dataclass(frozen=True, kw_only=True)
class NotifyConfig:
    """A server that is told when the loop waits for people, releases, is halted, ends or fails."""

    url: str = ""
    """Its address; empty tells nobody."""
    secret: str = "ACCORD_WEBHOOK_SECRET"
    """Environment variable with the key that messages are signed with."""
    secret_file: str = ""
    """File with the key, in place of the environment."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        problems = []
        if self.url and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
            problems.append(f"url is {self.url!r}; expected http:// or https:// and a host, without a name")
        if not self.secret:
            problems.append("secret is empty; expected the name of an environment variable")
        if problems:
            raise ConfigError("notify", problems)


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Rounds of policy, judgments, reward, policy."""

    type: Literal["loop"] = "loop"
    """Says that the file is of a loop and not of one pass."""
    name: str = "loop"
    """Names the project in the store."""
    title: str = "Round after round, from judgments to a better model"
    """Heading of the report."""
    seed: int = 0
    """The one seed every draw of the run comes from."""
    threads: int = 0
    """CPU threads; 0 takes what the machine offers."""
    rounds: int = 2
    """Rounds at most; `stop` may end the loop before."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model that starts."""
    task: TaskConfig = field(default_factory=SupportTaskConfig)
    """Where prompts and demonstrations come from."""
    judges: JudgesConfig = field(default_factory=SimulatedJudgesConfig)
    """Who judges, chosen by `type`: simulated, people or model."""
    asking: AskingConfig = field(default_factory=AskingConfig)
    """What each round asks."""
    agreeing: AgreeingConfig = field(default_factory=AgreeingConfig)
    """How judgments become preferences."""
    sft: SftConfig = field(default_factory=SftConfig)
    """Fine-tuning before the first round; left out when the task has no demonstrations."""
    reward: RewardTrainingConfig = field(default_factory=RewardTrainingConfig)
    """Reward model training of each round. `objective.type` is pairs, or judgments: each single judgment
    teaches, and everybody's gain, leaning and ties are learnt beside the rewards and dropped at use."""
    warm_start: bool = False
    """Go on from the last round's reward model instead of the fine-tuned model."""
    policy: OnlineConfig = field(default_factory=OnlineConfig)
    """Policy optimization of each round."""
    start_from: Literal["released", "newest", "tuned"] = "released"
    """Which policy a round begins with: the last released, the last trained, or the fine-tuned model."""
    guard: GuardConfig = field(default_factory=GuardConfig)
    """Stops a policy that only the reward believes in."""
    policy_file: str = ""
    """The written policy (`accord policy`): its principles become questions, reward heads, constraints and
    gates of every round; none asks for comparisons alone."""
    gates: str = "loop"
    """Plan of gates: a file, `loop` for the one that comes with rounds, or `default`."""
    queue: QueueConfig = field(default_factory=QueueConfig)
    """What a gate that is not passed may take of the next round."""
    monitors: MonitorConfig = field(default_factory=MonitorConfig)
    """When a round is said to have drifted."""
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    """Which server is told when the loop waits, releases or ends."""
    card: CardConfig = field(default_factory=CardConfig)
    """What the cards of model and data say that no run can know."""
    stop: StopConfig = field(default_factory=StopConfig)
    """When the loop ends before its last round."""

    def __post_init__(self) -> None:
        problems = []
        if self.rounds < 1:
            problems.append(f"rounds is {self.rounds}; expected 1 or more")
        if isinstance(self.judges, SimulatedJudgesConfig) and not isinstance(self.task, SupportTaskConfig):
            problems.append(
                "judges are simulated, who know only the support task's taste; name people or a model"
            )
        if self.guard.evidence == "taste" and not isinstance(self.task, SupportTaskConfig):
            problems.append("guard.evidence is taste, which only the support task has; take annotators")
        is_heard_alone = isinstance(self.judges, ModelJudgesConfig) and self.guard.evidence == "annotators"
        if self.guard.every and is_heard_alone:
            problems.append(
                "guard.evidence is annotators, and a model judge is one alone; take function or taste, or "
                "guard.every = 0"
            )
        problems += self._of_policy_file() + self._of_reward()
        if self.reward.group_weights.mode != "none" and not self.asking.panels:
            problems.append("reward.group_weights weighs panels and asking.panels names none; name two")
        if self.asking.has_chat_votes and not isinstance(self.judges, PeopleJudgesConfig):
            problems.append(
                f"asking.has_chat_votes: the chat page's votes lie in people's store and judges are "
                f"{self.judges.type}; name people, or leave the votes out"
            )
        if self.asking.panels and isinstance(self.judges, ModelJudgesConfig):
            problems.append(
                f"asking.panels names {', '.join(self.asking.panels)}, and a model judge is of no panel; "
                "leave them out, or have people judge"
            )
        if self.asking.has_corrections and not isinstance(self.judges, PeopleJudgesConfig):
            problems.append("asking.has_corrections: only people write corrections worth learning")
        if self.model.lora is not None:
            problems.append(
                "model.lora: rounds train weights; leave the adapter out and set trainable_layers"
            )
        if problems:
            raise ConfigError("loop", problems)

    def beside(self, path: Path) -> "LoopConfig":
        """With the files of policy and gates found from the folder of the config's, and named in full."""
        places = () if self.gates in PACKAGED_GATES else (path.parent / self.gates, Path(self.gates))
        gates = next((str(one.resolve()) for one in places if one.is_file()), self.gates)
        return replace(self, gates=gates, guard=self.guard.beside(path))._with_policy(path)

    def _with_policy(self, path: Path) -> "LoopConfig":
        if not self.policy_file:
            return self
        found = next(
            (one for one in (path.parent / self.policy_file, Path(self.policy_file)) if one.is_file()), None
        )
        if found is None:
            raise ConfigError(
                str(path),
                [f"policy_file: there is no {self.policy_file} in {path.parent}; name the written policy"],
            )
        return replace(self, policy_file=str(found.resolve()))

    def _of_reward(self) -> list[str]:
        """What does not go with the objective of the reward model, or with the number of its members."""
        problems = []
        if self.asking.strategy in ENSEMBLE_STRATEGIES and self.reward.members < 2:
            problems.append(
                f"asking.strategy is {self.asking.strategy}, which needs members that can disagree, and "
                f"reward.members is {self.reward.members}; set it to 2 or more, or take another strategy"
            )
        if self.reward.is_calibrated and not self.reward.eval_share:
            problems.append(
                "reward.is_calibrated fits a temperature to held-out pairs and reward.eval_share is 0; "
                "set it above 0"
            )
        objective = self.reward.objective
        if not isinstance(objective, PairsObjective | JudgmentsObjective):
            problems.append(
                f"reward.objective.type is {objective.type}, and rounds collect comparisons; "
                "expected pairs or judgments"
            )
        if isinstance(objective, JudgmentsObjective):
            if self.agreeing.weighting != "one":
                problems.append(
                    f"agreeing.weighting is {self.agreeing.weighting}, which weighs pairs, and "
                    "reward.objective.type is judgments; leave the weighting at one, or take pairs"
                )
            if self.asking.has_corrections:
                problems.append(
                    "asking.has_corrections makes pairs that nobody compared, and reward.objective.type is "
                    "judgments; leave corrections out, or take pairs"
                )
        return problems

    def _of_policy_file(self) -> list[str]:
        if not self.policy_file:
            return []
        problems = []
        if isinstance(self.judges, ModelJudgesConfig):
            problems.append(
                "policy_file asks for grades and a model judge only compares; name people, or leave it out"
            )
        if isinstance(self.judges, PeopleJudgesConfig) and self.judges.guideline:
            problems.append("policy_file and judges.guideline both give a guideline; leave one of them out")
        return problems


def _check(name: str, config: object, least: dict[str, int], *, extra: list[str] | None = None) -> None:
    problems = [
        f"{field_name} is {value}; expected at least {bound}"
        for field_name, bound in least.items()
        if (value := getattr(config, field_name)) < bound
    ]
    problems += extra or []
    if problems:
        raise ConfigError(name, problems)
