# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of modules that look after who may use a database."""

from __future__ import annotations


class ModuleDocFragment:
    """``axops.retail.access``: groups and logins."""

    DOCUMENTATION = r"""
options:
  groups:
    description:
      - Groups, their members and what they may do. The product's own groups are always there.
      - On PostgreSQL groups belong to the whole server; declare the same for all of its databases.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the group, or of a database role.
          - Groups are V(RetailOfflineSyncUsers), V(POSUsers) and V(RetailDataSyncUsers); an offline database has no
            V(RetailDataSyncUsers), the HQ database has nothing else. Any other name is a group of your own and needs
            O(groups[].permissions). The name of a login is none of a group.
        type: str
        required: true
      members:
        description: Logins or, on SQL Server, Windows accounts and groups that have a login. They are added.
        type: list
        elements: str
        default: []
      exclusive:
        description: Remove whoever is a member and not declared.
        type: bool
        default: false
      permissions:
        description:
          - What the group may do. One of the product's own groups then has just that, instead of what it has by default.
          - V(read), V(write) and V(execute) are for all tables and procedures, V(synchronise) is what the service of
            synchronisation needs besides, V(datasync) is what headquarters' account has, which only reads a store's
            transactions. At HQ there is no V(datasync).
        type: list
        elements: str
        choices: [datasync, execute, read, synchronise, write]
  logins:
    description:
      - Logins that must exist, or must not. Logins that are not declared are left alone.
      - On SQL Server, a user whose login got lost, as after a restore on another server, is reconnected with the login of its
        name.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the login, on SQL Server also that of a Windows account or group.
          - PostgreSQL keeps names that begin with C(pg_), and C(public) and C(none), for itself.
        type: str
        required: true
      password:
        description:
          - The password of the login.
          - Without one, the login is one of Windows on SQL Server, and has no password on PostgreSQL. An empty one is refused.
        type: str
      update_password:
        description: Whether the password is set whenever it differs, or only when the login is made.
        type: str
        choices: [always, on_create]
        default: always
      state:
        description: Whether the login exists. One that owns something, or is used elsewhere, is not dropped; the server says so.
        type: str
        choices: [present, absent]
        default: present
"""
