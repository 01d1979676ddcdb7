# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of retail_pos_config: for a Windows host, where no Python runs, it does the whole work."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._pos import options
from ansible_collections.axops.retail.plugins.module_utils._pos import plan as planning
from ansible_collections.axops.retail.plugins.plugin_utils.windows_file import WindowsFile

WINDOWS = "ansible.windows."


class ActionModule(ActionBase):
    """Run the module; on Windows decide here, and let modules of ansible.windows read and write."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of the module, whoever has done its work."""
        result = super().run(tmp, task_vars)
        del tmp
        in_background = self._task.async_val and not self._connection.has_native_async
        try:
            if getattr(self._shell, "_IS_WINDOWS", False):
                result.update(self._on_windows(task_vars or {}))
            else:
                result.update(self._execute_module(task_vars=task_vars, wrap_async=in_background))
        finally:
            if not in_background:
                self._remove_tmp_path(self._shell.tmpdir)
        return result

    @property
    def _shell(self) -> Any:
        return self._connection._shell  # noqa: SLF001 - what Ansible's own action plugins do

    def _on_windows(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        # The path is one of Windows: nothing in it is to be expanded here.
        spec = options.argument_spec(path_type="str")
        validated, params = self.validate_argument_spec(spec, required_if=options.REQUIRED_IF)
        secrets = validated._no_log_values  # noqa: SLF001 - what AnsibleModule itself asks for
        try:
            result = self._converged(params, task_vars)
        except RetailError as error:
            result = {"failed": True, "msg": str(error), **error.report}
        cleaned: dict[str, Any] = remove_values(result, secrets)
        return cleaned

    def _converged(self, params: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        self._refuse(params)

        def module(name: str, given: dict[str, Any]) -> dict[str, Any]:
            done: dict[str, Any] = self._execute_module(WINDOWS + name, given, task_vars=task_vars)
            return done

        def copy(name: str, given: dict[str, Any]) -> dict[str, Any]:
            return self._run_action(WINDOWS + name, given, task_vars)

        place = WindowsFile(params["path"], options.section_of(params), params["backup"], module, copy)
        plan = planning.plan(place, options.settings_of(params))
        if not self._task.check_mode:
            planning.apply(plan)
        result = {"file": params["path"], **plan.outcome}
        if self._task.diff:
            result["diff"] = plan.diff()
        if place.backup_file:
            result["backup_file"] = place.backup_file
        return result

    def _refuse(self, params: dict[str, Any]) -> None:
        """What cannot be done on Windows, before anything is."""
        if self._task.async_val:
            raise RetailError("On Windows this does not run in the background.", "Leave async out.")
        of_posix = [name for name in ("mode", "owner", "group") if params[name] is not None]
        if of_posix:
            raise RetailError(
                "Files on Windows have no such %s as these options mean." % " and ".join(of_posix),
                "Leave them out, and give rights with ansible.windows.win_acl, an owner with ansible.windows.win_owner.",
            )
        loader = self._shared_loader_obj.action_loader
        if not loader.find_plugin_with_context(WINDOWS + "win_copy").resolved:
            raise RetailError(
                "The collection ansible.windows is not there, which writes files on Windows.",
                "Install it on the controller: ansible-galaxy collection install ansible.windows",
            )

    def _run_action(self, name: str, given: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The result of another action plugin for the same host."""
        task = self._task.copy()
        task.args = given
        action = self._shared_loader_obj.action_loader.get(
            name,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        done: dict[str, Any] = action.run(task_vars=task_vars)
        return done
