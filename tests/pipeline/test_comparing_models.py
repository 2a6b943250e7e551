"""Two tiny models compared end to end: what is kept is kept, what is the same is the same."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from accord import rollouts
from accord.domain import ConfigError
from accord.models import LanguageModel, load_model, save_model
from accord.pipeline import comparing_models
from accord.pipeline.comparing_models import (
    CompareConfig,
    answer_prompts,
    as_measurement_file,
    choose_judge,
    choose_prompts,
    compare_models,
    measured_metrics,
    side_names,
)


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The tiny model that seldom ends at once, and the same with a little noise on its head."""
    folder = tmp_path_factory.mktemp("models")
    model = load_model("tiny", device="cpu")
    with torch.no_grad():
        model.head_weight[sorted(model.tokenizer.stop_ids)] = 0.0
    save_model(model, folder / "old")
    with torch.no_grad():
        torch.manual_seed(0)
        model.head_weight.add_(0.05 * torch.randn_like(model.head_weight))
    save_model(model, folder / "new")
    return str(folder / "new"), str(folder / "old")


def config(variants: tuple[str, str], **changes: object) -> CompareConfig:
    new, old = variants
    plain = CompareConfig(candidate=new, incumbent=old, limit=24, max_tokens=8, temperature=1.0)
    return replace(plain, **changes)


def test_two_models_give_every_number_twice_the_same(variants: tuple[str, str], tmp_path: Path):
    first = compare_models(config(variants, out=tmp_path))
    names = {one.metric for one in first.measurements}
    assert measured_metrics(has_judge=True, has_models=True) <= names
    assert first.not_measured == {}
    assert first.facts["judge"] == "the task's known taste"
    assert (first.candidate.name, first.incumbent.name) == ("new", "old")
    kl = first.find("kl_divergence")
    assert kl is not None
    assert kl.estimate.value > 0
    # The second run reads every answer from the folder and draws none.
    again = compare_models(config(variants, out=tmp_path))
    assert again.measurements == first.measurements
    files = sorted((tmp_path / "responses").iterdir())
    assert [len(file.read_text().splitlines()) for file in files] == [24, 24]
    # ... and so does a comparison of the two files, up to what only the models know.
    named = [
        next(file for file in files if _first_answer(file) == side.completions[0].text)
        for side in (first.candidate, first.incumbent)
    ]
    from_files = compare_models(
        CompareConfig(candidate=str(named[0]), incumbent=str(named[1]), judge=_length_judge(tmp_path))
    )
    assert from_files.find("length_cap_share", versus="incumbent") is not None
    assert "kl_divergence" in from_files.not_measured


def _first_answer(path: Path) -> str:
    return str(json.loads(path.read_text().splitlines()[0])["response"])


def _length_judge(folder: Path) -> str:
    place = folder / "judge.py"
    place.write_text("def score(prompts, rows):\n    return [float(len(row.text)) for row in rows]\n")
    return f"{place}:score"


def test_an_interrupted_run_goes_on(
    variants: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = config(variants, limit=40, out=tmp_path)
    model, prompts = load_model(variants[0], device="cpu"), choose_prompts(settings)
    whole = answer_prompts(model, prompts, replace(settings, out=None), name="new")
    answer_prompts(model, replace(prompts, prompts=prompts.prompts[:32]), settings, name="new")
    kept = next((tmp_path / "responses").iterdir())
    first, *rest = [json.loads(line) for line in kept.read_text(encoding="utf-8").split("\n") if line]
    first["response"] += "\u2028\u0085"  # separators of lines that a file of JSON lines may hold within one
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in (first, *rest)]
    kept.write_text("".join(lines) + '{"id": "cut of', encoding="utf-8")
    drawn: list[int] = []

    class Counting(rollouts.NativeSampler):
        def sample(self, prompts, **settings):
            drawn.append(len(prompts))
            return super().sample(prompts, **settings)

    monkeypatch.setattr(rollouts, "NativeSampler", Counting)
    resumed = answer_prompts(model, prompts, settings, name="new")
    assert drawn == [8]
    assert resumed.completions[0].text == whole.completions[0].text + "\u2028\u0085"
    assert [one.text for one in resumed.completions[1:]] == [one.text for one in whole.completions[1:]]


def test_a_model_against_itself_is_even(variants: tuple[str, str]):
    same = compare_models(config((variants[0], variants[0])))
    rate, kl = same.find("win_rate"), same.find("kl_divergence")
    assert rate is not None
    assert kl is not None
    assert (rate.estimate.value, rate.facts["ties"]) == (0.5, 24)
    assert kl.estimate.value == 0.0
    assert same.candidate.name != same.incumbent.name


