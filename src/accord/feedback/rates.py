"""How many requests a minute somebody may make of the interface: by account, and by address.

The generic cell rate algorithm (ITU-T I.371) keeps one number for each: when its allowance is whole again. A
minute's worth may come at once. Workers of one server share the numbers by a file they all map into memory,
so that no request costs a query. Not guarded against: many addresses at once, and several machines, each of
which counts for itself.
"""

import fcntl
import hashlib
import ipaddress
import mmap
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import HTTPException

from accord.feedback.problems import problem

MINUTE_NS = 60_000_000_000
PLACES = 1 << 16
"""Accounts and addresses that are counted at one time; of more, whose allowance is whole soonest goes."""
PROBES = 8
"""Places looked at for one of them."""
ENTRY = struct.Struct("<8sq")
"""Hash of the name, and the time at which its allowance is whole again."""
UNDER = "/api/v1"
"""What is limited: the interface, not pages, health or figures."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Requests a minute; nothing is no limit."""

    account: int | None = None
    """Of an account, by all its sessions and tokens together."""
    address: int | None = None
    """Of an address, whoever asks; of IPv6 the first 64 bits."""

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return self.account is not None or self.address is not None


class Limiter:
    """Counts requests and says who has to wait, and how long."""

    def __init__(
        self, rates: Rates, *, file: Path | None = None, now_ns: Callable[[], int] = time.monotonic_ns
    ):
        """`file` is one that `shared_file` made, where several workers count together."""
        self.rates = rates
        self._now_ns = now_ns
        self._thread = threading.Lock()
        self._file = None if file is None else file.open("r+b")
        self._places: Any = (
            bytearray(PLACES * ENTRY.size) if self._file is None else mmap.mmap(self._file.fileno(), 0)
        )

    def check_account(self, account_id: str) -> None:
        """Count a request of an account; raises a 429 where it came too often."""
        wait_s = self.take(f"account {account_id}", self.rates.account)
        if wait_s:
            raise HTTPException(429, *_refusal("this account", self.rates.account, wait_s))

    def take(self, name: str, per_minute: int | None) -> float:
        """Count one request; 0, or the seconds after which it may come again, and then it is not counted."""
        if per_minute is None:
            return 0.0
        key = hashlib.blake2b(name.encode(), digest_size=8).digest()
        with self._thread:
            if self._file is None:
                return self._count(key, per_minute)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                return self._count(key, per_minute)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._places.close()
            self._file.close()

    def _count(self, key: bytes, per_minute: int) -> float:
        now, interval = self._now_ns(), MINUTE_NS // per_minute
        first = int.from_bytes(key, "little")
        places = [(first + k) % PLACES * ENTRY.size for k in range(PROBES)]
        found = {place: ENTRY.unpack_from(self._places, place) for place in places}
        own = next((place for place, (other, _) in found.items() if other == key), None)
        place = min(places, key=lambda one: found[one][1]) if own is None else own
        whole = now if own is None else max(found[place][1], now)
        over = whole + interval - now - MINUTE_NS
        if over > 0:
            return over / 1e9
        ENTRY.pack_into(self._places, place, key, whole + interval)
        return 0.0


def shared_file() -> Path:
    """A new file for the numbers of all workers of a server; whoever made it takes it away."""
    handle, name = tempfile.mkstemp(prefix="accord-rates-")
    with os.fdopen(handle, "wb") as file:
        file.truncate(PLACES * ENTRY.size)
    return Path(name)


class AddressLimit:
    """Refuses requests of an address that asks too often, before anything is looked up."""

    def __init__(self, application: Any, limiter: Limiter):
        self.application, self.limiter = application, limiter

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on, or answer it with a 429."""
        client = scope.get("client")
        if scope["type"] == "http" and client and scope["path"].startswith(UNDER):
            per_minute = self.limiter.rates.address
            wait_s = self.limiter.take(f"address {network_of(client[0])}", per_minute)
            if wait_s:
                await problem(429, *_refusal("this address", per_minute, wait_s))(scope, receive, send)
                return
        await self.application(scope, receive, send)


def network_of(host: str) -> str:
    """What is counted as one address: an IPv4 address, or the 64 bits that an IPv6 subscriber has."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((found, 64), strict=False))
    return str(found)


def _refusal(who: str, per_minute: int | None, wait_s: float) -> tuple[str, dict[str, str]]:
    seconds = int(-(-wait_s // 1))
    text = f"{who} may make {per_minute} requests a minute; ask again in {seconds} s"
    return text, {"Retry-After": str(seconds)}
