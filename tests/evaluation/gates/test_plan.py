"""Plans: the default one, all problems together, a hash of what is asked."""

import datetime
from pathlib import Path

import pytest

from accord.domain.errors import ConfigError
from accord.evaluation.gates.plan import parse_plan, read_plan

GATE = {"id": "a", "metric": "win_rate", "comparator": "superiority", "margin": 0.5}


def test_the_default_plan_has_every_gate():
    plan = read_plan("default")
    groups = {gate.id.partition(".")[0] for gate in plan.gates}
    assert groups == {f"G{k}" for k in range(1, 16)}  # G16, power, is part of every verdict
    assert all(gate.about for gate in plan.gates)


def test_hash_is_of_the_gates_whatever_their_order_and_waivers():
    other = {**GATE, "id": "b"}
    waiver = {"gate": "a", "name": "Ada", "reason": "late", "expires": "2027-01-31"}
    one = parse_plan({"gates": [GATE, other]}, "x")
    turned = parse_plan({"gates": [other, GATE], "waivers": [waiver]}, "y")
    assert one.hash == turned.hash
    assert turned.waivers[0].expires == datetime.date(2027, 1, 31)
    assert one.hash != parse_plan({"gates": [{**GATE, "margin": 0.51}, other]}, "x").hash


def test_all_problems_are_told_together():
    bad = {"id": "a", "metric": "", "comparator": "better", "margin": True, "alpha": 2, "min_n": 0, "x": 1}
    waiver = {"gate": "a", "name": "Ada", "reason": "late", "expires": "soon"}
    with pytest.raises(ConfigError) as caught:
        parse_plan({"gates": [bad, GATE], "waivers": [waiver], "more": 1}, "plan.toml")
    told = "\n".join(caught.value.problems)
    for part in (
        "more: not known",
        "gates[1]: x: not known",
        "metric: ''",
        "comparator: 'better'",
        "margin: True",
    ):
        assert part in told
    for part in ("alpha: 2", "min_n: 0", "waivers[1]: expires: 'soon'; expected a date"):
        assert part in told


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "there are none"),
        ([], "is a list"),
        ({"gates": [GATE, GATE]}, "'a' is there twice"),
        ({"gates": [{"id": "a"}]}, "metric: is missing"),
        (
            {
                "gates": [GATE],
                "waivers": [{"gate": "z", "name": "A", "reason": "r", "expires": "2027-01-01"}],
            },
            "no gate 'z'",
        ),
    ],
)
def test_plans_that_do_not_fit(data, message):
    with pytest.raises(ConfigError, match=message):
        parse_plan(data, "plan.toml")


def test_files_in_two_forms(tmp_path):
    toml, as_json = tmp_path / "p.toml", tmp_path / "p.json"
    toml.write_text('[[gates]]\nid = "a"\nmetric = "win_rate"\ncomparator = "superiority"\nmargin = 0.5\n')
    as_json.write_text('{"gates": [{"id":"a","metric":"win_rate","comparator":"superiority","margin":0.5}]}')
    assert read_plan(toml).gates == read_plan(as_json).gates
    with pytest.raises(ConfigError, match="cannot be read"):
        read_plan(tmp_path / "none.toml")
    toml.write_text("gates = [")
    with pytest.raises(ConfigError, match=r"p\.toml.*\n.*cannot be read"):
        read_plan(toml)


def test_yaml_holds_the_same_plan_as_toml(tmp_path: Path):
    (tmp_path / "p.toml").write_text(
        'name = "n"\n[[gates]]\nid = "g"\nmetric = "win_rate"\ncomparator = "superiority"\nmargin = 0.5\n'
        '[[waivers]]\ngate = "g"\nname = "Ada"\nreason = "why"\nexpires = 2027-01-31\n'
    )
    (tmp_path / "p.yaml").write_text(
        "name: n\ngates:\n  - {id: g, metric: win_rate, comparator: superiority, margin: 0.5}\n"
        "waivers:\n  - {gate: g, name: Ada, reason: why, expires: 2027-01-31}\n"
    )
    first, second = read_plan(tmp_path / "p.toml"), read_plan(tmp_path / "p.yaml")
    assert first == second
    assert first.hash == second.hash


@pytest.mark.parametrize("text", ["gates: [", "!!python/object/apply:os.getcwd []", "just text"])
def test_yaml_that_is_no_plan_is_refused_and_runs_nothing(tmp_path: Path, text: str):
    (tmp_path / "p.yml").write_text(text)
    with pytest.raises(ConfigError):
        read_plan(tmp_path / "p.yml")


def test_a_band_needs_a_width():
    with pytest.raises(ConfigError, match="half the width of the band"):
        parse_plan({"gates": [{**GATE, "comparator": "equivalence", "margin": -0.05}]}, "p")


def test_biases_may_move_neither_way_in_the_default_plan():
    gates = [one for one in read_plan("default").gates if one.id.startswith("G12.")]
    assert {(one.comparator, one.margin, one.versus) for one in gates} == {("equivalence", 0.05, "incumbent")}
