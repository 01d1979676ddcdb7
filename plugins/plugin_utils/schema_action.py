# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of a module that needs the schema: packs the schema folders and ships them as one file."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.axops.retail.plugins.module_utils._engine import RetailError
from ansible_collections.axops.retail.plugins.module_utils._schema import package, upgrade

SCHEMAS = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "schemas")
#: The complete schema, and what HQ has besides.
BASE, HQ = "ax2012r3", "ax2012r3_hq"
#: The module's internal options that say where the files are: the schema, and the scripts of upgrades.
OPTION, SCRIPTS = "_schema_package", "_upgrade_package"


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
        for name in (OPTION, SCRIPTS):
            if name in arguments:
                raise AnsibleActionFail("%s is internal: leave it out." % name)
        if arguments.get("package") and arguments.get("extensions"):
            raise AnsibleActionFail(
                "package and extensions are mutually exclusive: either scripts bring a database on, or schema folders do. "
                "A partner's scripts beside a package go into customizations."
            )
        files = {} if arguments.get("state") == "absent" else self._files(arguments)
        try:
            for name, (file, content) in files.items():
                arguments[name] = self._shipped(file, content)
            result.update(self._execute_module(self.MODULE, arguments, task_vars=task_vars))
        finally:
            self._remove_tmp_path(self._shell.tmpdir)
        return result

    def _files(self, arguments: dict[str, Any]) -> dict[str, tuple[str, bytes]]:
        """What goes to the host, by option: a file's name and its content."""
        try:
            files = {OPTION: ("schema.json.gz", self._packed(arguments))}
            if arguments.get("package") or arguments.get("customizations"):
                files[SCRIPTS] = ("upgrades.json.gz", self._packed_scripts(arguments))
        except RetailError as error:
            raise AnsibleActionFail(str(error), result=error.report) from error
        return files

    @property
    def _shell(self) -> Any:
        return self._connection._shell  # noqa: SLF001 - what Ansible's own action plugins do

    def _packed(self, arguments: dict[str, Any]) -> bytes:
        extensions = arguments.get("extensions") or []
        if isinstance(extensions, str):
            extensions = extensions.split(",")
        found = [self._found("extensions", "schemas", str(path).strip()) for path in extensions]
        wanted = folders(arguments.get("tier") or "channel", found)
        # With a package of scripts, the release is one of theirs.
        release = None if arguments.get("package") else arguments.get("release")
        return package.dumps(package.load(wanted, release))

    def _packed_scripts(self, arguments: dict[str, Any]) -> bytes:
        found = {
            name: self._found(name, "files", str(arguments[name]).strip()) if arguments.get(name) else None
            for name in ("package", "customizations")
        }
        return upgrade.dumps(upgrade.read(**found))

    def _found(self, option: str, folder: str, path: str) -> str:
        """Where on the controller something is.

        :raises RetailError: it is not there.
        """
        try:
            found: str = self._find_needle(folder, path)
        except AnsibleError:
            # Its own words speak of files that may be on the host instead, which these may not.
            raise RetailError(
                f"There is no {path or 'empty path'} on the controller, which the option {option} names.",
                f"The option names folders on the controller, not on the host. Correct the path; a relative one is looked for in the "
                f"folder {folder} of the role or beside the playbook.",
            ) from None
        return found

    def _shipped(self, file: str, content: bytes) -> str:
        shell = self._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        path = shell.join_path(shell.tmpdir, file)
        self._transfer_data(path, content)
        self._fixup_perms2((shell.tmpdir, path))
        return path
