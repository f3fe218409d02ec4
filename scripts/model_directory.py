"""A model directory is made beside its place and put there by one rename.

Servers map the files of models, so none is ever written in place.
"""

import ctypes
import hashlib
import json
import os
import shutil


class Error(Exception):
    """What went wrong, in one line for a person."""


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write_file(path, data):
    with open(path, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def write_json(path, value):
    write_file(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path, name=None):
    """A JSON object out of a file that may hold anything, and may lie in the
    cache under another name."""
    try:
        with open(path, "rb") as f:
            value = json.loads(f.read())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Error("%s is not a JSON object" % (name or os.path.basename(path)))
    return value


def exchange(a, b):
    """Swap two directories in one step, where the system can."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    at_fdcwd, rename_exchange = -100, 2
    return renameat2(at_fdcwd, os.fsencode(a), at_fdcwd, os.fsencode(b), rename_exchange) == 0


def install(work, out):
    """Files of the old directory keep their inodes for who has them mapped."""
    if not os.path.lexists(out):
        os.rename(work, out)
        return
    if not exchange(work, out):
        old = work + ".old"
        os.rename(out, old)
        os.rename(work, out)
        work = old
    if os.path.isdir(work) and not os.path.islink(work):
        shutil.rmtree(work)
    else:
        os.unlink(work)
