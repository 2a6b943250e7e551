"""Two models compared on the same prompts: asked, kept, judged, measured and held against gates.

A side is a model (any name `load_model` takes) or a file of answers. Leaves out the page and printing.
"""

import json
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import accord
from accord.domain import Completion, ConfigError, Prompt, Streams
from accord.domain.errors import RewardError
from accord.domain.functions import load_function
from accord.domain.messages import content_hash
from accord.evaluation.comparison import (
    Comparison,
    EachPair,
    PairJudge,
    Responses,
    ScoreJudge,
    compare_responses,
    read_responses,
)
from accord.evaluation.comparison.comparing import TokenLogprobs
from accord.evaluation.comparison.responses import read_completion, response_row
from accord.evaluation.judges import ChatEndpoint, EndpointConfig, LanguageModelJudge, PeopleJudge
from accord.evaluation.report.comparison import comparison_evidence
from accord.evaluation.report.contents import Lineage
from accord.evaluation.report.encoding import encode
from accord.evaluation.winrate import Scorer
from accord.pipeline.provenance import code_version
from accord.pipeline.support import load_support_task
from accord.store import hash_file, read_judgments, read_prompts

if TYPE_CHECKING:
    from accord.models import LanguageModel
    from accord.rollouts import SamplingConfig

CHUNK = 32
"""Prompts answered between two notes of progress; each chunk is kept once it is whole."""
FILE_KINDS = (".jsonl", ".json", ".csv", ".tsv", ".gz")
TASTE = "taste"
"""Name of the judge that knows the support task's own taste."""
PAIR = "pair:"
"""Before a function of (prompt, left, right)."""
LANGUAGE_MODEL = "llm:"
"""Before MODEL@URL of an OpenAI-compatible endpoint."""
PEOPLE_FILE = "people:"
"""Before a file of judgments, as `accord project export` writes it."""
JUDGE_KEY = "ACCORD_JUDGE_KEY"
"""Environment variable that holds the endpoint's key."""


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What is compared, on what, and by whom."""

    candidate: str
    """Model folder or name, or a file of answers."""
    incumbent: str
    """What it is held against: another of the same."""
    prompts: Path | None = None
    """Any file that has prompts; None takes the support task's held-out prompts."""
    judge: str | None = None
    """Reward model folder, "module:function" or "file.py:function" of a score, "pair:..." of a preference,
    "llm:MODEL@URL" of a language model behind an endpoint, "people:FILE" of people's judgments."""
    gold: str | None = None
    """A second judge, named as the first, that stands for what is wanted; the first is then a proxy."""
    limit: int = 100
    """Prompts at most, at even distances."""
    max_tokens: int = 48
    """Of an answer."""
    temperature: float = 0.7
    """Of the samples; KL is that of the distributions sampled from. 0 is greedy and has no KL."""
    seed: int = 0
    """Of the samples and every bootstrap."""
    judge_rate: float = 0.0
    """Requests a minute to a language model that judges, at most; 0 is as fast as it goes."""
    out: Path | None = None
    """Where answers are kept; None keeps nothing."""

    @property
    def sampling(self) -> "SamplingConfig":
        """As the sampler wants it."""
        from accord.rollouts import SamplingConfig

        return SamplingConfig(max_tokens=self.max_tokens, temperature=self.temperature)


@dataclass(frozen=True, kw_only=True)
class PromptSet:
    """The prompts of a comparison and where they come from."""

    prompts: tuple[Prompt, ...]
    source: str
    digest: str
    is_support: bool = False


Progress = Callable[[str], None]


def is_answer_file(side: str) -> bool:
    """Whether a side names a file of answers rather than a model."""
    return Path(side).suffix in FILE_KINDS and Path(side).is_file()


