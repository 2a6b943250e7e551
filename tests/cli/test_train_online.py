"""`accord train` by the online algorithms from files: a run, a model, and what it says of mistakes."""

import json

import pytest

from accord.cli.main import run_command

SETTINGS = {
    "ppo": ["ppo.critic=separate", "ppo.online.minibatches=2", "ppo.online.epochs=1"],
    "reinforce": ["reinforce.baseline=group", "reinforce.online.group_size=2"],
    "online-dpo": ["online_dpo.label_scale=2.0"],
    "best-of-n": ["best_of_n.keep=top", "best_of_n.online.group_size=2"],
}


@pytest.fixture
def place(tmp_path):
    rows = [{"prompt": f"question {i}"} for i in range(4)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "pay.py").write_text(
        "def length(prompts, completions):\n    return [len(c.text) for c in completions]\n"
    )
    return tmp_path


@pytest.mark.parametrize("kind", SETTINGS)
def test_each_algorithm_trains_from_files(place, kind, capsys):
    key = kind.replace("-", "_")
    own = [f"{key}.online.prompts_per_step=4", f"{key}.online.sampling.max_tokens=6"]
    sets = [*SETTINGS[kind], *own, f"{key}.online.optimization.steps=2", "model.name=tiny"]
    code = run_command([
        "train", kind, "--workspace", str(place / "space"), "--json",
        "--set", f'prompts=["{place / "prompts.jsonl"}"]', "--set", f"reward={place / 'pay.py'}:length",
        *[part for each in sets for part in ("--set", each)],
    ])  # fmt: skip
    assert code == 0
    record = json.loads(capsys.readouterr().out)
    assert record["headline"]["name"] == "reward/mean"
    folder = next((place / "space").glob("**/metrics.jsonl")).parent
    assert (folder / "model" / "config.json").is_file()
    assert (folder / "critic" / "critic.safetensors").is_file() == (kind == "ppo")


def test_a_setting_that_cannot_work_is_named(capsys):
    code = run_command(
        [
            "train",
            "ppo",
            "--set",
            'prompts=["x"]',
            "--set",
            "reward=a:b",
            "--set",
            "ppo.decay=2.0",
            "--dry-run",
        ]
    )
    assert code != 0
    assert "decay must be 0 to 1, got 2.0" in capsys.readouterr().err
