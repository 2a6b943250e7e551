"""Metric summaries: counted by hand."""

from accord.pipeline.summary import summarize_metrics


def row(step: int, value: float | None, kind: str = "step") -> dict:
    return {"stage": "sft", "step": step, "kind": kind, "metrics": {"loss": value}}


def test_summary_by_hand():
    # 3, null, 1, 2: three finite values, first 3, last 2 at step 4, lowest 1, highest 3
    (summary,) = summarize_metrics([row(1, 3.0), row(2, None), row(3, 1.0), row(4, 2.0)])
    assert (summary.count, summary.first, summary.last, summary.low, summary.high) == (3, 3.0, 2.0, 1.0, 3.0)
    assert (summary.stage, summary.name, summary.last_step) == ("sft", "loss", 4)


def test_step_and_eval_are_kept_apart():
    kinds = [summary.kind for summary in summarize_metrics([row(1, 3.0), row(1, 5.0, kind="eval")])]
    assert kinds == ["step", "eval"]


def test_metric_that_never_was_finite_is_left_out():
    assert summarize_metrics([row(1, None)]) == []
