# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the messages of the service go: standard error, for the journal of systemd, or a file that is rotated."""

from __future__ import annotations

import logging
import logging.handlers
import os

from .config import ServiceConfig

LOGGER = logging.getLogger("axops.retail.sync")

_FILE_SIZE = 5_000_000
_FILES = 5
#: What systemd reads in front of a line (sd-daemon(3)).
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))


class _Journal(logging.Formatter):
    """For the journal, which has the time already and wants the priority in front of each line."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
        return "\n".join("<%d>%s" % (priority, line) for line in super().format(record).splitlines())


def set_up(config: ServiceConfig) -> None:
    """Send the messages where the configuration says; may be called again with another one.

    :raises OSError: the log file cannot be opened.
    """
    handler = _handler(config.log_file)
    for old in list(LOGGER.handlers):
        LOGGER.removeHandler(old)
        old.close()
    LOGGER.addHandler(handler)
    LOGGER.setLevel(config.log_level.upper())
    LOGGER.propagate = False


def _handler(log_file: str) -> logging.Handler:
    if not log_file:
        handler: logging.Handler = logging.StreamHandler()
        if os.environ.get("JOURNAL_STREAM"):
            handler.setFormatter(_Journal("%(message)s"))
            return handler
    else:
        handler = logging.handlers.RotatingFileHandler(
            log_file, maxBytes=_FILE_SIZE, backupCount=_FILES, encoding="utf-8"
        )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler
