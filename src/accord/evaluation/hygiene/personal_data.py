"""Personal data and secrets that have a shape: addresses of mail, numbers of phones, cards, accounts, keys.

    email, phone, card (Luhn), iban (mod 97), ssn (United States), ip (public IPv4), secret

What carries a check digit is checked, and what was set aside for examples (example.com, 555-01xx, documented
test numbers) does not count. Leaves out what has no shape: names, street addresses, birthdays and numbers of
other states are not found, and a row without a trace is not thereby free of personal data.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accord.domain.errors import EvaluationError
from accord.evaluation.intervals import Estimate
from accord.evaluation.measurement import Measurement

SHOWN = 20

EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]*@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}\b")
RESERVED_DOMAINS = re.compile(
    r"(?:^|\.)(?:example\.(?:com|org|net|edu)|test|example|invalid|localhost|localdomain)$", re.IGNORECASE
)
"""RFC 2606 and 6761, and example.edu, which is used alike."""
INTERNATIONAL = re.compile(r"(?<![\w+.])\+[1-9](?:[\s().-]{0,2}\d){7,14}(?![\d\w])")
NATIONAL = re.compile(
    r"(?<![\d\w+./-])(?:1[\s.-])?(?:\([2-9]\d{2}\)\s?|[2-9]\d{2}[\s.-])[2-9]\d{2}[\s.-]\d{4}(?![\d\w-])"
)
"""North American numbers: the only plan whose writing tells a phone from any other number."""
FICTION = re.compile(r"555\D{0,2}01\d\d$")
CARD = re.compile(r"(?<![\d\w.-])[3-6](?:[ -]?\d){12,18}(?![\d\w-])")
CARD_LENGTHS = range(13, 20)


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


TEST_CARDS = _set(
    """
    4111111111111111 4242424242424242 4012888888881881 4222222222222 5555555555554444 5105105105105100
    378282246310005 371449635398431 378734493671000 6011111111111117 6011000990139424 3530111333300000
    3566002020360505 30569309025904 38520000023237 4000056655665556 5200828282828210
    """
)
"""Numbers that payment firms publish for tests."""
IBAN = re.compile(r"(?<![\w])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![\w])")
EXAMPLE_IBANS = _set(
    "GB82WEST12345698765432 GB29NWBK60161331926819 DE89370400440532013000 FR1420041010050500013M02606"
)
SSN = re.compile(r"(?<![\d\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d\w-])")
EXAMPLE_SSNS = frozenset({"078-05-1120", "219-09-9999", "123-45-6789", "111-11-1111"})
IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
SECRETS = re.compile(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"
    r"|(?<!\w)(?:AKIA|ASIA)[0-9A-Z]{16}(?!\w)"
    r"|(?<!\w)gh[pousr]_[A-Za-z0-9]{36}(?!\w)"
    r"|(?<!\w)xox[abprs]-[A-Za-z0-9-]{20,}"
    r"|(?<!\w)sk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,}"
    r"|(?<!\w)eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
)


@dataclass(frozen=True)
class Trace:
    """One place that looks like personal data."""

    kind: str
    text: str

    @property
    def masked(self) -> str:
        """Enough to find it by, too little to read: a report of personal data must not spread them."""
        letters = [one if i < 2 or not one.isalnum() else "*" for i, one in enumerate(self.text)]
        return "".join(letters)[:40]


@dataclass(frozen=True, kw_only=True)
class PersonalData:
    """What a search of rows found."""

    rows: int
    found: tuple[tuple[str, int, Trace], ...]
    """(file, row from 0, trace), in the order of the rows."""
    excepted: int = 0
    """Traces that were named as allowed."""

    @property
    def rows_with(self) -> int:
        """Rows with a trace."""
        return len({(file, row) for file, row, _ in self.found})

    def rows_of(self, kind: str) -> int:
        """Rows with a trace of one kind."""
        return len({(file, row) for file, row, one in self.found if one.kind == kind})


def find_personal_data(text: str) -> list[Trace]:
    """Every trace in a text; a place that two kinds claim goes to the first of `KINDS`."""
    found: list[tuple[int, int, Trace]] = []
    for kind, find in KINDS.items():
        for start, piece in find(text):
            end = start + len(piece)
            if all(end <= other_start or start >= other_end for other_start, other_end, _ in found):
                found.append((start, end, Trace(kind, piece)))
    return [trace for _, _, trace in sorted(found, key=lambda one: one[0])]


def search_rows(files: Mapping[str, Sequence[str]], *, excepted: Collection[str] = ()) -> PersonalData:
    """Look through [file][row] texts; `excepted` are texts that do not count, such as one's own address."""
    allowed = {one.strip().lower() for one in excepted}
    total = sum(len(rows) for rows in files.values())
    if not total:
        raise EvaluationError("there are no rows to look through (n = 0)")
    kept, left_out = [], 0
    for name, rows in files.items():
        for row, text in enumerate(rows):
            for trace in find_personal_data(text):
                if trace.text.lower() in allowed:
                    left_out += 1
                else:
                    kept.append((name, row, trace))
    return PersonalData(rows=total, found=tuple(kept), excepted=left_out)


