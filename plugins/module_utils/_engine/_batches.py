# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A script's batches: what stands between lines that say GO, on both engines.

GO is no SQL: Microsoft's tools cut a script there and send the parts one by one. It counts where it stands on a line of its
own, in any case, with a number of repetitions, a semicolon or a comment behind it if need be, and outside of comments,
strings and quoted names. What those are is each speaker's affair (``SYNTAX``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Optional

from ._errors import RetailError

#: Finds where what begins at a match ends; None: the text ends first.
Skip = Callable[[str, "re.Match[str]"], Optional[int]]

_SPACE = r"[^\S\n]"
GO_LINE = r"(?P<go>^{0}*GO(?:{0}+(?P<times>\d+))?{0}*;?{0}*(?:--[^\n]*|/\*(?:(?!\*/)[^\n])*\*/{0}*)?(?=\n|\Z))".format(
    _SPACE
)
#: Commands of sqlcmd itself, which nothing here would carry out: to run the rest without them would be wrong.
SQLCMD_LINE = r"(?P<sqlcmd>^{0}*:(?:setvar|r|on|connect|error|out|exit|quit)\b[^\n]*|^{0}*!![^\n]*)".format(_SPACE)


class Batch(NamedTuple):
    """One part of a script.

    :param number: counted from 1.
    :param line: the line of the script, from 1, of its first line that is not blank.
    :param text: what is sent, as it stands in the script.
    :param times: how many times it runs.
    """

    number: int
    line: int
    text: str
    times: int = 1


class Syntax(NamedTuple):
    """What can hide a GO. ``opening``: named groups, each of which is skipped by the function of that name."""

    opening: str
    skip: dict[str, Skip]

    def pattern(self) -> re.Pattern[str]:
        return re.compile("|".join((self.opening, GO_LINE, SQLCMD_LINE)), re.IGNORECASE | re.MULTILINE)


def split(text: str, syntax: Syntax, pattern: re.Pattern[str]) -> list[Batch]:
    """The batches of a script; what is blank is left out.

    :param pattern: the syntax's own, compiled.
    :raises RetailError: the script has commands of sqlcmd, such as ``:setvar``.
    """
    batches: list[Batch] = []
    line = 1
    for start, end, times in _parts(text, syntax, pattern):
        part = text[start:end]
        blank = part[: len(part) - len(part.lstrip())]
        if part.strip():
            batches.append(Batch(len(batches) + 1, line + blank.count("\n"), part, times))
        line += part.count("\n")
    return batches


def _parts(text: str, syntax: Syntax, pattern: re.Pattern[str]) -> Iterator[tuple[int, int, int]]:
    """Start, end and repetitions of each part. A separator's own line end begins the next part."""
    start = position = 0
    while True:
        match = pattern.search(text, position)
        if match is None:
            break
        if match.lastgroup == "sqlcmd":
            raise _sqlcmd(text, match)
        if match.group("go") is None:
            ended = syntax.skip[match.lastgroup or ""](text, match)
            if ended is None:
                break  # never closed: the server says so better than anybody
            position = ended
            continue
        yield start, match.start(), int(match.group("times") or 1)
        start = position = match.end()
    yield start, len(text), 1


def _sqlcmd(text: str, match: re.Match[str]) -> RetailError:
    return RetailError(
        "Line %d of the script is a command of sqlcmd: %s."
        % (text.count("\n", 0, match.start()) + 1, match.group().strip()[:60]),
        "Write the script so that it needs none: plain SQL between lines that say GO.",
    )


def until(closing: str) -> Skip:
    """Skips to ``closing``; a doubled one, as in 'it''s', stands for itself."""

    def skip(text: str, match: re.Match[str]) -> int | None:
        found = text.find(closing, match.end())
        while found >= 0 and text.startswith(closing, found + 1):
            found = text.find(closing, found + 2)
        return None if found < 0 else found + 1

    return skip


def to_line_end(text: str, match: re.Match[str]) -> int | None:
    """Skips a comment that its line ends, leaving the line's end."""
    found = text.find("\n", match.end())
    return None if found < 0 else found


_COMMENT_MARKS = re.compile(r"/\*|\*/")


def nested_comment(text: str, match: re.Match[str]) -> int | None:
    """Skips a comment in which comments may stand."""
    depth = 1
    for mark in _COMMENT_MARKS.finditer(text, match.end()):
        depth += 1 if mark.group() == "/*" else -1
        if not depth:
            return mark.end()
    return None
