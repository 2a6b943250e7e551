"""`accord train reward` on rankings, ratings, steps and judgments: the setting picks what files hold."""

import json

import pytest

from accord.cli.main import run_command
from accord.models.reward import load_reward_model

ROWS = {
    "rankings": [{"prompt": f"q{i}", "completions": ["a", "bb", "c"], "ranks": [1, 2, 2]} for i in range(4)],
    "ratings": [
        {"prompt": f"q{i}", "completion": "a" * i, "rating": i, "dimension": "size", "annotator": "w"}
        for i in range(4)
    ],
    "steps": [{"prompt": f"q{i}", "completions": ["a", "b"], "labels": [True, False]} for i in range(4)],
    "judgments": [
        {"prompt": f"q{i}", "left": "a", "right": "b", "choice": "left", "annotator": "w"} for i in range(4)
    ],
}


@pytest.mark.parametrize("kind", ROWS)
def test_each_objective_trains_from_its_files(tmp_path, kind):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[kind]))
    code = run_command([
        "train", "reward", "--workspace", str(tmp_path / "space"), "--name", "one", "--json",
        "--set", f'preferences=["{path}"]', "--set", "model.name=tiny",
        "--set", f"reward.objective.type={kind}", "--set", "reward.eval_share=0",
    ])  # fmt: skip
    assert code == 0
    folder = next((tmp_path / "space").glob("**/metrics.jsonl")).parent
    assert load_reward_model(folder / "model").dimensions == (
        ("size",) if kind == "ratings" else ("overall",)
    )
    assert (folder / "beside.json").is_file() == (kind != "rankings")


def test_a_setting_of_another_objective_is_named(capsys):
    code = run_command([
        "train", "reward", "--set", 'preferences=["x"]', "--set", "reward.objective.type=rankings",
        "--set", "reward.objective.huber_delta=1.0", "--dry-run",
    ])  # fmt: skip
    assert code != 0
    assert "huber_delta" in capsys.readouterr().err
