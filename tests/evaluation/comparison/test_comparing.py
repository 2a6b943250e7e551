"""Two sets of answers with planted differences: every number comes out as planted."""

import datetime

import numpy as np
import pytest

from accord.domain.errors import DataError
from accord.domain.messages import Completion, FinishReason, Prompt
from accord.evaluation.comparison import EachPair, Responses, ScoreJudge, compare_responses
from accord.evaluation.comparison.comparing import CONSTANT_ANSWER, TokenLogprobs
from accord.evaluation.gates.plan import read_plan
from accord.evaluation.gates.verdict import Verdict, judge_release

N = 60


def make(name: str, texts: list[str], *, cut: int = 0, domains: int = 2) -> Responses:
    prompts = tuple(
        Prompt.from_text(f"question {i}", meta={"domain": f"d{i % domains}"}) for i in range(len(texts))
    )
    return Responses(
        name=name,
        prompts=prompts,
        completions=tuple(
            Completion(text=text, finish_reason=FinishReason.LENGTH if i < cut else FinishReason.STOP)
            for i, text in enumerate(texts)
        ),
        keys=tuple(prompt.id for prompt in prompts),
        facts={"version": name},
    )


def quality(prompts: object, answers: list[Completion]) -> list[float]:
    return [float(answer.text.count("good")) for answer in answers]


JUDGE = ScoreJudge(quality, "counts good")
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def answers(good: int, *, seed: int, n: int = N) -> list[str]:
    """`good` of the answers hold the word that the judge counts; lengths vary."""
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.permutation(WORDS)[: generator.integers(6, 10)]) for _ in range(n)]
    return [f"{text} good" if i % n < good else text for i, text in enumerate(texts)]


def test_win_rate_ties_and_tests_by_hand():
    # 45 wins, 15 ties, no loss: (45 + 7.5) / 60; the sign test over 45 wins of 45
    found = compare_responses(make("new", answers(45, seed=1)), make("old", answers(0, seed=2)), judge=JUDGE)
    rate = found.find("win_rate")
    assert rate is not None
    assert rate.estimate.value == pytest.approx(52.5 / 60)
    assert (rate.facts["wins"], rate.facts["ties"], rate.facts["losses"]) == (45, 15, 0)
    assert rate.facts["p_mcnemar_exact"] == pytest.approx(2 * 0.5**45)
    assert rate.facts["judge"] == "counts good"
    assert rate.estimate.is_above(0.5)
    gain = found.find("judge_score", versus="incumbent")
    assert gain is not None
    assert gain.estimate.value == pytest.approx(0.75)


def test_swapping_the_sides_mirrors_every_difference():
    first, second = make("new", answers(30, seed=1), cut=9), make("old", answers(20, seed=2), cut=3)
    there = compare_responses(first, second, judge=JUDGE)
    back = compare_responses(second, first, judge=JUDGE)
    for metric in ("judge_score", "response_length", "repeated_4grams", "length_cap_share"):
        one, other = (side.find(metric, versus="incumbent") for side in (there, back))
        assert one is not None
        assert other is not None
        assert one.estimate.value == pytest.approx(-other.estimate.value)
        assert one.facts["p_sign_flip"] == pytest.approx(other.facts["p_sign_flip"])
    rates = [side.find("win_rate") for side in (there, back)]
    assert sum(one.estimate.value for one in rates if one is not None) == pytest.approx(1.0)


def test_the_order_of_rows_changes_nothing():
    new, old = make("new", answers(40, seed=1)), make("old", answers(10, seed=2))
    order = np.random.default_rng(0).permutation(N)
    mixed = Responses(
        name="old",
        prompts=tuple(old.prompts[i] for i in order),
        completions=tuple(old.completions[i] for i in order),
        keys=tuple(old.keys[i] for i in order),
        facts=old.facts,
    )
    one, other = (compare_responses(new, side, judge=JUDGE) for side in (old, mixed))
    assert one.measurements == other.measurements


def test_cut_off_answers_and_repetition_are_found():
    loop = ["again and again and again and again and again and again"] * N
    found = compare_responses(make("new", loop, cut=30), make("old", answers(0, seed=2), cut=0))
    capped = found.find("length_cap_share", versus="incumbent")
    assert capped is not None
    assert capped.estimate.value == pytest.approx(0.5)
    assert capped.facts["only_candidate"] == 30
    repeats = found.find("repeated_4grams", versus="incumbent")
    assert repeats is not None
    assert repeats.estimate.value == pytest.approx(1 - 2 / 8)
    opening = found.find("common_opening_share", versus="incumbent")
    assert opening is not None
    assert opening.estimate.value == 1.0
    assert opening.facts["opening"] == "again and again and again"


def test_a_judge_of_length_is_caught_by_length_control():
    generator = np.random.default_rng(3)
    new = [" ".join(generator.choice(WORDS, generator.integers(5, 40))) for _ in range(200)]
    old = [" ".join(generator.choice(WORDS, generator.integers(5, 30))) for _ in range(200)]
    judge = ScoreJudge(lambda prompts, rows: [float(len(row.text)) for row in rows], "length")
    found = compare_responses(make("new", new), make("old", old), judge=judge)
    raw, controlled = found.find("win_rate"), found.find("length_controlled_win_rate")
    assert raw is not None
    assert controlled is not None
    assert raw.estimate.is_above(0.5)
    assert abs(controlled.estimate.value - 0.5) < 0.03
    constant = found.find("constant_output_win_rate")
    assert constant is not None
    assert constant.facts["answer"] == CONSTANT_ANSWER