def test_greedy_answers_have_no_kl(variants: tuple[str, str], monkeypatch: pytest.MonkeyPatch):
    # The tiny model's likeliest answer is empty, and empty answers are refused.
    drawn = compare_models(config(variants))
    sides = {"new": drawn.candidate, "old": drawn.incumbent}
    monkeypatch.setattr(comparing_models, "answer_prompts", lambda *given, name, **rest: sides[name])
    found = compare_models(config(variants, temperature=0.0))
    assert "greedy" in found.not_measured["kl_divergence"]
    assert found.find("kl_divergence") is None
    assert drawn.find("token_entropy") is not None
    assert "greedy" in found.not_measured["token_entropy"]
    assert found.find("token_entropy") is None


def test_prompts_come_from_a_file_and_have_no_known_taste(variants: tuple[str, str], tmp_path: Path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"What is {i}?"}) + "\n" for i in range(9)))
    settings = config(variants, prompts=path, limit=3)
    chosen = choose_prompts(settings)
    assert [one.text for one in chosen.prompts] == ["What is 0?", "What is 3?", "What is 6?"]
    assert choose_judge(settings, chosen) is None
    with pytest.raises(ConfigError, match="knows only the support task's"):
        choose_judge(replace(settings, judge="taste"), chosen)


def test_a_pair_judge_is_a_function_of_both_answers(variants: tuple[str, str], tmp_path: Path):
    place = tmp_path / "pairs.py"
    place.write_text("def left(prompt, one, other):\n    return 1.0\n")
    found = compare_models(config(variants, limit=4, judge=f"pair:{place}:left"))
    consistency = found.find("swap_consistency")
    assert consistency is not None
    assert consistency.estimate.value == 0.0
    with pytest.raises(ConfigError, match="expected a function after pair:"):
        choose_judge(config(variants, judge=f"pair:{variants[0]}"), choose_prompts(config(variants)))


def test_gold_beside_a_proxy_measures_the_gap(variants: tuple[str, str], tmp_path: Path):
    settings = config(variants, judge=_length_judge(tmp_path), gold="taste")
    found = compare_models(settings)
    assert found.facts["gold"] == "the task's known taste"
    is_measured = found.find("overoptimization_gap") is not None
    assert is_measured != ("overoptimization_gap" in found.not_measured)
    assert found.find("win_rate", slice="judge=gold") is not None


def test_gold_alone_is_refused(variants: tuple[str, str], tmp_path: Path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "What is 1?"}\n')
    with pytest.raises(ConfigError, match="gold needs a judge"):
        compare_models(config(variants, prompts=path, gold=_length_judge(tmp_path)))


def test_prompts_and_a_file_of_answers_do_not_go_together(tmp_path: Path):
    file = tmp_path / "new.jsonl"
    file.write_text('{"prompt": "a", "response": "b"}\n')
    with pytest.raises(ConfigError, match="a file of answers brings its prompts"):
        choose_prompts(CompareConfig(candidate=str(file), incumbent="tiny", prompts=file))


def test_names_are_told_apart():
    def names(one: str, other: str) -> tuple[str, str]:
        return side_names(CompareConfig(candidate=one, incumbent=other))

    assert names("a/new", "b/old") == ("new", "old")
    assert names("run1/model", "run2/model") == ("run1/model", "run2/model")
    assert names("x/m", "x/m") == ("m (candidate)", "m (incumbent)")


def test_the_measurement_file_is_what_gates_read(variants: tuple[str, str], tmp_path: Path):
    from accord.cli.render import json_ready
    from accord.evaluation.gates.results_file import read_measurements

    found = compare_models(config(variants, limit=4))
    path = tmp_path / "m.json"
    path.write_text(json.dumps(json_ready(as_measurement_file(found))))
    read = read_measurements(path)
    assert [(one.metric, one.slice, one.versus) for one in read] == [
        (one.metric, one.slice, one.versus) for one in found.measurements
    ]


def test_other_vocabularies_are_the_reason_told(variants: tuple[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparing_models, "score_both", lambda *given: None)
    found = compare_models(config(variants))
    assert found.not_measured["kl_divergence"] == "the models have different vocabularies"


def test_models_with_other_vocabularies_have_no_kl(variants: tuple[str, str]):
    class Renamed:
        def __init__(self, model: LanguageModel):
            self.tokenizer = type("T", (), {"hf": type("H", (), {"get_vocab": staticmethod(dict)})()})()

    model = load_model(variants[0], device="cpu")
    settings = config(variants, limit=2)
    answers = answer_prompts(model, choose_prompts(settings), settings, name="x")
    assert comparing_models.score_both(model, Renamed(model), answers, settings.sampling) is None  # type: ignore[arg-type]
