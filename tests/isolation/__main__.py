"""Whether any text of one tenant turns up at another: many tenants at once on one PostgreSQL, turns killed at random.

    python -m tests.isolation --tenants 50 --sessions 20

Every tenant has a mark that no other has. It stands in the tenant's id, its vars, its templates, its messages and what its
tools are asked. All tenants use the same session ids. Then everything that was sent to the model, answered, rendered,
stored, kept in memory, exported or logged is searched for marks: whatever has a foreign one is a leak.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.isolation.run import isolate
from tests.services import PostgresServer


def main() -> int:
    """Runs the search; exits 1 when there is a leak or a loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--sessions", type=int, default=20, help="of each tenant")
    parser.add_argument("--turns", type=int, default=3, help="of each session")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as data:
        server = PostgresServer(Path(data))
        server.start()
        try:
            dsn = server.dsn(server.create())
            findings = asyncio.run(isolate(dsn, Path(folder), **vars(options)))
        finally:
            server.stop()
    sys.stdout.write(findings.table())
    return 1 if findings.leaks or findings.losses else 0


if __name__ == "__main__":
    sys.exit(main())