def personal_data_measurements(data: PersonalData, facts: Mapping[str, Any]) -> list[Measurement]:
    """`train_personal_data`: share of rows with a trace, and by kind; counted, so without sampling error."""
    kinds = Counter(trace.kind for _, _, trace in data.found)
    shown = {
        **facts,
        "traces": dict(sorted(kinds.items())),
        "excepted": data.excepted,
        "first_found": [
            {"file": file, "row": row, "kind": one.kind, "masked": one.masked}
            for file, row, one in data.found[:SHOWN]
        ],
        "not_looked_for": "names, street addresses, birthdays, numbers of other states",
    }

    def share(rows: int, slice_name: str, known: Mapping[str, Any]) -> Measurement:
        value = rows / data.rows
        counted = Estimate(value=value, low=value, high=value, n=data.rows, method="counted")
        return Measurement(
            metric="train_personal_data", slice=slice_name, estimate=counted, facts=dict(known)
        )

    whole = share(data.rows_with, "all", shown)
    return [whole, *(share(data.rows_of(kind), f"kind={kind}", facts) for kind in sorted(kinds))]


def _emails(text: str) -> Iterator[tuple[int, str]]:
    for match in EMAIL.finditer(text):
        if not RESERVED_DOMAINS.search(match.group().rpartition("@")[2]):
            yield match.start(), match.group()


def _phones(text: str) -> Iterator[tuple[int, str]]:
    for pattern in (INTERNATIONAL, NATIONAL):
        for match in pattern.finditer(text):
            if not FICTION.search(match.group()):
                yield match.start(), match.group()


def _cards(text: str) -> Iterator[tuple[int, str]]:
    for match in CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        is_real = len(digits) in CARD_LENGTHS and digits not in TEST_CARDS and len(set(digits)) > 1
        if is_real and _luhn(digits):
            yield match.start(), match.group()


def _ibans(text: str) -> Iterator[tuple[int, str]]:
    for match in IBAN.finditer(text):
        plain = match.group().replace(" ", "")
        # Words in capitals may follow: the number ends where its check digits say so.
        for size in range(min(34, len(plain)), 14, -1):
            if plain[:size] not in EXAMPLE_IBANS and _mod97(plain[:size]):
                yield match.start(), _first_letters(match.group(), size)
                break


def _ssns(text: str) -> Iterator[tuple[int, str]]:
    for match in SSN.finditer(text):
        if match.group() not in EXAMPLE_SSNS:
            yield match.start(), match.group()


def _addresses(text: str) -> Iterator[tuple[int, str]]:
    for match in IPV4.finditer(text):
        parts = match.group().split(".")
        if any((len(part) > 1 and part[0] == "0") or int(part) > 255 for part in parts):
            continue
        # Four small numbers are a version or a section far more often than an address.
        if all(int(part) < 20 for part in parts):
            continue
        if ipaddress.IPv4Address(match.group()).is_global:
            yield match.start(), match.group()


def _secrets(text: str) -> Iterator[tuple[int, str]]:
    for match in SECRETS.finditer(text):
        yield match.start(), match.group()


KINDS: Mapping[str, Callable[[str], Iterator[tuple[int, str]]]] = {
    "secret": _secrets,
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "ssn": _ssns,
    "phone": _phones,
    "ip": _addresses,
}
"""Kind -> (place, text) of each trace, the surest first."""


def _luhn(digits: str) -> bool:
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if i % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _mod97(iban: str) -> bool:
    turned = iban[4:] + iban[:4]
    return int("".join(str(int(one, 36)) for one in turned)) % 97 == 1


def _first_letters(text: str, count: int) -> str:
    """The start of a text that holds so many signs which are no spaces."""
    seen = 0
    for i, sign in enumerate(text):
        seen += sign != " "
        if seen == count:
            return text[: i + 1]
    return text
