"""TAP, and a private server, for the tests that are written in Python."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

count = 0
failures = 0


def ok(good, name, notes=""):
    global count, failures
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name), flush=True)
    if not good:
        failures += 1
        for line in str(notes).splitlines():
            print("# " + line, flush=True)
    return good


def same(got, want, name):
    return ok(got == want, name, "got:\n%s\nwant:\n%s" % (got, want))


def has(text, part, name):
    return ok(part in text, name, "no \"%s\" in:\n%s" % (part, text))


def skip(name, why):
    global count
    count += 1
    print("ok %d - %s # SKIP %s" % (count, name, why), flush=True)


def done():
    print("1..%d" % count, flush=True)
    sys.exit(1 if failures else 0)


class Server:
    """A cluster of scripts/pg, by default of the server that is staged.

    tree is a clone or a version's tree, prefix another copy of its server."""

    def __init__(self, name, tree=ROOT, prefix=None):
        self.name, self.tree = name, tree
        self.env = dict(os.environ)
        config = os.path.join(tree, "PG_CONFIG")
        if os.path.exists(config):
            self.env["PG_CONFIG"] = open(config).read().strip()
        if prefix:
            self.env["MMODAL_SERVER"] = prefix

    def pg(self, *words, **options):
        return subprocess.run([os.path.join(self.tree, "scripts", "pg"), *words], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, **options)

    def control(self, word):
        result = self.pg(word, self.name)
        if result.returncode != 0:
            sys.exit("Bail out! scripts/pg %s %s: %s" % (word, self.name, result.stdout))

    def start(self):
        self.control("start")

    def stop(self):
        self.control("stop")

    def drop(self):
        self.control("drop")

    def psql(self, sql, database="postgres"):
        """What psql prints, errors too, and whether all went well."""
        result = self.pg("psql", self.name, "-XqAt", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=default",
                         "-d", database, "-f", "-", input=sql)
        return result.stdout.strip(), result.returncode == 0

    def sql(self, sql, database="postgres"):
        out, good = self.psql(sql, database)
        if not good:
            ok(False, "SQL that has to work", sql[:500] + "\n" + out)
        return out

    def fails(self, sql, database="postgres"):
        """The error of SQL that has to fail."""
        out, good = self.psql(sql, database)
        return "no error: " + out if good else out

    def variables(self):
        """What a program that connects needs in its environment."""
        lines = self.pg("env", self.name).stdout
        return dict(word.split("=", 1) for word in lines.replace("'", "").split()[1:])

    def run(self, program, *words, **options):
        """Run a program of the server's against it."""
        variables = self.variables()
        return subprocess.run([os.path.join(variables["PATH"].split(":")[0], program), *words],
                              env=dict(self.env, **variables), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, **options)

    def session(self, database="postgres"):
        return Session(self, database)


class Session:
    """A psql that stays."""

    END = "-- end of answer --"

    def __init__(self, server, database):
        self.psql = subprocess.Popen(
            [os.path.join(server.tree, "scripts", "pg"), "psql", server.name, "-XqAt", "-d", database],
            env=server.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            universal_newlines=True)

    def ask(self, sql):
        self.psql.stdin.write("%s\n\\echo %s\n" % (sql, self.END))
        self.psql.stdin.flush()
        answer = []
        for line in self.psql.stdout:
            if line.strip() == self.END:
                break
            answer.append(line)
        return "".join(answer).strip()

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()
