"""What components store things in: files, SQLite, PostgreSQL and Redis."""


def migrate_command(node: str) -> str:
    """The command that creates the tables of a database, `databases/main`."""
    return f"victor db migrate SPEC --database {node.rpartition('/')[2]}"
