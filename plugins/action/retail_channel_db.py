# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of retail_channel_db."""

from __future__ import annotations

from ansible_collections.axops.retail.plugins.plugin_utils.schema_action import SchemaAction


class ActionModule(SchemaAction):
    """Ships the schema package with the module."""

    MODULE = "axops.retail.retail_channel_db"
