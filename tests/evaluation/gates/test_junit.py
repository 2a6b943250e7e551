"""JUnit XML: each verdict where a build server looks for it."""

import datetime
from xml.etree import ElementTree

from accord.evaluation.gates.junit import to_junit
from accord.evaluation.gates.plan import Gate, GatePlan
from accord.evaluation.gates.verdict import judge_release
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement


def test_each_verdict_has_its_tag():
    values = {"pass": (0.6, 0.55, 0.65), "fail": (0.4, 0.35, 0.45), "open": (0.5, 0.4, 0.6)}
    gates = [Gate(id=name, metric=name, comparator="superiority", margin=0.5) for name in (*values, "none")]
    gates.append(Gate(id="warn", metric="fail", comparator="superiority", margin=0.5, severity="warn"))
    measurements = [
        Measurement(metric=name, estimate=Estimate(value=v, low=low, high=high, n=100))
        for name, (v, low, high) in values.items()
    ]
    plan = GatePlan(name="<plan> & more", gates=tuple(gates))
    text = to_junit(judge_release(plan, measurements, today=datetime.date(2026, 1, 1)))
    suite = ElementTree.fromstring(text)
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("<plan> & more", "5", "1")
    assert (suite.get("errors"), suite.get("skipped")) == ("2", "1")
    tags = {case.get("name"): [child.tag for child in case] for case in suite}
    assert tags == {
        "pass": [],
        "fail": ["failure"],
        "open": ["error"],
        "none": ["error"],
        "warn": ["skipped"],
    }
