"""Keeping transformers' progress bars and peft's stale calls off the screen."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Within, transformers draws no bars; afterwards it does what it did before."""
    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()


@contextmanager
def without_peft_deprecations() -> Iterator[None]:
    """Within, peft may read a property that transformers has renamed; nobody here can act on that warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        yield
