"""What the ledger's tests share: a clock that a test sets, logs in a directory, plain events."""

from pathlib import Path

from signer_daemon.ledger import AuditLog

KEY = bytes(range(32))
EVENT = {"event": "sign_transaction", "address": "A" * 44, "outcome": "allowed"}


class FakeClock:
    """Both clocks, moved by hand."""

    def __init__(self, wall_ms: int = 1_800_000_000_000, uptime_ms: int = 5_000_000) -> None:
        self.wall = wall_ms
        self.uptime = uptime_ms

    def wall_ms(self) -> int:
        """The wall clock."""
        return self.wall

    def uptime_ms(self) -> int:
        """The uptime clock."""
        return self.uptime

    def pass_ms(self, span_ms: int) -> None:
        """Lets time go by on both."""
        self.wall += span_ms
        self.uptime += span_ms


def open_log(path: Path, clock: FakeClock | None = None) -> AuditLog:
    """Opens the log in a file, new or not."""
    path.touch(0o600)
    return AuditLog(path, memoryview(KEY), clock or FakeClock())


def filled(path: Path, count: int) -> None:
    """Writes `count` records and closes."""
    log = open_log(path)
    log.append_many([{**EVENT, "number": number} for number in range(count)])
    log.close()


def lines_of(path: Path) -> list[bytes]:
    """The log's lines."""
    return path.read_bytes().splitlines(keepends=True)
