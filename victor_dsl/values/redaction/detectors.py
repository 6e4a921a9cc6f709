"""Detectors of personal data and keys. Each takes linear time on any text.

They read folded text (`folding.py`): ASCII digits, letters and signs in place of their look-alikes, without invisible
characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from attrs import frozen

Spans = Iterator[tuple[int, int]]

LONGEST_NUMBER = 96
"""The most characters of a phone number, card number or IBAN as written."""
LONGEST_PRIVATE_KEY = 32_768
"""The most characters of a private key as written."""


@frozen
class Detector:
    """One kind of match.

    `find(text, start)` gives the matches from an offset on; the text before it is used only to look back. `undecided(text, start,
    word)` is the first offset from which further text may change the matches after `start`; the text's length if there is none.
    `word` is where the word begins that the text may end in.
    """

    find: Callable[[str, int], Spans]
    undecided: Callable[[str, int, int], int]


def is_word_sign(sign: str) -> bool:
    """Whether words, e-mail addresses, keys, and passwords in URLs may contain it."""
    return sign.isalnum() or sign in "_.%+@-/:=&#;!$*~"


# E-mail addresses and keys

_ADDRESS = re.compile(r"(?:[\w.%+-]++(?:@|&#(?:0{0,3}64|[xX]0{0,3}40);)|[\w.%+-]+%40)[\w-]++(?:\.[\w-]++)++")
"""Also with the sign as URLs (`%40`) and HTML (`&#64;`) write it."""
_EMAIL = re.compile(rf"(?<![\w.%+-]){_ADDRESS.pattern}")

_AFTER_ESCAPE = r"(?<=\\[nrt])"
"""Behind the end of a line as JSON writes it, whose letter is no part of the word that follows."""

# The formats that services publish for secret scanners, and JSON Web Tokens.
_API_KEY = re.compile(
    rf"(?:(?<![A-Za-z0-9])|{_AFTER_ESCAPE}|(?<=\\u[0-9A-Fa-f]{{4}})|(?<=%[0-9A-Fa-f]{{2}}))"
    r"(?:sk-[A-Za-z0-9_-]{16,}+|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}+|whsec_[A-Za-z0-9]{24,}+"
    r"|gh[pousr]_[A-Za-z0-9]{36,}+|github_pat_\w{40,}+|gl(?:pat|dt|ptt|rt|soat)-[A-Za-z0-9_-]{20,}+|npm_[A-Za-z0-9]{36,}+"
    r"|A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])|AIza[0-9A-Za-z_-]{35,}+|ya29\.[0-9A-Za-z_-]{20,}+|GOCSPX-[A-Za-z0-9_-]{28,}+"
    r"|xox[abeprs]-[0-9A-Za-z-]{10,}+|xapp-[0-9A-Za-z-]{20,}+|hf_[A-Za-z0-9]{30,}+|gsk_[A-Za-z0-9]{40,}+|xai-[A-Za-z0-9]{40,}+"
    r"|pplx-[A-Za-z0-9]{40,}+|r8_[A-Za-z0-9]{30,}+|SG\.[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{16,}+|pypi-[A-Za-z0-9_-]{50,}+"
    r"|dckr_pat_[A-Za-z0-9_-]{20,}+|dapi[0-9a-f]{32}(?![0-9A-Za-z])|do[opr]_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}"
    r"|hvs\.[A-Za-z0-9_-]{24,}+|sbp_[0-9a-f]{40}|lin_api_[A-Za-z0-9]{40}|ntn_[A-Za-z0-9]{40,}+|glsa_\w{32,}+"
    r"|nvapi-[A-Za-z0-9_-]{40,}+|rubygems_[0-9a-f]{48}|figd_[A-Za-z0-9_-]{30,}+|dp\.(?:audit|ct|pt|sa|scim|st)\.[A-Za-z0-9]{40,}+"
    r"|pscale_(?:oauth|pw|tkn)_[A-Za-z0-9_.-]{32,}+|PMAK-[0-9a-f]{24}-[0-9a-f]{34}|sntry[su]_[A-Za-z0-9_-]{40,}+|NRAK-[A-Z0-9]{27}"
    r"|ATATT3[A-Za-z0-9_-]{50,}+|AGE-SECRET-KEY-1[0-9A-Z]{58}|tskey-[a-z]{3,20}-[A-Za-z0-9-]{20,}+|lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"
    r"|sq0(?:atp|csp)-[A-Za-z0-9_-]{22,}+|tgp_v1_[A-Za-z0-9_-]{40,}+|sb_secret_[A-Za-z0-9_-]{20,}+|HRKU-[A-Za-z0-9_-]{36,}+"
    r"|vk_[A-Za-z0-9_-]{43,}+"  # of `auth`, as its reference makes them
    r"|(?:bot)?\d{8,12}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"  # Telegram
    r"|eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]++)?+)"
)

_WEBHOOK = re.compile(r"hooks\.slack\.com/[a-z]{1,20}/[A-Za-z0-9_/-]{20,}+|/api/webhooks/\d{15,20}/[A-Za-z0-9_-]{60,}+")
"""Of Slack and Discord: who has the address may post."""

_ACCOUNT_KEY = re.compile(r"(?<=AccountKey=)[A-Za-z0-9+/]{86}==")
"""As connection strings of Azure have it."""

_USER_AND_PASSWORD = re.compile(r"(?<=://)[\w.%+~!$&*;=-]{0,64}+:[\w.%+~!$&*;=:#@-]{1,256}(?=@[\w\[])")
"""In a URL."""

_MARKED = (
    ("hooks.slack.com/", _WEBHOOK),
    ("/api/webhooks/", _WEBHOOK),
    ("AccountKey=", _ACCOUNT_KEY),
    ("://", _USER_AND_PASSWORD),
)
"""Secrets with the text that marks them. Few texts contain it, and searching for it is quick."""

_ELEVEN_SIGNS = re.compile(r"[A-Za-z0-9_-]{11}")
"""Part of every key. Few words are as long, and checking it is quick."""


def emails(text: str, start: int) -> Spans:
    """E-mail addresses whose domain has a dot."""
    if "@" not in text and "%40" not in text and "&#" not in text:
        return
    for begin in chain((start,), (match.start() for match in _EMAIL.finditer(text, start))):
        found = _ADDRESS.match(text, begin)
        while found is not None:
            yield found.span()
            # an address may follow another without a gap, as may the first one here
            found = _ADDRESS.match(text, found.end())


def api_keys(text: str, start: int) -> Spans:
    """Keys of well-known services, and passwords in URLs."""
    if _ELEVEN_SIGNS.search(text, start):
        yield from (match.span() for match in _API_KEY.finditer(text, start))
    for mark, pattern in _MARKED:
        if mark in text:
            yield from (match.span() for match in pattern.finditer(text, start))


def _last_word(text: str, start: int, word: int) -> int:
    return word


# Phone and card numbers

_BEGINS_NUMBER = rf"(?:(?<![\w.,-])|{_AFTER_ESCAPE})"
_PHONE = re.compile(
    rf"(?:\+|(?:(?<![\w+])|{_AFTER_ESCAPE})00)"
    r"[1-9](?:[ ()./-]{0,3}\d){6,14}(?!\d)"  # international
    rf"|{_BEGINS_NUMBER}0"
    r"[1-9](?:[ ./-]?\d){7,10}(?!\d)"  # national, with its leading 0
    r"|\(0[1-9]\d{0,3}\)(?:[ ./-]?\d){6,8}(?!\d)"  # national, with its area in brackets
    r"|\(\d{3}\) ?\d{3}[ .-]?\d{4}(?![\w-])"  # North American
    rf"|{_BEGINS_NUMBER}"
    r"(?:1[ .-])?\d{3}[ .-]\d{3}[ .-]?\d{4}(?![\w-])"
)

_GAP = r"(?:[ \t./_,|-]{1,3}|[ \t]?\r?\n[ \t]{0,2})"
"""What may stand between the groups of a card number or an IBAN: up to three spaces or signs, or the end of a line."""

_ISSUER = r"(?=[3-6]|2[2-7]|9792|1\d{14}(?!\d))"
"""How card numbers begin (ISO/IEC 7812): the first digits that card networks have; numbers of UATP have 15 digits."""

_CARDS = tuple(
    re.compile(rf"(?<!\d)(?=({_ISSUER}{written})(?!\d))")
    for written in (
        r"\d{13,19}",
        rf"\d{{4}}(?:{_GAP}\d{{4}}){{3}}",
        rf"\d{{4}}(?:{_GAP}\d{{4}}){{3}}{_GAP}\d{{3}}",
        rf"3[47]\d\d(?:{_GAP}\d{{4}}){{2}}{_GAP}\d{{3}}",  # American Express, as some write it
        rf"\d{{4}}{_GAP}\d{{6}}{_GAP}\d{{4,5}}",
    )
)

_NUMBER_SIGNS = frozenset("+()./-_,| \t\r\n")
"""Characters of phone and card numbers, besides digits."""

_SEVEN_DIGITS = re.compile(r"\d(?:[\W_]{0,5}\d){6}")
"""Part of every phone and card number. Few texts contain it, and checking it is quick."""

_LUHN = tuple(sum(divmod(2 * digit, 10)) for digit in range(10))


def phones(text: str, start: int) -> Spans:
    """International numbers, national ones with a leading 0, and North American ones with gaps."""
    if _SEVEN_DIGITS.search(text, start):
        yield from (match.span() for match in _PHONE.finditer(text, start))


def cards(text: str, start: int) -> Spans:
    """Numbers of 13 to 19 digits, in one or in the usual groups, with a valid check digit (ISO/IEC 7812, Luhn)."""
    for written in _CARDS if _SEVEN_DIGITS.search(text, start) else ():
        for match in written.finditer(text, start):
            if luhn(re.sub(r"\D", "", match[1])) and match[1].count("\n") < 2:
                yield match.span(1)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others. False for zeros only."""
    numbers = [int(digit) for digit in digits]
    total = sum(numbers[-1::-2]) + sum(_LUHN[number] for number in numbers[-2::-2])
    return total % 10 == 0 and total > 0


