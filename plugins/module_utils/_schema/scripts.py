# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running a script of an upgrade package, batch by batch, so that the next run goes on where this one ended.

Each batch commits by itself, as with sqlcmd, unless the script opens transactions of its own. What was run is noted on the
same connection: a note that follows a batch of an open transaction is rolled back with it, and so always tells the truth. The
one gap is a power cut, or a kill -9, between a batch and its note; that batch is run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .._engine._batches import Batch
from .._engine._errors import RetailError, StatementFailed
from .._engine._model import Column, Table, TableName
from .upgrade import Script

PROGRESS = TableName("dbo", "upgrade_progress")

#: One row for each script that has begun and not ended. ``runs``: how many batches were run, repetitions counted;
#: ``checksum``: of their texts, so that a script can be corrected behind them, and not before.
PROGRESS_TABLE = Table(
    PROGRESS,
    tuple(
        Column.parse(name, text)
        for name, text in (
            ("script", "nvarchar(260) not null"),
            ("runs", "int not null"),
            ("checksum", "nvarchar(64) not null"),
            ("changed", "datetime not null default getutcdate()"),
        )
    ),
    primary_key=("script",),
)

#: So much of what a script prints is kept: its last lines, each cut at so many characters.
_LINES, _LINE_LENGTH = 100, 500


class Progress(NamedTuple):
    """How far a script has come."""

    runs: int
    checksum: str


class ScriptFailed(RetailError):
    """A batch was refused. ``script``: file, batch, line, what the engine said, and what the script had printed."""

    def __init__(self, message: str, advice: str, script: Mapping[str, Any]) -> None:
        super().__init__(message, advice)
        self.facts = {"script": dict(script)}


def read_progress(db: Any, tables: Iterable[TableName]) -> dict[str, Progress]:
    """How far the scripts have come that have begun and not ended, by file."""
    if PROGRESS not in tables:
        return {}
    rows = db.query("SELECT script, runs, checksum FROM %s" % db.engine.names.quote(*PROGRESS))
    return {script: Progress(int(runs), checksum) for script, runs, checksum in rows}


@dataclass
class Run:
    """One script that is to be run, whole or from where it ended.

    :param finish: the statements that say that the script has run, with parameters; they commit together.
    """

    script: Script
    batches: list[Batch]
    done: int
    finish: list[Any] = field(default_factory=list)
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))

    @property
    def runs(self) -> int:
        """How many batches there are, repetitions counted."""
        return sum(batch.times for batch in self.batches)

    def document(self) -> dict[str, Any]:
        """What the module returns of it."""
        release = self.script.release
        return {
            "file": self.script.file,
            "release": str(release) if release else None,
            "batches": self.runs,
            "resumed_at": self.done + 1 if self.done else None,
            "messages": list(self.messages),
        }

    def carry_out(self, connect: Callable[[], Any]) -> None:
        """Run what is left, on a connection of the script's own: settings that it makes end with it.

        :raises ScriptFailed: a batch was refused; what was run before it is noted.
        """
        with connect() as db:
            note = _Note(db, self.script.file)
            note.begin(self.done, _digest(self.batches, self.done).hexdigest())
            where = db.row(db.engine.scripts.OPEN_TRANSACTION)[1]
            for setting in db.engine.scripts.SETTINGS:
                db.execute(setting)
            digest, number = hashlib.sha256(), 0
            for batch in self.batches:
                for _time in range(batch.times):
                    number += 1
                    _add(digest, batch)
                    if number > self.done:
                        with _undisturbed():
                            self._send(db, batch)
                            self._note(note, number, digest.hexdigest(), batch)
            self._check_end(db, where)
            with db.transaction():
                for sql, parameters in [*self.finish, note.end()]:
                    db.execute(sql, *parameters)

    def _send(self, db: Any, batch: Batch) -> None:
        try:
            self._hear(db.run_batch(batch.text))
        except StatementFailed as error:
            self._hear(error.said)
            raise self._failure(batch, error) from error

    def _hear(self, said: Iterable[str]) -> None:
        self.messages.extend(line[:_LINE_LENGTH] for line in said)

    def _note(self, note: _Note, runs: int, checksum: str, batch: Batch) -> None:
        try:
            noted = note.update(runs, checksum)
        except StatementFailed as error:
            raise self._failure(batch, error, "what it did could not be noted") from error
        if not noted:
            raise self._failure(batch, None, "it left no place to note what was run: does it change the database")

    def _check_end(self, db: Any, began: str) -> None:
        """``began``: the database in which the script began, as the server spells it, which need not be as it was declared."""
        is_open, where = db.row(db.engine.scripts.OPEN_TRANSACTION)
        if is_open or where != began:
            what = "a transaction open" if is_open else "the database for %s" % where
            raise ScriptFailed(
                "%s leaves %s at its end." % (self.script.file, what),
                "Correct the script: it must end every transaction, and stay in the database.",
                self._facts(self.batches[-1], ""),
            )

    def _failure(self, batch: Batch, error: StatementFailed | None, what: str = "the database refused") -> ScriptFailed:
        said = error.message.rstrip(".") if error else ""
        return ScriptFailed(
            "%s, batch %d of %d, line %d: %s%s."
            % (self.script.file, batch.number, len(self.batches), batch.line, what, ": " + said if said else ""),
            "What was run before it is kept and noted: mend the cause, or the script from this batch on, and run again.",
            self._facts(batch, said),
        )

    def _facts(self, batch: Batch, said: str) -> dict[str, Any]:
        place = {"file": self.script.file, "batch": batch.number, "line": batch.line, "message": said}
        return {**place, "messages": list(self.messages)}


