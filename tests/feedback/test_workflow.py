"""Workflows as data: what is wrong with one is said at once, and rules say where an item goes."""

import pytest

from accord.domain.errors import ConfigError
from accord.feedback.consensus import Vote, weigh
from accord.feedback.questions import Choice, Comparison, Option
from accord.feedback.sampling import OverlapSample
from accord.feedback.workflow import ConsensusStage, LabelStage, Rule, parse_workflow

LABEL = {"stage": "label", "kind": "label"}
FULL = [
    {**LABEL, "overlap": 2},
    {"stage": "agree", "kind": "consensus", "max_people": 3},
    {"stage": "read", "kind": "review"},
    {"stage": "decide", "kind": "adjudication"},
]


def leads(stages: list[dict], name: str, **facts) -> str:
    flow = parse_workflow({"stages": stages}, "test")
    return flow.after(flow.stage(name), facts)


def test_without_rules_items_go_where_one_would_expect():
    assert leads(FULL, "label", outcome="judged") == "agree"
    assert leads(FULL, "agree", outcome="agreed") == "read"
    assert leads(FULL, "agree", outcome="disputed") == "decide"
    assert leads(FULL, "agree", outcome="weak") == "decide"
    assert leads(FULL, "read", outcome="accepted") == "complete"
    assert leads(FULL, "read", outcome="fixed") == "complete"
    assert leads(FULL, "read", outcome="requeued") == "label"
    assert leads(FULL, "read", outcome="dropped") == "drop"
    assert leads(FULL, "decide", outcome="decided") == "complete"
    assert leads(FULL, "decide", outcome="dropped") == "drop"


def test_the_first_rule_that_holds_decides_and_else_is_the_rest():
    rules = [
        {"if": {"outcome": "agreed", "meta.domain": ["law", "medicine"]}, "to": "read"},
        {"if": {"agreement": {"at_least": 0.5, "below": 0.9}}, "to": "decide"},
        {"else": "complete"},
    ]
    stages = [FULL[0], {**FULL[1], "next": rules}, *FULL[2:]]
    assert leads(stages, "agree", outcome="agreed", **{"meta.domain": "law"}, agreement=0.6) == "read"
    assert leads(stages, "agree", outcome="agreed", **{"meta.domain": "cooking"}, agreement=0.6) == "decide"
    assert leads(stages, "agree", outcome="agreed", agreement=0.9) == "complete"
    assert leads(stages, "agree", outcome="disputed", agreement=0.4) == "complete"


def test_a_fact_that_is_not_known_meets_no_condition():
    for wanted in (1, [1, 2], {"at_least": 0}, {"below": 1}):
        assert not Rule(to="x", conditions={"agreement": wanted}).holds({})


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([], "1 to 50 stages"),
        ([{"stage": "a", "kind": "review"}], "first stage is a review"),
        ([LABEL, LABEL], "'label' is there twice"),
        ([LABEL, {"stage": "complete", "kind": "hold"}], "a word other than complete"),
        ([LABEL, {"stage": "b", "kind": "magic"}], "expected one of label, consensus"),
        ([{**LABEL, "overlap": 0}], "1 to 100"),
        ([{**LABEL, "overlap": "2"}], "'2' is a str"),
        ([{**LABEL, "oberlap": 2}], "oberlap: not known"),
        ([{**LABEL, "next": "nowhere"}], "'nowhere' is no stage"),
        ([{**LABEL, "next": [{"if": {"outcome": "judged"}, "to": "complete"}]}], "{ else = STAGE }"),
        ([{**LABEL, "next": [{"if": {"mood": 1}, "to": "complete"}, {"else": "drop"}]}], "no fact 'mood'"),
        ([{**LABEL, "next": [{"if": {"outcome": "won"}, "to": "drop"}, {"else": "drop"}]}], "outcome 'won'"),
        ([LABEL, {"stage": "c", "kind": "consensus", "method": "guess"}], "share or adaptive"),
        ([LABEL, {"stage": "c", "kind": "consensus", "min_people": 5}], "above max_people"),
        ([LABEL, {"stage": "w", "kind": "webhook", "url": "file:///etc"}], "expected https"),
    ],
)
def test_what_is_wrong_with_a_workflow_is_said(stages, said):
    with pytest.raises(ConfigError, match="problem") as error:
        parse_workflow({"stages": stages}, "test")
    assert said in str(error.value)


