import numpy as np
import pytest

from accord.domain import Choice, Comparison, DataError, Judgment, Prompt
from accord.quality import DawidSkeneConfig, fit_dawid_skene, tabulate_judgments


def random_table(seed, *, pairs=40, annotators=5):
    generator = np.random.default_rng(seed)
    choices = list(Choice)
    return tabulate_judgments(
        [
            Judgment(
                comparison=Comparison(prompt=Prompt.from_text(f"q{i}"), left="a", right="b"),
                annotator_id=f"w{k}",
                choice=choices[generator.integers(4)],
            )
            for i in range(pairs)
            for k in generator.permutation(annotators)[:3]
        ]
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_objective_never_falls(seed):
    fit = fit_dawid_skene(random_table(seed), DawidSkeneConfig(tolerance=-1.0, max_iterations=60))
    assert len(fit.objectives) == 60
    assert np.diff(fit.objectives).min() > -1e-9


def test_posteriors_and_confusions_are_probabilities():
    fit = fit_dawid_skene(random_table(0))
    assert fit.state.sum(axis=1) == pytest.approx(np.ones(40))
    assert fit.confusion.sum(axis=2) == pytest.approx(np.ones((5, 3)))
    assert fit.prior.sum() == pytest.approx(1.0)
    assert fit.prior[0] == fit.prior[1]


def test_one_judgment_by_hand():
    # One judgment "left" by one annotator; shares (1 + 0.5) / 2 = 0.75: state starts at (0.625, 0.125, 0.25).
    # M: confusion rows (8 + 0.625, 2, 1) / 11.625, (2 + 0.125, 8, 1) / 11.125, (4 + 0.25, 4, 2) / 10.25
    #    equal share (0.25 + 2) / 11
    # E: first 8.625 / 11.625 * (1 - e) / 2, second 2.125 / 11.125 * (1 - e) / 2, equal 4.25 / 10.25 * e
    comparison = Comparison(prompt=Prompt.from_text("q"), left="a", right="b")
    table = tabulate_judgments([Judgment(comparison=comparison, annotator_id="w", choice=Choice.LEFT)])
    equal = 2.25 / 11
    joint = np.array(
        [
            8.625 / 11.625 * (1 - equal) / 2,
            2.125 / 11.125 * (1 - equal) / 2,
            4.25 / 10.25 * equal,
        ]
    )
    fit = fit_dawid_skene(table, DawidSkeneConfig(max_iterations=1))
    assert fit.state[0] == pytest.approx(joint / joint.sum())
    assert fit.p_first[0] == pytest.approx((joint[0] + joint[2] / 2) / joint.sum())


def test_more_agreement_means_more_certainty():
    def p_first(lefts, rights):
        choices = [Choice.LEFT] * lefts + [Choice.RIGHT] * rights
        comparison = Comparison(prompt=Prompt.from_text("q"), left="a", right="b")
        table = tabulate_judgments(
            [
                Judgment(comparison=comparison, annotator_id=f"w{k}", choice=choice)
                for k, choice in enumerate(choices)
            ]
        )
        return fit_dawid_skene(table).p_first[0]

    assert 0.5 < p_first(2, 1) < p_first(2, 0) < p_first(3, 0) < p_first(5, 0) < 1.0


def test_an_empty_table_is_refused():
    with pytest.raises(DataError, match="no judgments"):
        fit_dawid_skene(tabulate_judgments([]))
