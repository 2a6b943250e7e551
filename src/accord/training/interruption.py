"""Ctrl-C that lets a step finish: the first one asks, the second one stops at once."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LOGGER = logging.getLogger(__name__)


class Interruption:
    """Whether the user asked to stop."""

    def __init__(self) -> None:
        self.is_requested = False

    def request(self) -> None:
        """Ask for a stop after the step in progress."""
        self.is_requested = True


@contextmanager
def deferred_interrupt() -> Iterator[Interruption]:
    """Turn the first SIGINT in the block into a request; the second raises KeyboardInterrupt.

    The previous handler is back when the block is left. Outside the main thread
    Python delivers no signals, so there the block changes nothing.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def handle(signal_number: int, frame: FrameType | None) -> None:
        if interruption.is_requested:
            raise KeyboardInterrupt
        interruption.request()
        LOGGER.warning("stopping after this step; press Ctrl-C again to stop at once")

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if previous is None else previous)
