# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles: their interfaces are complete, their data fits the schema, and a host finds its neighbours' databases."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from playbook_world import ansible_playbook

ROLES = ("hq", "store_server", "pos_register")
INTERFACES = (*ROLES, "prerequisites", "windows")
VIEWS = {
    "hq": ["hq_server", "hq_channel_databases", "hq_logins", "hq_package", "hq_customizations", "hq_force"],
    "store_server": [
        "server",
        "database",
        "hq_server",
        "has_hq",
        "on_control_node",
        "groups",
        "hq_sync_login_password",
        "package",
        "customizations",
        "force",
    ],
    "pos_register": [
        "server",
        "channel_server",
        "channel_database",
        "channel_engine",
        "channel_driver",
        "channel_encrypt",
        "service_name",
        "store_server",
        "on_control_node",
        "install_packages",
        "config_managed",
        "config_path",
        "config_host",
        "config_offline_server",
    ],
}
#: What a role reads but its README leaves to others: how a neighbour's database is reached, and what a playbook notes.
ELSEWHERE = {
    "hq": r"retail_hq_engine|retail_channel_\w+|retail_store_id|retail_fleet",
    "store_server": r"retail_hq_\w+|retail_fleet",
    "pos_register": r"retail_channel_\w+|retail_fleet",
    "prerequisites": r"retail_(hq|channel|offline)_login_\w+",
    "windows": r"(?!)",
}
INVENTORY = """
all:
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  children:
    hq:
      hosts:
        hq01: {ansible_host: 192.0.2.1, retail_engine: postgresql, retail_sync_login_password: of-hq}
      vars: {retail_sync_login_user: sync, retail_upgrade_package: /srv/package}
    store_servers:
      hosts:
        houston-db: {retail_store_id: HOUSTON, retail_channel_server: "houston.example.com", retail_engine: postgresql,
                     retail_customizations: /srv/scripts, retail_upgrade_force: true}
        boston-db: {retail_store_id: BOSTON, ansible_host: 192.0.2.2, retail_channel_database: Boston}
        austin-db: {retail_store_id: AUSTIN, ansible_connection: psrp, retail_sync_provider: microsoft}
      vars: {retail_sync_login_user: sync, retail_sync_login_password: of-store, retail_pos_users: [till]}
    pos_registers:
      hosts:
        houston-01: {retail_store_id: HOUSTON, retail_register_id: "000001", retail_driver: FreeTDS, retail_encrypt: strict}
        boston-01: {retail_store_id: BOSTON, retail_register_id: "000001", ansible_host: 192.0.2.3,
                    retail_run_on_control_node: true}
        boston-02: {retail_store_id: BOSTON, retail_register_id: "000002", retail_channel_server: other.example.com,
                    retail_driver: FreeTDS}
        boston-03: {retail_store_id: BOSTON, retail_register_id: "000003", ansible_connection: winrm, ansible_host: 192.0.2.4}
        boston-04: {retail_store_id: BOSTON, retail_register_id: "000004", ansible_shell_type: powershell,
                    retail_pos_config_path: 'C:\\POS\\POS.exe.config'}
        boston-05: {retail_store_id: BOSTON, retail_register_id: "000005", ansible_connection: ansible.builtin.psrp,
                    retail_install_packages: true, retail_sync_host: houston-db}
        boston-06: {retail_store_id: BOSTON, retail_register_id: "000006", ansible_connection: ansible.builtin.ssh,
                    ansible_shell_type: ansible.builtin.cmd, retail_install_packages: true, retail_sync_managed: false}
"""


def defaults(role: Path) -> dict[str, Any]:
    """Every variable that the role has a default for, or sets itself."""
    found: dict[str, Any] = {}
    for path in [*role.glob("defaults/*.yml"), *role.glob("defaults/main/*.yml"), *role.glob("vars/*.yml")]:
        found.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    return found


def options(role: Path) -> dict[str, Any]:
    """Every option of all entry points."""
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    return {name: facts for entry in specs.values() for name, facts in entry["options"].items()}


@pytest.mark.parametrize("name", INTERFACES)
def test_what_the_interface_names_has_a_default(repository: Path, name: str) -> None:
    role = repository / "roles" / name
    assert set(options(role)) <= set(defaults(role))


