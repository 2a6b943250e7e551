"""`accord evaluate import` and `paired` as a user types them."""

import json

import pytest

from accord.cli.main import run_command


def annotation(number, preference, model):
    return {
        "instruction": f"do {number}",
        "output_1": "a",
        "generator_1": "base",
        "output_2": "b",
        "generator_2": model,
        "preference": preference,
    }


@pytest.fixture
def files(tmp_path):
    for model, gain in (("new", 0.3), ("old", 0.0)):
        rows = [annotation(number, 1.2 + gain + 0.4 * (number % 2), model) for number in range(40)]
        (tmp_path / f"{model}.json").write_text(json.dumps(rows))
    return [str(tmp_path / f"{model}.json") for model in ("new", "old")]


def test_import_then_paired_then_gate(files, tmp_path, capsys):
    runs = [str(tmp_path / f"{name}.jsonl") for name in ("new", "old")]
    for source, target in zip(files, runs, strict=True):
        assert run_command(["evaluate", "import", "alpaca-eval", source, "--out", target, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.split("\n}\n")[0] + "\n}")
    assert shown["runs"][0]["run"] == "new"
    assert shown["measurements"][0]["estimate"]["value"] == pytest.approx(0.7)
    assert run_command(["evaluate", "paired", *runs, "--metric", "preference", "--json"]) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert found["facts"]["pairs"] == 40
    first = found["differences"][0]
    assert first["difference"]["value"] == pytest.approx(0.3)
    assert first["verdict"] == "better"
    (tmp_path / "measured.json").write_text(text)
    (tmp_path / "plan.toml").write_text(
        'name = "p"\n[[gates]]\nid = "g"\nmetric = "preference"\ncomparator = "absolute"\nmargin = 0.5\n'
    )
    assert run_command(["gate", str(tmp_path / "plan.toml"), str(tmp_path / "measured.json")]) == 0
    capsys.readouterr()
    assert run_command(["evaluate", "paired", *files]) == 0
    out = capsys.readouterr().out
    assert "candidate is" in out
    assert "pairs 40, only candidate 0" in out


def test_what_is_wrong_ends_with_a_message_and_a_code(files, tmp_path, capsys):
    assert run_command(["evaluate", "import", "garak", files[0]]) == 1
    assert "it looks like alpaca-eval: `accord evaluate import alpaca-eval`" in capsys.readouterr().err
    assert run_command(["evaluate", "import", "helm", files[0]]) == 2
    assert run_command(["evaluate", "import", "garak", str(tmp_path / "no.jsonl")]) == 1
    assert "is not there" in capsys.readouterr().err
    assert run_command(["evaluate", "paired", files[0], files[1], "--mismatched", "x"]) == 2
    assert run_command(["evaluate", "paired", files[0], files[1], "--candidate-run", "x"]) == 1
    assert "no one run named 'x': new" in capsys.readouterr().err
