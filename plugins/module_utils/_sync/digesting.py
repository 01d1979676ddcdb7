# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which columns of a shared table its two sides can compare, whatever their engines, and in which form."""

from __future__ import annotations

from typing import Any

from .._engine import _canonical
from .._engine._canonical import Digest
from .pair import SharedTable


def digests_of(child: Any, parent: Any, shared: SharedTable, downloads: bool, left_out: list[str]) -> dict[str, Digest]:
    """How the rows of a table are summed up on both sides, so that equal rows have equal digests.

    :param child: the engine of the child, ``parent``: of the parent.
    :param downloads: whether the child has only the rows under the table's filter.
    :param left_out: gets the columns that cannot be compared.
    """
    columns, forms = [], []
    own = {column.name: column for column in shared.columns_of(shared.child)}
    theirs = {column.name: column for column in shared.columns_of(shared.parent)}
    for name in shared.columns:
        form = _canonical.common(child.digests.form(own[name]), parent.digests.form(theirs[name]))
        if form is None:
            left_out.append(name)
        else:
            columns.append(name)
            forms.append(form)
    return {
        "child": Digest(shared.child, tuple(own[name] for name in columns), tuple(forms)),
        "parent": Digest(
            shared.parent,
            tuple(theirs[name] for name in columns),
            tuple(forms),
            filter=shared.filter if downloads else (),
        ),
    }
