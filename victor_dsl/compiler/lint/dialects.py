"""A database that speaks another language than the component which refers to it."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.link import references
from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.language.config import DatabaseConfig
from victor_dsl.source.diagnostic import Diagnostic, Related


def databases_fit(subject: Subject) -> Iterator[Diagnostic]:
    """Every reference to a database whose type is known to fit none of what the field takes."""
    for variation, item in subject.first:
        for mark, name, leaf, path in references(item):
            if not mark.dialects:
                continue
            database = next(
                (one for one in variation.checked.sections["databases"] if one.id == f"databases/{name}"), None
            )
            config = database.component.config if database is not None else None
            if database is None or config is None or not issubclass(config, DatabaseConfig):
                continue
            if config.dialect is not None and config.dialect not in mark.dialects:
                wanted = " or ".join(mark.dialects)
                yield Diagnostic(
                    "wrong-database",
                    f"{item.id} needs a database of type {wanted}, but '{name}' is of type {database.component.type}",
                    leaf.span,
                    path,
                    f"name a database of type {wanted}",
                    related=(Related("the database", database.located.key_span or database.located.span),),
                )