def votes(*verdicts: str, **known) -> list[Vote]:
    return [Vote(user_id=f"u{k}", verdict=one, value=one, **known) for k, one in enumerate(verdicts)]


PAIR = Comparison(id="q", label="q")


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        (("first",), "agreed"),
        (("first", "second"), None),
        (("first", "second", "first"), None),  # 2 of 3 is below 0.7
        (("first", "second", "first", "first"), "agreed"),  # 3 of 4
        (("first", "second", "first", "second", "tie"), "disputed"),  # the limit
    ],
)
def test_by_share_people_are_asked_until_enough_of_them_agree(verdicts, outcome):
    stage = ConsensusStage(name="c", agreement=0.7, max_people=5)
    assert weigh(votes(*verdicts), stage, PAIR).outcome == outcome


def test_nothing_is_agreed_by_fewer_people_than_asked_for_and_a_tie_is_no_agreement():
    stage = ConsensusStage(name="c", agreement=0.5, min_people=2, max_people=2)
    assert weigh(votes("first"), stage, PAIR).outcome is None
    assert weigh(votes("first", "second"), stage, PAIR).outcome == "disputed"
    assert weigh(votes("first", "first"), stage, PAIR).facts["answer"] == "first"


def test_adaptively_people_known_to_be_good_settle_an_item_sooner():
    # Two classes. Without known items everybody is right with 8 / 10, so two equal answers leave
    # 0.04 / (0.64 + 0.04) = 0.0588 of doubt; with 30 of 30 right it is 38 / 40 = 0.95, 0.0028.
    choice = Choice(id="q", label="q", options=(Option(value="a", label="a"), Option(value="b", label="b")))
    stage = ConsensusStage(name="c", method="adaptive", epsilon=0.05, min_people=2, max_people=5)
    unknown = weigh(votes('"a"', '"a"'), stage, choice)
    assert unknown.outcome is None
    assert unknown.facts["confidence"] == pytest.approx(0.64 / 0.68, abs=1e-6)
    proven = weigh(votes('"a"', '"a"', n_right=30, n_gold=30), stage, choice)
    assert proven.outcome == "agreed"
    assert proven.facts["confidence"] == pytest.approx(0.95**2 / (0.95**2 + 0.05**2), abs=1e-6)


def test_adaptively_a_hard_item_is_told_from_weak_judges():
    choice = Choice(id="q", label="q", options=(Option(value="a", label="a"), Option(value="b", label="b")))
    stage = ConsensusStage(name="c", method="adaptive", min_people=2, max_people=4)
    said = ('"a"', '"b"', '"a"', '"b"')
    assert weigh(votes(*said, n_right=90, n_gold=90), stage, choice).outcome == "disputed"
    assert weigh(votes(*said, n_right=0, n_gold=6), stage, choice).outcome == "weak"


def test_a_sample_keeps_its_share_within_every_stratum():
    stage = LabelStage(name="label", sample_share=0.15, sample_overlap=3, sample_by="domain")
    sample = OverlapSample(stage)
    rows = [{"meta": {"domain": "law" if k % 10 == 0 else "other"}} for k in range(1000)]
    overlaps = [sample.overlap_of(row) for row in rows]
    for domain, count in (("law", 100), ("other", 900)):
        taken = sum(
            overlap == 3
            for row, overlap in zip(rows, overlaps, strict=True)
            if row["meta"]["domain"] == domain
        )
        assert abs(taken - 0.15 * count) < 1
    assert set(overlaps) == {1, 3}
