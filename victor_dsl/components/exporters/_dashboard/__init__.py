"""The dashboard: a page that shows events as they come, its server, and the history behind it."""
