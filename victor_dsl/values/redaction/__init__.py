"""Finds personal data and keys in texts and messages, and removes them."""
