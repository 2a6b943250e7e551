"""`accord serve`: what it refuses before anything listens."""

import sys

from accord.cli.main import run_command


def test_a_backend_that_is_not_installed_is_named_with_its_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert run_command(["serve", "--model", "tiny", "--backend", "vllm"]) != 0
    assert "pip install vllm" in capsys.readouterr().err


def test_vllm_serves_one_model(capsys):
    assert run_command(["serve", "--model", "a=tiny", "--model", "b=tiny", "--backend", "vllm"]) != 0
    assert "one model; 2 were given" in capsys.readouterr().err
