"""`accord evaluate ifeval` and `suite` as a user types them."""

import json

import pytest

from accord.cli.main import run_command

PROMPT = {"key": 1, "prompt": "a", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "p.jsonl").write_text(json.dumps(PROMPT))
    (tmp_path / "r.jsonl").write_text(json.dumps({"prompt": "a", "response": "fine"}))
    return [str(tmp_path / name) for name in ("p.jsonl", "r.jsonl")]


@pytest.mark.parametrize("command", [("ifeval",), ("suite", "ifeval")])
def test_ifeval_as_json_and_as_table(files, capsys, command):
    arguments = ["evaluate", *command, "--data", files[0], "--responses", files[1]]
    assert run_command([*arguments, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    first = shown["measurements"][0]
    assert first["metric"] == "ifeval_prompt_strict"
    assert first["estimate"]["value"] == 1.0
    assert first["estimate"]["low"] < 1.0
    assert shown["facts"]["items"] == 1
    assert run_command(arguments) == 0
    text = capsys.readouterr().out
    assert "ifeval_instruction_loose" in text
    assert "data_sha256" in text


def test_what_is_wrong_ends_with_a_message_and_a_code(files, capsys):
    assert run_command(["evaluate", "suite", "ifeval", "--data", files[0], "--responses", files[0]]) == 1
    assert "lacks response" in capsys.readouterr().err
    assert run_command(["evaluate", "suite", "none", "--data", files[0]]) == 1
    assert "unknown suite 'none'" in capsys.readouterr().err
    both = ["--responses", files[1], "--predictions", files[1]]
    assert run_command(["evaluate", "suite", "ifeval", "--data", files[0], *both]) == 2
    assert "either --responses or --predictions" in capsys.readouterr().err
    assert run_command(["evaluate", "ifeval", "--data", files[0]]) == 2
