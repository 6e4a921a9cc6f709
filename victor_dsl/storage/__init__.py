"""Files as components keep them: values made from a file, and SQLite. Imported where a component is built."""
