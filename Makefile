# mmodal: cross-modal retrieval for PostgreSQL.
#
#	make		build the extension and the encoders
#	make demo	the main job on real pictures, on a private server
#	make test	every test, on a private server
#
# demo and test install what is missing (scripts/setup) and so start from a
# machine where there is no pg_config yet; all others want it to be there.

EXTENSION = mmodal
MODULE_big = mmodal
DATA = $(sort $(wildcard extension/mmodal--*.sql))
PGFILEDESC = "mmodal - cross-modal retrieval"

# The light library: type, distances, SQL entry points.  What starts threads
# or weighs a lot is in mmodal_compute, loaded at first need.
OBJS = $(patsubst %.c,%.o,$(sort $(filter-out $(COMPUTE_SRCS), \
	$(wildcard extension/*.c extension/types/*.c extension/distance/*.c \
		extension/clip/*.c extension/index/*.c))))
COMPUTE_SRCS = extension/compute_main.c
COMPUTE_LIBS = $(FAISS_LIBS) -lopenblas -ljpeg -lwebp -lcjson -lutf8proc -lm -lpthread
ENCODERS = build/encoders/libmmencoders.a

# FAISS is used through its C API: that of the system's libfaiss_c, or, where
# there is none, a provider of our own on top of its C++ library.  FAISS_PREFIX=
# is where FAISS lies, if not where the compiler looks; FAISS_C_LIBS= are the
# libraries that hold the C API, and empty the provider.
FAISS_PREFIX ?=
FAISS_CPPFLAGS = $(if $(FAISS_PREFIX),-I$(FAISS_PREFIX)/include)
FAISS_LDFLAGS = $(if $(FAISS_PREFIX),-L$(FAISS_PREFIX)/lib -Xlinker -rpath=$(FAISS_PREFIX)/lib)
# Debian 13 has a static libfaiss_c that is of no use to a shared library.
ifeq ($(origin FAISS_C_LIBS),undefined)
FAISS_C_LIBS := $(shell echo 'char *faiss_get_last_error(void); char *e(void) { return faiss_get_last_error(); }' | \
	$(CC) -x c - $(FAISS_LDFLAGS) -shared -fPIC -lfaiss_c -o /dev/null 2>/dev/null && echo -lfaiss_c)
endif
FAISS_OBJS = extension/faiss/kmeans.o $(if $(FAISS_C_LIBS),,extension/faiss/provider.o)
FAISS_LIBS = $(FAISS_LDFLAGS) $(or $(FAISS_C_LIBS),-l:libfaiss.a -lstdc++) -fopenmp
FAISS_TEST = build/unit/test_kmeans

MODELS_DIR ?= models

# For make installcheck, against an installed server that is running.
SCHEDULE ?= $(CURDIR)/tests/schedule
REGRESS = --schedule=$(SCHEDULE)
REGRESS_OPTS = --load-extension=mmodal
export PG_ABS_SRCDIR = $(CURDIR)

# Empty where the one that was asked for is of no use.
override PG_CONFIG := $(shell PG_CONFIG='$(PG_CONFIG)' scripts/find-pg-config)

# Plain C, no LLVM needed; bitcode would only serve JIT inlining.
override with_llvm = no
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" mmodal.control)
PG_CPPFLAGS = -I$(CURDIR)/extension -I$(CURDIR)/encoders -DMMODAL_VERSION='"$(EXTVERSION)"'
PG_CFLAGS = -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
	-Wno-sign-compare -fvisibility=hidden

ifneq ($(PG_CONFIG),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
all: mmodal_compute.so tools
include $(PGXS)
# The server may be from a compiler that knows more warnings than ours.
override CFLAGS := $(filter-out $(shell LC_ALL=C $(CC) $(filter -W%,$(CFLAGS)) -x c -fsyntax-only /dev/null 2>&1 | \
	sed -n "s/.*unrecognized command-line option '\([^']*\)'.*/\1/p"),$(CFLAGS))

# The client, which is not built with the server's flags.
.PHONY: tools
tools:
	@$(MAKE) --no-print-directory -C tools PG_CONFIG='$(PG_CONFIG)' CFLAGS='$(PLAIN_CFLAGS)'
else
all install uninstall installcheck tools:
	@echo "no PostgreSQL server with its headers found: run 'scripts/setup build' or set PG_CONFIG" >&2; exit 1
endif

# Objects follow every header of the extension and its version: there are few,
# and a stale object costs more than a rebuild.
$(OBJS) extension/compute_main.o $(FAISS_OBJS): mmodal.control \
	$(wildcard extension/*.h extension/*/*.h encoders/mm_encoders.h)

.PHONY: FORCE
$(ENCODERS): FORCE
	@$(MAKE) --no-print-directory -C encoders lib CFLAGS='$(PLAIN_CFLAGS)'

# The room of FAISS knows nothing of PostgreSQL, and is not built with its flags;
# nor are the encoders and the tools.
PLAIN_CFLAGS ?= -O2 -g
FAISS_CFLAGS = $(PLAIN_CFLAGS) -Wall -Wextra -fPIC -fopenmp -fvisibility=hidden -I$(CURDIR)/extension
extension/faiss/kmeans.o: extension/faiss/kmeans.c
	$(CC) -std=gnu11 $(FAISS_CFLAGS) $(FAISS_CPPFLAGS) -c -o $@ $<
extension/faiss/provider.o: extension/faiss/provider.cpp
	$(CXX) -std=gnu++17 $(FAISS_CFLAGS) $(FAISS_CPPFLAGS) -c -o $@ $<

mmodal_compute.so: extension/compute_main.o $(FAISS_OBJS) $(ENCODERS)
	$(CC) $(CFLAGS) -shared -o $@ extension/compute_main.o $(FAISS_OBJS) $(ENCODERS) $(LDFLAGS) \
		-Wl,--exclude-libs,ALL $(COMPUTE_LIBS)

$(FAISS_TEST): tests/unit/test_kmeans.c $(FAISS_OBJS)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(FAISS_CFLAGS) $(FAISS_CPPFLAGS) -o $@ $< $(FAISS_OBJS) \
		-lcmocka $(FAISS_LIBS) -lopenblas -lm -lpthread

# The light library with failure points (extension/failpoint.h), for the tests of
# crashes alone; it checks assertions where it differs.
FAILPOINT_DIR = build/failpoints
FAILPOINT_SRCS := $(shell grep -l 'failpoint\.h"' extension/*.c extension/*/*.c)
FAILPOINT_OBJS = $(FAILPOINT_SRCS:%.c=$(FAILPOINT_DIR)/%.o)
.PHONY: failpoints
failpoints: $(FAILPOINT_DIR)/mmodal.so
$(FAILPOINT_OBJS): $(FAILPOINT_DIR)/%.o: %.c $(wildcard extension/*.h extension/*/*.h)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CFLAGS_SL) $(CPPFLAGS) -DMMODAL_FAILPOINTS -DUSE_ASSERT_CHECKING=1 -c -o $@ $<
$(FAILPOINT_DIR)/mmodal.so: $(FAILPOINT_OBJS) $(OBJS)
	$(CC) $(CFLAGS) -shared -o $@ $(FAILPOINT_OBJS) \
		$(filter-out $(FAILPOINT_SRCS:%.c=%.o),$(OBJS)) $(LDFLAGS) $(SHLIB_LINK)

# Models are put in place by rename: backends map them, and a file changed in
# place under a mapping would kill them.
install: install-compute install-models install-tools
.PHONY: install-compute install-models install-tools
install-compute: mmodal_compute.so
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_SHLIB) mmodal_compute.so '$(DESTDIR)$(pkglibdir)/mmodal_compute.so'
install-tools: tools
	$(MKDIR_P) '$(DESTDIR)$(bindir)' '$(DESTDIR)$(mandir)/man1'
	$(INSTALL_PROGRAM) build/tools/mmodal-load '$(DESTDIR)$(bindir)/mmodal-load'
	$(INSTALL_DATA) tools/mmodal-load.1 '$(DESTDIR)$(mandir)/man1/mmodal-load.1'
install-models:
	scripts/install-models '$(MODELS_DIR)' '$(DESTDIR)$(datadir)/mmodal/models'

uninstall: uninstall-compute uninstall-models uninstall-tools
.PHONY: uninstall-compute uninstall-models uninstall-tools
uninstall-compute:
	rm -f '$(DESTDIR)$(pkglibdir)/mmodal_compute.so'
uninstall-tools:
	rm -f '$(DESTDIR)$(bindir)/mmodal-load' '$(DESTDIR)$(mandir)/man1/mmodal-load.1'
uninstall-models:
	scripts/install-models --remove '$(MODELS_DIR)' '$(DESTDIR)$(datadir)/mmodal/models'

# What is committed, for PGXN.
.PHONY: dist
dist:
	git archive --format=zip --prefix=mmodal-$(EXTVERSION)/ -o mmodal-$(EXTVERSION).zip HEAD

clean: clean-build
.PHONY: clean-build
clean-build:
	rm -f mmodal_compute.so extension/compute_main.o extension/faiss/*.o
	-$(MAKE) --no-print-directory -C encoders clean
	-$(MAKE) --no-print-directory -C tools clean
	scripts/clean

# MODEL= is a hub's id, a directory or a file of weights.  What goes with it
# (docs/models.md) counts on the command line alone: some systems have a NAME in
# everybody's environment, and PGXS has a PYTHON of its own.
# PRECISIONS= are the packs that are made of it.
PRECISIONS ?= float32
given = $(filter command,$(firstword $(origin $(1))))
fetch = $(if $(call given,PYTHON),$(PYTHON),python3) scripts/fetch-model --models '$(MODELS_DIR)' \
	$(if $(call given,NAME),--name "$$NAME") $(if $(call given,MERGES),--merges "$$MERGES") \
	$(if $(call given,ACTIVATION),--activation "$$ACTIVATION")

.PHONY: setup-build model bpe checkpoints demo test check-models lint bench unit-test fuzz
ifneq ($(MODEL),)
model:
	@scripts/setup build fetch
	@$(MAKE) --no-print-directory -s -C encoders
	@directory=$$($(fetch) -- "$$MODEL") && for precision in $(PRECISIONS); do \
		build/encoders/mm-model pack "$$directory" $$precision || exit; done
else
model:
	@scripts/setup build model
	@$(MAKE) --no-print-directory -C encoders
	@scripts/make-model --out '$(MODELS_DIR)/mini' --tool build/encoders/mm-embed-texts
endif

# The merges of CLIP's tokenizer, and small checkpoints with random weights, for
# the tests.
bpe:
	@scripts/setup model
	@scripts/make-bpe
checkpoints: bpe
	@python3 tests/golden/clip_checkpoint.py build/clip/checkpoints --tests --merges build/clip/merges.txt

demo:
	@scripts/setup build model demo
	@$(MAKE) --no-print-directory -s MODEL= model
	@$(MAKE) --no-print-directory -s all
	@scripts/stage
	@demo/run

test:
	@scripts/setup build model demo test fuzz lint
	@$(MAKE) --no-print-directory -s MODEL= model
	@$(MAKE) --no-print-directory -s checkpoints
	@$(MAKE) --no-print-directory -s all
	@$(MAKE) --no-print-directory -s -C encoders tests
	@$(MAKE) --no-print-directory -s -C tools tests PG_CONFIG='$(PG_CONFIG)'
	@$(MAKE) --no-print-directory -s $(FAISS_TEST) failpoints
	@scripts/stage
	@scripts/test

unit-test: $(FAISS_TEST)
	@$(MAKE) --no-print-directory -C encoders check
	@$(FAISS_TEST)
	@$(MAKE) --no-print-directory -s -C tools tests PG_CONFIG='$(PG_CONFIG)'
	@build/unit/test_load
	@build/unit/test_npy

# The long mode; TIME= is CPU time in seconds a target.  make test runs a short one.
TIME ?= 1800
fuzz:
	@scripts/setup build model fuzz
	@scripts/fuzz --seconds '$(TIME)' --runs 10000000
	@$(MAKE) --no-print-directory -s all
	@scripts/stage
	@scripts/fuzz-pages --cases tests/fuzz/pages/cases --seconds '$(TIME)'

# PYTHON= has torch, transformers and open_clip.
check-models:
	@scripts/setup build
	@$(MAKE) --no-print-directory -s -C encoders
	@$(if $(call given,PYTHON),PYTHON='$(PYTHON)') scripts/check-models

# Clients of the stress test.
STRESS = build/stress/mm-stress
$(STRESS): $(wildcard tests/stress/*.[ch])
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_DEFAULT_SOURCE -O2 -g -Wall -Wextra -pthread -I$(shell $(PG_CONFIG) --includedir) \
		-o $@ tests/stress/*.c -L$(shell $(PG_CONFIG) --libdir) -lpq

# Longer than the tests can afford: sessions of every kind for STRESS_SECONDS, then
# 50 kills at random moments, more passes of failure points, more memory.
.PHONY: stress
STRESS_SECONDS ?= 300
stress:
	@scripts/setup build model test
	@$(MAKE) --no-print-directory -s all failpoints
	@scripts/stage
	@scripts/stress --seconds $(STRESS_SECONDS)
	@MMODAL_TEST_LONG=1 scripts/test tap=03 tap=05

# The Debian package of what is committed, in build/package.
.PHONY: package
package:
	@scripts/setup build package
	@scripts/package

lint:
	@scripts/lint

bench:
	@scripts/setup build model demo
	@$(MAKE) --no-print-directory -s MODEL= model
	@$(MAKE) --no-print-directory -s all
	@scripts/stage
	@bench/run
