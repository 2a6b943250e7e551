"""The terminal summary says the same as the page, in plain aligned text."""

from accord.evaluation import Report, StageRow, summary_lines


def test_summary_names_what_matters(full_report):
    lines = summary_lines(full_report)
    text = "\n".join(lines)
    assert lines[0] == full_report.title
    assert "Simulated annotators. No person judged these answers." in lines
    assert "91.7% [84.4, 95.7]  (no difference 50.0%)" in text
    assert "0.49 [0.45, 0.51] -> 0.67 [0.64, 0.70]" in text
    assert "Gaming has started: after step 80" in text
    assert f"- {full_report.notes[0]}" in lines


def test_columns_line_up(full_report):
    lines = summary_lines(full_report)
    start = next(i for i, line in enumerate(lines) if line.startswith("  model"))
    place = lines[start].index("win rate vs start")
    assert all(line[place - 2 : place] == "  " for line in lines[start : start + 4])
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["Start", "SFT", "Policy"]


def test_empty_columns_are_left_out():
    lines = summary_lines(Report(title="t", stages=(StageRow(name="Start"),)))
    assert lines == ["t", "", "  model", "  Start"]


def test_title_alone_is_one_line():
    assert summary_lines(Report(title="t")) == ["t"]
