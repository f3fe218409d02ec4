"""What bench/ivf measures: the indexes, their knobs, and how to make them."""

import time

import numpy as np

from ivf_libpq import Parameters, Session, int_parameter, vector_parameter

K = 10
SESSION = ["enable_seqscan = off", "jit = off", "max_parallel_workers_per_gather = 0",
           "plan_cache_mode = force_generic_plan"]


def geometric(low, high, ratio):
    """Whole numbers from low to high, growing by about ratio."""
    values = [low]
    while values[-1] < high:
        values.append(min(high, max(values[-1] + 1, round(values[-1] * ratio))))
    return values


class Knob:
    """What trades work for recall: its name and the values to try, rising."""

    def __init__(self, name, values):
        self.name = name
        self.values = values
        self.whole = all(isinstance(value, int) for value in values)

    def between(self, low, high, share):
        """The value at a share of the way from low to high, by ratio, or None
        when the two are as good as one."""
        value = low * (high / low) ** min(max(share, 0.05), 0.95)
        if high / low < (1.02 if self.whole else 1.005):
            return None
        if not self.whole:
            return round(value, 3)
        value = min(max(round(value), low + 1), high - 1)
        return value if low < value < high else None


class Setting:
    """A value of the knob beside values of other parameters (the variant)."""

    def __init__(self, knob, value, variant=()):
        self.knob = knob
        self.value = value
        self.variant = tuple(variant)

    def __str__(self):
        short = [name.split(".")[-1].replace("ivf_", "") + " " + str(value)
                 for name, value in ((self.knob, self.value),) + self.variant]
        return ", ".join(short)


class Subject:
    """An index that can be searched.  Subclasses: PostgresIndex, FaissIndex."""

    def __init__(self, key, label, knob, variants=((),)):
        self.key = key
        self.label = label
        self.knob = knob
        self.variants = variants
        self.calibrates = key.startswith("mmodal")


class PostgresIndex(Subject):
    """An index in a table of its own."""

    def __init__(self, key, label, column, method, knob, variants=((),), fixed=()):
        super().__init__(key, label, knob, variants)
        self.table = "t_" + key.replace("-", "_")
        self.index = self.table + "_e"
        self.column = column
        self.type = column.split("(")[0]
        self.method = method
        self.fixed = list(fixed)
        self.dims = int(column.split("(")[1].split(",")[0].rstrip(")"))
        self.session = None

    def make_table(self, session, data, rows, workers):
        session.run(f"CREATE TABLE {self.table} (id int, category int, grp int, e {self.column}) "
                    f"WITH (parallel_workers = {workers})")
        session.copy_in(self.copy_statement(), copy_chunks(
            np.arange(rows), data["category"], data["grp"], data["base"]))
        session.run(f"VACUUM ANALYZE {self.table}")

    def copy_statement(self):
        return f"COPY {self.table} FROM STDIN (FORMAT binary)"

    def build(self, session):
        session.run(f"CREATE INDEX {self.index} ON {self.table} USING {self.method}")

    def megabytes(self, session):
        return int(session.value(f"SELECT pg_relation_size('{self.index}')")) / 1e6

    def connect(self, setting=None):
        """A session with the statements prepared, and sure to use the index."""
        self.session = Session(SESSION + self.fixed)
        where = "SELECT id FROM {} {} ORDER BY e <=> $1 LIMIT {}"
        for name, filter_clause in (("near", ""), ("near_category", "WHERE category = $2"),
                                    ("near_grp", "WHERE grp = $2")):
            kinds = self.type + (", int4" if filter_clause else "")
            typed = where.format(self.table, filter_clause, K).replace("$1", f"$1::{self.type}")
            self.session.prepare(name, typed.replace("$2", "$2::int4"))
            self.check_plan(f"PREPARE plan_{name} ({kinds}) AS {typed}", name)
        if setting:
            self.set(setting)

    def check_plan(self, prepare, name):
        vector = "[1" + ",0" * (self.dims - 1) + "]"
        self.session.run(prepare)
        values = f"'{vector}'" + (", 1" if "_" in name else "")
        plan = "\n".join(row[0] for row in self.session.run(f"EXPLAIN EXECUTE plan_{name} ({values})"))
        if f"Index Scan using {self.index} " not in plan:
            raise SystemExit(f"ivf: {self.label} does not use its index:\n{plan}")

    def set(self, setting):
        for name, value in ((setting.knob, setting.value),) + setting.variant:
            self.session.run(f"SET {name} = '{value}'")

    def prepare_queries(self, vectors):
        return [Parameters(vector_parameter(vector)) for vector in vectors]

    def prepare_filtered(self, vectors, values):
        return [Parameters(vector_parameter(vector), int_parameter(value))
                for vector, value in zip(vectors, values)]

    def search(self, queries, statement="near"):
        """The ids of each query's rows, and the CPU seconds of them all."""
        name = statement.encode()
        execute = self.session.execute
        start = self.session.cpu_seconds()
        answers = [execute(name, query) for query in queries]
        return answers, self.session.cpu_seconds() - start