def test_kl_by_hand():
    # two answers: log ratios 0.5 + 0.5 and -0.2: k1 is 1.0 and -0.2, mean 0.4
    sides = TokenLogprobs(candidate=[[-1.0, -1.0], [-1.2]], incumbent=[[-1.5, -1.5], [-1.0]])
    found = compare_responses(make("new", ["a", "b"]), make("old", ["c", "d"]), logprobs=sides)
    kl, third = found.find("kl_divergence"), found.find("kl_divergence_k3")
    assert kl is not None
    assert third is not None
    assert kl.estimate.value == pytest.approx(0.4)
    assert third.estimate.value == pytest.approx((2 * (np.exp(-0.5) - 1 + 0.5) + np.exp(0.2) - 1 - 0.2) / 2)
    assert found.kl_by_prompt == pytest.approx([1.0, -0.2])
    tail = found.find("kl_divergence", slice="99th_percentile")
    assert tail is not None
    assert tail.estimate.value == pytest.approx(1.0)
    assert "kl_divergence" not in found.not_measured


def test_the_same_model_has_kl_zero():
    rows = [[-0.3, -0.7], [-0.1]]
    sides = TokenLogprobs(candidate=rows, incumbent=rows)
    found = compare_responses(make("new", ["a", "b"]), make("new", ["a", "b"]), logprobs=sides)
    for metric in ("kl_divergence", "kl_divergence_k3", "kl_divergence_per_token"):
        one = found.find(metric)
        assert one is not None
        assert one.estimate.value == 0.0


def test_what_cannot_be_measured_is_named():
    found = compare_responses(make("new", ["a", "b"]), make("old", ["c", "d"]))
    assert found.not_measured["win_rate"] == "no judge was given"
    assert "without the models" in found.not_measured["kl_divergence"]
    few = compare_responses(make("new", ["a", "b"]), make("old", ["c", "d"]), judge=JUDGE)
    assert few.not_measured["length_controlled_win_rate"] == "2 prompts; it needs 20 or more"
    assert few.find("length_controlled_win_rate") is None


def test_one_prompt_gives_numbers_that_decide_nothing():
    found = compare_responses(make("new", ["good"]), make("old", ["bad"]), judge=JUDGE)
    rate = found.find("win_rate")
    assert rate is not None
    assert rate.estimate.value == 1.0
    assert rate.estimate.low < 0.5
    release = judge_release(read_plan("default"), found.measurements, today=datetime.date(2026, 1, 1))
    assert release.verdict is Verdict.UNDECIDED
    assert release.exit_code == 2


def test_different_prompts_are_refused():
    with pytest.raises(DataError, match="different prompts"):
        compare_responses(make("new", ["a"] * 3), make("old", ["a"] * 4))


def test_domains_get_rates_with_corrected_p_values():
    # d0 wins all 30, d1 ties all 30: p is 2 / 20001 drawn flips at most, times two for Holm; and 1
    texts = ["good" if i % 2 == 0 else "plain" for i in range(N)]
    found = compare_responses(make("new", texts), make("old", ["plain"] * N), judge=JUDGE)
    first, second = (found.find("win_rate", slice=f"domain=d{i}") for i in (0, 1))
    assert first is not None
    assert second is not None
    assert first.estimate.value == 1.0
    assert first.facts["p_holm"] < 0.001
    assert (second.estimate.value, second.facts["p_holm"]) == (0.5, 1.0)


def test_gates_hold_on_a_large_clear_win():
    n = 400
    found = compare_responses(
        make("new", answers(300, seed=1, n=n)),
        make("old", answers(0, seed=2, n=n)),
        judge=EachPair(lambda prompt, left, right: 0.5 + 0.5 * (("good" in left) - ("good" in right))),
    )
    release = judge_release(read_plan("default"), found.measurements, today=datetime.date(2026, 1, 1))
    verdicts = {one.gate.id: one.verdict for one in release.results}
    assert verdicts["G4"] is Verdict.PASS
    assert verdicts["G5"] is Verdict.PASS
    assert verdicts["G8.cap"] is Verdict.PASS
    assert verdicts["G6.mean"] is Verdict.NOT_MEASURED


def test_refusals_languages_forms_and_sameness_are_told_apart():
    texts = answers(0, seed=1)
    odd = list(texts)
    odd[:12] = ["I cannot help with that."] * 12
    odd[12:15] = ["Извините"] * 3
    odd[15:21] = ["- one\n- two"] * 6
    found = compare_responses(make("new", odd), make("old", texts))
    for metric, share in (("refusal_phrase_share", 12 / N), ("language_switch_share", 3 / N)):
        change = found.find(metric, versus="incumbent")
        assert change is not None
        assert change.estimate.value == pytest.approx(share)
        assert change.estimate.has_interval
    forms = found.find("format_switch_share")
    assert forms is not None
    assert forms.estimate.value == pytest.approx(6 / N)
    assert forms.facts["forms"]["list"] == [6, 0]
    alike = found.find("self_bleu", versus="incumbent")
    assert alike is not None
    assert alike.estimate.has_interval
    assert "token_entropy" in found.not_measured


def test_entropy_is_the_mean_surprise_of_the_tokens_drawn():
    def drawn(name: str, logprobs: tuple[float, ...]) -> Responses:
        plain = make(name, ["one two"] * 4)
        told = tuple(
            Completion(text=one.text, token_ids=(1, 2), logprobs=logprobs) for one in plain.completions
        )
        return Responses(
            name=name, prompts=plain.prompts, completions=told, keys=plain.keys, facts=plain.facts
        )

    found = compare_responses(drawn("new", (-0.1, -0.3)), drawn("old", (-1.0, -2.0)))
    level, change = found.find("token_entropy"), found.find("token_entropy", versus="incumbent")
    assert level is not None
    assert change is not None
    assert (level.estimate.value, change.estimate.value) == pytest.approx((0.2, -1.3))
