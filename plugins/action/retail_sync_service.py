# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of retail_sync_service: it packs the service and takes it to the host."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._sync import config
from ansible_collections.axops.retail.plugins.plugin_utils import _service_archive

_FILE_NAME = "retail-sync.pyz"


def _check_name(arguments: dict[str, Any]) -> None:
    """Before anything is packed and taken to a host. Where there is none, the module says what it needs."""
    if arguments.get("name") is None:
        return
    try:
        config.check_name(str(arguments["name"]))
    except RetailError as error:
        raise AnsibleActionFail(str(error), result=error.report) from None


class ActionModule(ActionBase):
    """Hand the module the packed service: where it is on the host, and its digest."""

    TRANSFERS_FILES = True
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Pack, transfer, run the module, and clean up."""
        result = super().run(tmp, task_vars)
        del tmp
        arguments = dict(self._task.args)
        for name in ("archive_path", "archive_sha256"):
            if name in arguments:
                raise AnsibleActionFail(f"The option {name} is set by the action plugin and cannot be given.")
        _check_name(arguments)
        if arguments.get("state") != "absent":
            content = _service_archive.build(_service_archive.module_utils())
            arguments["archive_sha256"] = _service_archive.digest(content)
            # In check mode the digest says all there is to compare.
            if not self._task.check_mode:
                arguments["archive_path"] = self._bring(content)
        try:
            result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)  # noqa: SLF001 - how action plugins do it
        return result

    def _bring(self, content: bytes) -> str:
        """Transfer the archive into the task's temporary folder on the host; returns its path there."""
        shell = self._connection._shell  # noqa: SLF001 - how action plugins do it
        if not shell.tmpdir:
            self._make_tmp_path()
        path: str = self._transfer_data(shell.join_path(shell.tmpdir, _FILE_NAME), content)
        self._fixup_perms2((shell.tmpdir, path))
        return path