def choose_prompts(config: CompareConfig) -> PromptSet:
    """What both sides answer: the prompts of a file of answers, of `prompts`, or of the support task."""
    files = [side for side in (config.candidate, config.incumbent) if is_answer_file(side)]
    if files and config.prompts is not None:
        raise ConfigError("compare", ["--prompts is for models; a file of answers brings its prompts"])
    if files:
        found = read_responses(files[0])
        return PromptSet(prompts=found.prompts, source=files[0], digest=str(found.facts["file_sha256"]))
    if config.limit < 1:
        raise ConfigError("compare", [f"limit is {config.limit}; expected at least 1 prompt"])
    if config.prompts is not None:
        prompts = read_prompts([config.prompts])
        digest, source, is_support = hash_file(config.prompts), config.prompts.name, False
    else:
        rows = load_support_task().heldout
        prompts = [replace(row.prompt, meta={"domain": row.domain, "cluster": row.topic}) for row in rows]
        digest, source, is_support = content_hash([one.id for one in prompts]), "support task, held out", True
    count = min(config.limit, len(prompts))
    kept = tuple(prompts[i * len(prompts) // count] for i in range(count))
    return PromptSet(prompts=kept, source=source, digest=digest, is_support=is_support)


def choose_judge(config: CompareConfig, prompts: PromptSet) -> PairJudge | None:
    """The judge that the config names; the known taste where the prompts have one; else None."""
    return find_judge(config.judge, prompts, out=config.out, rate=config.judge_rate)


def find_judge(
    name: str | None, prompts: PromptSet, *, out: Path | None = None, rate: float = 0.0
) -> PairJudge | None:
    """A judge by its name; for None the known taste where the prompts have one. `out` keeps verdicts."""
    if name is None and not prompts.is_support:
        return None
    if name is None or name == TASTE:
        if not prompts.is_support:
            raise ConfigError("compare", ["the judge 'taste' knows only the support task's own prompts"])
        from accord.pipeline.material import KnownTaste

        taste = KnownTaste(load_support_task())
        return ScoreJudge(lambda asked, rows: taste.score(asked, rows).values, "the task's known taste")
    if name.startswith(PAIR):
        return EachPair(_pair_function(name.removeprefix(PAIR)), name)
    if name.startswith(PEOPLE_FILE):
        return PeopleJudge.from_judgments(read_judgments([Path(name.removeprefix(PEOPLE_FILE))]))
    if name.startswith(LANGUAGE_MODEL):
        return _language_model(name.removeprefix(LANGUAGE_MODEL), out, rate)
    if not Path(name).is_dir() and not name.startswith(("http://", "https://")):
        return ScoreJudge(_function_scorer(name), name)
    from accord.rollouts.reward_loading import load_reward

    reward = load_reward(name)
    return ScoreJudge(lambda asked, rows: reward.score(asked, rows).values, _judge_name(name))


def _function_scorer(name: str) -> Scorer:
    """A function of (prompts, answers); what it raises is told with its name."""
    function = load_function(name)

    def score(prompts: Sequence[Prompt], rows: Sequence[Completion]) -> Sequence[float]:
        try:
            values: Sequence[float] = function(prompts, rows)
        except Exception as error:
            raise RewardError(
                f"judge {name!r} raised {type(error).__name__}: {error}, on {len(prompts)} prompts. Mend the "
                "function; try it on these prompts alone"
            ) from error
        return values

    return score


def _language_model(name: str, out: Path | None, rate: float) -> LanguageModelJudge:
    model, found, url = name.partition("@")
    if not found:
        raise ConfigError("compare", [f"the judge is 'llm:{name}'; expected llm:MODEL@URL"])
    key = os.environ.get(JUDGE_KEY, "")
    endpoint = ChatEndpoint(EndpointConfig(model=model, url=url, key=key, requests_per_minute=rate))
    return LanguageModelJudge(endpoint, cache=None if out is None else out / "verdicts")


def compare_models(config: CompareConfig, *, report_progress: Progress = lambda text: None) -> Comparison:
    """Ask, judge and measure. Answers that `out` holds already, for these weights and settings, are kept."""
    prompts = choose_prompts(config)
    judge = choose_judge(config, prompts)
    gold = None if config.gold is None else find_judge(config.gold, prompts, out=config.out)
    if gold is not None and judge is None:
        raise ConfigError("compare", ["gold needs a judge to be held against; name one"])
    sides: list[Responses] = []
    models: list[LanguageModel | None] = []
    for side, name in zip((config.candidate, config.incumbent), side_names(config), strict=True):
        if is_answer_file(side):
            sides.append(read_responses(side, name=name))
            models.append(None)
            continue
        from accord.models import load_model

        report_progress(f"loading {side}")
        model = load_model(side)
        sides.append(answer_prompts(model, prompts, config, name=name, report_progress=report_progress))
        models.append(model)
    logprobs = None
    candidate, incumbent = models
    if candidate is not None and incumbent is not None and not config.sampling.is_greedy:
        report_progress("scoring the candidate's answers under both models")
        logprobs = score_both(candidate, incumbent, sides[0], config.sampling)
    report_progress("judging and measuring" if judge is not None else "measuring")
    found = compare_responses(sides[0], sides[1], judge=judge, gold=gold, logprobs=logprobs, seed=config.seed)
    facts = {
        **found.facts,
        "prompts_from": prompts.source,
        "prompts_digest": prompts.digest,
        "sampling": asdict(config.sampling) if any(models) else None,
        "judge": None if judge is None else judge.name,
        "gold": None if gold is None else gold.name,
    }
    if isinstance(judge, LanguageModelJudge):
        facts["judge_spent"] = asdict(judge.spent)
    missing = dict(found.not_measured)
    if any(models) and config.sampling.is_greedy:
        kept = tuple(one for one in found.measurements if one.metric != "token_entropy")
        found = replace(found, measurements=kept)
        missing["token_entropy"] = "greedy answers are no samples; set a temperature above 0"
    if all(models) and config.sampling.is_greedy:
        missing["kl_divergence"] = "greedy answers are no samples; set a temperature above 0"
    elif logprobs is None and all(models):
        missing["kl_divergence"] = "the models have different vocabularies"
    return replace(found, facts=facts, not_measured=missing)


def answer_prompts(
    model: "LanguageModel",
    prompts: PromptSet,
    config: CompareConfig,
    *,
    name: str,
    report_progress: Progress = lambda text: None,
) -> Responses:
    """One answer to each prompt, drawn or, where `out` holds it, read; each whole chunk is kept at once."""
    from accord.rollouts import NativeSampler

    settings = asdict(config.sampling) | {"stop": list(config.sampling.stop)}
    key = content_hash({"weights": model.version, "sampling": settings, "seed": config.seed})
    kept_in = None if config.out is None else config.out / "responses" / f"{key}.jsonl"
    known = {} if kept_in is None else _kept(kept_in)
    sampler = NativeSampler(model)
    streams = Streams(config.seed).child("compare")
    for start in range(0, len(prompts.prompts), CHUNK):
        chunk = [one for one in prompts.prompts[start : start + CHUNK] if one.id not in known]
        report_progress(f"{name}: {start} of {len(prompts.prompts)} prompts answered")
        if not chunk:
            continue
        drawn = [group[0] for group in sampler.sample(chunk, config=config.sampling, streams=streams)]
        known |= {prompt.id: answer for prompt, answer in zip(chunk, drawn, strict=True)}
        if kept_in is not None:
            kept_in.parent.mkdir(parents=True, exist_ok=True)
            lines = [
                json.dumps(response_row(prompt, answer), ensure_ascii=False) + "\n"
                for prompt, answer in zip(chunk, drawn, strict=True)
            ]
            with kept_in.open("a", encoding="utf-8") as file:
                file.write("".join(lines))
    return Responses(
        name=name,
        prompts=prompts.prompts,
        completions=tuple(known[prompt.id] for prompt in prompts.prompts),
        keys=tuple(prompt.id for prompt in prompts.prompts),
        facts={"model": model.name, "weights": model.version, "sampling": settings, "seed": config.seed},
    )


def score_both(
    candidate: "LanguageModel", incumbent: "LanguageModel", answers: Responses, sampling: "SamplingConfig"
) -> TokenLogprobs | None:
    """The candidate's own tokens under both models; None where the incumbent has another vocabulary."""
    from accord.pipeline.continuations import continuation_logprobs

    if candidate.tokenizer.hf.get_vocab() != incumbent.tokenizer.hf.get_vocab():
        return None
    scored = [
        continuation_logprobs(
            model,
            [
                (model.tokenizer.prompt_ids(prompt), answer.token_ids)
                for prompt, answer in zip(answers.prompts, answers.completions, strict=True)
            ],
            temperature=sampling.scoring_temperature,
        )
        for model in (candidate, incumbent)
    ]
    return TokenLogprobs(candidate=scored[0], incumbent=scored[1])


def side_names(config: CompareConfig) -> tuple[str, str]:
    """What the sides are called: the last part of their paths, more of it where that is the same."""
    first, second = Path(config.candidate), Path(config.incumbent)
    for count in range(1, 1 + max(len(first.parts), len(second.parts))):
        names = tuple("/".join(path.parts[-count:]) for path in (first, second))
        if names[0] != names[1]:
            return names[0], names[1]
    return f"{first.name} (candidate)", f"{second.name} (incumbent)"


def _kept(path: Path) -> dict[str, Any]:
    """Answers by prompt id; a line cut off while it was written is left out and the file mended."""
    if not path.exists():
        return {}
    found, whole = {}, []
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["id"]] = read_completion(row)
        whole.append(line + "\n")
    path.write_text("".join(whole), encoding="utf-8")
    return found


def _pair_function(spec: str) -> Callable[[Prompt, str, str], float]:
    if Path(spec).is_dir():
        raise ConfigError("compare", [f"judge {PAIR + spec!r} is a folder; expected a function after {PAIR}"])
    return load_function(spec)


def _judge_name(spec: str) -> str:
    return Path(spec).resolve().name if Path(spec).is_dir() else spec


def lineage_of(comparison: Comparison, command: Sequence[str]) -> Lineage:
    """Where a comparison came from: weights or files, sampling, seed, code; no clock, no machine."""
    facts = comparison.facts
    models, data = {}, {"prompts": str(facts["prompts_digest"])}
    for side in (comparison.candidate, comparison.incumbent):
        if "weights" in side.facts:
            models[side.name] = str(side.facts["weights"])
        else:
            data[side.name] = str(side.facts["file_sha256"])
        data[f"{side.name}, answers"] = side.digest
    settings = [f"{name} = {value}" for name, value in (facts["sampling"] or {}).items()]
    return Lineage(
        command=shlex.join(command),
        seed=int(facts["seed"]),
        code_version=str(code_version(Path(accord.__file__).parent)),
        config="\n".join(settings),
        data=data,
        models=models,
    )


def measured_metrics(*, has_judge: bool, has_models: bool, has_gold: bool = False) -> set[str]:
    """Names of what a comparison measures with a judge, with gold, and where both sides are models."""
    names = {"response_length", "repeated_4grams", "empty_share", "length_cap_share", "common_opening_share"}
    names |= {"refusal_phrase_share", "language_switch_share", "format_switch_share"}
    if has_judge:
        names |= {"win_rate", "length_controlled_win_rate", "constant_output_win_rate"}
    if has_gold:
        names |= {"overoptimization_gap", "gold_score"}
    return names | {"kl_divergence"} if has_models else names


def as_measurement_file(comparison: Comparison) -> dict[str, Any]:
    """The comparison as the object that `accord gate` reads."""
    rows: Sequence[dict[str, Any]] = [
        {
            "metric": one.metric,
            "slice": one.slice,
            "versus": one.versus,
            "estimate": one.estimate,
            "deviation": one.deviation,
            "facts": {name: value for name, value in one.facts.items() if name not in comparison.facts},
        }
        for one in comparison.measurements
    ]
    evidence = {name: part for name, part in encode(comparison_evidence(comparison)).items() if part}
    return {
        "facts": dict(comparison.facts),
        "measurements": list(rows),
        "not_measured": dict(comparison.not_measured),
        "evidence": evidence,
    }
