"""Detectors of personal data and keys. Each expression takes linear time on any text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

Spans = Iterator[tuple[int, int]]
Detector = Callable[[str, int], Spans]
"""Finds matches in a text from an offset on; the text before it is used only to look back."""

_SPACE = "\u00a0\u202f "
_DASH = "\u2010-\u2013-"
_GAP = f"[{_SPACE}.{_DASH}]"

_ADDRESS = re.compile(r"[\w.%+-]++@[\w-]++(?:\.[\w-]++)++")
_EMAIL = re.compile(rf"(?<![\w.%+-]){_ADDRESS.pattern}")

_PHONE = re.compile(
    rf"(?:\+|(?<![\w+])00)[1-9](?:[{_SPACE}()./{_DASH}]{{0,3}}\d){{6,14}}(?!\d)"  # international
    rf"|(?<![\w.,{_DASH}])0[1-9](?:[{_SPACE}./{_DASH}]?\d){{7,10}}(?!\d)"  # national, with its leading 0
    rf"|\(\d{{3}}\)[{_SPACE}]?\d{{3}}{_GAP}?\d{{4}}(?![\w{_DASH}])"  # North American
    rf"|(?<![\w.,{_DASH}])(?:1{_GAP})?\d{{3}}{_GAP}\d{{3}}{_GAP}?\d{{4}}(?![\w{_DASH}])"
)

_CARDS = tuple(
    re.compile(rf"(?<!\d)(?=({written})(?!\d))")
    for written in (
        r"\d{13,19}",
        rf"\d{{4}}(?:{_GAP}\d{{4}}){{3}}",
        rf"\d{{4}}(?:{_GAP}\d{{4}}){{3}}{_GAP}\d{{3}}",
        rf"\d{{4}}{_GAP}\d{{6}}{_GAP}\d{{4,5}}",
    )
)

_IBAN = re.compile(
    r"(?<![^\W_])(?:[A-Za-z]{2}\d{2}[A-Za-z0-9]{11,30}(?![^\W_])"
    rf"|[A-Z]{{2}}\d{{2}}(?:[{_SPACE}{_DASH}][A-Z0-9]{{4}}){{2,7}}(?:[{_SPACE}{_DASH}][A-Z0-9]{{1,4}})?(?![^\W_]))"
)

# The formats that services publish for secret scanners, and JSON Web Tokens.
_API_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{16,}+|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}+|gh[pousr]_[A-Za-z0-9]{36,}+"
    r"|github_pat_\w{40,}+|glpat-[A-Za-z0-9_-]{20,}+|npm_[A-Za-z0-9]{36,}+|A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])"
    r"|AIza[0-9A-Za-z_-]{35,}+|ya29\.[0-9A-Za-z_-]{20,}+|xox[abeprs]-[0-9A-Za-z-]{10,}+|hf_[A-Za-z0-9]{30,}+"
    r"|gsk_[A-Za-z0-9]{40,}+|eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]++)?+)"
)

WORD_MARKS = frozenset(".%+@-")
"""Characters of e-mail addresses and keys, besides letters, digits and `_`."""
NUMBER_MARKS = frozenset("+()./-\u2010\u2011\u2012\u2013" + _SPACE)
"""Characters of phone and card numbers, besides digits."""
LONGEST_NUMBER = 64
"""The most characters of a phone number, card number or IBAN as written."""

_SEVEN_DIGITS = re.compile(r"\d(?:\W{0,3}\d){6}")
"""Part of every phone and card number. Few texts contain it, and checking it is quick."""
_CHECK_DIGITS = re.compile(r"\d\d(?<=[A-Za-z]{2}\d\d)")

_LUHN = tuple(sum(divmod(2 * digit, 10)) for digit in range(10))


def emails(text: str, start: int) -> Spans:
    """E-mail addresses whose domain has a dot."""
    if "@" not in text:
        return
    for begin in chain((start,), (match.start() for match in _EMAIL.finditer(text, start))):
        found = _ADDRESS.match(text, begin)
        while found is not None:
            yield found.span()
            found = _ADDRESS.match(
                text, found.end()
            )  # an address may follow another without a gap, as may the first one here


def phones(text: str, start: int) -> Spans:
    """International numbers, national ones with a leading 0, and North American ones with gaps."""
    if _SEVEN_DIGITS.search(text, start):
        yield from (match.span() for match in _PHONE.finditer(text, start))


def cards(text: str, start: int) -> Spans:
    """Numbers of 13 to 19 digits, in one or in the usual groups, with a valid check digit (ISO/IEC 7812, Luhn)."""
    for written in _CARDS if _SEVEN_DIGITS.search(text, start) else ():
        for match in written.finditer(text, start):
            if luhn(re.sub(r"\D", "", match[1])):
                yield match.span(1)


def ibans(text: str, start: int) -> Spans:
    """Account numbers, in one or in groups of four, with valid check digits (ISO 13616)."""
    for match in _IBAN.finditer(text, start) if _CHECK_DIGITS.search(text, start) else ():
        written = match[0]
        while written:
            if _is_iban(re.sub(r"[^A-Za-z0-9]", "", written)):
                yield match.start(), match.start() + len(written)
                break
            written = re.sub(r"(?:^|[^A-Za-z0-9])[A-Za-z0-9]*$", "", written)  # words may follow an account number


def api_keys(text: str, start: int) -> Spans:
    """Keys of well-known services."""
    yield from (match.span() for match in _API_KEY.finditer(text, start))


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others. False for zeros only."""
    numbers = [ord(digit) - 48 for digit in digits] if digits.isascii() else [int(digit) for digit in digits]
    total = sum(numbers[-1::-2]) + sum(_LUHN[number] for number in numbers[-2::-2])
    return total % 10 == 0 and total > 0


def _is_iban(written: str) -> bool:
    turned = written[4:] + written[:4]
    return len(written) >= 15 and written.isascii() and int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


DETECTORS: Mapping[str, Detector] = {
    "email": emails,
    "phone": phones,
    "card": cards,
    "iban": ibans,
    "api_key": api_keys,
}
