# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a child and its parent are to each other now, and the steps that make them know each other."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .._engine._errors import RetailError
from .._plan import Plan, Statement, Step
from .._sync import anew, quarantine
from .._sync.metadata import CONFLICT, PARENT, PEER, PEER_TABLE, QUARANTINE, SCOPE, STAGING, WINDOW, Peer
from . import rows
from .state import Entry, Side, read_low

#: Stands at the parent in place of a child's incarnation from the moment in which the child is going to be made anew. No
#: session runs then, and the next run of provisioning goes on with it.
VACANT = "reprovisioning"


@dataclass(frozen=True)
class Identity:
    """Who the child is. ``name``: as its parent calls it, such as HOUSTON-000001."""

    name: str
    store_id: str = ""
    register_id: str = ""


@dataclass
class Relation:
    """What the two databases know of each other.

    :param guid: the child's, known to both sides; new where ``begins`` is set.
    :param number: the child's number at its parent, None where it has to be registered.
    :param begins: the child gets its place anew, and all scopes begin anew.
    :param replaced: earlier registrations at the parent that this one takes the place of.
    :param kept: the child was to be made anew, and is to stay: the parent takes it as what it was.
    :param torn: why the two, which know each other, cannot just go on: the scopes begin anew, and bring back what one side has lost.
    """

    guid: str
    number: int | None = None
    begins: bool = False
    replaced: list[Peer] = field(default_factory=list)
    known_name: str = ""
    kept: bool = False
    torn: str = ""
    child_entries: dict[str, Entry] = field(default_factory=dict)
    parent_entries: dict[str, Entry] = field(default_factory=dict)


def relate(child: Side, parent: Side, identity: Identity, reprovision: bool) -> Relation:
    """Compare what both sides know.

    :raises RetailError: the child is somebody else, or has to be provisioned again and ``reprovision`` does not say so.
    """
    check_two_databases(child, parent)
    own = child.parent
    refuse_somebody_else(child, own, identity)
    known = next((peer for peer in parent.children if own is not None and peer.guid == own.guid), None)
    namesakes = [peer for peer in parent.children if peer is not known and _is_namesake(peer, identity)]
    vacant = [peer for peer in namesakes if peer.incarnation == VACANT]
    namesakes = [peer for peer in namesakes if peer not in vacant]
    relation = Relation(own.guid if own else "", known.peer_id if known else None, own is None, vacant)
    relation.child_entries = child.entries(PARENT if own else None)
    relation.parent_entries = parent.entries(relation.number)
    read_low(child)
    read_low(parent)
    reason = _reason_to_begin_again(child, parent, own, known, namesakes, relation)
    if reason and not reprovision:
        raise RetailError(
            reason,
            ("If another register has this store and register ID, give one of the two its own. " if namesakes else "")
            + "If one of the two was restored or moved, let the sync service run, which brings back what it has lost, or run again with "
            "reprovision: if_needed, which has that done at once. If one of them is a new database, it takes reprovision: if_needed.",
        )
    if reason and known is not None and known.incarnation != VACANT and not (namesakes or vacant):
        relation.known_name, relation.torn = known.name, reason
        return relation
    if reason or own is None or own.incarnation != parent.incarnation:
        replaced = namesakes + vacant + ([known] if known else [])
        return Relation(str(uuid.uuid4()), None, True, replaced)
    relation.known_name = known.name if known else ""
    relation.kept = known is not None and known.incarnation == VACANT
    return relation


class SameDatabase(RetailError):
    """One database cannot synchronise with itself."""


def check_two_databases(child: Side, parent: Side) -> None:
    """See that a pair are two.

    :raises SameDatabase: they are one; its locks would wait for themselves.
    """
    if child.incarnation and child.incarnation == parent.incarnation:
        raise SameDatabase(
            "%s and %s are the same database." % (_sentence(child.title), parent.title), "Name two different databases."
        )


def refuse_somebody_else(child: Side, own: Peer | None, identity: Identity) -> None:
    if own is None or (own.store_id, own.register_id) == (identity.store_id, identity.register_id):
        return
    raise RetailError(
        "%s is the one of store %r, register %r, not of store %r, register %r."
        % (_sentence(child.title), own.store_id, own.register_id, identity.store_id, identity.register_id),
        "Correct the IDs or the database's name; a database cannot become another register's.",
    )