@pytest.mark.parametrize("name", INTERFACES)
def test_tasks_use_what_has_a_default(repository: Path, name: str) -> None:
    role = repository / "roles" / name
    text = "".join(path.read_text(encoding="utf-8") for path in role.glob("tasks/*.yml"))
    used = set(re.findall(r"\b%s_\w+" % name, text))
    own = set(re.findall(r"^ +(%s_\w+):" % name, text, re.MULTILINE))  # a task's own variables
    registered = set(re.findall(r"register: (\w+)", text))
    assert used - own - registered <= set(defaults(role))


@pytest.mark.parametrize("name", INTERFACES)
def test_passwords_are_hidden(repository: Path, name: str) -> None:
    for option, facts in options(repository / "roles" / name).items():
        assert bool(facts.get("no_log")) == option.endswith("password"), option


@pytest.mark.parametrize("name", INTERFACES)
def test_the_readme_names_every_variable_of_the_inventory(repository: Path, name: str) -> None:
    role = repository / "roles" / name
    readme = (role / "README.md").read_text(encoding="utf-8")
    text = "".join(path.read_text(encoding="utf-8") for path in role.glob("defaults/**/*.yml"))
    code = re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE)
    wanted = {
        variable
        for variable in re.findall(r"(?<![\w.])retail_\w+", code)
        if not re.fullmatch(ELSEWHERE[name], variable)
    }
    assert sorted(variable for variable in wanted if "`%s`" % variable not in readme) == []


def test_jobs_move_tables_that_exist_each_in_one_job(repository: Path) -> None:
    found = defaults(repository / "roles/hq")
    tables = [table for scope in [*found["hq_jobs"], found["hq_shift_scope"]] for table in scope["tables"]]
    assert [table for table, count in Counter(tables).items() if count > 1] == []
    folder = repository / "schemas/ax2012r3/tables"
    assert [table for table in tables if not (folder / (table.replace(".", "/") + ".json")).is_file()] == []
    assert len(tables) > 200
    uploads = [job["id"] for job in found["hq_jobs"] if job["direction"] == "upload"]
    assert uploads == ["P-0001"]


@pytest.fixture(scope="module")
def seen(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each host of the inventory above sees through the defaults of its role."""
    folder = tmp_path_factory.mktemp("roles")
    (folder / "inventory.yml").write_text(INVENTORY, encoding="utf-8")
    (folder / "play.yml").write_text(
        yaml.safe_dump([play(repository, folder, name) for name in ROLES]), encoding="utf-8"
    )
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.yml", "play.yml"]
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "ANSIBLE_FORKS": "2"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}


def play(repository: Path, folder: Path, name: str) -> dict[str, Any]:
    """A play that writes down how a role's variables come out."""
    prefix = "" if name == "hq" else name + "_"
    # What a module is not given at all is written down as null.
    pairs = ", ".join("'{0}': {1}{0} if {1}{0} != omit else none".format(view, prefix) for view in VIEWS[name])
    return {
        "name": "See how the variables of %s come out" % name,
        "hosts": "hq" if name == "hq" else name + "s",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.include_vars": {"dir": str(repository / "roles" / name / "defaults")}},
            {
                "ansible.builtin.copy": {
                    "content": "{{ {%s} | to_json }}" % pairs,
                    "dest": "%s/{{ inventory_hostname }}.json" % folder,
                    "mode": "0600",
                },
                "delegate_to": "localhost",
            },
        ],
    }


def notifying(role: str, tasks: str, host: str, handler: str) -> dict[str, Any]:
    """A play with a task that notifies a role's handler, and nothing else."""
    imported = {"ansible.builtin.import_role": {"name": "axops.retail." + role, "tasks_from": tasks}, "tags": ["tasks"]}
    changed = {"ansible.builtin.debug": {"msg": role}, "changed_when": True, "notify": handler}
    return {"hosts": host, "gather_facts": False, "tasks": [imported, changed]}


