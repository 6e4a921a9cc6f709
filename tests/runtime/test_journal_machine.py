"""A state machine writes, reads, kills, cuts the power, fills the disk and damages files: what was promised is delivered, and nothing else."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from victor_dsl.runtime.delivery.feed import Feed
from victor_dsl.runtime.delivery.journal_records import encoded
from victor_dsl.storage.journal import Cursor, Disk, Position, Writer, cursors
from victor_dsl.storage.journal.segments import numbers, path_of
from victor_dsl.values.event import Event

SEGMENT = 1_500
READER = "exporters/x"


class SimulatedDisk(Disk):
    """A real folder, and what of it is not yet on the medium: that is lost when the power is cut."""

    def __init__(self) -> None:
        self.is_full = False
        self.paths: dict[int, Path] = {}
        """The open files."""
        self.unsynced: dict[Path, list[tuple[int, bytes]]] = {}

    def create(self, path: Path, size: int) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        descriptor = super().create(path, size)
        self.paths[descriptor] = path
        return descriptor

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        super().write(descriptor, data, offset)
        self.unsynced.setdefault(self.paths[descriptor], []).append((offset, data))

    def sync(self, descriptor: int) -> None:
        self.unsynced.pop(self.paths[descriptor], None)

    def sync_folder(self, path: Path) -> None:
        """The names are on the medium at once here."""

    def close(self, descriptor: int) -> None:
        del self.paths[descriptor]
        super().close(descriptor)

    def die(self) -> None:
        """The process ends: its files are closed as they are."""
        for descriptor in list(self.paths):
            self.close(descriptor)

    def cut_power(self, kept: float) -> None:
        """Loses what was not synced, but for a part; the write between them is torn."""
        for path, writes in self.unsynced.items():
            if path.exists():
                whole = int(kept * len(writes))
                with path.open("r+b") as file:
                    for place, (offset, data) in enumerate(writes[whole:]):
                        torn = 0 if place else len(data) // 2
                        file.seek(offset + torn)
                        file.write(bytes(len(data) - torn))
        self.unsynced.clear()


class Journals(RuleBasedStateMachine):
    """A process that writes a folder and delivers it, until it dies; then the next one delivers what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.disk = SimulatedDisk()
        self.lives = 0
        self.number = 0
        self._begin()

    def _begin(self) -> None:
        self.disk.is_full = False
        self.lives += 1
        self.folder = self.root / str(self.lives)
        self.folder.mkdir()
        self.writer = Writer(self.folder, self.disk, segment_bytes=SEGMENT)
        self.feed = Feed(self.folder, Cursor(self.folder, READER), live=True)
        self.written: dict[str, Position] = {}
        """The events of this life, each with the position after its record."""
        self.synced: set[str] = set()
        self.hurt: set[str] = set()
        """Those that damage may have cost."""
        self.sent: set[str] = set()

    @rule(count=st.integers(1, 5), size=st.sampled_from([0, 0, 50, 400, 4_000]))
    def append(self, count: int, size: int) -> None:
        """Appends events of one moment. On a full disk that may fail, and then their process keeps them in memory."""
        numbers = range(self.number, self.number + count)
        self.number += count
        events = [Event(f"e{n}", "error", 0.0, "s", None, "p", "", {}, {"t": "x" * size}) for n in numbers]
        ((payload, _),) = encoded(events)
        try:
            after = self.writer.append(payload)
        except OSError:
            assert self.disk.is_full
        else:
            self.written.update((event.id, after) for event in events)

    @rule()
    def sync(self) -> None:
        """Writes through to the medium."""
        self.writer.sync()
        self.synced |= set(self.written)

    @rule(full=st.booleans())
    def fill(self, full: bool) -> None:
        """The disk is full, or has room again."""
        self.disk.is_full = full
        assert self.writer.reserve() or full

    @rule(most=st.integers(1, 7))
    def deliver(self, most: int) -> None:
        """Sends a batch: never an event twice in one life."""
        events, position, _ = self.feed._read(most, self.writer.position)
        ids = {event.id for event in events}
        assert len(ids) == len(events) <= most
        assert not ids & self.sent
        assert ids <= set(self.written)
        self.sent |= ids
        self.feed.move(position)
        self.writer.free(self.feed.cursor.position)

    @rule()
    def send_in_vain(self) -> None:
        """Sends a batch to a store that is away: it is sent again later."""
        self.feed._read(3, self.writer.position)

    @rule(place=st.floats(0, 0.999), bit=st.integers(0, 7))
    def flip(self, place: float, bit: int) -> None:
        """A bit flips in the records of some segment: that costs one record at most."""
        paths = [path_of(self.folder, number) for number in numbers(self.folder)]
        paths = [path for path in paths if path.read_bytes()[:1] != b"\0"]
        if not paths:
            return
        path = paths[int(place * len(paths))]
        content = bytearray(path.read_bytes())
        at = int(place * len(content.rstrip(b"\0")))
        content[at] ^= 1 << bit
        path.write_bytes(content)
        behind = [after for after in self.written.values() if after.segment == int(path.stem) and after.offset > at]
        self.hurt |= {id for id, after in self.written.items() if after == min(behind, default=None)}

    @rule()
    def kill(self) -> None:
        """The process is killed: what it has written is there."""
        self.disk.die()
        self._adopt(set(self.written) - self.hurt)

    @rule(kept=st.floats(0, 1))
    def cut_power(self, kept: float) -> None:
        """The power is cut: what was synced is there."""
        self.disk.die()
        self.disk.cut_power(kept)
        self._adopt(self.synced - self.hurt)

    @rule()
    def flip_cursor_and_kill(self) -> None:
        """Both slots of the cursor are damaged: all that is still there is sent again, and nothing is missed."""
        self.disk.die()
        path = self.feed.cursor.path
        path.write_bytes(bytes(path.stat().st_size))
        self._adopt(set(self.written) - self.hurt)

    def _adopt(self, promised: set[str]) -> None:
        self.feed.cursor.close()
        feed = Feed(self.folder, cursors(self.folder)[READER], live=False)
        found: list[str] = []
        while True:
            events, position, _ = feed._read(4, None)
            found += [event.id for event in events]
            feed.move(position)
            if not events:
                break
        feed.cursor.close()
        assert len(set(found)) == len(found)
        assert promised <= self.sent | set(found) <= set(self.written)
        self._begin()

    def teardown(self) -> None:
        """The last process is killed, too."""
        try:
            self.kill()
            self.disk.die()
            self.feed.cursor.close()
        finally:
            shutil.rmtree(self.root)


TestJournals = Journals.TestCase
TestJournals.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