def _last_number(text: str, start: int, word: int) -> int:
    """Where the phone or card number begins that the text may end in; its length if there is none."""
    place = begins = len(text)
    start = max(start, place - LONGEST_NUMBER - 1)
    while place > start and (text[place - 1].isdecimal() or text[place - 1] in _NUMBER_SIGNS):
        place -= 1
        if text[place].isdecimal() or text[place] in "+(":
            begins = place
    return begins


# Account numbers

_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "AX DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE GG IE IM JE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "AO CV GW LY MZ PT ST",
        26: "DZ IR IS TR",
        27: "BI BL CF CG CM DJ FR GA GF GP GQ GR IT KM MC MF MG MQ MR NC PF PM RE SM TD TF WF YT",
        28: "AL AZ BF BJ BY CI CY DO GT HN HU LB MA ML NE NI PL SN SV TG",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
"""The characters of an IBAN by its country: SWIFT's IBAN registry, release 101, with overseas territories, and countries
that use IBANs without being in it."""

_IBAN_BEGINS = re.compile(rf"\d\d(?<=(?:(?<![^\W_])|{_AFTER_ESCAPE})([A-Za-z]{{2}})\d\d)")
"""The check digits after a country's letters: digits are rarer than letters, so that it finds them sooner."""


def ibans(text: str, start: int) -> Spans:
    """Account numbers, in one or in groups of four, with their country's length and valid check digits (ISO 13616)."""
    for match in _IBAN_BEGINS.finditer(text, start):
        if (length := _IBAN_LENGTHS.get(match[1].upper())) is not None:
            account = _account(length).match(text, match.start(1))
            if account is not None and _is_iban(re.sub(r"[\W_]", "", account[0])):
                yield account.span()


