#!/usr/bin/env python3
"""What packages say of mmodal agrees with what is in the tree.

    prove -v -e '' tests/scripts/package.t

Builds no package: scripts/package does, and this test with MMODAL_TEST_LONG=1.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tap import ROOT, done, has, ok, same, skip  # noqa: E402

os.chdir(ROOT)


def read(path):
    with open(path) as f:
        return f.read()


def found(pattern, path):
    match = re.search(pattern, read(path), re.M)
    return match.group(1) if match else "nothing in " + path


def run(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, **options)


# ---- versions

version = found(r"^default_version = '(.*)'", "mmodal.control")
meta = json.loads(read("META.json"))
same(found(r"^mmodal \(([^-]*)-[0-9]+\) ", "debian/changelog"), version, "debian/changelog is of this version")
same(found(r"^## (\S+)", "CHANGELOG.md"), version, "CHANGELOG.md is, too")
same(meta["version"], version, "and META.json")
same(meta["provides"]["mmodal"]["version"], version, "and what it provides")
same(run("python3", "-c", "import re,sys; sys.exit(not re.fullmatch(r'\\d+\\.\\d+\\.\\d+', sys.argv[1]))", version).returncode, 0,
     "the version is one of PGXN: three numbers")

# ---- META.json, by PGXN's specification 1.0.0


def meta_faults(m):
    """What is wrong with it."""
    faults = ["no " + key for key in ("name", "version", "abstract", "maintainer", "license", "provides", "meta-spec") if not m.get(key)]
    known = {"name", "version", "abstract", "maintainer", "license", "provides", "meta-spec", "description", "generated_by", "tags",
             "no_index", "prereqs", "release_status", "resources"}
    faults += ["unknown key " + key for key in m if key not in known and not key.lower().startswith("x_")]
    if m.get("license") not in ("agpl_3", "apache_2_0", "artistic_2", "bsd", "gpl_2", "gpl_3", "lgpl_2_1", "lgpl_3_0", "mit", "mozilla_1_0",
                                "mozilla_1_1", "postgresql", "unrestricted", "open_source"):
        faults.append("licence")
    if m.get("release_status", "stable") not in ("stable", "testing", "unstable"):
        faults.append("release_status")
    if not re.fullmatch(r"1\.0\.\d+", m.get("meta-spec", {}).get("version", "")):
        faults.append("meta-spec")
    for name, part in m.get("provides", {}).items():
        faults += ["%s: no %s" % (name, key) for key in ("file", "version") if not part.get(key)]
        faults += ["%s: no file %s" % (name, part[key]) for key in ("file", "docfile") if key in part and not os.path.isfile(part[key])]
    for phase, relations in m.get("prereqs", {}).items():
        if phase not in ("configure", "build", "test", "runtime", "develop"):
            faults.append("phase " + phase)
        for relation, wanted in relations.items():
            if relation not in ("requires", "recommends", "suggests", "conflicts"):
                faults.append("relation " + relation)
            faults += ["version of " + name for name, v in wanted.items() if v != 0 and not re.fullmatch(r"(>= )?\d+\.\d+\.\d+", str(v))]
    return faults


same(meta_faults(meta), [], "META.json holds what PGXN wants")
same(sorted(meta_faults(dict(meta, license="", version="", provides={"x": {"file": "nowhere"}}))),
     ["licence", "no license", "no version", "x: no file nowhere", "x: no version"], "and faults are seen")
same(meta["provides"]["mmodal"]["file"], "extension/mmodal--%s.sql" % version, "META.json names the script of this version")

# ---- Debian packages that are named in several places

setup = dict((name, words.split()) for name, words in re.findall(r'^([a-z0-9]+)_packages="(.*)"', read("scripts/setup"), re.M))
compilers = {"gcc", "g++", "libc6-dev", "make"}  # build-essential, which Debian supposes
control = read("debian/control.in")
depends = set(re.findall(r"^ ([a-z0-9][a-z0-9.+-]*)", re.search(r"Build-Depends:\n((?: .*\n)+)", control).group(1), re.M))
same(sorted(set(setup["build"]) - compilers - depends), [], "Build-Depends has what scripts/setup installs")
same(sorted(depends - set(setup["build"]) - {"debhelper-compat", "postgresql-all", "postgresql-server-dev-all"}), [], "and nothing else")
same([p for p in setup["build"] if "`%s`" % p not in read("docs/install.md") and p not in compilers], [], "docs/install.md has it, too")

docker = read("docker/Dockerfile")
lists = [re.findall(r"^\t([a-z0-9][a-z0-9.+-]*?)(?:-\$\{PG_MAJOR\})?(?: \\)?$", text, re.M)
         for text in re.findall(r"apt-get install (.*?)^(?:COPY|\t&&)", docker, re.M | re.S)]
same(len(lists), 2, "docker/Dockerfile installs packages in two stages")
same(sorted((set(setup["build"]) | set(setup["fetch"]) | {"python3-pip", "postgresql-server-dev"}) ^ set(lists[0])), [],
     "the first has what scripts/setup installs for build and model")


def packages_of(library):
    """The packages that hold what a library is linked with."""
    wanted = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", library).stdout)
    places = dict(re.findall(r"(\S+) => (\S+)", run("ldd", library).stdout))
    for name in wanted:
        path = places.get(name)
        if path:
            # as the package names it: /lib may be a link to /usr/lib, and the library one of alternatives
            out = "".join(run("dpkg-query", "-S", candidate).stdout for candidate in (path, os.path.realpath(path), re.sub("^/usr", "", path)))
            yield name, set(re.findall(r"^([a-z0-9.+-]+)(?::\w+)?: /", out, re.M))


bookworm = os.path.exists("/etc/os-release") and "VERSION_CODENAME=bookworm" in read("/etc/os-release")
if bookworm and shutil.which("ldd") and os.path.exists("mmodal_compute.so"):
    base = {"libc6", "libgcc-s1"}
    needed = {name: owners for library in ("mmodal.so", "mmodal_compute.so", "build/tools/mmodal-load")
              for name, owners in packages_of(library)}
    same([name for name, owners in needed.items() if owners and not owners & (base | set(lists[1]))], [],
         "the second has every library that ours are linked with")
    same([p for p in lists[1] if not any(p in owners for owners in needed.values())], [], "and no other")
else:
    skip("the second has every library that ours are linked with", "not Debian 12, or nothing was built")
    skip("and no other", "not Debian 12, or nothing was built")
if bookworm and run("apt-cache", "show", "libfaiss-dev").returncode == 0:
    same([p for p in lists[0] + lists[1] if p != "postgresql-server-dev" and run("apt-cache", "show", p).returncode != 0], [],
         "all of them exist in Debian 12")
else:
    skip("all of them exist in Debian 12", "not Debian 12, or no lists of packages here")
if run("git", "rev-parse", "--git-dir").returncode == 0:
    tracked = run("git", "ls-files").stdout.splitlines()
    hidden = [line for line in read(".dockerignore").splitlines() if line and not line.startswith(("#", "**"))]
    same([f for f in tracked if f.split("/")[0] in hidden or f in hidden], [], ".dockerignore hides nothing that is committed")

# ---- make install, uninstall and dist

work = tempfile.mkdtemp(prefix="mmodal-package-test.")
models = os.path.join(work, "models")
os.makedirs(os.path.join(models, "tiny", "licenses"))
for name in ("config.json", "model.safetensors", "licenses/one.txt"):
    with open(os.path.join(models, "tiny", name), "w") as f:
        f.write("{}")


def tree(folder):
    return sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, files in os.walk(folder) for f in files)


def make(*words):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return run("make", "--no-print-directory", "-s", "MODELS_DIR=" + models, *words, env=env)


if glob.glob("mmodal*.so"):
    stage = os.path.join(work, "stage")
    umask = os.umask(0o002)  # that of users with a group of their own
    result = make("install", "DESTDIR=" + stage)
    os.umask(umask)
    same(result.returncode, 0, "make install DESTDIR=")
    put = tree(stage)
    same(sorted({"mmodal.so", "mmodal_compute.so", "mmodal.control", "mmodal--%s.sql" % version, "config.json", "model.safetensors", "one.txt"} -
                {os.path.basename(f) for f in put}), [], "puts libraries, scripts and models there")
    installed = os.path.join(stage, next(f for f in put if f.endswith("tiny/config.json")).rpartition("/tiny/")[0])
    shared = [d for d, _, _ in os.walk(installed) if os.stat(d).st_mode & 0o022]
    same(shared, [], "of the models only their owner may change anything: weights are mapped then")
    others = os.path.join(installed, "other")
    os.makedirs(others)
    with open(os.path.join(others, "config.json"), "w") as f:
        f.write("{}")
    result = make("uninstall", "DESTDIR=" + stage)
    same(result.returncode, 0, "make uninstall")
    same([os.path.basename(os.path.dirname(f)) for f in tree(stage)], ["other"], "takes all of it away, and no model of others")
else:
    skip("make install and uninstall", "nothing was built")
if run("git", "rev-parse", "HEAD").returncode == 0 and shutil.which("git"):
    clone = os.path.join(work, "clone")
    run("git", "clone", "-q", "--depth", "1", "file://" + ROOT, clone)
    shutil.copy("Makefile", clone)
    result = run("make", "--no-print-directory", "-s", "dist", cwd=clone)
    name = "mmodal-%s" % version
    path = os.path.join(clone, name + ".zip")
    if ok(result.returncode == 0 and os.path.exists(path), "make dist", result.stdout):
        inside = zipfile.ZipFile(path).namelist()
        same([f for f in ("META.json", "Makefile", "LICENSE", "README.md", meta["provides"]["mmodal"]["file"]) if name + "/" + f not in inside], [],
             "the distribution has what PGXN looks for")
        same([f for f in inside if not f.startswith(name + "/")], [], "in one folder")
else:
    skip("make dist", "not a git clone")
shutil.rmtree(work)

# ---- the package itself

if not os.environ.get("MMODAL_TEST_LONG"):
    skip("scripts/package", "takes minutes: MMODAL_TEST_LONG=1 runs it")
elif run("scripts/setup", "package").returncode != 0:
    skip("scripts/package", "no tools that build Debian packages")
else:
    result = run("scripts/package")
    ok(result.returncode == 0, "scripts/package", result.stdout[-3000:])
    has(result.stdout, "lintian: no errors, no warnings", "lintian is content")
done()
