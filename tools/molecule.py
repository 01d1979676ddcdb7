# Copyright (c) 2026, the axops.retail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run Molecule, with a Docker engine and the hosts' image seen to.

    tools/molecule.py [MOLECULE'S ARGUMENTS]     such as: test -s store_server; without any: test, of the scenario default

An engine that runs is used. Else one is started, as root, and stopped again after `test`; the other commands leave it
running with the hosts. The image is the one that RETAIL_MOLECULE_IMAGE names, or is made of molecule/Dockerfile; where no
registry can be reached, debootstrap makes the same one. The exit code is 77 where there is no engine, or no way to the image.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import tree
from docker.errors import DockerException

CANNOT = 77  # as in ./dev
IMAGE = "RETAIL_MOLECULE_IMAGE"
DOCKERFILE = tree.ROOT / "molecule" / "Dockerfile"
RELEASE = "bookworm"
LOG = tree.CACHE / "log" / "dockerd.log"
PATIENCE = 30


class Cannot(Exception):
    """No scenario can be run on this machine, since there is no Docker engine or no image; the message says why."""


def say(text: str) -> None:
    print(f"molecule: {text}", flush=True)


def main(arguments: list[str]) -> int:
    """Run Molecule; returns its exit code, or CANNOT."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an engine that was started here is stopped then, too
    arguments = arguments or ["test"]
    try:
        with engine(stop=arguments[0] == "test") as client:
            environment = {**os.environ, IMAGE: os.environ.get(IMAGE) or image(client), **appearance()}
            command = ["molecule", *arguments]
            say("$ " + " ".join(command))
            # a person types there; nothing else asks anything
            stdin = None if arguments[0] == "login" else subprocess.DEVNULL
            done = subprocess.run(command, cwd=tree.TREE, env=environment, stdin=stdin, check=False)
            return done.returncode
    except Cannot as reason:
        say(f"no scenario was run: {reason}")
        return CANNOT


def appearance() -> dict[str, str]:
    """Plain lines, unless a person looks on."""
    plain = {"ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1", "MOLECULE_COMMAND_BORDERS": "0"}
    return {} if sys.stdout.isatty() else plain


# ---- the engine


@contextlib.contextmanager
def engine(stop: bool) -> Iterator[docker.DockerClient]:
    """A client of an engine that runs.

    :param stop: whether one that was started for this is stopped at the end.
    :raises Cannot: there is none.
    """
    process = None
    client = connect()
    if client is None:
        process = start()
        client = connect()
    if client is None:
        raise Cannot(f"the Docker engine does not answer; see {LOG}")
    try:
        yield client
    finally:
        if process is not None and stop:
            process.send_signal(signal.SIGTERM)
            process.wait()
        elif process is not None:
            say(f"the Docker engine is left running, as process {process.pid}")


def connect() -> docker.DockerClient | None:
    try:
        client = docker.from_env()
        client.ping()
    except DockerException:
        return None
    return client


def start() -> subprocess.Popen[bytes]:
    """Start an engine, and wait until it answers.

    :raises Cannot: it cannot be started.
    """
    if os.environ.get("DOCKER_HOST"):
        raise Cannot(f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}")
    if shutil.which("dockerd") is None:
        raise Cannot("no Docker engine runs, and dockerd is not installed")
    if os.geteuid() != 0:
        raise Cannot("no Docker engine runs, and only root can start one")
    LOG.parent.mkdir(parents=True, exist_ok=True)
    say("starting a Docker engine")
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + PATIENCE
    while connect() is None:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            last = LOG.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise Cannot("dockerd does not start here: " + "".join(last))
        time.sleep(0.5)
    return process


# ---- the image


def image(client: docker.DockerClient) -> str:
    """The image of a host, made where it is missing. Its tag changes with the Dockerfile.

    :raises Cannot: it cannot be made.
    """
    digest = hashlib.sha256(DOCKERFILE.read_bytes()).hexdigest()[:12]
    name = f"axops-retail-host:{digest}"
    if client.images.list(name=name):
        return name
    say(f"making the image {name}")
    try:
        client.images.build(path=str(DOCKERFILE.parent), dockerfile=DOCKERFILE.name, tag=name, rm=True)
    except DockerException as error:
        say(f"not with Docker, since: {str(error).strip()}; with debootstrap, then, which takes two minutes")
        bootstrap(client, name)
    return name


def bootstrap(client: docker.DockerClient, name: str) -> None:
    """The same image from Debian's packages alone.

    :raises Cannot: debootstrap is not there and cannot be installed, or may not do its work.
    """
    if os.geteuid() != 0:
        raise Cannot("the image of the hosts could not be built, and debootstrap takes root")
    if shutil.which("debootstrap") is None:
        done = subprocess.run(
            [str(tree.ROOT / "dev"), "packages", "debootstrap"], stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise Cannot("the image of the hosts could not be built, and debootstrap could not be installed")
    repository, _colon, tag = name.partition(":")
    with tempfile.TemporaryDirectory(prefix="axops-image-", dir="/var/tmp") as folder:
        root = Path(folder, "root")
        include = ",".join(packages())
        quietly("debootstrap", "--variant=minbase", f"--include={include}", RELEASE, str(root))
        shutil.rmtree(root / "var/lib/apt/lists")
        (root / "var/lib/apt/lists/partial").mkdir(parents=True)
        # as the registry's image has it: what is installed in a container need not survive a power cut
        (root / "etc/dpkg/dpkg.cfg.d/docker-apt-speedup").write_text("force-unsafe-io\n", encoding="utf-8")
        archive = Path(folder, "root.tar")
        quietly(
            "tar",
            "--create",
            f"--file={archive}",
            f"--directory={root}",
            "--exclude=./var/cache/apt/archives/*.deb",
            ".",
        )
        client.api.import_image(str(archive), repository=repository, tag=tag)


def packages() -> list[str]:
    """What the Dockerfile installs."""
    found = re.search(r"apt-get install(.*?)&&", DOCKERFILE.read_text(encoding="utf-8"), re.DOTALL)
    words = found.group(1).replace("\\", " ").split() if found else []
    return [word for word in words if not word.startswith("--")]


def quietly(*command: str) -> None:
    """Run a command that talks a lot; raises SystemExit with the end of what it said where it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"molecule: {command[0]} failed:\n{done.stdout[-2000:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
