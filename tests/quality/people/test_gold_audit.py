import numpy as np
import pytest
from scipy import stats

from accord.domain import ConfigError, EvaluationError
from accord.quality.people import GoldAuditConfig, audit_gold, fit_vote_spread


def test_the_vote_spread_is_recovered():
    rng = np.random.default_rng(0)
    shares = rng.beta(4, 1, size=4000)
    votes = rng.binomial(12, shares)
    counts = np.stack([votes, 12 - votes], axis=1)
    spread = fit_vote_spread(counts, np.tile([1.0, 0.0], (4000, 1)))
    assert spread.shapes[0].tolist() == pytest.approx([4, 1], rel=0.1)
    assert float(spread.voices[0]) == pytest.approx(6, rel=0.1)


@pytest.mark.parametrize("hard", [0.0, 1.0])
def test_sound_gold_is_flagged_at_most_at_the_stated_rate(make_crowd, consensus, hard):
    config = GoldAuditConfig()
    flagged = audited = 0
    for seed in range(10):
        crowd = make_crowd(seed, hard=hard)
        gold = dict(enumerate(crowd.truth.tolist()))
        doubts = audit_gold(crowd.table, consensus.dawid_skene(crowd.table), gold, config=config)
        flagged += sum(one.is_flagged for one in doubts)
        audited += len(doubts)
    assert config.false_alarm_rate == pytest.approx(0.02 / 0.98)
    assert flagged <= stats.binom.ppf(0.9995, audited, config.false_alarm_rate)


def test_wrong_gold_is_found(make_crowd, consensus):
    crowd = make_crowd(1, hard=0.3, per_item=16)
    gold = dict(enumerate(crowd.truth.tolist()))
    for item in range(20):
        gold[item] = 1 - gold[item]
    doubts = audit_gold(crowd.table, consensus.dawid_skene(crowd.table), gold)
    found = {one.item for one in doubts if one.is_flagged}
    assert len(found & set(range(20))) >= 16
    assert doubts[0].item in range(20)
    assert doubts[0].p_wrong > 0.9


def test_one_class_or_no_gold_gives_nothing_to_doubt(make_crowd, consensus):
    crowd = make_crowd(0)
    assert audit_gold(crowd.table, consensus.vote(crowd.table), {}) == []
    single = make_crowd(0, n_classes=1)
    assert audit_gold(single.table, np.ones((200, 1)), {0: 0}) == []


def test_the_shape_of_the_consensus_is_checked(make_crowd):
    with pytest.raises(EvaluationError, match="expected"):
        audit_gold(make_crowd(0).table, np.ones((3, 2)), {0: 0})
    with pytest.raises(ConfigError, match="wrong_rate is 0"):
        GoldAuditConfig(wrong_rate=0)


@pytest.mark.data
def test_the_doubtful_gold_of_hitspam_is_flagged(read_crowd, consensus):
    crowd = read_crowd("crowd_hitspam")
    doubts = audit_gold(crowd.table, consensus.dawid_skene(crowd.table), crowd.gold)
    flagged = [one for one in doubts if one.is_flagged]
    assert sum(value == "YES" for value in crowd.gold.values()) == 31
    assert sum(one.gold == "YES" for one in flagged) == 28
    # the crowd is unanimous against these, and against 6 of the 69 NO items as well
    assert all(one.n_against == one.n_labels for one in flagged)
    assert sum(one.gold == "NO" for one in flagged) == 6


@pytest.mark.data
@pytest.mark.parametrize("name", ["crowd_rte", "crowd_bluebirds"])
def test_the_sound_gold_of_real_sets_is_left_alone(read_crowd, consensus, name):
    crowd = read_crowd(name)
    doubts = audit_gold(crowd.table, consensus.dawid_skene(crowd.table), crowd.gold)
    flagged = sum(one.is_flagged for one in doubts)
    assert len(doubts) == len(crowd.gold)
    assert flagged <= GoldAuditConfig().false_alarm_rate * len(doubts)