_ACCOUNTS: dict[int, re.Pattern[str]] = {}


def _account(length: int) -> re.Pattern[str]:
    """An account number of so many characters, perhaps in groups of four."""
    if length not in _ACCOUNTS:
        sign = "[A-Za-z0-9]"
        groups, rest = divmod(length, 4)
        end = rf"(?:{_GAP}{sign}{{{rest}}})" if rest else ""
        written = rf"{sign}{{{length}}}|{sign}{{4}}(?:{_GAP}{sign}{{4}}){{{groups - 1}}}{end}"
        _ACCOUNTS[length] = re.compile(rf"(?:{written})(?![^\W_])")
    return _ACCOUNTS[length]


_TO_THE_END = re.compile(rf"[A-Za-z0-9]{{4}}(?:{_GAP}[A-Za-z0-9]{{4}}){{0,8}}{_GAP}?[A-Za-z0-9]{{0,4}}[ \t]?\r?\Z")
"""Groups of four up to the end of the text."""


def _last_account(text: str, start: int, word: int) -> int:
    """Where the account number in groups begins that the text may end in; its last word's begin if there is none."""
    for match in _IBAN_BEGINS.finditer(text, max(start, len(text) - LONGEST_NUMBER - 1)):
        if match[1].upper() in _IBAN_LENGTHS and _TO_THE_END.match(text, match.start(1)):
            return min(word, match.start(1))
    return word


