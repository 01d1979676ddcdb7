# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords that are known when they are seen again, and everybody who might show them."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

#: Part of every password of this process. It has nothing that JSON, Python, SQL or ODBC writes in another way, so it
#: is found wherever a password was written, however that was quoted.
MARK = "pw" + secrets.token_hex(8)

#: What is around it. Ansible takes what stands between a colon and an at sign for a password, so one has none.
_SHAPES = ('it\'s "%s"; :/\\ }{ é%%$', "p@ss'%s\"[;=} @:")


class Vault:
    """Makes passwords; a task has them as variables, as it has those of Ansible's vault."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def new(self, purpose: str) -> str:
        """A template for a password that nobody has used yet; it has everything that must be quoted somewhere."""
        number = len(self.values)
        name = f"vault_{purpose}_{number}"
        self.values[name] = _SHAPES[number % len(_SHAPES)] % f"{MARK}{number}"
        return "{{ %s }}" % name

    def text(self, template: str) -> str:
        """The password itself."""
        return self.values[template.strip("{} ")]


def shown(text: str) -> list[str]:
    """The places where a password, or most of one, can be read; with what is around them."""
    found, start = [], text.find(MARK)
    while start >= 0:
        found.append(text[max(0, start - 80) : start + len(MARK) + 20])
        start = text.find(MARK, start + 1)
    return found


def shown_in(value: Any) -> list[str]:
    return shown(json.dumps(value, ensure_ascii=False, default=str))


def files_with_passwords(folders: Iterable[Path]) -> Iterator[Path]:
    """Files below the folders that hold a password."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and MARK.encode() in path.read_bytes():
                yield path


class ProcessList:
    """Watches what every new process of this machine shows of itself, as ps would."""

    def __init__(self, pause: float = 0.05) -> None:
        self.leaks: set[str] = set()
        self.seen = 0
        self._pause = pause
        self._known = set(self._pids())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProcessList:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(self._pause):
            for pid in self._pids():
                if pid not in self._known:
                    self._look_at(Path("/proc", pid))

    def _look_at(self, process: Path) -> None:
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                text = (process / name).read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                self.seen += 1
                self.leaks.update(shown(text))

    @staticmethod
    def _pids() -> list[str]:
        return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]
