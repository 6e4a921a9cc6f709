"""What components store things in: files, SQLite, PostgreSQL and Redis."""
