# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants: the product with one promise broken, to see which test notices. See tools/mutants.py.

The product knows nothing of this. A mutant is a phrase of one module's source and another one in its place; the source is
changed while Python reads it, in the process of the tests alone. A phrase that does not stand there exactly once is an
error, so no mutant can turn into the product as it is while the product changes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

PACKAGE = "ansible_collections.axops.retail.plugins.module_utils"
ROOT = Path(__file__).resolve().parents[2]


class NoMutant(Exception):
    """The mutant would not be what it says."""


@dataclass(frozen=True)
class Mutant:
    """``promise``: what is broken, a number of an invariant or an event. ``says``: what the product does then. ``module``: below
    module_utils, dotted. ``edits``: phrases, each with what stands in its place. ``tests``: those that are asked, the likeliest
    first. ``equivalent``: why nothing could notice it, where that is so."""

    name: str
    promise: str
    says: str
    module: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]
    equivalent: str = ""

    @property
    def path(self) -> Path:
        return ROOT / "plugins" / "module_utils" / (self.module.replace(".", "/") + ".py")

    def change(self, source: str) -> str:
        """The module's source with the promise broken.

        :raises NoMutant: a phrase does not stand there exactly once, or what comes out is no Python.
        """
        for old, new in self.edits:
            if source.count(old) != 1:
                raise NoMutant(f"{self.name}: {self.module} has {source.count(old)} times, not once: {old}")
            source = source.replace(old, new)
        try:
            compile(source, str(self.path), "exec")
        except SyntaxError as error:
            raise NoMutant(f"{self.name}: {error}") from None
        return source


class _Changed(SourceFileLoader):
    def __init__(self, fullname: str, path: str, mutant: Mutant) -> None:
        super().__init__(fullname, path)
        self.mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        """Never from a cache, and never into one."""
        source = self.get_data(self.get_filename(fullname)).decode("utf-8")
        return compile(self.mutant.change(source), self.path, "exec")


class Switch(MetaPathFinder):
    """Switches one mutant on, for the modules that are imported from now on. ``on``: whether it has been."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.fullname = f"{PACKAGE}.{mutant.module}"
        self.on = False
        if self.fullname in sys.modules:
            raise NoMutant(f"{mutant.name}: {self.fullname} has been imported before")
        sys.meta_path.insert(0, self)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Answers for the mutant's module alone."""
        if fullname != self.fullname:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        spec.loader = _Changed(fullname, spec.origin, self.mutant)
        self.on = True
        return spec
