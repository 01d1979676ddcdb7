# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SCRAM-SHA-256 verifiers as PostgreSQL stores them: computed here, so that no clear password goes to a server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stringprep
import unicodedata

_ITERATIONS = 4096
_STORED = re.compile(r"^SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$")
_PROHIBITED = (
    stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
    stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
    stringprep.in_table_c9, stringprep.in_table_a1,
)  # fmt: skip


def verifier(password: str, salt: bytes | None = None, iterations: int = _ITERATIONS) -> str:
    """The text for ``ALTER ROLE … PASSWORD``; a new salt at every call unless one is given."""
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    parts = (iterations, _text(salt), _text(stored), _text(_hmac(salted, b"Server Key")))
    return "SCRAM-SHA-256$%d:%s$%s:%s" % parts


def matches(stored: str | None, password: str) -> bool:
    """Whether ``stored`` was made from this password. Older MD5 hashes never match: they are to be replaced."""
    match = _STORED.match(stored or "")
    if not match:
        return False
    mine = verifier(password, base64.b64decode(match.group(2)), int(match.group(1)))
    return hmac.compare_digest(mine.encode(), stored.encode())


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _prepared(password: str) -> bytes:
    """SASLprep (RFC 4013); like the server, what it forbids is taken as it is."""
    if password.isascii():
        return password.encode("ascii")
    mapped = "".join(
        " " if stringprep.in_table_c12(mark) else mark for mark in password if not stringprep.in_table_b1(mark)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    if not normal or any(test(mark) for mark in normal for test in _PROHIBITED) or not _one_direction(normal):
        return password.encode("utf-8")
    return normal.encode("utf-8")


def _one_direction(text: str) -> bool:
    if not any(stringprep.in_table_d1(mark) for mark in text):
        return True
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(stringprep.in_table_d2(mark) for mark in text)
