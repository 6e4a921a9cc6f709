"""Writes specs from the files of other tools, with a list of what was not taken."""
