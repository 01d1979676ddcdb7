# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a login may do in a database of a host, and where passwords can be read there."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any

SECRETS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "secrets"
#: What neither the service's account nor the POS must be able to do in a database.
FORBIDDEN = (
    'CREATE TABLE ax."NEW" (n int)',
    'DROP TABLE ax."RETAILTRANSACTIONTABLE"',
    'ALTER TABLE ax."RETAILTRANSACTIONTABLE" ADD COLUMN n int',
    'TRUNCATE ax."RETAILTRANSACTIONTABLE"',
    'ALTER TABLE ax."RETAILTRANSACTIONTABLE" DISABLE TRIGGER ALL',
    "CREATE SCHEMA mine",
    "CREATE ROLE friend",
    "CREATE DATABASE mine",
    "GRANT pg_read_all_data TO retail_sync",
    "SELECT pg_read_file('/etc/hostname')",
)
#: The same, where the table is synchronised.
FORBIDDEN_WHERE_TRACKED = (
    'DROP TABLE ax."RETAILTRANSACTIONTABLE_tracking"',
    'TRUNCATE ax."RETAILTRANSACTIONTABLE_tracking"',
)
_REFUSED = r"permission denied|must be owner of|must have admin option"
#: Where files of a host are that are not its system's own.
_PLACES = "/etc /home /opt /run /tmp /usr/local /var"


def secret(kind: str) -> str:
    """The password of this run for ``admin``, ``sync`` or ``pos``."""
    return (SECRETS / kind).read_text(encoding="utf-8").split()[0]


def ask(host: Any, user: str, password: str, database: str, *statements: str) -> Any:
    """Run statements one by one as a login, over the network as that login would."""
    command = "PGPASSWORD=%s psql --no-psqlrc --tuples-only --no-align --host=localhost --username=%s --dbname=%s"
    return host.run(command + " --command=%s" * len(statements), password, user, database, *statements)


def check_refused(host: Any, user: str, password: str, database: str, statements: tuple[str, ...]) -> None:
    """See that a login can connect, and is refused each of the statements for lack of a right."""
    assert ask(host, user, password, database, "SELECT session_user").stdout.strip() == user
    said = ask(host, user, password, database, *statements).stderr
    errors = [line for line in said.splitlines() if "ERROR:" in line]
    assert len(errors) == len(statements), said
    assert [line for line in errors if not re.search(_REFUSED, line)] == []


def check_unreadable(host: Any, *passwords: str) -> None:
    """See that nobody finds these passwords in a file, in the journal, or in the arguments of a process.

    Each search has to find a word that is there to be found, so that one which fails does not pass.
    """
    found = "to-be-found-" + secrets.token_hex(8)
    words = " ".join(f"-e {word}" for word in (found, *passwords))
    search = f"grep --recursive --files-with-matches --devices=skip --fixed-strings {words}"
    host.check_output(f"printf {found} >/var/tmp/{found}")
    host.check_output(f"logger {found} && journalctl --sync")
    try:
        files = host.run(f"runuser -u nobody -- {search} {_PLACES}")
        lines = host.check_output(f"journalctl --no-pager --output=cat | grep --fixed-strings {words}").splitlines()
        # the shell that runs this has the word in an argument
        arguments = host.check_output(f"ps -e -ww -o args=; : {found}")
    finally:
        host.check_output(f"rm /var/tmp/{found}")
    assert files.stdout.split() == [f"/var/tmp/{found}"], files.stdout + files.stderr
    assert set(lines) == {found}
    assert found in arguments
    assert [password for password in passwords if password in arguments] == []
