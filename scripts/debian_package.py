"""Files out of Debian packages that are pinned by version and SHA-256.

Nothing is installed: a package is downloaded by apt-get and some of its files
are unpacked into the cache (MMODAL_CACHE, or .cache in the clone).
"""

import collections
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.environ.get("MMODAL_CACHE", os.path.join(ROOT, ".cache"))

Version = collections.namedtuple("Version", "name size sha256")


class Error(Exception):
    """What went wrong, for a person."""


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def apt_options(work):
    """Options under which apt needs no right to write into the system."""
    if os.geteuid() == 0:
        # the sandbox's user may not be able to enter the cache
        return ["-o", "APT::Sandbox::User=root"]
    for sub in ("lists/partial", "archives/partial"):
        os.makedirs(os.path.join(work, sub))
    return ["-o", "Dir::State::Lists=" + os.path.join(work, "lists"),
            "-o", "Dir::Cache=" + work,
            "-o", "Dir::Cache::Archives=" + os.path.join(work, "archives")]


def run(command, options, *arguments, cwd, output=None):
    return subprocess.run([command, "-qq"] + options + list(arguments), cwd=cwd,
                          stdout=output or sys.stderr, universal_newlines=True)


def offered(package, versions, options, work):
    """The version of ours that this system's lists of packages have, or None."""
    known = run("apt-cache", options, "madison", package, cwd=work, output=subprocess.PIPE).stdout
    names = [line.split("|")[1].strip() for line in known.splitlines() if line.count("|") == 2]
    return next((version for version in versions if version.name in names), None)


def download(package, versions, work):
    """The path of the package's file, checked."""
    if shutil.which("apt-get") is None:
        raise Error("needs a Debian system, to fetch %s with apt-get" % package)
    options = apt_options(work)
    version = offered(package, versions, options, work)
    if version is None:  # the lists of packages may be absent, or out of date
        run("apt-get", options, "update", cwd=work)
        version = offered(package, versions, options, work)
    if version is None:
        raise Error("apt-get offers none of %s %s" % (package, ", ".join(v.name for v in versions)))
    wanted = package + "=" + version.name
    print("downloading %s %s (%.0f MB)" % (package, version.name, version.size / 1e6), file=sys.stderr,
          flush=True)
    if run("apt-get", options, "download", wanted, cwd=work).returncode != 0:
        raise Error("apt-get could not download %s" % wanted)
    files = glob.glob(os.path.join(work, package + "*.deb"))
    if len(files) != 1 or sha256_of(files[0]) != version.sha256:
        raise Error("%s has a wrong SHA-256" % wanted)
    return files[0]


def unpack(package_file, patterns, tree):
    os.mkdir(tree)
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package_file], stdout=subprocess.PIPE)
    unpacked = subprocess.run(["tar", "-x", "--no-same-owner", "--wildcards", "-C", tree] + patterns,
                              stdin=tar.stdout).returncode
    tar.stdout.close()
    if tar.wait() != 0 or unpacked != 0:
        raise Error("could not unpack %s" % os.path.basename(package_file))


def fetch(package, versions, patterns):
    """The folder with those files of a package whose names match patterns, as
    they lie under /; unpacked once.  versions: those that are good, the one
    that this Debian has is taken.  Raises Error."""
    folder = os.path.join(CACHE, package)
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="package.") as work:
                tree = os.path.join(work, "tree")
                unpack(download(package, versions, work), patterns, tree)
                os.rename(tree, folder)
    return folder
