# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of the service: ``retail-sync run|supervise|once|status|verify|cleanup|rebaseline --config FILE``,
``retail-sync package make|show --config FILE``, and
``retail-sync quarantine|conflicts list|show|retry|discard --config FILE``; with ``--json`` where something is reported.

Exit codes: 0 all is well; 1 a problem was found; 2 wrong usage or an unusable configuration; 3 a database cannot be
reached.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, Callable

from .._engine._errors import ConnectFailed, RetailError, StatementFailed
from .._engine._wire import spelled
from . import cli_kept, once, package, rebaseline, report, status, upkeep, verify
from . import config as configuration
from .compare import LIMIT
from .runner import Runner
from .status import Document
from .supervise import Supervisor

OK, PROBLEM, USAGE, UNREACHABLE = 0, 1, 2, 3

_EPILOG = (
    "exit codes: 0 all is well; 1 a problem was found; 2 wrong usage or configuration; 3 a database cannot be reached"
)

_COMMANDS = {
    "run": "keep the pair in step until told to stop (SIGTERM); SIGHUP reads the configuration again",
    "supervise": "run in the background, and again whenever it ends; for hosts without an init system",
    "once": "run all scopes until nothing is pending, and say what moved",
    "status": "what waits in each direction, what went last, what is wrong; works while a database is down",
    "cleanup": "forget old deletions that everybody has heard of, old log rows and conflicts, on both sides",
    "package": "make a package from which the registers of this store load, or show one; a register loads from it by itself",
    "rebaseline": "begin anew: compare everything, and send what one side lacks; after a restore that nothing shows",
    "verify": "check rights, tracking, keys, sessions, row counts and the log on both sides; with --digest the rows themselves",
}
_LOOKS: dict[str, Callable[[configuration.ServiceConfig, argparse.Namespace], Document]] = {
    "cleanup": lambda config, _options: upkeep.clean(config),
    "once": lambda config, _options: once.run(config),
    "status": lambda config, _options: status.look(config),
    "verify": lambda config, options: verify.check(config, _rows(options)),
    "quarantine": cli_kept.run,
    "conflicts": cli_kept.run,
}
_PACKAGES: dict[str, Callable[[configuration.ServiceConfig, argparse.Namespace], Document]] = {
    "make": lambda config, options: upkeep.make_package(config, options.to or config.package, options.hours),
    "show": lambda config, options: package.show(options.to or config.package),
}
_LOOKS["package"] = lambda config, options: _PACKAGES[options.action](config, options)
_TEXTS: dict[str, Callable[[Document], list[str]]] = {
    "cleanup": report.cleanup,
    "once": report.once,
    "package": report.package,
    "status": report.status,
    "verify": report.verify,
    "quarantine": cli_kept.report,
    "conflicts": cli_kept.report,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "run":
            return Runner(options.config).run()
        if options.command == "supervise":
            return Supervisor(options.config, options.pid_file, options.output).run()
        if options.command == "rebaseline":
            return _rebaseline(options)
        return _look(options)
    except configuration.ConfigError as error:
        return _fail(error, USAGE)
    except ConnectFailed as error:
        return _fail(error, UNREACHABLE)
    except StatementFailed as error:
        return _fail(error, UNREACHABLE if error.kind == "lost" else PROBLEM)
    except RetailError as error:
        return _fail(error, PROBLEM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="retail-sync", description="Keeps a register's database and its store server's in step.", epilog=_EPILOG
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in _COMMANDS.items():
        _add(commands, name, text)
    for name, actions in cli_kept.ACTIONS.items():
        text = "what the %s has kept: %s" % (name, ", ".join(actions))
        command = commands.add_parser(name, help=text, description=text, epilog=_EPILOG)
        inner = command.add_subparsers(dest="action", required=True, metavar="ACTION")
        for action, meaning in actions.items():
            cli_kept.add_options(_add(inner, action, meaning, json_too=True), name, action)
    return parser


def _add(commands: Any, name: str, text: str, json_too: bool = False) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, epilog=_EPILOG)
    command.add_argument("--config", required=True, metavar="FILE", help="the configuration, a JSON file of mode 0600")
    if json_too or name in _LOOKS:
        command.add_argument("--json", action="store_true", help="print JSON")
    if name == "verify":
        _add_rows(command)
    if name == "package":
        _add_package(command)
    if name == "rebaseline":
        command.add_argument(
            "--moved", action="store_true", help="this child is the one, whichever other one the parent knows"
        )
    if name == "supervise":
        command.add_argument("--pid-file", required=True, metavar="FILE", help="where to write who runs")
        command.add_argument("--output", required=True, metavar="FILE", help="what is printed is appended here")
    return command


def _add_package(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", choices=sorted(_PACKAGES))
    command.add_argument(
        "--to", default="", metavar="FOLDER", help="the package's folder, if not that of the configuration"
    )
    command.add_argument(
        "--hours", type=float, default=package.HOURS, metavar="N", help="may be used so long (%(default)g)"
    )


def _add_rows(command: argparse.ArgumentParser) -> None:
    command.add_argument("--digest", action="store_true", help="compare the rows of both sides, by digests of them")
    command.add_argument(
        "--repair", action="store_true",
        help="make rows that differ travel again: downwards those of download scopes, upwards those of upload scopes, "
        "and by the policy for conflicts where they go both ways; with --digest",
    )  # fmt: skip
    command.add_argument(
        "--scope", action="append", default=[], metavar="NAME", help="compare this scope; may be repeated"
    )
    command.add_argument(
        "--table", action="append", default=[], metavar="ax.NAME", help="compare this table; may be repeated"
    )
    command.add_argument(
        "--limit", type=int, default=LIMIT, metavar="N", help="name at most N rows a table (%(default)s)"
    )


def _rows(options: argparse.Namespace) -> verify.Rows | None:
    if not (options.digest or options.repair):
        return None
    return verify.Rows(options.repair, tuple(options.scope), tuple(options.table), max(1, options.limit))


def _rebaseline(options: argparse.Namespace) -> int:
    rebaseline.order(configuration.load(options.config), options.moved)
    sys.stdout.write("The pair begins anew with its next session.\n")
    return OK


def _look(options: argparse.Namespace) -> int:
    document = _LOOKS[options.command](configuration.load(options.config), options)
    if options.json:
        text = json.dumps(document, indent=2, ensure_ascii=False)
    else:
        text = "\n".join(_TEXTS[options.command](document))
    sys.stdout.write(spelled(text) + "\n")
    if document.get("unreachable"):
        return UNREACHABLE
    return PROBLEM if document["problems"] or document.get("waiting") else OK


def _fail(error: RetailError, code: int) -> int:
    sys.stderr.write("retail-sync: %s\n" % error)
    return code