def _is_iban(written: str) -> bool:
    turned = written[4:] + written[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


# Private keys

_KIND = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_BETWEEN = r"""(?:[\s>|*#"',]|(?<=["'] )\+|\\{1,4}[nr]|<br ?/?>|\d{1,5}(?=[\s:|.\u2192])[:.\u2192]?)"""
"""Between lines: white space, escaped ends of lines, quotation, and the numbers of lines."""
_BREAK = rf"{_BETWEEN}{{1,12}}+"
_PRIVATE_KEY_BEGINS = re.compile(rf"-----BEGIN {_KIND}")
_PRIVATE_KEY_GOES_ON = re.compile(
    rf"(?:{_BREAK}[A-Z][A-Za-z-]{{2,20}}: [^\n\\]{{1,80}})*(?:{_BETWEEN}{{0,12}}+[A-Za-z0-9+/=]{{16,}}+)*"
)
_PRIVATE_KEY_ENDS = re.compile(rf"(?:{_BREAK}[A-Za-z0-9+/=]{{1,15}}+){{0,2}}{_BETWEEN}{{0,12}}+-----END {_KIND}")
_MOST_AFTER = 512
"""How far the end of a private key may be from its last long line."""
_MAY_BEGIN = re.compile(r"-{1,5}(?:B|BE|BEG|BEGI|BEGIN(?: [A-Z0-9 ]{0,60}-{0,5})?)?\Z")


def private_keys(text: str, start: int) -> Spans:
    """Private keys in PEM and in the armor of OpenPGP (RFC 7468, RFC 9580), also cut off, or with escaped ends of lines."""
    for match in _PRIVATE_KEY_BEGINS.finditer(text, start) if "-----BEGIN" in text else ():
        body, end = _private_key(text, match)
        if body > match.end():
            yield match.start(), end


def _private_key(text: str, begins: re.Match[str]) -> tuple[int, int]:
    """Where the lines of a private key end, and where its end marker ends, if it has one."""
    most = begins.start() + LONGEST_PRIVATE_KEY
    lines = _PRIVATE_KEY_GOES_ON.match(text, begins.end(), most)
    body = begins.end() if lines is None else lines.end()
    ends = _PRIVATE_KEY_ENDS.match(text, body, most)
    return body, body if ends is None else ends.end()


def _last_private_key(text: str, start: int, word: int) -> int:
    """Where the private key begins that the text may end in; its length if there is none."""
    for match in _PRIVATE_KEY_BEGINS.finditer(text, start) if "-----BEGIN" in text else ():
        body, end = _private_key(text, match)
        if end == body and len(text) - body <= _MOST_AFTER and len(text) - match.start() < LONGEST_PRIVATE_KEY:
            return match.start()
    window = max(start, len(text) - LONGEST_NUMBER)
    partial = _MAY_BEGIN.search(text, window) if text.find("-", window) >= 0 else None
    return len(text) if partial is None else partial.start()


DETECTORS: Mapping[str, Detector] = {
    "email": Detector(emails, _last_word),
    "phone": Detector(phones, _last_number),
    "card": Detector(cards, _last_number),
    "iban": Detector(ibans, _last_account),
    "api_key": Detector(api_keys, _last_word),
    "private_key": Detector(private_keys, _last_private_key),
}
