"""Where rows are: a file, a folder with splits, or a hub id. Says clearly what is missing."""

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain import DataError, MissingExtra
from accord.store.rows import KNOWN_SUFFIXES, BadRow, Row, data_suffix, iterate_rows

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
SHARD = re.compile(r"[-_.]\d{5}[-_.]of[-_.]\d{5}.*$")
DEFAULT_SPLIT = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """One file, or one split of a hub data set, whose rows can be read more than once."""

    path: Path
    rows: Callable[[], Iterator[Row | BadRow]]
    is_text_only: bool = False

    @property
    def name(self) -> str:
        """Folder and file name: the same on every machine."""
        return "/".join(self.path.parts[-2:])


def find_sources(path: str | Path, *, split: str | None = None) -> list[RowSource]:
    """The files behind `path`, in order; `split` chooses by name where there are several."""
    place = Path(path)
    if place.is_dir():
        return [_file_source(file) for file in _choose_split(place, split)]
    if place.exists():
        if split is not None:
            raise DataError(f"a single file has no splits, but split {split!r} was asked for", path=str(path))
        return [_file_source(place)]
    if HUB_ID.fullmatch(str(path)) and not data_suffix(place) and not place.parent.exists():
        return [_hub_source(str(path), split)]
    raise DataError(_missing_reason(place), path=str(path))


def folder_splits(folder: Path) -> dict[str, list[Path]]:
    """Data files of a folder by split name: from `train.jsonl`, `data/train-00000-of-00002.parquet`,
    `train/data-00000-of-00001.arrow` or any other data file, whose stem is then its split.
    """
    splits: dict[str, list[Path]] = {}
    for file in _data_files(folder):
        splits.setdefault(_stem(file), []).append(file)
    for inner in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        files = _data_files(inner)
        if inner.name == "data":
            for file in files:
                splits.setdefault(_stem(file), []).append(file)
        elif files and not inner.name.startswith("."):
            splits.setdefault(inner.name, []).extend(files)
    return splits


def _data_files(folder: Path) -> list[Path]:
    # dataset_info.json and state.json are what `datasets` writes about a data set, not rows of it
    about = {"dataset_info.json", "dataset_dict.json", "state.json", "dataset_infos.json"}
    return sorted(
        file
        for file in folder.iterdir()
        if file.is_file()
        and data_suffix(file)
        and file.name not in about
        and not file.name.startswith((".", "cache-"))
    )


def _stem(file: Path) -> str:
    name = file.name.removesuffix(".gz")
    for suffix in KNOWN_SUFFIXES:
        name = name.removesuffix(suffix)
    return SHARD.sub("", name)


def _choose_split(folder: Path, split: str | None) -> list[Path]:
    splits = folder_splits(folder)
    names = ", ".join(splits)
    if not splits:
        raise DataError(
            f"the folder holds no data files; expected {', '.join(KNOWN_SUFFIXES)} in it or in data/",
            path=str(folder),
        )
    if split is not None and split not in splits:
        nearest = difflib.get_close_matches(split, splits, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise DataError(f"the folder has no split {split!r}, only {names}.{hint}", path=str(folder))
    if split is None and len(splits) > 1 and DEFAULT_SPLIT not in splits:
        raise DataError(
            f"the folder holds several data files: {names}. Name one of them, or choose a split.",
            path=str(folder),
        )
    chosen = split if split is not None else DEFAULT_SPLIT if DEFAULT_SPLIT in splits else next(iter(splits))
    return splits[chosen]


def _file_source(path: Path) -> RowSource:
    is_text_only = data_suffix(path) in (".csv", ".tsv")
    return RowSource(path=path, rows=lambda: iterate_rows(path), is_text_only=is_text_only)


def _hub_source(name: str, split: str | None) -> RowSource:
    try:
        import datasets
    except ImportError as error:
        what = f"{name!r} is no file or folder here; reading it from the hub"
        raise MissingExtra(what, "datasets", command="pip install datasets") from error
    try:
        found: Any = datasets.load_dataset(name, split=split)
    except (OSError, ValueError) as error:
        raise DataError(f"the hub data set could not be loaded: {error}", path=name) from error
    if isinstance(found, dict):
        if len(found) > 1 and DEFAULT_SPLIT not in found:
            raise DataError(f"choose one of the splits {', '.join(found)}", path=name)
        found = found[DEFAULT_SPLIT] if DEFAULT_SPLIT in found else next(iter(found.values()))
    return RowSource(
        path=Path(name), rows=lambda: (Row(i, dict(cells)) for i, cells in enumerate(found, start=1))
    )


def _missing_reason(place: Path) -> str:
    parent = place.parent
    if not parent.is_dir():
        return f"there is no such file, and the folder {parent} does not exist either"
    names = [entry.name for entry in parent.iterdir()]
    nearest = difflib.get_close_matches(place.name, names, n=1, cutoff=0.5)
    if nearest:
        return f"there is no such file. Did you mean {parent / nearest[0]}?"
    return f"there is no such file in {parent.resolve()}"
