"""Models by what a command line says: a folder, a known name, or NAME=FOLDER."""

from collections.abc import Callable, Sequence

from accord.domain.errors import ConfigError
from accord.models.language_model import LanguageModel
from accord.models.loading import load_model


def split_name(spec: str) -> tuple[str | None, str]:
    """(name, place) of `NAME=PLACE`; the name is None where there is only a place."""
    name, equals, place = spec.partition("=")
    return (name.strip(), place.strip()) if equals else (None, spec.strip())


def load_models(specs: Sequence[str], *, tell: Callable[[str], None]) -> dict[str, LanguageModel]:
    """Models by the name they are asked for by, in order; all problems of names are said at once."""
    named = [split_name(spec) for spec in specs]
    problems = [
        f"{spec!r}: expected a folder or NAME=FOLDER"
        for spec, (name, place) in zip(specs, named, strict=True)
        if not place or name == ""
    ]
    given = [name for name, _ in named if name is not None]
    problems += [
        f"the name {one!r} is there twice" for one in sorted({n for n in given if given.count(n) > 1})
    ]
    if problems:
        raise ConfigError("--model", problems)
    models: dict[str, LanguageModel] = {}
    for name, place in named:
        tell(f"loading {place}")
        model = load_model(place)
        own = name if name is not None else model.name
        if own in models:
            raise ConfigError("--model", [f"two models are called {own!r}; name them: NAME={place}"])
        models[own] = model
    return models
