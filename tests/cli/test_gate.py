"""`accord gate` and `accord evaluate power|lc-winrate`: exit codes, JSON, errors."""

import json

import pytest

from accord.cli.main import run_command

PLAN = '[[gates]]\nid = "g"\nmetric = "win_rate"\ncomparator = "superiority"\nmargin = 0.5\n'


@pytest.mark.parametrize(("low", "high", "code"), [(0.55, 0.65, 0), (0.3, 0.4, 1), (0.4, 0.6, 2)])
def test_exit_code_is_the_verdict(tmp_path, capsys, low, high, code):
    (tmp_path / "p.toml").write_text(PLAN)
    value = (low + high) / 2
    row = {"metric": "win_rate", "estimate": {"value": value, "low": low, "high": high, "n": 99}}
    (tmp_path / "r.json").write_text(json.dumps({"measurements": [row]}))
    files = [str(tmp_path / "p.toml"), str(tmp_path / "r.json")]
    assert run_command(["gate", *files, "--json", "--junit", str(tmp_path / "g.xml")]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == ("pass", "fail", "undecided")[code]
    assert found["gates"][0]["id"] == "g"
    assert (tmp_path / "g.xml").read_text().startswith("<?xml")
    assert run_command(["gate", *files]) == code
    assert "release:" in capsys.readouterr().out


def test_power_by_the_books(capsys):
    assert run_command(["evaluate", "power", "--n", "805", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["detectable_effect"] == pytest.approx(0.0494, abs=1e-4)
    assert run_command(["evaluate", "power", "--effect", "0.05"]) == 0
    assert "785" in capsys.readouterr().out
    assert run_command(["evaluate", "power"]) != 0


def test_lc_winrate_prints_and_refuses(tmp_path, capsys):
    rows = [
        {"preference": 1 + k % 2, "len_baseline": 100 + k, "len_model": 90 + 3 * k % 41} for k in range(40)
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert (
        run_command(["evaluate", "lc-winrate", str(tmp_path / "a.json"), "--resamples", "20", "--json"]) == 0
    )
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert model["win_rate"] == 50
    assert run_command(["evaluate", "lc-winrate", str(tmp_path / "a.json"), "--resamples", "0"]) == 0
    assert "at equal length" in capsys.readouterr().out
    assert run_command(["evaluate", "lc-winrate", str(tmp_path / "none.json")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_report_is_one_page_that_never_changes(tmp_path, capsys):
    row = {"metric": "win_rate", "estimate": {"value": 0.6, "low": 0.55, "high": 0.65, "n": 300}}
    (tmp_path / "p.toml").write_text(PLAN)
    (tmp_path / "r.json").write_text(json.dumps({"measurements": [row]}))
    votes = {"name": "People", "means": [1.0, 0.5], "lows": [0.1, 0.1], "highs": [1.0, 0.9]}
    (tmp_path / "e.json").write_text(json.dumps({"votes": votes}))
    args = [
        "gate",
        str(tmp_path / "p.toml"),
        str(tmp_path / "r.json"),
        "--evidence",
        str(tmp_path / "e.json"),
    ]
    pages = []
    for name in ("a.html", "b.html"):
        assert run_command([*args, "--report", str(tmp_path / name)]) == 0
        pages.append((tmp_path / name).read_text())
    assert pages[0] == pages[1]
    assert "Ready to release" in pages[0]
    assert "60.0%" in pages[0]
    assert '<section id="votes"' in pages[0]


def test_releases_are_kept_shown_and_drawn(tmp_path, capsys):
    (tmp_path / "p.toml").write_text(PLAN)
    history = str(tmp_path / "releases.jsonl")
    for name, value in (("1.0", 0.55), ("1.1", 0.7)):
        row = {
            "metric": "win_rate",
            "estimate": {"value": value, "low": value - 0.06, "high": value + 0.06, "n": 99},
        }
        (tmp_path / "r.json").write_text(json.dumps({"measurements": [row]}))
        args = ["gate", str(tmp_path / "p.toml"), str(tmp_path / "r.json"), "--history", history]
        page = tmp_path / f"{name}.html"
        run_command([*args, "--release", name, "--report", str(page)])
        assert ('<section id="history"' in page.read_text()) == (name == "1.1")
    capsys.readouterr()
    assert run_command(["evaluate", "history", history, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["release"], one["verdict"]) for one in found["releases"]] == [
        ("1.0", "undecided"),
        ("1.1", "pass"),
    ]
    # .15 apart, half-widths of .06 each make one of .085
    assert found["gates"][0]["trend"] == "better"
    assert found["gates"][0]["change"]["high"] == pytest.approx(0.15 + 0.06 * 2**0.5)
    assert run_command(["evaluate", "history", history]) == 0
    assert "1.1 pass" in capsys.readouterr().out
    assert (
        run_command(["gate", str(tmp_path / "p.toml"), str(tmp_path / "r.json"), "--history", history]) == 2
    )
    assert "go together" in capsys.readouterr().err
