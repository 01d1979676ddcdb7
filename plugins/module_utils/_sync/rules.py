# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules: what becomes of an incoming row. Spelled once, in SQL that every engine understands.

Aliases: ``i`` the incoming row (v version, b base version, e exactly so, n born at the sender, d deletion), ``t`` the tracking row here,
``w`` the window's row, if any. The answer is one of: ``seen`` (delivered before), ``same`` (identical image), ``conflict``,
``held`` (a change here has yet to go up; the row must come again), ``write``.

A rule is a function of three phrases that the speaker spells: the images are ``identical`` byte for byte; the row is ``absent``
here; the tracking row is ``pending``: the parent has not taken it yet.
"""

from __future__ import annotations

from typing import Callable

Decide = Callable[[str, str, str], str]


def upload(peer: int) -> Decide:
    """At the parent, for rows that come from the child with the number ``peer``.

    A conflict is a row that changed here, by somebody else, after the version that the child's image derives from; an update
    of a row that is gone here without a trace; or a row born at the child whose key stands here since the baseline.

    On PostgreSQL a version is the number of a transaction, and one that began early may write a row last: where the very version
    is known that the child's image came with, any other one says that the row has changed here since.
    """

    def decide(identical: str, absent: str, pending: str) -> str:
        return _case(
            ("w.version IS NOT NULL", "seen"),
            (identical, "same"),
            (
                "t.version IS NOT NULL AND (t.origin IS NULL OR t.origin <> %d) "
                "AND (t.version > i.b OR i.e = 1 AND t.version <> i.b)" % int(peer),
                "conflict",
            ),
            ("t.version IS NULL AND i.n = 0 AND i.d = 0 AND %s" % absent, "conflict"),
            ("t.version IS NULL AND i.n = 1 AND i.d = 0 AND NOT (%s)" % absent, "conflict"),
        )

    return decide


def download(upwards: bool) -> Decide:
    """At the child, for rows that come from the parent.

    :param upwards: whether changes here go up in this scope. Then a pending one is left alone until the parent has judged it;
        else the parent's image wins over it at once, and the image here is kept as a conflict.
    """

    def decide(identical: str, absent: str, pending: str) -> str:
        changed_here = "t.version IS NOT NULL AND (t.origin IS NULL OR t.origin <> 0)"
        # A row can go and come again under a filter without a new version of its own.
        seen = ("t.origin = 0 AND t.parent_version = i.v AND t.sync_row_is_tombstone = i.d", "seen")
        if upwards:
            return _case(seen, ("%s AND %s" % (changed_here, pending), "held"), (identical, "same"))
        return _case(seen, (identical, "same"), (changed_here, "conflict"))

    return decide


def anew(peer: int, kind: str, child_lost: bool, parent_lost: bool, fill: bool) -> Decide:
    """At the parent, for rows of a child that begins anew, since one of the two was restored or moved.

    :param kind: what the child knows of its row: ``unchanged`` here since it came; ``taken``, the parent has had this version;
        ``changed``, it may not have had it.
    :param child_lost: the child may have lost rows and changes that the parent took from it: where the parent has another image
        from that child, nobody can tell which one is the newer.
    :param parent_lost: so may the parent: what it has taken is to be given again.
    :param fill: a row that the parent has no trace of was lost there, and not deleted.
    """
    other = "(t.origin IS NULL OR t.origin <> %d)" % int(peer)
    newer = "t.version IS NOT NULL AND %s AND t.version > i.b" % other

    def given_again(absent: str) -> str:
        lost = "%s AND t.version IS NULL AND i.d = 0 AND %d = 1" % (absent, fill)
        # The parent has an older image of ours.
        older = "t.version IS NOT NULL AND NOT %s AND i.d = 0 AND %d = 1" % (other, parent_lost)
        return "%s OR %s" % (lost, older)

    def old(identical: str, absent: str, pending: str) -> str:
        return _case((identical, "same"), ("NOT (%s)" % given_again(absent), "seen"))

    def unchanged(identical: str, absent: str, pending: str) -> str:
        # It came from the parent with a version that the parent has lost: this is the newest image there is, unless somebody
        # has changed the older one since.
        forgotten = "(i.b >= 0 AND %d = 1)" % parent_lost
        return _case(
            (identical, "same"),
            ("%s AND t.version > i.b" % forgotten, "conflict"),
            ("NOT (%s OR %s)" % (given_again(absent), forgotten), "seen"),
        )

    def taken(identical: str, absent: str, pending: str) -> str:
        return _case(
            (identical, "same"), ("%s AND t.version IS NOT NULL AND %s" % (absent, other), "seen"), (newer, "conflict")
        )

    def changed(identical: str, absent: str, pending: str) -> str:
        return _case(
            (identical, "same"),
            ("t.origin = %d AND %d = 1" % (peer, child_lost), "conflict"),
            (newer, "conflict"),
            ("t.version IS NULL AND i.n = 0 AND i.d = 0 AND %s AND %d = 0" % (absent, fill), "conflict"),
            ("t.version IS NULL AND i.n = 1 AND i.d = 0 AND NOT (%s)" % absent, "conflict"),
        )

    if kind in ("changed", "unchanged"):
        return changed if kind == "changed" else unchanged
    return taken if kind == "taken" and parent_lost else old


def _case(*branches: tuple) -> str:
    return "CASE %s ELSE 'write' END" % " ".join("WHEN %s THEN '%s'" % branch for branch in branches)
