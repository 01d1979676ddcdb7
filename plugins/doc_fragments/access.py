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
      - The members of groups. Who is not declared is removed from a group that is named here; the members of other
        groups are left alone. The groups themselves are always there.
      - On PostgreSQL groups belong to the whole server; declare the same members for all of its databases.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the group, or of a database role.
          - Groups are V(RetailOfflineSyncUsers), V(POSUsers) and V(RetailDataSyncUsers); an offline database has no
            V(RetailDataSyncUsers), the HQ database has nothing else.
        type: str
        required: true
      members:
        description: Logins or, on SQL Server, Windows accounts and groups that have a login.
        type: list
        elements: str
        default: []
  logins:
    description:
      - Logins that must exist. Logins that are not declared are left alone.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the login, on SQL Server also that of a Windows account or group.
        type: str
        required: true
      password:
        description:
          - The password of the login. It is set when it differs.
          - Without one, the login is one of Windows on SQL Server, and has no password on PostgreSQL.
        type: str
"""
