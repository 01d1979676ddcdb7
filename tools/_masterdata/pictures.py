# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small real pictures: PNG files of one colour, made without a library.

They are stored, not deflated, since compressors differ between machines and the data shall not.
"""

from __future__ import annotations

import hashlib
import struct
import zlib


def picture(name: str, side: int = 24) -> bytes:
    """A PNG of side x side pixels whose colour follows from the name; every byte value can occur in it."""
    color = hashlib.sha256(name.encode()).digest()[:3]
    line = b"\0" + color * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(line * side, 0))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