def _is_namesake(peer: Peer, identity: Identity) -> bool:
    ids = (identity.store_id, identity.register_id)
    return peer.name == identity.name or (any(ids) and (peer.store_id, peer.register_id) == ids)


def _reason_to_begin_again(
    child: Side, parent: Side, own: Peer | None, known: Peer | None, namesakes: list[Peer], relation: Relation
) -> str:
    """Why the pair cannot just go on, "" where it can."""
    if namesakes:
        return "%s knows %s already (as number %d), and %s is another database." % (
            _sentence(parent.title), namesakes[0].name, namesakes[0].peer_id, child.title,
        )  # fmt: skip
    if own is None:
        return ""
    if known is not None and known.incarnation not in (child.incarnation, VACANT):
        return "%s is not the database that was provisioned: it was restored, moved or cloned." % _sentence(child.title)
    if not (known or relation.child_entries):
        return ""
    if own.incarnation != parent.incarnation:
        return "%s was provisioned against another database than %s is now." % (_sentence(child.title), parent.title)
    if known is None:
        return "%s does not know %s any more: it was restored or made anew." % (_sentence(parent.title), child.title)
    return _reason_in_scopes(child, parent, relation)


def _reason_in_scopes(child: Side, parent: Side, relation: Relation) -> str:
    """The same signs of a restored side that a session looks for."""
    for name, ours in relation.child_entries.items():
        theirs = relation.parent_entries.get(name)
        # One that begins anew already goes on with its next session.
        if theirs is None or theirs.state.anew is not None:
            continue
        if theirs.state.session_token not in (ours.state.session_token, ours.state.previous_token):
            return "The sessions of %s and %s in the scope %r do not continue each other: one was restored." % (
                child.title, parent.title, name,
            )  # fmt: skip
        if (ours.state.anchor_in or 0) > parent.low:
            return "%s was restored: %s has taken later changes from it." % (_sentence(parent.title), child.title)
        if (theirs.state.anchor_in or 0) > child.low:
            return "%s was restored: %s has taken later changes from it." % (_sentence(child.title), parent.title)
    return ""


def plan_relation(
    child: Side, parent: Side, relation: Relation, identity: Identity, open_database: Callable[[str], Any]
) -> Plan:
    """The steps after which the two databases know each other: the child's row first, then the parent's.

    Killed between the two, the next run finds the child's GUID and goes on with it.
    """
    plan = Plan()
    after = _document(identity)
    if relation.begins:
        before = _document_of(child.parent)
        title = "Make %s a child of %s, as %s" % (child.title, parent.title, identity.name)
        statements = _take_place(child, parent, relation, identity)
        plan.add(Step(title, (child.key, "peer"), before, after, child.key, statements))
    if relation.number is None:
        register = _Registration(child.key, parent.key, relation, identity, open_database)
        before = _document_of(relation.replaced[0]) if relation.replaced else None
        title = "Register %s in %s" % (identity.name, parent.title)
        # The old registration and the new one may look the same; that it is another number is what changes.
        after = dict(after, number="a new one") if relation.replaced else after
        plan.add(Step(title, (parent.key, "peers", identity.name), before, after, parent.key, action=register))
    elif relation.kept:
        sql = "UPDATE %s SET incarnation = ? WHERE peer_id = ?" % parent.engine.names.quote(*PEER)
        title = "Keep %s in %s as it is" % (identity.name, parent.title)
        keep: list[Statement] = [(sql, (child.incarnation, relation.number))]
        path = (parent.key, "peers", identity.name, "incarnation")
        plan.add(Step(title, path, VACANT, child.incarnation, parent.key, keep))
    elif relation.known_name != identity.name:
        sql = "UPDATE %s SET peer_name = ? WHERE peer_id = ?" % parent.engine.names.quote(*PEER)
        title = "Rename %s to %s in %s" % (relation.known_name, identity.name, parent.title)
        path = (parent.key, "peers", identity.name)
        rename: list[Statement] = [(sql, (identity.name, relation.number))]
        plan.add(Step(title, path, {"name": relation.known_name}, after, parent.key, rename))
    return plan


