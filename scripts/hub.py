"""Files of a model hub, over its plain API and file addresses.

No hub is named here: HF_ENDPOINT tells its address, or huggingface_hub where
that is installed.  A token goes to the hub's own host alone.
"""

import collections
import hashlib
import http.client
import json
import os
import re
import socket
import time
import urllib.error
import urllib.parse
import urllib.request

from model_directory import Error, sha256_of

BLOCK = 1 << 20
LISTING_LIMIT = 64 << 20  # bytes of an answer of the API

# sha256 or git is None where the hub does not tell it
File = collections.namedtuple("File", "name size sha256 git")
Model = collections.namedtuple("Model", "id revision commit licence files")


def of_huggingface_hub():
    """Endpoint and token that the package knows; empty where it is not installed."""
    try:
        from huggingface_hub import constants, get_token
        return constants.ENDPOINT, get_token() or ""
    except Exception:  # a broken installation is as good as none
        return "", ""


def endpoint_and_token():
    endpoint = os.environ.get("HF_ENDPOINT", "").strip()
    token = os.environ.get("HF_TOKEN", "").strip()
    if not endpoint or not token:
        known = of_huggingface_hub()
        endpoint, token = endpoint or known[0], token or known[1]
    if not endpoint:
        raise Error("no hub is known: set HF_ENDPOINT to its address (https://...), "
                    "or install huggingface_hub, which knows one")
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Error("HF_ENDPOINT is not an address of the form https://host")
    if not re.fullmatch(r"[!-~]*", token):
        raise Error("HF_TOKEN holds characters that no token has")
    return endpoint.rstrip("/"), token


def origin(url):
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and takes no token to another host."""

    def redirect_request(self, request, response, code, message, headers, url):
        code = 307 if code == 308 else code
        following = super().redirect_request(request, response, code, message, headers, url)
        if following is not None and origin(url) != origin(request.full_url):
            following.remove_header("Authorization")
        return following

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302


def reason_of(error):
    """Why a connection failed, in a few words."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, (socket.timeout, TimeoutError)):
        return "timed out"
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(text.split())


class Interrupted(Exception):
    """A transfer that may be tried again."""

    further = False  # it got further than those before it


class Unreachable(Interrupted):
    """No answer at all."""


