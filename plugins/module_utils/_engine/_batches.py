# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A script's batches: what stands between lines that say GO, on both engines.

GO is no SQL: Microsoft's tools cut a script there and send the parts one by one. It counts where it stands on a line of its
own, in any case, with a number of repetitions, a semicolon or a comment behind it if need be, and outside of comments,
strings and quoted names. What those are is each speaker's affair (``SYNTAX``). A line ends with LF, CR LF or CR. A byte order mark
between two statements, as files have that were put together from others, is left out: to a server it is a syntax error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Optional

from ._errors import RetailError

#: Finds where what begins at a match ends; None: the text ends first.
Skip = Callable[[str, "re.Match[str]"], Optional[int]]

_MARK = "\ufeff"
_SPACE = r"(?:[^\S\n]|%s)" % _MARK
GO_LINE = r"(?P<go>^{0}*GO(?:{0}+(?P<times>\d+))?{0}*;?{0}*(?:--[^\n]*|/\*(?:(?!\*/)[^\n])*\*/{0}*)?(?=\n|\Z))".format(
    _SPACE
)
#: Commands of sqlcmd itself, which nothing here would carry out: to run the rest without them would be wrong.
SQLCMD_LINE = (
    r"(?P<sqlcmd>^{0}*:(?:setvar|listvar|list|reset|ed|help|xml|perftrace|serverlist|r|on|connect|error|out|exit|quit)\b[^\n]*"
    r"|^{0}*:?!![^\n]*)"
).format(_SPACE)
#: Those of osql's that sqlcmd takes without a colon, too. A server would take most of them for the alias of what stands before them.
OSQL_LINE = r"(?P<osql>^{0}*(?:QUIT|RESET|ED|EXIT(?:{0}*\([^\n]*)?){0}*;?{0}*(?:--[^\n]*)?(?=\n|\Z))".format(_SPACE)
_LONE_CR = re.compile(r"\r(?!\n)")
#: As a program for Windows counts.
_MOST_TIMES = 2**31 - 1


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
    """What can hide a GO. ``opening``: named groups, each of which is skipped by the function of that name. ``commands``: what is
    refused, likewise named."""

    opening: str
    skip: dict[str, Skip]
    commands: tuple[str, ...] = (SQLCMD_LINE,)

    def pattern(self) -> re.Pattern[str]:
        parts = (self.opening, GO_LINE, *self.commands, "(?P<mark>%s)" % _MARK)
        return re.compile("|".join(parts), re.IGNORECASE | re.MULTILINE)


def split(text: str, syntax: Syntax, pattern: re.Pattern[str]) -> list[Batch]:
    """The batches of a script; what is blank is left out.

    :param pattern: the syntax's own, compiled.
    :raises RetailError: the script has commands of sqlcmd, such as ``:setvar``, or a GO with a number that is none.
    """
    batches: list[Batch] = []
    line = 1
    # What is looked at is as long as what is sent.
    seen = _LONE_CR.sub("\n", text)
    for start, end, times, marks in _parts(seen, syntax, pattern):
        part = _without(text, start, end, marks)
        blank = len(part) - len(part.lstrip())
        if part.strip():
            first = line + _without(seen, start, end, marks).count("\n", 0, blank)
            batches.append(Batch(len(batches) + 1, first, part, times))
        line += seen.count("\n", start, end)
    return batches


def _without(text: str, start: int, end: int, marks: Iterable[int]) -> str:
    """A part of the text without the characters at some places."""
    pieces = []
    for mark in marks:
        pieces.append(text[start:mark])
        start = mark + 1
    return "".join([*pieces, text[start:end]])


def _parts(text: str, syntax: Syntax, pattern: re.Pattern[str]) -> Iterator[tuple[int, int, int, list[int]]]:
    """Start, end and repetitions of each part, and where it has byte order marks. A separator's own line end begins the next part."""
    start = position = 0
    marks: list[int] = []
    while True:
        match = pattern.search(text, position)
        if match is None:
            break
        position = match.end()
        if match.lastgroup == "mark":
            marks.append(match.start())
        elif match.lastgroup in ("sqlcmd", "osql"):
            raise _sqlcmd(text, match)
        elif match.group("go") is not None:
            yield start, match.start(), _times(text, match), marks
            start, marks = position, []
        else:
            ended = syntax.skip[match.lastgroup or ""](text, match)
            if ended is None:
                break  # never closed: the server says so better than anybody
            position = ended
    yield start, len(text), 1, marks


def _times(text: str, match: re.Match[str]) -> int:
    digits = (match.group("times") or "1").lstrip("0")
    if digits and len(digits) <= len(str(_MOST_TIMES)) and int(digits) <= _MOST_TIMES:
        return int(digits)
    raise RetailError(
        "Line %d of the script says GO %s, which is no number of times."
        % (_line(text, match), match.group("times")[:60]),
        "Write a number from 1 to %d, or leave out what is not to run." % _MOST_TIMES,
    )


def _sqlcmd(text: str, match: re.Match[str]) -> RetailError:
    advice = "Write the script so that it needs none: plain SQL between lines that say GO."
    if match.lastgroup == "osql":
        advice += " A name that is one of these words, alone on its line, has to stand in brackets."
    command = match.group().replace(_MARK, "").strip()[:60]
    return RetailError("Line %d of the script is a command of sqlcmd: %s." % (_line(text, match), command), advice)


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


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
