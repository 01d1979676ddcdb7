# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which host is which store server or register, and which of them cannot be told: what all playbooks begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleUndefinedVariable

_STORE = "retail_store_id"
_REGISTER = "retail_register_id"
#: What says, instead of a host of store_servers, where a register's channel database is.
_INSTEAD = ("retail_store_server", "retail_channel_server", "pos_register_store_server", "pos_register_channel_server")


def fleet(hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The stores and registers of an inventory: ``stores``, ``servers``, ``registers``, ``hosts``, ``mistakes``, ``numbers``."""
    return _Fleet(hostvars, groups).document()


class _Fleet:
    """Reads each host once: that is what takes time in a chain of thousands."""

    def __init__(self, hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> None:
        self.hostvars = hostvars
        self.servers: dict[str, list[str]] = {}
        self.registers: dict[str, dict[str, list[str]]] = {}
        self.mistakes: dict[str, str] = {}
        self.numbers: list[str] = []
        for host in groups.get("store_servers", ()):
            self._read_server(str(host))
        for host in groups.get("pos_registers", ()):
            self._read_register(str(host))
        self._compare()

    def document(self) -> dict[str, Any]:
        named = {name: hosts for store in self.registers.values() for name, hosts in store.items()}
        return {
            "stores": self.servers,
            "servers": {store: hosts[0] for store, hosts in self.servers.items() if len(hosts) == 1},
            "registers": {store: list(names) for store, names in self.registers.items()},
            "hosts": named,
            "mistakes": self.mistakes,
            "numbers": self.numbers,
        }

    def _read_server(self, host: str) -> None:
        store = self._value(host, _STORE, "store server")
        if store:
            self.servers.setdefault(store, []).append(host)

    def _read_register(self, host: str) -> None:
        store, register = self._value(host, _STORE, "register"), self._value(host, _REGISTER, "register")
        if store and register:
            self.registers.setdefault(store, {}).setdefault("%s-%s" % (store, register), []).append(host)
            if store not in self.servers and not any(name in self.hostvars[host] for name in _INSTEAD):
                self._refuse(
                    [host],
                    "No host of the group store_servers has the retail_store_id of the register %s, %s: add the store server, "
                    "or set retail_channel_server." % (host, store),
                )

    def _value(self, host: str, name: str, what: str) -> str:
        """A number as a text; empty where there is none."""
        try:
            value = self.hostvars[host].get(name)
        except AnsibleUndefinedVariable as error:
            self._refuse([host], "The %s %s has a %s that cannot be told: %s" % (what, host, name, error))
            return ""
        if isinstance(value, (int, float)):
            self.numbers.append("%s of %s is %s" % (name, host, value))
        if value is None or value == "":
            whose = "its" if name == _REGISTER else "its store's"
            self._refuse([host], "The %s %s has no %s: give it %s number." % (what, host, name, whose))
            return ""
        return str(value)

    def _compare(self) -> None:
        for store, hosts in self.servers.items():
            if len(hosts) > 1:
                served = [host for names in self.registers.get(store, {}).values() for host in names]
                text = "The store servers %s have the same retail_store_id, %s: a store has one of them."
                self._refuse([*hosts, *served], text % (" and ".join(hosts), store))
        together: dict[str, list[str]] = {}
        for names in self.registers.values():
            for name, hosts in names.items():
                together.setdefault(name, []).extend(hosts)
                if len(hosts) > 1:
                    text = "The registers %s have the same retail_store_id and retail_register_id, %s: give each a number of its own."
                    self._refuse(hosts, text % (" and ".join(hosts), name))
        self._compare_names(together)

    def _compare_names(self, together: Mapping[str, list[str]]) -> None:
        """A-B and C, and A and B-C, are registers of two stores that the channel databases and their services call the same."""
        for name, hosts in together.items():
            if sum(name in names for names in self.registers.values()) > 1:
                text = "The registers %s of different stores would both be called %s: give one of them another retail_register_id."
                self._refuse(hosts, text % (" and ".join(hosts), name))

    def _refuse(self, hosts: Sequence[str], reason: str) -> None:
        for host in hosts:
            self.mistakes[host] = ("%s %s" % (self.mistakes.get(host, ""), reason)).strip()


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """By name, as Ansible takes them."""
        return {"fleet": fleet}