class Hub:
    def __init__(self, endpoint, token, timeout, retries):
        self.endpoint = endpoint
        self.token = token
        self.timeout = timeout
        self.retries = retries
        parts = urllib.parse.urlsplit(endpoint)
        self.host = parts.hostname + (":%d" % parts.port if parts.port else "")
        self.opener = urllib.request.build_opener(Redirects)

    def open(self, path, what, start=0):
        """Raises Error for what the hub refuses, Interrupted for the rest."""
        request = urllib.request.Request(self.endpoint + path, headers={
            "User-Agent": "mmodal", "Accept-Encoding": "identity"})
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        if start:
            request.add_header("Range", "bytes=%d-" % start)
        try:
            return self.opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as e:
            e.close()
            if e.code == 404:
                raise Error("%s has no %s" % (self.host, what)) from None
            if e.code in (401, 403):
                raise Error("%s refuses %s (%d): there is no such model, or it asks for a token "
                            "(HF_TOKEN) of somebody who has accepted its terms"
                            % (self.host, what, e.code)) from None
            if e.code == 416 or e.code == 429 or e.code >= 500:
                raise Interrupted("%s answered %d for %s" % (self.host, e.code, what)) from None
            raise Error("%s answered %d for %s" % (self.host, e.code, what)) from None
        except (OSError, http.client.HTTPException) as e:
            raise Unreachable("cannot reach %s: %s" % (self.host, reason_of(e))) from None

    def insist(self, attempt):
        """Call attempt() until it goes through, or the tries are used up; one
        that got further starts the count again."""
        failures = 0
        while True:
            try:
                attempt()
                return
            except Interrupted as e:
                failures = 0 if e.further else failures
                if failures >= self.retries:
                    raise Error(str(e)) from None
                time.sleep(min(30, 2 ** failures))
                failures += 1

    def model(self, name, revision):
        what = name if revision == "main" else "%s at %s" % (name, revision)
        path = "/api/models/%s/revision/%s?blobs=true" % (
            urllib.parse.quote(name), urllib.parse.quote(revision, safe=""))
        answers = []

        def attempt():
            try:
                with self.open(path, what) as response:
                    answers.append(response.read(LISTING_LIMIT))
            except Unreachable as e:  # most likely there is no network
                raise Error(str(e)) from None
            except (OSError, http.client.HTTPException) as e:
                raise Interrupted("%s broke off: %s" % (self.host, reason_of(e))) from None

        self.insist(attempt)
        try:
            return parse_model(name, revision, json.loads(answers[0]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Error("%s does not answer as a hub does: is HF_ENDPOINT right?"
                        % self.host) from None

    def download(self, model, file, cache, progress):
        """The path of the file in the cache, complete and checked.  What an
        earlier try has left of it is gone on with."""
        key = file.sha256 or file.git or hashlib.sha256(
            ("%s %s %s" % (model.id, model.commit, file.name)).encode()).hexdigest()
        path = os.path.join(cache, key)
        if os.path.exists(path) and problem_of(path, file) is None:
            return path
        part = path + ".part"
        url = "/%s/resolve/%s/%s" % (urllib.parse.quote(model.id), model.commit,
                                     urllib.parse.quote(file.name))
        what = "%s of %s" % (file.name, model.id)
        best = size_of(part)

        def attempt():
            nonlocal best
            try:
                self.transfer(url, what, file, part, progress)
            except Interrupted as e:
                e.further = size_of(part) > best
                best = max(best, size_of(part))
                raise

        self.insist(attempt)
        problem = problem_of(part, file)
        if problem is not None:
            os.unlink(part)
            raise Error("%s came with %s, and is thrown away" % (what, problem))
        with open(part, "rb") as f:
            os.fsync(f.fileno())
        os.replace(part, path)
        return path

    def transfer(self, url, what, file, part, progress):
        """Append to the part what it lacks."""
        have = size_of(part)
        if file.size is not None and have > file.size:
            os.unlink(part)
            have = 0
        if have > 0 and have == file.size:
            return
        try:
            response = self.open(url, what, have)
        except Interrupted as e:
            if " answered 416 " in str(e) and have > 0:  # not the file that it was
                os.unlink(part)
            raise
        with response:
            if have and not goes_on_from(response, have):
                have = 0
            expected = file.size
            if expected is None and response.headers.get("Content-Length", "").isdigit():
                expected = have + int(response.headers["Content-Length"])
            with open(part, "ab" if have else "wb") as f:
                while expected is None or have <= expected:
                    try:
                        block = response.read(BLOCK)
                    except (OSError, http.client.HTTPException) as e:
                        raise Interrupted("%s broke off: %s" % (what, reason_of(e))) from None
                    if not block:
                        break
                    f.write(block)
                    have += len(block)
                    progress(have)
        if expected is not None and have < expected:
            raise Interrupted("%s broke off after %d of %d bytes" % (what, have, expected))


def goes_on_from(response, start):
    """Hubs may disregard the Range that was asked for."""
    return response.status == 206 and re.match(
        r"bytes %d-" % start, response.headers.get("Content-Range", "")) is not None


def size_of(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def git_hash(path):
    digest = hashlib.sha1(b"blob %d\0" % os.path.getsize(path))
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def problem_of(path, file):
    """What is wrong with a file that came, or None."""
    if file.size is not None and os.path.getsize(path) != file.size:
        return "a wrong size"
    if file.sha256 is not None:
        return None if sha256_of(path) == file.sha256 else "a wrong SHA-256"
    if file.git is not None:
        return None if git_hash(path) == file.git else "a wrong hash"
    return None


def checked(value, pattern):
    if not re.fullmatch(pattern, value):
        raise ValueError(value)
    return value


def parse_model(name, revision, answer):
    files = {}
    for sibling in answer["siblings"]:
        size = sibling.get("size")
        lfs = sibling.get("lfs") or {}
        sha256 = lfs.get("sha256") or lfs.get("oid")
        if sha256 is not None:
            checked(sha256, "[0-9a-f]{64}")
        git = sibling.get("blobId") if sha256 is None else None
        if git is not None:
            checked(git, "[0-9a-f]{40}")
        if size is not None and (not isinstance(size, int) or size < 0):
            raise ValueError(size)
        files[sibling["rfilename"]] = File(sibling["rfilename"], size, sha256, git)
    card = answer.get("cardData") or {}
    licence = card.get("license")
    for tag in answer.get("tags") or []:
        if licence is None and tag.startswith("license:"):
            licence = tag[len("license:"):]
    if not isinstance(licence, str):
        licence = None
    return Model(name, revision, checked(answer["sha"], "[0-9a-f]{40}"), licence, files)
