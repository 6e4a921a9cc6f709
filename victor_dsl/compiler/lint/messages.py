"""The messages of the spec: examples read as conversations, and the template of what the user says passes it on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.templates.sources import Source, plain_parts, sources
from victor_dsl.lazy import Lazy
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Span

if TYPE_CHECKING:
    from victor_dsl.compiler.templates import family as families
else:
    families = Lazy("victor_dsl.compiler.templates.family")

MESSAGE = "message"
"""The name under which a template sees what the user says."""


def examples_are_conversations(subject: LintInput) -> Iterator[Diagnostic]:
    """They begin with the user, the roles alternate, and they end with the assistant, since the user's message follows."""
    seen: set[tuple[Span, str]] = set()
    for items in subject.distinct("messages"):
        for item, message, hint in _out_of_order(items):
            place = item.located.get("role") or item.located
            if (place.span, message) not in seen:
                seen.add((place.span, message))
                path = (*item.path, "role")
                yield Diagnostic("message-order", message, place.span, path, hint, severity="warning")


def _out_of_order(items: Sequence[Item]) -> Iterator[tuple[Item, str, str]]:
    roles = [getattr(item.config, "role", None) for item in items]
    if None in roles or not items:
        return
    if roles[0] == "assistant":
        message = "`messages` begins with the assistant, but some APIs want the user to begin"
        yield items[0], message, "add a message of the user before it"
    for before, role, item in zip(roles, roles[1:], items[1:], strict=False):
        if before == role:
            message = f"two messages of the {role} follow each other: some models refuse that, others join the two"
            yield item, message, "join them into one message, or add the message between them"
    if roles[-1] == "user":
        message = "`messages` ends with the user, and the message that follows is the user's, too"
        hint = "add the assistant's answer after it; text around the user's own message belongs in `message`"
        yield items[-1], message, hint


def what_the_user_says_is_sent(subject: LintInput) -> Iterator[Diagnostic]:
    """Each template of what the user says uses it."""
    for items in subject.distinct("message"):
        for source in (source for item in items for source in sources(item, subject.files, subject.included)):
            if not _uses_message(subject, source):
                note = "this template never uses `message`, so the user's message is not sent"
                hint = "write `{{ message }}` where it belongs"
                yield Diagnostic("lost-message", note, source.place, source.field, hint, severity="warning")


def nothing_else_is_called_message(subject: LintInput) -> Iterator[Diagnostic]:
    """No var and no input has the name under which the template of what the user says sees it."""
    seen: set[Span] = set()
    for variation in subject.variations:
        for item in variation.checked.sections["message"]:
            declared = variation.checked.document.at(("inputs", MESSAGE)) if MESSAGE in variation.inputs else None
            inputs = [] if declared is None else [(("inputs", MESSAGE), declared)]
            for path, written in (*variation.declarations(MESSAGE), *inputs):
                span = written.key_span or written.span
                if span in seen:
                    continue
                seen.add(span)
                message = f"'{MESSAGE}' cannot be the name of {'an input' if path[0] == 'inputs' else 'a var'} here"
                hint = "the template in `message` finds the user's message under this name; choose another name"
                related = (Related("the template", item.located.key_span or item.located.span),)
                yield Diagnostic("bad-name", message, span, path, hint, related=related)


def _uses_message(subject: LintInput, source: Source) -> bool:
    parts = plain_parts(source)
    if parts is not None:
        return MESSAGE in parts[1::2]
    family = families.read_family(source, subject.templates)
    return bool(family.faults) or any(MESSAGE in parsed.undeclared for parsed in family.templates.values())
