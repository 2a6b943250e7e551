"""Named random streams: every draw of a run comes from one seed and a name, never from a global generator."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Streams:
    """A seed with a path of names. Equal paths give equal seeds in every process and on every machine."""

    seed: int
    path: tuple[str, ...] = ()

    def child(self, *names: str | int) -> "Streams":
        """The stream below this one under `names`, e.g. `streams.child("rollout", step)`."""
        return Streams(self.seed, (*self.path, *(str(name) for name in names)))

    @property
    def value(self) -> int:
        """A 63-bit seed for a generator of torch or numpy."""
        digest = hashlib.sha256("/".join((str(self.seed), *self.path)).encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1
