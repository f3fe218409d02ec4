"""The measurements of bench/ivf.  Each returns plain figures; ivf_report prints."""

import statistics
import time

import numpy as np

import crossmodal
from ivf_libpq import Parameters, Session, int_parameter, vector_parameter
from ivf_peers import K, Setting, copy_chunks
from ivf_server import BuildClock

KINDS = ("text", "image")
TARGETS = (0.95, 0.99)
BEYOND = 0.992          # a sweep goes no further
CLIMB_STRIDE = 4        # a sweep first takes every fourth query
NEAR_ENOUGH = 0.001     # a setting this little above the target is not improved on
ROUND_SECONDS = 1.0
SLOWEST_QUERY = 0.03    # seconds; nor further than this
FILTERED_QUERIES = 200
CALIBRATION_QUERIES = 200
TOLERANCE = 0.03        # below the recall that was asked for, to be made good by calibration


def recall(answers, truth):
    """Share of the true rows found; a row that is not there (-1) does not count."""
    found = wanted = 0
    for answer, true in zip(answers, truth):
        true = set(true[true >= 0].tolist())
        wanted += len(true)
        found += len(true.intersection(answer))
    return found / wanted if wanted else 1.0


class Point:
    """What a setting gave: recall, and CPU seconds a query.  Whole: with all
    queries, not with some."""

    def __init__(self, setting, value, seconds, whole):
        self.setting = setting
        self.recall = value
        self.seconds = seconds
        self.whole = whole


class Sweep:
    """The points of one index for one kind of query.  A climb with some of the
    queries finds about where the targets are, then all queries are used."""

    def __init__(self, subject, data, kind):
        self.subject = subject
        self.queries = subject.prepare_queries(data[kind])
        self.truth = data[f"truth_{kind}"]
        self.kind = kind
        self.points = {variant: [] for variant in subject.variants}
        self.gave_up = False    # for being slow

    def measure(self, variant, value, whole):
        setting = Setting(self.subject.knob.name, value, variant)
        self.subject.set(setting)
        self.subject.search(self.queries[:20])
        part = slice(None, None, 1 if whole else CLIMB_STRIDE)
        queries, truth = self.queries[part], self.truth[part]
        answers, seconds = self.subject.search(queries)
        point = Point(setting, recall(answers, truth), seconds / len(queries), whole)
        others = [other for other in self.points[variant] if other.setting.value != value]
        self.points[variant] = sorted(others + [point], key=lambda point: point.setting.value)
        return point

    def climb(self, variant):
        best, idle = 0, 0
        for value in self.subject.knob.values:
            point = self.measure(variant, value, False)
            # past what the index can reach, work buys nothing; once may be chance
            idle = idle + 1 if 0.8 < point.recall < best + 1e-4 else 0
            if point.recall >= BEYOND or idle > 2:
                return
            if point.seconds > SLOWEST_QUERY:
                self.gave_up = True
                return
            best = max(best, point.recall)

    def bracket(self, variant, target):
        """The last point below the target (or None) and the first that reaches it (or None)."""
        points = self.points[variant]
        above = next((i for i, point in enumerate(points) if point.recall >= target), len(points))
        return ([None] + points)[above], (points + [None])[above]

    def guess(self, low, high, target):
        """A value between two points: misses fall about as a power of the knob."""
        misses = np.log([1 - low.recall, 0.99 * (1 - target), max(1 - high.recall, 1e-5)])
        share = (misses[0] - misses[1]) / (misses[0] - misses[2])
        return self.subject.knob.between(low.setting.value, high.setting.value, share)

    def narrow(self, variant, target, steps=6):
        """Find a cheap setting that reaches the target with all queries."""
        for step in range(steps):
            low, high = self.bracket(variant, target)
            if not high or (high.whole and (high.recall < target + NEAR_ENOUGH or step > 3)):
                return
            value = self.guess(low, high, target) if low and step < 4 else None
            if value is None and high.whole:
                return
            self.measure(variant, value or high.setting.value, True)

    def run(self):
        targets = TARGETS
        if self.subject.calibrates:
            targets += tuple(target - TOLERANCE for target in TARGETS)
        for variant in self.subject.variants:
            self.climb(variant)
            for target in sorted(targets):
                self.narrow(variant, target)

    def cheapest(self, target):
        """The cheapest of the points that reach the target: of each variant
        the least value of the knob.  None where there is none."""
        reaching = [next((point for point in points if point.whole and point.recall >= target), None)
                    for points in self.points.values()]
        return min(filter(None, reaching), key=lambda point: point.seconds, default=None)


class Contest:
    """An index at one kind of query and one recall, round after round."""

    def __init__(self, sweep, target):
        self.sweep = sweep
        self.target = target
        self.point = sweep.cheapest(target)
        self.rates = []

    def round(self, number):
        """As many queries as take a second or so, but all of a fast index;
        every round goes on where the last one ended."""
        subject, queries = self.sweep.subject, self.sweep.queries
        count = min(len(queries), max(100, int(ROUND_SECONDS / self.point.seconds)))
        start = number * count % (len(queries) - count + 1)
        part = queries[start:start + count]
        subject.set(self.point.setting)
        subject.search(queries[:20])
        _, seconds = subject.search(part)
        self.rates.append(len(part) / seconds)

    def median(self):
        return statistics.median(self.rates)


def contests(sweeps, rounds):
    """Every index at every target, taking turns."""
    all_contests = [Contest(sweep, target) for sweep in sweeps for target in TARGETS]
    running = [contest for contest in all_contests if contest.point]
    for number in range(rounds):
        for contest in running:
            contest.round(number)
    return all_contests


