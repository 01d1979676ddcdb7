# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, beside what it has to be: as a table for people, and as a page of the documentation."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured value. ``limit``: what it must not exceed, None where it is only told."""

    subject: str
    what: str
    value: float
    unit: str
    limit: float | None = None
    how: str = ""

    @property
    def held(self) -> bool:
        return self.limit is None or self.value <= self.limit

    @property
    def text(self) -> str:
        return spell(self.value, self.unit)

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return "\N{EN DASH}"
        return "at most %s%s" % (spell(self.limit, self.unit), "" if self.held else ": MISSED")


def spell(value: float, unit: str) -> str:
    """A value as it is read best: no more digits than mean something."""
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return ("{:,.%df} {}" % digits).format(value, unit).strip()


def table(figures: list[Figure]) -> str:
    width = max(len(figure.what) for figure in figures)
    lines = ["%-*s  %14s  %s" % (width, "", "measured", "has to be")]
    subject = ""
    for figure in figures:
        if figure.subject != subject:
            subject = figure.subject
            lines += ["", subject]
        lines.append("%-*s  %14s  %s" % (width, figure.what, figure.text, figure.verdict))
    return "\n".join(lines) + "\n"


PAGE = """..
  Copyright (c) 2026, the axops.retail contributors
  GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-License-Identifier: GPL-3.0-or-later

.. _ansible_collections.axops.retail.docsite.figures:

Figures
=======

Written by ``./dev bench --write`` on {date}, on {machine}. Machines differ, and this one may have been busy: what is to be
trusted is the ratios, whose two sides took turns in one run (medians).

{subjects}
"""


def page(figures: list[Figure]) -> str:
    """The page docs/docsite/rst/figures.rst."""
    subjects: dict[str, list[Figure]] = {}
    for figure in figures:
        subjects.setdefault(figure.subject, []).append(figure)
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    parts = [_subject(name, found) for name, found in subjects.items()]
    return PAGE.format(date=date, machine=_machine(), subjects="\n".join(parts).rstrip())


def _subject(name: str, figures: list[Figure]) -> str:
    lines = [name, "-" * len(name), "", ".. list-table::", "  :header-rows: 1", "  :widths: 60 20 20", ""]
    for what, value, verdict in [("What", "Measured", "Has to be"), *((f.what, f.text, f.verdict) for f in figures)]:
        lines += ["  * - %s" % what, "    - %s" % value, "    - %s" % verdict]
    return "\n".join([*lines, "", *dict.fromkeys(f.how for f in figures if f.how), ""])


def _machine() -> str:
    with Path("/proc/meminfo").open(encoding="ascii") as stream:
        gibibytes = int(stream.readline().split()[1]) / 1024**2
    return "%d cores and %.0f GiB of memory, Linux, Python %s" % (
        os.cpu_count() or 1,
        gibibytes,
        platform.python_version(),
    )
