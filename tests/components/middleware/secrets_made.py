"""Personal data and keys as people write them, made up; none is anybody's."""

from __future__ import annotations

import string
from itertools import pairwise
from random import Random

from victor_dsl.values.redaction.detectors import luhn

WORD = string.ascii_letters + string.digits
IBANS = {"DE": 18, "GB": 18, "FR": 23, "NL": 14, "NO": 11, "MT": 27}
KEYS = (
    ("sk-", 48), ("sk-proj-", 40), ("sk-ant-api03-", 90), ("ghp_", 36), ("github_pat_", 60), ("AIza", 35),
    ("xoxb-", 40), ("hf_", 34), ("gsk_", 52), ("glpat-", 20), ("npm_", 36), ("sk_live_", 24),
    ("hooks.slack.com/services/T0123ABCD/B0123ABCD/", 24), ("110201543:AA", 33),
)  # fmt: skip


def email(random: Random) -> str:
    local = "".join(random.choices(WORD + "._%+-", k=random.randint(1, 30))).strip("._%+-") or "bob"
    labels = ["".join(random.choices(string.ascii_lowercase + "-", k=random.randint(1, 12))).strip("-") or "a"
              for _ in range(random.randint(1, 3))]  # fmt: skip
    at = random.choice(["@", "@", "@", "@", "%40", "&#64;"])
    return f"{local}{at}{'.'.join(labels)}.{random.choice(['com', 'org', 'museum', 'de', 'co.uk'])}"


def card(random: Random) -> str:
    size = random.choice([13, 14, 15, 16, 16, 16, 19])
    body = random.choice("3456") + "".join(random.choices(string.digits, k=size - 2))
    digits = next(body + check for check in string.digits if luhn(body + check))
    gap = random.choice(["", " ", "-", ",", " | ", "   "])
    if not gap or size not in (15, 16, 19):
        return digits
    in_fours = size > 15 or (digits.startswith(("34", "37")) and random.random() < 0.5)
    cuts = (0, 4, 8, 12, 16, size) if in_fours else (0, 4, 10, 15)
    return gap.join(filter(None, (digits[a:b] for a, b in pairwise(cuts))))


def iban(random: Random) -> str:
    country, size = random.choice(list(IBANS.items()))
    body = "".join(random.choices(string.digits, k=size))
    checked = int("".join(str(int(sign, 36)) for sign in f"{body}{country}00"))
    written = f"{country}{98 - checked % 97:02}{body}"
    if random.random() < 0.5:
        return written
    return " ".join(written[at : at + 4] for at in range(0, len(written), 4))


def phone(random: Random) -> str:
    def digits(count: int) -> str:
        return str(random.randint(1, 9)) + "".join(random.choices(string.digits, k=count - 1))

    return random.choice(
        [
            f"+{digits(2)} {digits(3)} {digits(7)}",
            f"+{digits(2)}{digits(10)}",
            f"+1 ({digits(3)}) {digits(3)}-{digits(4)}",
            f"00{digits(2)} {digits(2)} {digits(4)} {digits(3)}",
            f"0{digits(2)} {digits(4)} {digits(4)}",
            f"0{digits(3)}/{digits(6)}",
            f"(0{digits(1)}) {digits(2)} {digits(2)} {digits(2)} {digits(2)}",
            f"({digits(3)}) {digits(3)}-{digits(4)}",
            f"{digits(3)}-{digits(3)}-{digits(4)}",
        ]
    )


def api_key(random: Random) -> str:
    prefix, size = random.choice(KEYS)
    return prefix + "".join(random.choices(WORD, k=size))


def private_key(random: Random) -> str:
    kind = random.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
    body = "".join(random.choices(WORD + "+/", k=random.randint(40, 900)))
    lines = [body[at : at + 64] for at in range(0, len(body) // 4 * 4, 64)]
    if kind == "RSA " and random.random() < 0.5:
        lines = ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0123456789ABCDEF", "", *lines]
    gap = random.choice(["\n", "\n", "\r\n", "\\n"])
    return gap.join([f"-----BEGIN {kind}PRIVATE KEY-----", *lines, f"-----END {kind}PRIVATE KEY-----"])


MAKERS = {
    "email": email,
    "card": card,
    "iban": iban,
    "phone": phone,
    "api_key": api_key,
    "private_key": private_key,
}
