"""`accord train estimate`: prints figures, measures on demand, names what it cannot tell."""

import json

import pytest

from accord.cli.main import run_command

ROWS = {
    "sft": ("demonstrations", [{"prompt": f"q{i}", "completion": "a" * (5 + i)} for i in range(8)]),
    "reward": ("preferences", [{"prompt": f"q{i}", "chosen": "yes", "rejected": "no no"} for i in range(8)]),
    "dpo": ("preferences", [{"prompt": f"q{i}", "chosen": "yes", "rejected": "no no"} for i in range(8)]),
    "kto": ("verdicts", [{"prompt": f"q{i}", "completion": "yes", "label": i % 2 == 0} for i in range(8)]),
}


@pytest.mark.parametrize("kind", ROWS)
def test_each_kind_is_estimated_and_measured(tmp_path, capsys, kind):
    key, rows = ROWS[kind]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--set", f'{key}=["{path}"]', "--set", "model.name=tiny", "--set", f"{kind}.batch_size=4"]
    assert run_command(["train", "estimate", *options, "--measure", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == kind
    assert found["work"]["steps"] == 2
    assert found["memory"]["peak_gb"] > found["memory"]["process_gb"] > 0
    assert found["memory"]["gradients_gb"] >= 0
    assert found["measured"]["step_s"] > 0
    # nearly all of a tiny run is the process itself; a test process is older than its own peak
    assert abs(found["measured"]["peak_error"]) < 0.6
    assert run_command(["train", "estimate", *options]) == 0
    assert "with checkpointing" in capsys.readouterr().out


def test_a_config_that_could_be_two_kinds_is_asked_about(capsys):
    assert run_command(["train", "estimate", "--set", 'preferences=["x"]']) != 0
    assert "name it by --kind" in capsys.readouterr().err
    assert run_command(["train", "estimate", "--set", 'prompts=["x"]', "--kind", "rloo"]) != 0
    assert "expected one of sft, reward, dpo, kto" in capsys.readouterr().err


def test_small_moments_and_recomputed_layers_are_counted(tmp_path, capsys):
    key, rows = ROWS["sft"]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["train", "estimate", "--set", f'{key}=["{path}"]', "--set", "model.name=tiny", "--json"]

    def estimated(**settings):
        changes = [["--set", f"sft.optimization.{name}={value}"] for name, value in settings.items()]
        assert run_command([*options, *(part for change in changes for part in change)]) == 0
        return json.loads(capsys.readouterr().out)

    plain, small, tight = estimated(), estimated(optimizer_state="bf16"), estimated(memory_gb="0.001")
    assert not plain["recomputed"]
    assert tight["recomputed"]  # the process alone is larger than 0.001 GB
    assert estimated(memory_gb="0.001", recompute="never")["recomputed"] is False
    assert small["memory"]["optimizer_gb"] == pytest.approx(plain["memory"]["optimizer_gb"] / 2, abs=1e-3)
