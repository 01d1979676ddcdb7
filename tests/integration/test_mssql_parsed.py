# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server as the parser: it reads every statement of the speaker, backups included, and carries none of them out."""

from __future__ import annotations

import re
from collections.abc import Iterator

import mssql_world as world
import pytest
from mssql_said import everything, unparsed_statements

from ansible_collections.axops.retail.plugins.module_utils import _engine
from ansible_collections.axops.retail.plugins.module_utils._engine._database import Database
from ansible_collections.axops.retail.plugins.module_utils._engine._errors import StatementFailed

pytestmark = world.needs_server
#: What a server may not know at all: the plainest statement of the kind, from the manual.
KINDS = {
    "ALTER DATABASE": "ALTER DATABASE [a] SET RECOVERY SIMPLE",
    "BACKUP": "BACKUP DATABASE [a] TO DISK = N'b' WITH NAME = N'c'",
    "RESTORE": "RESTORE HEADERONLY FROM DISK = N'b'",
    "DBCC": "DBCC CHECKDB",
    "CREATE STATISTICS": "CREATE STATISTICS [a] ON [b] ([c]) WHERE [c] > 0",
}
#: How a server says that it has understood a statement, and lacks what it asks for.
UNSUPPORTED = re.compile(r"is not (currently|yet) supported")


@pytest.fixture
def parser() -> Iterator[Database]:
    """A connection on which statements are parsed, and not run."""
    with _engine.connect(world.server()) as db:
        try:
            db.run_batch("SET PARSEONLY ON")
        except StatementFailed as error:
            pytest.skip("this server does not know SET PARSEONLY: %s" % error.message)
        if db.run_batch("PRINT 'carried out'"):
            pytest.skip("this server knows no SET PARSEONLY: it would carry the statements out")
        yield db


def refusal(db: Database, text: str) -> str:
    try:
        db.run_batch(text.replace("?", "NULL"))
    except StatementFailed as error:
        return error.message
    return ""


def test_the_server_takes_every_statement(parser: Database) -> None:
    assert refusal(parser, "SELECT FORM WHERE"), "nonsense is noticed"
    said = {text: refusal(parser, text) for text in dict.fromkeys([*everything(), *unparsed_statements()])}
    missing = [kind for kind, plainest in KINDS.items() if refusal(parser, plainest)]
    refused = {text: words for text, words in said.items() if words and not UNSUPPORTED.search(words)}
    assert {text: words for text, words in refused.items() if not any(kind in text for kind in missing)} == {}
    left_out = [text for text, words in said.items() if words]
    if left_out:
        world.lacks(
            "%d of %d statements were not parsed: this server has no %s"
            % (len(left_out), len(said), ", ".join(missing))
        )
    assert len(said) > 280
