"""Secret text on a page: UTF-8 read one character at a time, NFKD, and the rules for a password.

A `str` of the whole would be a copy that nobody can wipe. A `str` of one character says nothing
about its neighbours, so that much is allowed.
"""

import unicodedata
from collections.abc import Iterator

from signer_daemon.vault.errors import PasswordInvalid, PasswordTooShort, TextInvalid
from signer_daemon.vault.memory import Page

PASSWORD_CHARACTERS_MIN = 12
PASSWORD_CHARACTERS_MAX = 256
SECRET_BYTES_MAX = 1024


def characters(text: memoryview) -> Iterator[str]:
    """Yields the characters of UTF-8 `text`. Raises TextInvalid where it is not UTF-8."""
    at = 0
    while at < len(text):
        lead = text[at]
        size = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
        try:
            # Strict: refuses overlong forms, surrogates, stray and missing continuation bytes.
            character = str(text[at : at + size], "utf-8")
        except UnicodeDecodeError:
            raise TextInvalid("the text is not UTF-8") from None
        yield character
        at += size


def check_password(
    password: memoryview,
    *,
    characters_min: int = PASSWORD_CHARACTERS_MIN,
    characters_max: int = PASSWORD_CHARACTERS_MAX,
) -> None:
    """Raises PasswordTooShort or PasswordInvalid unless the password keeps the rules."""
    if len(password) > SECRET_BYTES_MAX:
        raise PasswordInvalid(f"the password is longer than {SECRET_BYTES_MAX} bytes")
    try:
        count = sum(1 for _ in characters(password))
    except TextInvalid:
        raise PasswordInvalid("the password is not UTF-8") from None
    if count < characters_min:
        raise PasswordTooShort(f"the password has fewer than {characters_min} characters")
    if count > characters_max:
        raise PasswordInvalid(f"the password has more than {characters_max} characters")


def nfkd(text: memoryview, page: Page, *, bytes_max: int) -> memoryview:
    """Returns UTF-8 `text` in normalization form KD, on `page` (5 * `bytes_max` of it).

    Each character is decomposed by itself; then the one thing that reaches across characters is
    done here: marks are put in the order of their combining class, stably, as far as the last
    starter (class 0) (Unicode 3.11, D109). Raises TextInvalid if it is not UTF-8 or the result is
    longer than `bytes_max`.
    """
    out = page.take(bytes_max)
    size = 0
    with page.scratch(4 * bytes_max) as room:
        points = room.cast("I")
        for point in points[: _decompose(text, points)]:
            encoded = chr(point).encode()
            if size + len(encoded) > bytes_max:
                raise TextInvalid(f"the text is longer than {bytes_max} bytes after NFKD")
            out[size : size + len(encoded)] = encoded
            size += len(encoded)
    return out[:size]


def _decompose(text: memoryview, points: memoryview) -> int:
    """Writes the code points of the normal form to `points` and returns how many there are."""
    count = 0
    for character in characters(text):
        for part in unicodedata.normalize("NFKD", character):
            if count == len(points):
                raise TextInvalid(f"the text is longer than {count} characters after NFKD")
            mark = unicodedata.combining(part)
            at = count
            while mark and at and unicodedata.combining(chr(points[at - 1])) > mark:
                points[at] = points[at - 1]
                at -= 1
            points[at] = ord(part)
            count += 1
    return count
