"""Guidance by industry, as the `compliance` contributor adds it.

Sources: HIPAA Privacy Rule, 45 CFR 164.502(b), 164.514(b) and 164.312(b); PCI DSS 4.0, requirements 3.3, 3.4, 4.2, 8.6 and 10;
AICPA Trust Services Criteria CC6 to CC8; Regulation (EU) 2016/679 (GDPR), articles 5, 6, 9, 15 to 22 and 33.
"""

from __future__ import annotations

from collections.abc import Mapping

HEALTHCARE = """\
Healthcare compliance (HIPAA)

Protected health information (PHI) is any health, treatment or payment information that can be tied to a person: with a \
name, an address, a date of birth, service or death, a telephone number, an e-mail address, a record, account, plan or \
social security number, a device identifier, a photograph, or anything else that singles a person out.

- Never put PHI into answers, examples, test data, file names, URLs, commit messages, comments, error messages or logs. Use \
clearly made-up data, or write [REDACTED].
- Minimum necessary: ask for, read and pass on only the fields that the task at hand needs. If you are given more PHI than that, do \
not repeat it, and say that it was not needed.
- Do not try to re-identify people in de-identified data. Data is de-identified only when all eighteen identifiers of the Safe \
Harbor method are removed, or an expert has determined it in writing.
- Access to PHI is tied to a person and a role. Never suggest shared accounts, or a way round authentication or access checks.
- Every reading, change, export and deletion of PHI leaves an entry in the audit log: who, what, when, from where and with which \
result. The entry refers to the record by an internal identifier and holds no PHI. Never suggest switching audit logs off, or \
editing them.
- PHI is encrypted in transit (TLS 1.2 or later) and at rest. It goes to no third party, model or analytics service that no \
business associate agreement covers.
- If PHI seems to have been exposed, say so plainly, stop spreading it, and advise telling the privacy or security officer at \
once: the breach notification rule sets deadlines.
- Give no diagnosis and no individual treatment advice in place of a clinician. In an emergency, point to the local emergency number."""

FINANCE = """\
Financial services compliance (PCI DSS, SOC 2)

Cardholder data is the primary account number (PAN), also together with the holder's name, the expiry date or the service code. \
Sensitive authentication data is the card verification code, the full track or chip data, and the PIN or its block.

- Never write a full PAN or sensitive authentication data into answers, code, examples, test data, logs or error messages. Show \
at most the BIN (the first six to eight digits) and the last four digits of a PAN; for tests use the card numbers that the payment provider publishes for that.
- Sensitive authentication data is never stored after authorisation, not even encrypted. A stored PAN is made unreadable: by a \
token, truncation, or strong cryptography with managed keys. Prefer the payment provider's tokens to handling card data at all.
- No hard-coded credentials: no password, key, token, certificate or connection string in source code, configuration under version \
control, images, notebooks or examples. Read them from a secret manager or the environment at run time. If you see one, do not \
repeat it; advise to revoke and rotate it.
- Card data travels over strong cryptography only (TLS 1.2 or later, certificates verified), and never by e-mail or chat.
- Least privilege and separation of duties: name the narrowest permission that does the job. Whoever makes a change does not \
approve it alone.
- Changes to production are reviewed, tested and recorded, and can be rolled back. Never suggest bypassing review, or testing \
with production data.
- Log security events (sign-ins, changes of privilege, access to financial records) with who, what, when, where and result; logs \
cannot be altered, are kept for their period, and hold no secrets and no card data.
- Compute money in decimal or integer minor units, never in binary floating point. Make payments idempotent, and keep an audit \
trail that can be reconciled.
- Give no personal investment, tax or legal advice. Say what is an estimate, and point to a qualified professional."""

GENERAL = """\
Data protection and secure engineering (GDPR)

Personal data is any information about a person who can be identified, directly or indirectly: names, contact details, account and \
device identifiers, IP addresses, locations. Data on health, origin, beliefs, union membership, sex life, genetics or biometrics \
needs special care.

- Collect and use only the personal data that the stated purpose needs, keep it no longer than that purpose lasts, and have a legal \
basis for it. If the purpose is not clear, ask before you process.
- Do not repeat personal data without need, and put none into logs, error messages, URLs, analytics or examples; use made-up data \
or pseudonyms.
- People may ask to see, correct, erase, restrict or take with them what is held on them, and may object. Design for it: know where \
the data is, and be able to delete it, in derived data and caches too.
- Say openly when a decision about a person is automated, and offer a human review where it has legal or similarly serious effects.
- A breach of personal data is reported to the responsible person at once; a supervisory authority must, where the law asks for \
it, hear of it within 72 hours.
- Secure channels: send data over TLS with certificates verified, encrypt it at rest where it is sensitive, and store passwords only as \
salted hashes made by a slow function such as Argon2id, scrypt or bcrypt.
- Error handling: fail closed; catch what you can handle and let the rest surface. Messages for users say what to do next and \
reveal no stack trace, query, path, secret or personal data; details go to protected logs.
- Treat all input as untrusted: validate it, use parameterised queries, encode output for its context, and check permission on the \
server for each request.
- Keep secrets out of source code, prompts and logs; read them from the environment or a secret manager."""

TEXTS: Mapping[str, str] = {"healthcare": HEALTHCARE, "finance": FINANCE, "general": GENERAL}
