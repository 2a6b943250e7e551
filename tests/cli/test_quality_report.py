"""`accord quality report` as a user types it."""

import csv
import json

import pytest
from typer.testing import CliRunner

from accord.cli.quality import app
from accord.domain import DataError
from accord.pipeline.quality_contents import quality_report_from_json
from accord.quality.labels import tabulate_labels
from accord.quality.simulation import CrowdConfig, simulate_labels
from accord.store import hash_file


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A crowd with times, two groups and gold for all items; a fifth of it drifts."""
    folder = tmp_path_factory.mktemp("report")
    config = CrowdConfig(
        n_items=300, n_annotators=16, labels_per_item=5, drifting_share=0.2, group_shares=(0.5, 0.5)
    )
    crowd = simulate_labels(config, 2)
    columns, table = crowd.columns, tabulate_labels(crowd.columns)
    names = {name: k for k, name in enumerate(table.annotators.tolist())}
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("item", "annotator", "label", "timestamp_ms", "country"))
        for item, who, value, when in zip(
            columns.items, columns.annotators, columns.values, columns.timestamps_ms, strict=True
        ):
            writer.writerow((item, who, value, int(when), "NL" if names[who] % 2 else "KE"))
    with (folder / "gold.csv").open("w") as file:
        file.write("item,gold\n")
        for item, index in zip(table.items.tolist(), crowd.truth_index.tolist(), strict=True):
            file.write(f"{item},{table.classes[index]}\n")
    return folder / "labels.csv", folder / "gold.csv"


def test_the_page_holds_every_part_the_data_allows(files, tmp_path):
    labels, gold = files
    out = tmp_path / "report.html"
    result = run(
        "report", labels, "--gold", gold, "--gold-fit", 40, "--group", "country", "--out", out, "--json"
    )
    assert result.exit_code == 0, result.output
    report = quality_report_from_json(result.stdout)
    assert report.is_calibrated
    assert report.reliability is not None
    assert (report.reliability.fitted_on, report.reliability.accuracy.n) == (40, 260)
    assert len(report.annotators) == 16
    assert len(report.confusions) == 12
    assert {row.group for row in report.groups} == {"NL", "KE"}
    assert report.drift
    assert any(point.is_adaptive for point in report.costs)
    assert not any(point.is_adaptive for point in report.costs[:2])
    assert report.lineage.data == {str(path): hash_file(path) for path in (labels, gold)}
    page = out.read_text()
    for part in (
        "What these judgments are worth",
        "default-src 'none'",
        "How far annotators agree",
        "country",
    ):
        assert part in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page


def test_what_is_missing_is_said_and_nothing_is_made_up(files, tmp_path):
    labels, _ = files
    bare = tmp_path / "bare.csv"
    rows = [line.split(",")[:3] for line in labels.read_text().splitlines()]
    bare.write_text("\n".join(",".join(row) for row in rows))
    out = tmp_path / "report.html"
    result = run("report", bare, "--out", out)
    assert result.exit_code == 0, result.output
    for part in ("No known answers were given", "The labels have no times"):
        assert part in result.output.replace("\n", " ")
    found = json.loads(run("report", bare, "--out", out, "--json").stdout)
    assert not found["is_calibrated"]
    for part in ("reliability", "drift", "costs", "biases", "groups"):
        assert not found[part]
    assert "uncalibrated" in out.read_text()


def test_annotators_in_two_groups_and_ratings_are_errors(files, tmp_path):
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("item,annotator,label,country\ni,w,a,NL\nj,w,b,KE\nj,v,b,KE\n")
    result = run("report", mixed, "--group", "country", "--out", tmp_path / "r.html")
    assert isinstance(result.exception, DataError)
    assert "mixed.csv, line 3" in str(result.exception)
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("item,annotator,label\n" + "".join(f"i{k},w,{k / 7}\n" for k in range(9000)))
    result = run("report", ratings, "--out", tmp_path / "r.html")
    assert isinstance(result.exception, DataError)
    # 9000 classes of 9000 items: 81 million probabilities
    assert "9,000 distinct values" in str(result.exception)
    assert "would hold 0.6 GB in one array" in str(result.exception)
    assert not (tmp_path / "r.html").exists()