class Build:
    def __init__(self, subject, wall, cpu, megabytes, wal):
        self.subject = subject
        self.wall = wall
        self.cpu = cpu
        self.megabytes = megabytes
        self.wal = wal      # bytes, or None


def build_postgres(subject, data, workers):
    session = Session()
    subject.make_table(session, data, len(data["base"]), workers)
    session.run("CHECKPOINT")
    with BuildClock(session) as clock:
        subject.build(session)
    build = Build(subject, clock.wall, clock.cpu, subject.megabytes(session), clock.wal)
    session.close()
    return build


def build_faiss(subject, data):
    wall, cpu = time.monotonic(), time.process_time()
    subject.build(data["base"])
    return Build(subject, time.monotonic() - wall, time.process_time() - cpu, subject.megabytes(), None)


def calibrate(subject, data):
    """mmodal_calibrate with the first text queries, which AsAsked leaves out.  Returns seconds."""
    array = ",".join('"[' + ",".join(map(str, query)) + ']"' for query in data["text"][:CALIBRATION_QUERIES])
    start = time.monotonic()
    subject.session.run(f"SELECT * FROM mmodal_calibrate('{subject.index}', '{{{array}}}')")
    return time.monotonic() - start


class AsAsked:
    """What mmodal.recall gives without expert settings: by kind of query, recall,
    queries a CPU second, and the work as a multiple of that of the cheapest
    setting that reaches it within TOLERANCE."""

    def __init__(self, subject, state, data, asked, sweeps):
        self.subject = subject
        self.state = state
        self.asked = asked
        self.results = {}
        for name, value in (("mmodal.ivf_spread", 0), ("mmodal.recall", asked)):
            subject.session.run(f"SET {name} = {value}")
        for kind in KINDS:
            queries = subject.prepare_queries(data[kind][CALIBRATION_QUERIES:])
            subject.search(queries[:20])
            answers, seconds = subject.search(queries)
            seconds /= len(queries)
            sweep = next(sweep for sweep in sweeps if sweep.subject is subject and sweep.kind == kind)
            cheapest = sweep.cheapest(asked - TOLERANCE)
            self.results[kind] = (recall(answers, data[f"truth_{kind}"][CALIBRATION_QUERIES:]), 1 / seconds,
                                  seconds / cheapest.seconds if cheapest else None)
        subject.session.run("RESET mmodal.recall")


class Filtered:
    """Queries with a filter that passes 1 % of the rows."""

    def __init__(self, subject, name, settings):
        self.subject = subject
        self.name = name
        self.settings = settings
        self.results = {}

    def measure(self, data):
        for setting in self.settings:
            self.subject.session.run("SET " + setting)
        for kind in KINDS:
            for column in ("category", "grp"):
                self.results[kind, column] = self.measure_one(data, kind, column)
        for setting in self.settings:
            self.subject.session.run("RESET " + setting.split(" ")[0])

    def measure_one(self, data, kind, column):
        """Rows a query, recall, CPU ms a query."""
        vectors = data[kind][:FILTERED_QUERIES]
        values = crossmodal.filter_values(column, len(data[kind]))[:FILTERED_QUERIES]
        queries = self.subject.prepare_filtered(vectors, values.tolist())
        truth = data[f"truth_{kind}_{column}"]
        statement = "near_" + column
        self.subject.search(queries[:5], statement)
        answers, seconds = self.subject.search(queries, statement)
        return (sum(map(len, answers)) / len(answers), recall(answers, truth), seconds / len(queries) * 1e3)


class Insertion:
    """New rows into an indexed table (or, without subject, a bare one)."""

    def __init__(self, subject, name):
        self.subject = subject
        self.name = name

    def measure(self, extra, first_id, copied):
        Session().run("CHECKPOINT")
        session = Session(["synchronous_commit = off"] + (self.subject.fixed if self.subject else []))
        labels = np.arange(len(extra)) % 100
        ids = np.arange(first_id, first_id + len(extra))
        self.copy_rate = self.timed(copied, lambda: session.copy_in(
            self.subject.copy_statement(),
            copy_chunks(ids[:copied], labels[:copied], labels[:copied], extra[:copied])))
        session.prepare("add", f"INSERT INTO {self.subject.table} VALUES ($1::int4, $2::int4, $3::int4, "
                               f"$4::{self.subject.type})")
        rows = [Parameters(int_parameter(int(ids[i])), int_parameter(int(labels[i])),
                           int_parameter(int(labels[i])), vector_parameter(extra[i]))
                for i in range(copied, len(extra))]
        self.insert_rate = self.timed(len(rows), lambda: [session.execute(b"add", row) for row in rows])
        session.close()

    @staticmethod
    def timed(count, work):
        start = time.monotonic()
        work()
        return count / (time.monotonic() - start)


def cold_start(server, subject, setting, vector, rounds):
    """Elapsed ms of a new session's first query after a restart: preparing and
    executing it.  The files are in the system's cache."""
    times = []
    query = Parameters(vector_parameter(vector))
    for _ in range(rounds):
        server.restart()
        session = Session(["enable_seqscan = off", "jit = off"] + subject.fixed)
        if setting:
            for name, value in ((setting.knob, setting.value),) + setting.variant:
                session.run(f"SET {name} = '{value}'")
        start = time.monotonic()
        session.prepare("first", f"SELECT id FROM {subject.table} ORDER BY e <=> $1::{subject.type} LIMIT {K}")
        session.execute(b"first", query)
        times.append((time.monotonic() - start) * 1e3)
        session.close()
    return times
