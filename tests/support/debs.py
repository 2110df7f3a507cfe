"""Debian's packages, unpacked and not installed: real servers that no init system knows of, once a checkout."""
import glob
import grp
import os
import pwd
import shutil
import subprocess

from .process import ROOT

SERVERS = os.path.join(ROOT, "build", "servers")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def unpack(name, packages, backports=None):
    """The directory that `packages` stand in, fetched where they lack. `a|b`: the first that this release has. `backports`: a suite to
    take them from instead."""
    target = os.path.join(SERVERS, name)
    done = os.path.join(target, ".complete")
    if os.path.exists(done):
        return target
    print(f"fetching Debian's {name} into {target}")
    shutil.rmtree(target, ignore_errors=True)
    debs = os.path.join(SERVERS, "debs", name)
    shutil.rmtree(debs, ignore_errors=True)
    os.makedirs(debs)
    apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    cache = ["apt-cache"]
    if backports:
        extra = _other_suite(debs, backports)
        apt, cache = apt + extra, cache + extra
        subprocess.run([*apt, "update"], check=True)
    elif not _known(cache, packages[0].split("|")[0]):
        subprocess.run([*apt, "update"], check=True)
    chosen = [next((p for p in line.split("|") if _known(cache, p)), line.split("|")[0]) for line in packages]
    subprocess.run([*apt, "download", *chosen], cwd=debs, check=True)
    for deb in glob.glob(debs + "/*.deb"):
        subprocess.run(["dpkg", "-x", deb, target], check=True)
    open(done, "w").close()
    return target


def _known(cache, package):
    said = subprocess.run([*cache, "policy", package], capture_output=True, text=True).stdout
    return "Candidate: " in said and "Candidate: (none)" not in said


def _other_suite(directory, suite):
    """apt's options for a suite that this machine's sources do not name: same mirror, lists of its own."""
    lists = os.path.join(directory, "apt")
    for d in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(lists, d))
    with open(os.path.join(lists, "sources.list"), "w") as f:
        f.write(f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n")
    return ["-o", f"Dir::Etc::sourcelist={lists}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
            "-o", f"Dir::State::lists={lists}/lists", "-o", f"Dir::Cache={lists}/cache"]


def _mirror():
    """Where this machine gets Debian from."""
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(COMPONENT)"], capture_output=True,
                          text=True, check=True).stdout
    for line in said.splitlines():
        uri, _, rest = line.partition(" ")
        if rest.startswith("Debian main") and "security" not in uri:
            return uri
    raise AssertionError("this machine's apt knows no Debian archive: add one to /etc/apt/sources.list and run apt-get update")


def user(name, group=None):
    """A system user, and a group besides its own, made where they lack."""
    if group:
        try:
            grp.getgrnam(group)
        except KeyError:
            subprocess.run(["groupadd", "-r", group], check=True)
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "-r", "-M", "-d", "/nonexistent", "-s", "/usr/sbin/nologin", name], check=True)


def reachable(directory):
    """Users other than ours may pass through every directory above."""
    while directory != "/":
        os.chmod(directory, os.stat(directory).st_mode | 0o111)
        directory = os.path.dirname(directory)


def greets(address, port):
    """Whether an SMTP server answers there with 220."""
    import socket
    try:
        with socket.create_connection((address, port), timeout=5) as s:
            greeting = s.recv(200)
            s.sendall(b"QUIT\r\n")
            s.recv(200)
            return greeting.startswith(b"220")
    except OSError:
        return False
