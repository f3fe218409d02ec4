"""The private server of a benchmark, and the peers' files that are lent to it."""

import glob
import os
import re
import shutil
import subprocess
import time

NAME = "bench"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPTIONS = {
    "shared_buffers": "3GB", "maintenance_work_mem": "1GB", "max_wal_size": "8GB",
    "checkpoint_timeout": "1h", "autovacuum": "off", "jit": "off",
    "max_parallel_maintenance_workers": str((os.cpu_count() or 2) - 1),
}


def process_ticks(pid):
    """CPU ticks of a process and of its children that have ended."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))


class Server:
    def __init__(self, name=NAME, options=None):
        self.name = name
        self.options = OPTIONS if options is None else options
        self.preload = []
        self.lent = []

    def pg(self, command, **environment):
        answer = subprocess.run([os.path.join(ROOT, "scripts/pg"), command, self.name], check=True, text=True,
                                stdout=subprocess.PIPE, env={**os.environ, **environment})
        return answer.stdout

    def start(self):
        options = dict(self.options)
        if self.preload:
            options["shared_preload_libraries"] = ",".join(self.preload)
        self.pg("start", PG_OPTIONS=" ".join(f"-c {k}={v}" for k, v in options.items()))
        self.read_environment()

    def read_environment(self):
        """PG* and PATH, so that libpq and the staged programs are found."""
        for name, value in re.findall(r"(PG\w+|PATH)='?([^' \n]*)'?", self.pg("env")):
            os.environ[name] = value

    def stop(self):
        self.pg("stop")

    def restart(self):
        self.stop()
        self.start()

    def drop(self):
        self.pg("drop")
        for path in self.lent:
            if os.path.exists(path):
                os.remove(path)

    def lend(self, source, directory):
        """Copy a file into the private copy of the server, until drop()."""
        target = os.path.join(directory, os.path.basename(source))
        if not os.path.exists(target):
            self.lent.append(target)
        shutil.copy(source, target)

    def lend_extension(self, library, scripts):
        """Install an extension that was built but not installed."""
        self.read_environment()
        places = subprocess.run(["pg_config", "--pkglibdir", "--sharedir"], check=True, text=True,
                                stdout=subprocess.PIPE).stdout.split("\n")
        self.lend(library, places[0])
        for script in scripts:
            self.lend(script, os.path.join(places[1], "extension"))

    def lend_pgvector(self, folder):
        """From a source folder in which it was made.  Whether it was."""
        library = os.path.join(folder, "vector.so")
        if not os.path.exists(library):
            return False
        self.lend_extension(library, glob.glob(os.path.join(folder, "sql", "vector--*.sql"))
                            + [os.path.join(folder, "vector.control")])
        return True

    def lend_vchord(self, folder):
        """The same of VectorChord; it has to be preloaded."""
        build = os.path.join(folder, "build")
        library = os.path.join(build, "pkglibdir", "vchord.so")
        if not os.path.exists(library):
            return False
        self.lend_extension(library, glob.glob(os.path.join(build, "sharedir", "extension", "*")))
        self.preload.append("vchord")
        return True

    def has_extension(self, session, name):
        return bool(session.run(f"SELECT 1 FROM pg_available_extensions WHERE name = '{name}'"))


class BuildClock:
    """Wall time, CPU time (threads and parallel workers included) and WAL of
    what happens in a session while the clock is open."""

    def __init__(self, session):
        self.session = session
        self.parent = int(session.value("SELECT pg_read_file('postmaster.pid')").split()[0])

    def ticks(self):
        return process_ticks(self.session.pid)[0] + process_ticks(self.parent)[1]

    def lsn(self):
        return self.session.value("SELECT pg_current_wal_lsn()")

    def __enter__(self):
        self.start_lsn, self.start_ticks = self.lsn(), self.ticks()
        self.start = time.monotonic()
        return self

    def __exit__(self, *_):
        self.wall = time.monotonic() - self.start
        self.cpu = (self.ticks() - self.start_ticks) / os.sysconf("SC_CLK_TCK")
        self.wal = int(self.session.value(f"SELECT pg_wal_lsn_diff('{self.lsn()}', '{self.start_lsn}')"))

