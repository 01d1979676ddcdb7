# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of a module that needs the schema: packs the schema folders and ships them as one file."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._schema import package

SCHEMAS = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "schemas")
#: The complete schema, and what HQ has besides.
BASE, HQ = "ax2012r3", "ax2012r3_hq"
#: The module's internal option that says where the file is.
OPTION = "_schema_package"


def folders(tier: str, extensions: list[str]) -> list[str]:
    """The schema folders that a database of this tier is made from, the complete schema first."""
    packaged = [BASE, HQ] if tier == "hq" else [BASE]
    return [os.path.join(SCHEMAS, name) for name in packaged] + extensions


class SchemaAction(ActionBase):
    """Runs ``MODULE`` with the schema that its options ``tier``, ``release`` and ``extensions`` ask for."""

    MODULE = ""
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if OPTION in arguments:
            raise AnsibleActionFail("%s is internal: leave it out." % OPTION)
        content = self._packed(arguments)
        try:
            arguments[OPTION] = self._shipped(content)
            result.update(self._execute_module(self.MODULE, arguments, task_vars=task_vars))
        finally:
            self._remove_tmp_path(self._shell.tmpdir)
        return result

    @property
    def _shell(self) -> Any:
        return self._connection._shell  # noqa: SLF001 - what Ansible's own action plugins do

    def _packed(self, arguments: dict[str, Any]) -> bytes:
        extensions = arguments.get("extensions") or []
        if isinstance(extensions, str):
            extensions = extensions.split(",")
        found = [self._find_needle("schemas", str(path).strip()) for path in extensions]
        try:
            wanted = folders(arguments.get("tier") or "channel", found)
            return package.dumps(package.load(wanted, arguments.get("release")))
        except RetailError as error:
            raise AnsibleActionFail(str(error)) from error

    def _shipped(self, content: bytes) -> str:
        shell = self._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        path = shell.join_path(shell.tmpdir, "schema.json.gz")
        self._transfer_data(path, content)
        self._fixup_perms2((shell.tmpdir, path))
        return path
