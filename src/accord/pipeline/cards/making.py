"""Finding what a card is asked of, and writing cards beside what they describe."""

from dataclasses import dataclass

from accord.domain import WorkspaceError
from accord.domain.files import write_text_atomic
from accord.pipeline.cards.dataset_card import dataset_card
from accord.pipeline.cards.model_card import model_card
from accord.pipeline.configuration import load_config
from accord.pipeline.lineage import Made, ModelTrace, made_models, trace_model
from accord.pipeline.rounds.plan import LoopConfig
from accord.pipeline.workspace import Workspace

README = "README.md"
"""The name under which hubs look for a card."""
MIN_HASH = 6
"""Digits of a snapshot's hash that name it."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card and what it is of."""

    kind: str
    name: str
    text: str


def make_card(workspace: Workspace, key: str, *, of_data: bool = False) -> Card:
    """The card of a model (RUN, RUN/ROUND, folder, version), or of a snapshot by its hash.

    With `of_data` the key of a model stands for the snapshot its reward model learned from.
    """
    snapshot = _snapshot(workspace, key)
    if snapshot is not None:
        return _of_data(snapshot)
    trace = trace_model(workspace, workspace.run(key).id if key == "latest" else key)
    return _of_data(trace.model) if of_data else _of_model(trace)


def write_cards(workspace: Workspace, run_id: str) -> list[str]:
    """The cards of a run's released model and of its data, in the model's folder; their paths."""
    trace = trace_model(workspace, run_id)
    if not trace.model.record.is_released:
        raise WorkspaceError(f"run '{run_id}' released no model; `accord card` makes the card of any round's")
    folder = trace.model.run.model_folder
    paths = {folder / README: _of_model(trace), folder / "dataset_card.md": _of_data(trace.model)}
    for path, card in paths.items():
        write_text_atomic(path, card.text)
    return [str(path) for path in paths]


def _of_model(trace: ModelTrace) -> Card:
    return Card(kind="model", name=trace.model.name, text=model_card(trace, _config(trace.model)))


def _of_data(made: Made) -> Card:
    return Card(kind="dataset", name=made.record.snapshot, text=dataset_card(made, _config(made)))


def _config(made: Made) -> LoopConfig:
    return load_config(LoopConfig, made.run.config_path)


def _snapshot(workspace: Workspace, key: str) -> Made | None:
    """The newest round that learned from the snapshot whose hash begins so."""
    if len(key) < MIN_HASH or set(key) - set("0123456789abcdef"):
        return None
    found = [made for made in made_models(workspace) if made.record.snapshot.startswith(key)]
    return found[-1] if found else None