class FaissIndex(Subject):
    """An index of FAISS in this process, searched by one thread."""

    def __init__(self, key, factory, knob):
        super().__init__(key, f"FAISS {factory} (memory)", knob)
        self.factory = factory

    def build(self, base):
        import faiss
        self.faiss = faiss
        index = faiss.index_factory(base.shape[1], self.factory, faiss.METRIC_INNER_PRODUCT)
        if hasattr(index, "hnsw"):
            index.hnsw.efConstruction = 64
        index.train(base)
        index.add(base)
        self.faiss_index = index

    def megabytes(self):
        return len(self.faiss.serialize_index(self.faiss_index)) / 1e6

    def connect(self, setting=None):
        self.faiss.omp_set_num_threads(1)
        if setting:
            self.set(setting)

    def set(self, setting):
        self.faiss.ParameterSpace().set_index_parameter(self.faiss_index, setting.knob, setting.value)

    def prepare_queries(self, vectors):
        return np.ascontiguousarray(vectors)

    def search(self, queries):
        search = self.faiss_index.search
        start = time.process_time()
        answers = [search(queries[i:i + 1], K)[1] for i in range(len(queries))]
        seconds = time.process_time() - start
        return [list(answer[0]) for answer in answers], seconds


def copy_chunks(ids, categories, groups, vectors, step=1000):
    """Rows in COPY's binary form."""
    dims = vectors.shape[1]
    kind = np.dtype([("fields", ">i2"), ("id_size", ">i4"), ("id", ">i4"),
                     ("category_size", ">i4"), ("category", ">i4"), ("grp_size", ">i4"), ("grp", ">i4"),
                     ("e_size", ">i4"), ("dims", ">i2"), ("zero", ">i2"), ("e", ">f4", (dims,))])
    yield b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for start in range(0, len(ids), step):
        part = slice(start, start + step)
        rows = np.zeros(len(ids[part]), kind)
        rows["fields"] = 4
        rows["id_size"] = rows["category_size"] = rows["grp_size"] = 4
        rows["e_size"] = 4 + 4 * dims
        rows["dims"] = dims
        rows["id"], rows["category"], rows["grp"] = ids[part], categories[part], groups[part]
        rows["e"] = vectors[part]
        yield rows.tobytes()
    yield b"\xff\xff"


def vchord_options(lists, threads):
    return f"""(e vector_cosine_ops) WITH (options = $$
        residual_quantization = true
        [build.internal]
        lists = [{lists}]
        spherical_centroids = true
        build_threads = {threads}
        $$)"""


def all_subjects(rows, dims, threads):
    """Every index that is known here, in the order of the tables."""
    lists = max(1, rows // 100)
    spread = Knob("mmodal.ivf_spread", [.4, .6, .8, .9, 1., 1.1, 1.2, 1.4, 1.6, 2., 2.5])
    ef = geometric(16, 1000, 2)
    probes = geometric(8, lists, 2)
    epsilons = [(("vchordrq.epsilon", value),) for value in (1.3, 1.9, 2.6)]
    ours = f"embedding({dims})"
    theirs = f"vector({dims})"
    ops = "(e vector_cosine_ops)"
    return [
        PostgresIndex("mmodal", "mmodal faiss_ivf", ours, "faiss_ivf (e)", spread),
        PostgresIndex("mmodal-compact", "mmodal faiss_ivf, compact", ours,
                      "faiss_ivf (e) WITH (codec = compact)", spread),
        PostgresIndex("mmodal-half", "mmodal faiss_ivf, half column", f"embedding({dims}, half)",
                      "faiss_ivf (e)", spread),
        PostgresIndex("pgvector-hnsw", "pgvector hnsw", theirs,
                      f"hnsw {ops} WITH (m = 16, ef_construction = 64)", Knob("hnsw.ef_search", ef)),
        PostgresIndex("pgvector-ivfflat", "pgvector ivfflat", theirs,
                      f"ivfflat {ops} WITH (lists = {lists})", Knob("ivfflat.probes", probes)),
        PostgresIndex("vchord", "VectorChord vchordrq", theirs,
                      "vchordrq " + vchord_options(lists, threads),
                      Knob("vchordrq.probes", probes), epsilons, ["vchordrq.probes = '10'"]),
        FaissIndex("faiss-hnsw", "HNSW16", Knob("efSearch", ef)),
        FaissIndex("faiss-ivf", f"IVF{lists},Flat", Knob("nprobe", probes)),
        FaissIndex("faiss-sq8", f"IVF{lists},SQ8", Knob("nprobe", probes)),
    ]