def test_handlers_do_what_they_are_notified_for(repository: Path, tmp_path: Path) -> None:
    plays = [
        notifying("store_server", "service", "houston-db", "Restart the sync service"),
        notifying("pos_register", "service", "houston-01", "Restart the sync service"),
        notifying("hq", "distribute", "houston-db", "Distribute from headquarters"),
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
    (tmp_path / "inventory.yml").write_text(INVENTORY, encoding="utf-8")
    nobody = {"retail_hq_server": "127.0.0.1", "retail_hq_port": 1, "retail_sync_service_manager": "process"}
    command = [sys.executable, "-m", "ansible", "playbook", "--check", "--skip-tags", "tasks"]
    command += ["-i", "inventory.yml", "-e", json.dumps(nobody)]
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), "ANSIBLE_NOCOLOR": "1"}
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(repository.parents[2])
    done = subprocess.run(
        [*command, "play.yml"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    restarted = re.findall(r"RUNNING HANDLER \[axops.retail.(\w+) : Keep .*\nchanged: ", done.stdout)
    assert restarted == ["store_server", "pos_register"], done.stdout + done.stderr
    assert "Cannot connect to PostgreSQL at 127.0.0.1:1/" in done.stdout, done.stdout


def run(repository: Path, folder: Path, plays: list[dict[str, Any]], *arguments: str) -> str:
    """What ansible-playbook prints, whether it fails or not."""
    (folder / "play.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
    (folder / "inventory.yml").write_text(INVENTORY, encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_COLLECTIONS_PATH": str(repository.parents[2])}
    return ansible_playbook(["-i", "inventory.yml", *arguments, "play.yml"], environment, folder).stdout


def test_a_store_may_have_registers_of_both_kinds(repository: Path, tmp_path: Path) -> None:
    """The play's first host runs Linux and looks after itself; the control node looks after the others nevertheless."""
    batch = {"ansible.builtin.import_role": {"name": "axops.retail.pos_register", "tasks_from": "databases"}}
    plays = [{"hosts": "houston-01,boston-03,boston-05", "gather_facts": False, "tasks": [batch]}]
    nowhere = {"retail_channel_server": "127.0.0.1", "retail_channel_port": 1, "retail_channel_engine": "postgresql"}
    said = run(repository, tmp_path, plays, "--check", "-e", json.dumps(nowhere))
    outcome = said.split("See what became of the offline database]")[1]
    assert re.findall(r"^skipping: \[(\S+)\]", outcome, re.MULTILINE) == ["houston-01"], said
    refused = re.findall(
        r"^fatal: \[(\S+)\].*?Cannot connect to PostgreSQL at 127.0.0.1:1/", outcome, re.MULTILINE | re.DOTALL
    )
    assert sorted(refused) == ["boston-03", "boston-05"], said


def test_a_windows_register_without_a_host_for_its_service_is_refused(repository: Path, tmp_path: Path) -> None:
    service = {"ansible.builtin.import_role": {"name": "axops.retail.pos_register", "tasks_from": "service"}}
    plays = [{"hosts": "boston-03,boston-06", "gather_facts": False, "tasks": [service]}]
    said = run(repository, tmp_path, plays, "--check")
    assert re.findall(r"^fatal: \[(\S+)", said, re.MULTILINE) == ["boston-03"], said
    assert "set retail_sync_host to the host that runs it for this one" in said, said
    assert re.findall(r"^skipping: \[(\S+)\]", said, re.MULTILINE) == ["boston-06"], said


def test_headquarters_knows_every_channel_database(seen: dict[str, dict[str, Any]]) -> None:
    hq = seen["hq01"]
    assert hq["hq_server"] == "192.0.2.1"
    assert hq["hq_logins"] == [{"name": "sync", "password": "of-hq"}]
    assert sorted(hq["hq_channel_databases"], key=lambda one: one["name"]) == [
        {"name": "BOSTON", "server": "192.0.2.2", "database": "Boston", "store_ids": ["BOSTON"]},
        {"name": "HOUSTON", "server": "houston.example.com", "database": "RetailChannel", "store_ids": ["HOUSTON"]},
    ]


def test_a_store_server_finds_headquarters(seen: dict[str, dict[str, Any]]) -> None:
    houston, boston = seen["houston-db"], seen["boston-db"]
    assert (houston["server"], houston["database"]) == ("houston.example.com", "RetailChannel")
    assert (boston["server"], boston["database"]) == ("192.0.2.2", "Boston")
    assert houston["hq_server"] == "192.0.2.1"
    assert houston["hq_sync_login_password"] == "of-hq"
    assert houston["has_hq"] is True
    assert houston["on_control_node"] is False
    austin = seen["austin-db"]
    assert (austin["on_control_node"], austin["has_hq"]) == (True, False), (
        "Microsoft's service feeds it, so none of ours"
    )


def test_packages_and_scripts_are_for_headquarters_and_stores(seen: dict[str, dict[str, Any]]) -> None:
    hq, houston, boston = seen["hq01"], seen["houston-db"], seen["boston-db"]
    assert (hq["hq_package"], hq["hq_customizations"], hq["hq_force"]) == ("/srv/package", None, False)
    assert (houston["package"], houston["customizations"], houston["force"]) == (None, "/srv/scripts", True)
    assert (boston["package"], boston["customizations"], boston["force"]) == (None, None, False)


def test_only_groups_that_somebody_is_declared_for_are_converged(seen: dict[str, dict[str, Any]]) -> None:
    assert seen["houston-db"]["groups"] == [
        {"name": "RetailOfflineSyncUsers", "members": ["sync"], "exclusive": True},
        {"name": "POSUsers", "members": ["till"], "exclusive": True},
        {"name": "RetailDataSyncUsers", "members": ["sync"], "exclusive": True},
    ]


def test_a_register_finds_its_store_server(seen: dict[str, dict[str, Any]]) -> None:
    houston, boston = seen["houston-01"], seen["boston-01"]
    assert houston["store_server"] == "houston-db"
    assert (houston["channel_server"], houston["channel_database"]) == ("houston.example.com", "RetailChannel")
    assert houston["channel_engine"] == "postgresql"
    assert houston["service_name"] == "HOUSTON-000001"
    assert (boston["channel_server"], boston["channel_database"]) == ("192.0.2.2", "Boston")
    assert boston["channel_engine"] == "mssql"


def test_a_register_is_reached_from_where_the_work_is_done(seen: dict[str, dict[str, Any]]) -> None:
    assert seen["houston-01"]["server"] == "localhost"
    assert seen["boston-01"]["server"] == "192.0.2.3"


def test_what_a_register_says_itself_comes_first(seen: dict[str, dict[str, Any]]) -> None:
    assert seen["boston-02"]["channel_server"] == "other.example.com"


def test_the_driver_of_one_engine_is_none_for_the_other(seen: dict[str, dict[str, Any]]) -> None:
    houston, boston = seen["houston-01"], seen["boston-02"]
    assert (houston["channel_engine"], boston["channel_engine"]) == ("postgresql", "mssql")
    assert (houston["channel_driver"], houston["channel_encrypt"]) == (None, None)
    assert boston["channel_driver"] == "FreeTDS"


def test_a_windows_register_is_looked_after_from_the_control_node(seen: dict[str, dict[str, Any]]) -> None:
    for host in ("boston-03", "boston-04", "boston-05", "boston-06"):
        assert seen[host]["on_control_node"] is True, host
        assert seen[host]["install_packages"] is False, host
    assert seen["boston-03"]["server"] == "192.0.2.4"
    assert seen["houston-01"]["on_control_node"] is False


def test_the_settings_of_a_register_are_written_where_its_pos_can_read_them(seen: dict[str, dict[str, Any]]) -> None:
    houston = seen["houston-01"]
    assert (houston["config_managed"], houston["config_path"]) == (True, "/etc/retail-pos/HOUSTON-000001.json")
    assert seen["boston-03"]["config_managed"] is False, "nobody said where the folder of the POS is"
    assert (seen["boston-04"]["config_managed"], seen["boston-04"]["config_path"]) == (True, "C:\\POS\\POS.exe.config")
    assert seen["boston-04"]["config_host"] is None, "the register itself"
    assert {each["config_offline_server"] for each in seen.values() if "config_path" in each} == {"localhost"}
