"""Takes the picture of the dashboard, with Chromium: `python -m docs.dashboard_picture`. It shows times, so nothing checks it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import victor_dsl
from tests.browser import Page, browsing
from tests.services import free_port

ROOT = Path(__file__).parent.parent
PICTURE = Path(__file__).parent / "pictures" / "dashboard.png"
TOKEN = "an-example-token-for-everybody"
SESSIONS = (
    ("Where is my order 4711?", "Thank you."),
    ("Do you have lamps?", "Where is my order 4711?", "Can I pay later?"),
    ("Hello?", "Where is my order 4711?"),
    ("Where is my order 4711?", "Thank you.", "Goodbye."),
)


async def main() -> None:
    """Runs the example of the dashboard for some turns, and takes its picture."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(shutil.copytree(ROOT / "examples" / "live-dashboard", Path(folder, "example")), "victor.yml")
        port = free_port()
        os.environ |= {"DASH_PORT": str(port), "DASH_TOKEN": TOKEN, "NORTH_DASH_TOKEN": "an-example-token-for-north"}
        async with victor_dsl.open(str(spec)) as app, browsing(Path(folder)) as page:
            await page.look(width=1200, height=800)
            await page.open(f"http://127.0.0.1:{port}/")
            await _sign_in(page)
            for session, questions in enumerate(SESSIONS):
                for question in questions:
                    await app.answer(victor_dsl.Request(message=question, session=f"s{session}"))
            await page.until("document.body.innerText.includes('lookup_order')")
            await page.picture(PICTURE)


async def _sign_in(page: Page) -> None:
    await page.until("!document.getElementById('door').hidden && document.activeElement.id === 'token'")
    await page.type(TOKEN)
    await page.press("Enter")
    await page.until("document.getElementById('door').hidden")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
