"""The writable memory of a process, read from outside by root, and the search for secrets in it."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PAGE_BYTES = 4096
_PIECE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Image:
    """What could be read: the pages of `ordinary` memory and the `locked` ones. Root could not read
    `hidden_bytes`.
    """

    ordinary: bytes
    locked: bytes
    hidden_bytes: int
    pages: frozenset[bytes] = field(repr=False)

    @classmethod
    def of(cls, pid: int, since: "Image | None" = None) -> "Image":
        """Read all mappings that are readable and writable; of an earlier image leave out the
        ordinary pages that are as they were.
        """
        known = since.pages if since is not None else frozenset()
        parts: dict[bool, list[bytes]] = {True: [], False: []}
        hidden_bytes = 0
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for start, end, name, is_locked in _mappings(pid):
                memory.seek(start)
                try:
                    parts[is_locked] += _used_pages(memory.read(end - start))
                except OSError:
                    # The kernel takes memfd_secret's pages out of its map; nothing else may hide.
                    assert name.startswith("/secretmem"), f"{name} cannot be read"
                    hidden_bytes += end - start
        changed = [page for page in parts[False] if page not in known]
        return cls(b"".join(changed), b"".join(parts[True]), hidden_bytes, frozenset(parts[False]))


def copies(memory: bytes, secrets: Mapping[str, bytes]) -> dict[str, int]:
    """How many copies of each secret stand there, by the form found most often; none: left out."""
    counts = {name: max(map(memory.count, forms(secret))) for name, secret in secrets.items()}
    return {name: count for name, count in counts.items() if count}


def forms(secret: bytes) -> set[bytes]:
    """What to look for: every 16-byte piece of a secret (all of a shorter one); how its hex and its
    base64 begin; and how it begins as HMAC hashes it when it is a key.
    """
    size = min(len(secret), _PIECE_BYTES)
    pieces = {secret[at : at + size] for at in range(0, len(secret) - size + 1, size)}
    encoded = {secret[:size].hex().encode(), b64encode(secret[: size - size % 3])}
    padded = {bytes(byte ^ pad for byte in secret[:size]) for pad in (0x36, 0x5C)}
    return pieces | encoded | padded


def _mappings(pid: int) -> Iterator[tuple[int, int, str, bool]]:
    """Bounds, name and whether it is locked, of each readable and writable mapping."""
    head: list[str] = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if "-" in fields[0]:
            head = fields
        elif fields[0] == "VmFlags:" and head[1].startswith("rw"):
            start, end = (int(bound, 16) for bound in head[0].split("-"))
            yield start, end, head[5] if len(head) > 5 else "", "lo" in line.split()


def _used_pages(region: bytes) -> Iterator[bytes]:
    """Without the pages that hold one byte only: untouched, wiped, or overwritten when freed."""
    pages = (region[at : at + _PAGE_BYTES] for at in range(0, len(region), _PAGE_BYTES))
    return (page for page in pages if page.count(page[:1]) != len(page))