def make_run(engine: Any, script: Script, progress: Progress | None) -> Run:
    """What is left of a script.

    :raises RetailError: what was run of it already reads otherwise now, or it cannot be cut into batches.
    """
    try:
        batches = engine.scripts.split(script.text)
    except RetailError as error:
        raise RetailError("%s: %s" % (script.file, error.message), error.advice) from None
    run = Run(script, batches, progress.runs if progress else 0)
    if progress and (run.done > run.runs or _digest(batches, run.done).hexdigest() != progress.checksum):
        raise RetailError(
            "%s was changed in what was run of it already, its first %d batches." % (script.file, run.done),
            "Put back what was run, and change the script only behind it; or restore the database and start again.",
        )
    return run


def checksum(script: Script) -> str:
    """The SHA-256 of the script's text, whatever its encoding and line ends were."""
    return hashlib.sha256("\n".join(script.text.splitlines()).encode("utf-8", "surrogatepass")).hexdigest()


def _digest(batches: Iterable[Batch], runs: int) -> Any:
    digest, number = hashlib.sha256(), 0
    for batch in batches:
        for _time in range(batch.times):
            if number == runs:
                return digest
            number += 1
            _add(digest, batch)
    return digest


def _add(digest: Any, batch: Batch) -> None:
    text = "\n".join(batch.text.strip().splitlines()).encode("utf-8", "surrogatepass")
    digest.update(b"%d:" % len(text) + text)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C, a lost terminal or a polite kill wait until the batch that runs has been noted.

    :raises KeyboardInterrupt: at the end, where one of them came.
    """
    came: list[int] = []
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # signals are the main thread's affair
    before = {number: signal.signal(number, lambda number, _frame: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if came:
        raise KeyboardInterrupt


class _Note:
    """The row that tells how far a script has come."""

    def __init__(self, db: Any, script: str) -> None:
        self._db = db
        self._script = script
        self._table = db.engine.names.quote(*PROGRESS)
        self._changed = db.engine.types.default(PROGRESS_TABLE.columns[-1])

    def begin(self, runs: int, checksum: str) -> None:
        there = "SELECT 1 FROM %s WHERE script = ?" % self._table
        if self._db.value(there, self._script) is None:
            insert = "INSERT INTO %s (script, runs, checksum) VALUES (?, ?, ?)" % self._table
            self._db.execute(insert, self._script, runs, checksum)

    def update(self, runs: int, checksum: str) -> bool:
        update = "UPDATE %s SET runs = ?, checksum = ?, changed = %s WHERE script = ?" % (self._table, self._changed)
        # A script may have switched the server's counts off (SET NOCOUNT ON); then the row itself is asked.
        if self._db.execute(update, runs, checksum, self._script) == 1:
            return True
        row = self._db.row("SELECT runs, checksum FROM %s WHERE script = ?" % self._table, self._script)
        return row is not None and tuple(row) == (runs, checksum)

    def end(self) -> tuple[str, tuple]:
        return "DELETE FROM %s WHERE script = ?" % self._table, (self._script,)
