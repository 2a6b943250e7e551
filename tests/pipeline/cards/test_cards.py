"""Cards of a model and of its data: what stands in them, that they repeat, and that they name nobody."""

import re
import runpy
from pathlib import Path

import pytest

from accord.cli.main import run_command
from accord.domain import ConfigError, WorkspaceError
from accord.evaluation.intervals import Estimate
from accord.pipeline.cards.config import CardConfig
from accord.pipeline.cards.dataset_card import _pay
from accord.pipeline.cards.making import make_card, write_cards
from accord.pipeline.cards.markdown import front_matter, shown, table
from accord.pipeline.cards.people import Labor, labor_of, told_sizes
from accord.pipeline.rounds.plan import LoopConfig
from accord.pipeline.rounds.releasing import estimate_of, read_ledger
from accord.pipeline.rounds.running import start_loop
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.workspace import Workspace
from accord.store.database import open_database
from accord.store.database.tables import user

tiny_loop = runpy.run_path(str(Path(__file__).parents[1] / "rounds/conftest.py"))["tiny_loop"]
PASSES = """
name = "lenient"
[[gates]]
id = "kl"
metric = "kl_from_tuned"
comparator = "budget"
margin = 1000.0
better = "lower"
about = "Hardly anything."
"""
POLICY = """
name = "tiny policy"
purpose = "It answers customers | of a shop."
[[principles]]
id = "brief"
text = "Holds nothing that could be left out."
[[limits]]
id = "polite"
text = "Is never rude."
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """A workspace with a loop that released its first round."""
    root = tmp_path_factory.mktemp("cards")
    (root / "gates.toml").write_text(PASSES)

    made = Workspace(root / "space")
    card = CardConfig(license="apache-2.0", contact="data@example.org")
    config = tiny_loop(rounds=1, gates=str(root / "gates.toml"), card=card)
    start_loop(made, config, name="first", command=["accord", "run", "tiny.toml"])
    return made


def test_a_released_model_has_its_cards_beside_it(space):
    folder = space.run("first").model_folder
    assert (folder / "README.md").read_text() == make_card(space, "first").text
    assert (folder / "dataset_card.md").read_text() == make_card(space, "first", of_data=True).text


def test_the_same_run_gives_the_same_card(space):
    for of_data in (False, True):
        assert make_card(space, "first", of_data=of_data) == make_card(space, "first/1", of_data=of_data)


def test_a_snapshot_is_found_by_its_hash(space):
    snapshot = Snapshot.read(space.run("first").folder / "stages/r1-agree")
    found = make_card(space, snapshot.hash[:8])
    assert (found.kind, found.name) == ("dataset", snapshot.hash)
    assert found.text == make_card(space, "first", of_data=True).text


def test_the_head_is_yaml_that_hubs_read(space):
    yaml = pytest.importorskip("yaml")
    model, data = (make_card(space, "first", of_data=of_data).text for of_data in (False, True))
    head = yaml.safe_load(model.split("---\n")[1])
    assert head["license"] == "apache-2.0"
    assert head["library_name"] == "transformers"
    assert "simulated" in head["tags"]
    metrics = {one["type"]: one["value"] for one in head["model-index"][0]["results"][0]["metrics"]}
    assert metrics["kl_from_tuned"] >= 0
    snapshot = Snapshot.read(space.run("first").folder / "stages/r1-agree")
    assert yaml.safe_load(data.split("---\n")[1])["accord_snapshot"] == snapshot.hash
    assert head["accord_snapshot"] == snapshot.hash


def test_the_data_card_says_who_judged_how_and_what_was_left_out(space):
    text = make_card(space, "first", of_data=True).text
    snapshot = Snapshot.read(space.run("first").folder / "stages/r1-agree")
    judgments = snapshot.facts["judgments"]
    for words in (
        "**The annotators are simulated**",
        f"| pairs | {len(snapshot.preferences)} |",
        f"| judgments, simulated | {judgments} by {snapshot.facts['annotators']} annotators |",
        "| consensus | dawid_skene |",
        "| source of the prompts | written for Accord and shipped with it |",
        "nobody is paid: no people judged",
        "known pairs, hidden among the work",
        "## What was left out",
        "best possible accuracy against one vote",
    ):
        assert words in text, words
    # agreement with its interval
    assert re.search(r"Krippendorff's alpha, nominal \| -?\d\.\d\d \[-?\d\.\d\d, -?\d\.\d\d\], n = \d+", text)


def test_the_model_card_has_its_numbers_gates_and_chain(space):
    text = make_card(space, "first").text
    record = make_record(space)
    words = f"KL from the fine-tuned model, nats an answer | {shown(estimate_of(record, 'kl_from_tuned'))} |"
    assert words in text
    assert f"| kl | pass | {record.gates[0]['reason']} | Hardly anything. |" in text
    assert f"`{record.version}`" in text
    assert f"`{record.snapshot[:12]}`" in text
    assert "Judged by simulated annotators" in text


def make_record(space):
    return read_ledger(space.run("first").folder)[0][0]


def test_no_card_names_anybody(space):
    run = space.run("first")
    database = open_database(str(run.folder / "store.db"))
    try:
        with database.read() as connection:
            rows = connection.execute(user.select()).all()
    finally:
        database.close()
    assert len(rows) >= 8
    text = "".join(make_card(space, "first", of_data=of_data).text for of_data in (False, True))
    for row in rows:
        assert row.handle not in text
        assert row.id not in text
    for one in Snapshot.read(run.folder / "stages/r1-agree").judgment_ids:
        assert one not in text


def test_a_run_without_a_release_gets_its_card_on_demand_alone(loop_space_without_release):
    space = loop_space_without_release
    assert not space.run("none").model_folder.exists()
    assert "**Not released**" in make_card(space, "none").text
    with pytest.raises(WorkspaceError, match="released no model"):
        write_cards(space, "none")


@pytest.fixture(scope="module")
def loop_space_without_release(tmp_path_factory):
    root = tmp_path_factory.mktemp("none")
    (root / "policy.toml").write_text(POLICY)
    space = Workspace(root / "space")
    start_loop(space, tiny_loop(rounds=1, policy_file=str(root / "policy.toml")), name="none")
    return space


def test_use_and_limits_are_those_of_the_written_policy(loop_space_without_release):
    text = make_card(loop_space_without_release, "none").text
    assert "It answers customers \\| of a shop." in text
    assert "at most 1.0% of answers: Is never rude. (limit `polite`)" in text
    assert "| brief | Holds nothing that could be left out. | 100% |" in text
    assert "people's grade on `brief`" in text


def test_groups_of_fewer_than_ten_are_hidden_and_so_is_what_would_tell_of_them():
    assert told_sizes({"a": 12, "b": 11, "c": 3}) == [
        ("a", "12"),
        # b is hidden too: with it the total would tell that c is 3
        ("2 more", "hidden, fewer than 10 or would tell of one"),
    ]
    assert told_sizes({"a": 12, "b": 11}) == [("a", "12"), ("b", "11")]
    assert told_sizes({"a": 9}) == [("1 more", "hidden, fewer than 10 or would tell of one")]


def labor(**changes):
    counts = {"judgments": {"human": 4}, "annotators": {"human": 2}}
    empty = {"groups": {}, "guidelines": {}, "tasks": {}}
    return Labor(**{**counts, **empty, "seconds": (30.0, 60.0, 90.0), **changes})


def test_pay_is_time_times_rate_and_unknown_where_one_of_them_is():
    paid = dict(_pay(LoopConfig(card=CardConfig(pay_per_hour=24.0)), labor()))
    # median 60 s at 24 an hour: 0.4; in all 180 s: 1.2
    assert paid["pay a judgment, at the median time"] == "0.400 USD"
    assert paid["paid in all, for active time"] == "1.20 USD"
    assert dict(_pay(LoopConfig(), labor()))["pay"] == "unknown: no rate was stated"
    assert dict(_pay(LoopConfig(card=CardConfig(pay_per_hour=24.0)), labor(seconds=())))["pay"] == "unknown"
    with pytest.raises(ConfigError, match="pay_per_hour is -1"):
        CardConfig(pay_per_hour=-1)


def test_the_work_behind_a_snapshot_is_counted_by_source(space):
    run = space.run("first")
    snapshot = Snapshot.read(run.folder / "stages/r1-agree")
    database = open_database(str(run.folder / "store.db"))
    try:
        found = labor_of(database, snapshot.judgment_ids, "tiny")
        none = labor_of(database, [], "tiny")
    finally:
        database.close()
    assert sum(found.judgments.values()) == len(snapshot.judgment_ids)
    assert found.n_people == 0
    assert (none.judgments, none.median_seconds) == ({}, None)


def test_a_number_is_shown_with_its_interval_and_no_sign_before_a_nought():
    estimate = Estimate(value=0.1234, low=-0.001, high=0.26, n=8, method="by hand")
    assert shown(estimate) == "0.12 [0.00, 0.26], n = 8"
    assert shown(None) == "not measured"


def test_heads_and_tables_hold_any_text():
    assert front_matter({"a": 'x: "y"', "b": [], "c": [{"d": 1, "e": ["f"]}]}) == (
        '---\na: "x: \\"y\\""\nc:\n- d: 1\n  e:\n  - "f"\n---\n'
    )
    assert table(("a",), [("x|y\n<b>",)]) == "| a |\n| --- |\n| x\\|y &lt;b> |\n"
    assert table(("a",), []) == ""


def test_the_command_prints_and_writes(space, tmp_path, capsys):
    root = str(space.root)
    assert run_command(["card", "latest", "--workspace", root]) == 0
    assert capsys.readouterr().out.rstrip("\n") == make_card(space, "first").text.rstrip("\n")
    out = tmp_path / "data.md"
    assert run_command(["card", "first", "--data", "--out", str(out), "--workspace", root]) == 0
    assert out.read_text() == make_card(space, "first", of_data=True).text
    assert run_command(["card", "nobody", "--workspace", root]) == 1