def plan_making_good(
    child: Side, parent: Side, relation: Relation, identity: Identity, open_database: Callable[[str], Any]
) -> Plan:
    """The step after which a pair of which one side was restored or moved goes on, behind all that changes its scopes: it takes back
    what they say of rows that were taken."""
    plan = Plan()
    if relation.torn:
        title = "Let %s and %s begin anew, with all that one of them has lost" % (identity.name, parent.title)
        action = _MakingGood(child.key, parent.key, open_database)
        path = (parent.key, "peers", identity.name, "begins anew")
        plan.add(Step(title, path, None, relation.torn, parent.key, action=action))
    return plan


@dataclass(frozen=True)
class _MakingGood:
    """A step that needs both databases."""

    child_key: str
    parent_key: str
    open_database: Callable[[str], Any]

    def __call__(self) -> None:
        anew.make_good(self.open_database(self.child_key), self.open_database(self.parent_key))


def _take_place(child: Side, parent: Side, relation: Relation, identity: Identity) -> list[Statement]:
    """The child's row for its parent; what it knew of an earlier one goes."""
    engine = child.engine
    statements: list[Statement] = [
        "DELETE FROM %s WHERE peer_id = %d" % (engine.names.quote(*table), PARENT) for table in (STAGING, SCOPE, PEER)
    ]
    # Versions of an earlier parent mean nothing to the new one.
    statements += [engine.tracking.forget_versions(table) for table in sorted(child.tracked)]
    values = _peer_values(parent.place.db.target.database, relation.guid, parent.incarnation, identity)
    return statements + [rows.insert(engine, PEER_TABLE, {"peer_id": PARENT, **values})]


def _peer_values(name: str, guid: str, incarnation: str, identity: Identity) -> dict[str, Any]:
    return {
        "peer_name": name,
        "peer_guid": guid,
        "incarnation": incarnation,
        "store_id": identity.store_id,
        "register_id": identity.register_id,
    }


@dataclass(frozen=True)
class _Registration:
    """The parent's row for the child: a step that needs both databases, for the child may only just have been made."""

    child_key: str
    parent_key: str
    relation: Relation
    identity: Identity
    open_database: Callable[[str], Any]

    def __call__(self) -> None:
        child, parent = self.open_database(self.child_key), self.open_database(self.parent_key)
        incarnation = child.engine.marks.incarnation(child)
        values = _peer_values(self.identity.name, self.relation.guid, incarnation, self.identity)
        quote = parent.engine.names.quote
        there = "SELECT peer_id FROM %s WHERE peer_guid = ? AND peer_id <> %d" % (quote(*PEER), PARENT)
        with parent.transaction():
            if parent.value(there, self.relation.guid) is not None:
                return
            # Before the old rows go, so that no number is ever given twice: rows that came from it carry it.
            number = int(parent.value("SELECT max(peer_id) FROM %s" % quote(*PEER)) or 0) + 1
            sql, parameters = rows.insert(parent.engine, PEER_TABLE, {"peer_id": number, **values})
            parent.execute(sql, *parameters)
            for peer in self.relation.replaced:
                # What was put aside of it may be nowhere else; it is the other database's to be tried again.
                quarantine.renumber(parent, peer.peer_id, child.engine.tracking.number_elsewhere)
                for table in (QUARANTINE, CONFLICT):
                    sql = "UPDATE %s SET peer_id = ? WHERE peer_id = ?" % quote(*table)
                    parent.execute(sql, number, peer.peer_id)
                for table in (WINDOW, STAGING, SCOPE, PEER):
                    parent.execute("DELETE FROM %s WHERE peer_id = ?" % quote(*table), peer.peer_id)


def _document(identity: Identity) -> dict[str, str]:
    return {key: value for key, value in vars(identity).items() if value}


def _document_of(peer: Peer | None) -> dict[str, str] | None:
    if peer is None:
        return None
    return _document(Identity(peer.name, peer.store_id, peer.register_id))


def _sentence(title: str) -> str:
    return title[:1].upper() + title[1:]
