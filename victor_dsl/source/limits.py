"""How large a file may be before it is refused: far more than people write, far less than harms."""

from __future__ import annotations

MAX_BYTES = 32 * 1024 * 1024
"""Of a spec."""

MAX_INCLUDED_BYTES = 1024 * 1024
"""Of a file that `${file:path}` names."""

MAX_DEPTH = 100
"""Of maps and lists in one another, aliases followed. The later passes recurse, and rely on it."""

MAX_NODES = 500_000
"""Of keys, values and ends of maps and lists in a file."""

MAX_ALIASED = 100_000
"""Of nodes that aliases and `<<` add to those written."""

MAX_FILES_DEEP = 32
"""Of files that extend one another."""
