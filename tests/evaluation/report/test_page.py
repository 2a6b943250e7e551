"""The page is one self-contained, escaped, accessible file; sections with nothing to say are left out."""

import base64
import hashlib
import math
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from accord.domain import EvaluationError
from accord.evaluation import (
    AnnotatorRow,
    Answer,
    Card,
    Checkpoint,
    Curve,
    Estimate,
    NamedWinRate,
    Report,
    RewardHealth,
    Sample,
    StageRow,
    compare_scores,
    measure_calibration,
    measure_overoptimization,
    measure_reward_accuracy,
    report_from_json,
    report_to_html,
    report_to_json,
    write_report,
)
from accord.evaluation.report.markup import VOID


class Outline(HTMLParser):
    """Checks nesting and collects what the tests ask about."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.text.append(data)

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="module")
def page(full_report) -> str:
    return report_to_html(full_report)


def test_every_section_is_there_and_well_formed(page):
    outline = Outline(page)
    ids = outline.attributes("id")
    for key in (
        "stages",
        "win-rates",
        "frontier",
        "reward-model",
        "lengths",
        "samples",
        "curves",
        "annotators",
    ):
        assert key in ids
    assert len(ids) == len(set(ids))


def test_page_asks_the_network_for_nothing(page):
    outline = Outline(page)
    assert not {"link", "img", "iframe", "object"} & {tag for tag, _ in outline.elements}
    assert outline.attributes("src") == outline.attributes("href") == []
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src 'none'" in page


def test_only_the_shipped_script_may_run(page):
    script = re.search(r"<script>(.*?)</script>", page, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_same_report_same_page(full_report, page):
    assert report_to_html(report_from_json(report_to_json(full_report))) == page


def test_simulated_annotators_are_announced(full_report, page):
    assert "No person judged these answers" in page
    assert "No person judged" not in report_to_html(replace(full_report, is_simulated=False))


def test_every_picture_has_a_title_and_a_description(page):
    for picture in re.findall(r'<svg [^>]*role="img".*?</svg>', page, re.S):
        labels = re.search(r'aria-labelledby="([^"]+)"', picture).group(1).split()
        for label in labels:
            assert re.search(rf'<(title|desc) id="{label}">[^<]+<', picture)
    assert page.count('role="img"') >= 8


def test_pictures_hold_no_broken_coordinates(page):
    assert not re.search(r'="[^"]*\b(nan|inf)\b', page)


def test_whatever_a_model_says_is_only_text():
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> & </style>"
    report = Report(
        title=evil,
        subtitle=evil,
        facts={evil: evil},
        notes=(evil,),
        cards=(Card(label=evil, estimate=Estimate(value=1.0), note=evil),),
        stages=(StageRow(name=evil, parts={evil: 0.5}, note=evil),),
        curves=(Curve(stage=evil, name=evil, x=(1.0,), y=(1.0,), x_label=evil, y_label=evil),),
        lengths={evil: (3, 4)},
        annotators=(AnnotatorRow(name=evil, judgments=1, bias=evil),),
        samples=(
            Sample(prompt=evil, domain=evil, answers=(Answer(model=evil, text=evil, scores={evil: 1.0}),)),
        ),
        lineage=replace(Report(title="").lineage, command=evil, config=evil, data={evil: evil}),
    )
    outline = Outline(report_to_html(report))
    assert [tag for tag, _ in outline.elements].count("script") == 1
    assert "img" not in {tag for tag, _ in outline.elements}
    assert sum(evil in text for text in outline.text) >= 15


def test_empty_report_is_a_title_and_a_foot():
    outline = Outline(report_to_html(Report(title="Nothing yet")))
    tags = [tag for tag, _ in outline.elements]
    assert "section" not in tags
    assert "script" not in tags
    assert "Nothing yet" in outline.text


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("stages", "stages"),
        ("win_rates", "win-rates"),
        ("frontier", "frontier"),
        ("reward_health", "reward-model"),
        ("lengths", "lengths"),
        ("samples", "samples"),
        ("curves", "curves"),
        ("annotators", "annotators"),
    ],
)
def test_section_without_content_is_left_out(full_report, field, key):
    empty = getattr(Report(title=""), field)
    assert f'id="{key}"' not in report_to_html(replace(full_report, **{field: empty}))


def test_run_on_human_data_without_taste_has_its_page():
    ids = [f"p{i}" for i in range(40)]
    margins, labels = [1.0, -0.5] * 20, [1.0, 0.7] * 20
    report = Report(
        title="People's preferences",
        stages=(
            StageRow(name="Start"),
            StageRow(name="Policy", versus_start=compare_scores([1.0], [0.0], ["a"])),
        ),
        reward_health=RewardHealth(
            accuracy=measure_reward_accuracy(margins, labels, ids),
            calibration=measure_calibration(margins, labels, ids),
            label_source="people",
        ),
        annotators=(AnnotatorRow(name="worker 7", judgments=12),),
        win_rates=(NamedWinRate(label="Policy vs start", win_rate=compare_scores([1.0], [1.0], ["a"])),),
    )
    text = " ".join(Outline(report_to_html(report)).text)
    assert "simulated" not in text.lower()
    assert "Known skill" not in text
    assert "worker 7" in text


def test_health_of_nothing_is_a_heading_only():
    assert "The reward model" in report_to_html(Report(title="t", reward_health=RewardHealth()))


@pytest.mark.parametrize(
    "curve",
    [
        Curve(stage="s", name="empty", x=(), y=()),
        Curve(stage="s", name="one point", x=(1.0,), y=(2.0,)),
        Curve(stage="s", name="flat", x=(1.0, 2.0), y=(2.0, 2.0)),
        Curve(stage="s", name="broken", x=(1.0, 2.0, 3.0), y=(2.0, math.nan, math.inf)),
    ],
)
def test_awkward_curves_are_drawn(curve):
    page = report_to_html(Report(title="t", curves=(curve,)))
    assert "<svg" in page
    assert not re.search(r'="[^"]*\b(nan|inf)\b', page)


def test_frontier_that_never_moves_is_drawn():
    flat = [Checkpoint(step=i, kl=0.0, proxy=[1.0, 1.0], gold=[1.0, 1.0]) for i in range(2)]
    page = report_to_html(Report(title="t", frontier=measure_overoptimization(flat, ["a", "b"])))
    assert "No gaming seen" in page
    assert 'class="band"' not in page


def test_gaming_is_shaded_in_both_pictures(page):
    assert page.count('class="band"') == 2
    assert "Gaming has started: after step 80 (KL 9.8 nats" in page


def test_equal_lengths_and_empty_answers_are_drawn():
    page = report_to_html(Report(title="t", lengths={"Start": (0, 0), "SFT": (), "Policy": (5, 5)}))
    assert "median 5" in page
    assert "SFT" not in page


def test_written_page_and_json_stand_side_by_side(full_report, page, tmp_path):
    path = write_report(full_report, tmp_path / "new" / "folder")
    assert path.read_text(encoding="utf-8") == page
    assert (
        report_from_json((path.parent / "report.json").read_text(encoding="utf-8")).title == full_report.title
    )
    assert sorted(file.name for file in path.parent.iterdir()) == ["report.html", "report.json"]


def test_curve_of_unequal_lengths_is_refused_before_it_is_drawn():
    with pytest.raises(EvaluationError):
        Curve(stage="s", name="n", x=(1.0,), y=())


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_browser_runs_the_pager_and_shows_all_without_it(full_report, tmp_path):
    path = write_report(full_report, tmp_path)
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        path.as_uri(),
    ]
    page = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert re.search(r'<section id="samples"[^>]*class="paged"', page)
    assert page.count('class="current"') == 1
    assert "1 of 3" in page
    assert "paged" not in report_to_html(full_report).split("</style>")[1].split("<script>")[0]
