# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service under systemd: a template unit, one instance a pair."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass

from .._engine._errors import RetailError
from .process import Process
from .running import UNIT_VARIABLE

TEMPLATE = "retail-offline-sync@.service"
UNIT_FILE = "/etc/systemd/system/" + TEMPLATE
WATCHDOG_SECONDS = 600

_UNIT = """\
# Written by the Ansible module axops.retail.retail_sync_service; it puts changes made by hand back.
[Unit]
Description=Retail offline synchronisation of %i
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
User={user}
Group={group}
Restart=always
RestartSec=5
RestartPreventExitStatus=2
WatchdogSec={watchdog}
TimeoutStartSec=60
TimeoutStopSec=30
UMask=0027
ReadWritePaths={writable}

# It needs the network, its configuration and its state, and nothing else of the machine.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={protect_home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class UnitState:
    """What systemd says of one instance. ``stale``: the unit's file was changed, and systemd has not read it again."""

    active: str
    sub: str
    pid: int
    enabled: bool
    stale: bool

    @property
    def running(self) -> bool:
        return self.active in ("active", "activating", "reloading")


def is_booted() -> bool:
    """Whether systemd is the init system here (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")


def unit_name(name: str) -> str:
    """The instance of one pair; systemd's own escaping is not needed, a name holds no character that wants it."""
    return TEMPLATE.replace("@.", "@%s." % name)


def unit_text(python: str, archive: str, config_dir: str, state_dir: str, user: str, group: str) -> str:
    """The template unit, with its own digest in the environment: a service that runs tells which text started it."""
    command = " ".join(_word(part) for part in (python, archive, "run", "--config")) + " %s/%%i.json" % _word(
        config_dir
    )
    text = _UNIT.format(
        command=command,
        user=user,
        group=group,
        watchdog=WATCHDOG_SECONDS,
        writable=_word(state_dir),
        protect_home=_protect_home(python, archive),
    )
    return text.replace("[Install]", "Environment=%s=%s\n\n[Install]" % (UNIT_VARIABLE, digest(text)))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def digest_in(text: str) -> str:
    """The digest that a unit hands over to the service, empty where there is none."""
    for line in text.splitlines():
        if line.startswith("Environment=%s=" % UNIT_VARIABLE):
            return line.rpartition("=")[2]
    return ""


def read(name: str) -> UnitState:
    """The state of one instance, loaded or not."""
    wanted = ("ActiveState", "SubState", "MainPID", "UnitFileState", "NeedDaemonReload")
    text = systemctl("show", "--property=%s" % ",".join(wanted), unit_name(name))
    facts = dict(line.partition("=")[::2] for line in text.splitlines())
    return UnitState(
        active=facts.get("ActiveState", ""),
        sub=facts.get("SubState", ""),
        pid=int(facts.get("MainPID") or 0),
        enabled=facts.get("UnitFileState") == "enabled",
        stale=facts.get("NeedDaemonReload") == "yes",
    )


def process_of(state: UnitState) -> Process | None:
    return Process.of(state.pid) if state.running and state.pid else None


def systemctl(*arguments: str) -> str:
    """Run systemctl; returns what it printed.

    :raises RetailError: it failed, with its message.
    """
    return _run(["systemctl", "--no-pager", *arguments])


def journal(name: str, lines: int) -> list[str]:
    """The last lines that the instance wrote."""
    command = [
        "journalctl",
        "--no-pager",
        "--quiet",
        "--output=cat",
        "--lines=%d" % lines,
        "--unit=%s" % unit_name(name),
    ]
    try:
        return _run(command).splitlines()
    except RetailError:
        return []


def _run(command: list[str]) -> str:
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=120, check=False
        )
    except OSError as error:
        raise RetailError("%s cannot be run: %s." % (command[0], error.strerror)) from None
    except subprocess.TimeoutExpired:
        raise RetailError("%s did not answer within two minutes." % " ".join(command)) from None
    if done.returncode != 0:
        raise RetailError("%s failed: %s" % (" ".join(command), done.stderr.decode("utf-8", "replace").strip()))
    return done.stdout.decode("utf-8", "replace")


def _word(path: str) -> str:
    """A path as one word of a unit file."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return '"%s"' % escaped if any(mark in path for mark in " \t\"'\\;") else escaped


def _protect_home(*paths: str) -> str:
    """Home directories are hidden, unless the interpreter itself lives in one."""
    homes = ("/home/", "/root/", "/run/user/")
    return (
        "read-only"
        if any(os.path.realpath(path).startswith(homes) or path.startswith(homes) for path in paths)
        else "yes"
    )
