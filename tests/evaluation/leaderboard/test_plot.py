"""The picture of a leaderboard: well-formed, every model in its row, nothing loaded."""

from xml.etree import ElementTree

from accord.evaluation.intervals import Estimate
from accord.evaluation.leaderboard.plot import leaderboard_plot
from accord.evaluation.leaderboard.standing import Standing


def standing(rank, model, value, group):
    rating = Estimate(value=value, low=value - 10, high=value + 10)
    return Standing(
        model=model,
        rating=rating,
        rank=rank,
        best_rank=rank,
        worst_rank=rank,
        group=group,
        first_probability=0.5,
    )


def test_rows_stand_in_order_and_names_are_escaped():
    text = leaderboard_plot([standing(1, "a<b>", 1100, 1), standing(2, "second", 1000, 2)])
    root = ElementTree.fromstring(text)
    names = [one for one in root.iter("{http://www.w3.org/2000/svg}text") if one.text in ("a<b>", "second")]
    assert [one.text for one in names] == ["a<b>", "second"]
    assert float(names[0].get("y")) < float(names[1].get("y"))
    dots = [float(one.get("cx")) for one in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert dots[0] > dots[1]
    # the second group alone stands on a band
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 1
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert text == leaderboard_plot([standing(1, "a<b>", 1100, 1), standing(2, "second", 1000, 2)])
