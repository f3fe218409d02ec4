"""PostgreSQL's client library through ctypes: prepared statements with binary
parameters, COPY, and the CPU time of the backend, with nothing to install."""

import ctypes
import ctypes.util
import glob
import struct

BINARY = 1
NOTICE_PROCESSOR = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
TUPLES_OK, COMMAND_OK, COPY_IN = 2, 1, 4


class DatabaseError(Exception):
    pass


def load_library():
    name = ctypes.util.find_library("pq") or "libpq.so.5"
    libpq = ctypes.CDLL(name)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures = {
        "PQconnectdb": (pointer, [text]),
        "PQstatus": (number, [pointer]),
        "PQfinish": (None, [pointer]),
        "PQerrorMessage": (text, [pointer]),
        "PQsetNoticeProcessor": (pointer, [pointer, NOTICE_PROCESSOR, pointer]),
        "PQbackendPID": (number, [pointer]),
        "PQexec": (pointer, [pointer, text]),
        "PQprepare": (pointer, [pointer, text, text, number, pointer]),
        "PQexecPrepared": (pointer, [pointer, text, number, pointer, pointer, pointer, number]),
        "PQresultStatus": (number, [pointer]),
        "PQclear": (None, [pointer]),
        "PQntuples": (number, [pointer]),
        "PQnfields": (number, [pointer]),
        "PQgetvalue": (pointer, [pointer, number, number]),
        "PQgetlength": (number, [pointer, number, number]),
        "PQputCopyData": (number, [pointer, text, number]),
        "PQputCopyEnd": (number, [pointer, text]),
        "PQgetResult": (pointer, [pointer]),
    }
    for function, (result, arguments) in signatures.items():
        getattr(libpq, function).restype = result
        getattr(libpq, function).argtypes = arguments
    return libpq


LIBPQ = load_library()
NO_NOTICES = NOTICE_PROCESSOR(lambda argument, message: None)


class Parameters:
    """Binary parameters of one execution, laid out for libpq once, so that the
    client takes little time between queries."""

    def __init__(self, *values):
        count = len(values)
        self.count = count
        self.values = (ctypes.c_char_p * count)(*values)
        self.lengths = (ctypes.c_int * count)(*map(len, values))
        self.formats = (ctypes.c_int * count)(*[BINARY] * count)


def vector_parameter(vector):
    """The binary form of embedding and of pgvector's vector."""
    return struct.pack(">hh", len(vector), 0) + vector.astype(">f4").tobytes()


def int_parameter(number):
    return struct.pack(">i", number)


class Session:
    """One connection, and so one backend."""

    def __init__(self, settings=()):
        """Connects as the PG* environment variables say."""
        self.connection = LIBPQ.PQconnectdb(b"")
        if LIBPQ.PQstatus(self.connection) != 0:
            self.fail("")
        self.pid = LIBPQ.PQbackendPID(self.connection)
        LIBPQ.PQsetNoticeProcessor(self.connection, NO_NOTICES, None)
        for setting in settings:
            self.run("SET " + setting)

    def fail(self, sql):
        message = LIBPQ.PQerrorMessage(self.connection).decode().strip()
        raise DatabaseError(f"{message} {sql[:200]}".strip())

    def expect(self, result, status, sql):
        if LIBPQ.PQresultStatus(result) != status:
            LIBPQ.PQclear(result)
            self.fail(sql)

    def run(self, sql):
        """Run SQL; its rows, if any, as lists of strings."""
        result = LIBPQ.PQexec(self.connection, sql.encode())
        if LIBPQ.PQresultStatus(result) != COMMAND_OK:
            self.expect(result, TUPLES_OK, sql)
        columns = range(LIBPQ.PQnfields(result))
        rows = [[ctypes.string_at(LIBPQ.PQgetvalue(result, row, column)).decode()
                 for column in columns] for row in range(LIBPQ.PQntuples(result))]
        LIBPQ.PQclear(result)
        return rows

    def value(self, sql):
        return self.run(sql)[0][0]

    def prepare(self, name, sql):
        result = LIBPQ.PQprepare(self.connection, name.encode(), sql.encode(), 0, None)
        self.expect(result, COMMAND_OK, sql)
        LIBPQ.PQclear(result)

    def execute(self, name, parameters):
        """Execute a prepared statement; its first column, integers, as a list."""
        result = LIBPQ.PQexecPrepared(self.connection, name, parameters.count, parameters.values,
                                      parameters.lengths, parameters.formats, BINARY)
        if LIBPQ.PQresultStatus(result) not in (TUPLES_OK, COMMAND_OK):
            self.expect(result, TUPLES_OK, name.decode())
        answer = [struct.unpack(">i", ctypes.string_at(LIBPQ.PQgetvalue(result, row, 0), 4))[0]
                  for row in range(LIBPQ.PQntuples(result))]
        LIBPQ.PQclear(result)
        return answer

    def copy_in(self, sql, chunks):
        self.expect(LIBPQ.PQexec(self.connection, sql.encode()), COPY_IN, sql)
        for chunk in chunks:
            if LIBPQ.PQputCopyData(self.connection, chunk, len(chunk)) != 1:
                self.fail(sql)
        LIBPQ.PQputCopyEnd(self.connection, None)
        self.expect(LIBPQ.PQgetResult(self.connection), COMMAND_OK, sql)
        while LIBPQ.PQgetResult(self.connection):
            pass

    def cpu_seconds(self):
        """CPU time of the backend's threads so far, of nanosecond resolution."""
        total = 0
        for path in glob.glob(f"/proc/{self.pid}/task/*/schedstat"):
            with open(path) as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def close(self):
        LIBPQ.PQfinish(self.connection)
