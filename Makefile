# asvr: `make demo` trains a vision-language model from pictures, `make test` runs every test.
# Both install what is missing first (launch/scripts/setup.sh says what, and stops where it may not).
#
#   make            the program: build/asvr, and the picture decoders beside it
#   make test       all tests (builds the debug variant)        make core-test   core alone: plain cc, no MPI
#   make test-slurm a real Slurm cluster on this machine: jobs preempted, cancelled, cut off, scaled (root, a quarter of an hour)
#   make faults     the scorecard of docs/TESTING.md, ten minutes; make faults-full takes hours
#   make demo       pictures -> a trained model, a table, a contact sheet
#   make reproduce  the paper's comparisons at small scale, hours (FAST=1: a quarter of an hour)
#   make site       README and docs as pages with a search: build/site/index.html
#   make docs-test  what README and docs mark as run is run, minutes; NAMES="README FORMATS" for some pages
#   make asan       core and io tests under ASan and UBSan      make docs        docs/OPTIONS.md
#   make fuzz       each parser against libFuzzer, T=600 seconds each (clang); `make test` replays the corpora
#   make test-simulate  a simulated step is the program's own, message by message
#   make simulate   dist/ under SimGrid, 1 to 64 nodes beside what `asvr plan` says, ten minutes (CURVE=1: the exchange of buckets)
#   make peers      what we write and read beside transformers, tokenizers, h5py ...: from PyPI into build/peers (docs/TESTING.md)
#   make install    PREFIX=/usr/local DESTDIR=, for any processor of this kind (VARIANT=release: build/asvr as it is)    make uninstall
#   make deb        a Debian package, in build/deb              make test-packages  that, lintian, a bare system in a folder (root, minutes)
#   VARIANT=release|debug|san|fuzz|portable     CC=gcc|clang     ARCH=native (the -march of this build; x86-64-v2: for any processor, with the vectors that it has)     ARROW=DIR (parquet files)
#   EXTRA="FLAGS" (to compilers and linker alike)     AR OBJCOPY PKG_CONFIG MPI_INC MPI_LIB (another kind of processor: docs/CLUSTER.md)
#   BLAS=openblas|NAME|"FLAGS" (what pkg-config knows, or -I -L -l of MKL, AOCL, ArmPL)

# What is installed runs on machines that nobody has seen: by default it is the portable build, which is this kind of processor's least and
# carries the vectors of the others (LEVELS); it has a folder of its own, so that no object of another -march comes into it.
VARIANT ?= $(if $(filter install uninstall,$(MAKECMDGOALS)),portable,release)
PORTABLE_x86_64  := x86-64-v2
PORTABLE_aarch64 := armv8-a
PORTABLE := $(or $(PORTABLE_$(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))),native)
ARCH    ?= $(if $(filter portable,$(VARIANT)),$(PORTABLE),native)
CC      ?= cc
CXX     ?= c++
AR      ?= ar
OBJCOPY ?= objcopy
PKG_CONFIG ?= pkg-config

OUT     := build$(if $(filter portable,$(VARIANT)),/$(ARCH),$(if $(filter-out release,$(VARIANT)),/$(VARIANT)))

WARN    := -Wall -Wextra -Wshadow -Wmissing-prototypes
OPT_release := -O3 -march=$(ARCH) -DNDEBUG
OPT_portable := $(OPT_release)
OPT_debug   := -O2 -march=$(ARCH) -g
OPT_san     := -O1 -march=$(ARCH) -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT_fuzz    := $(OPT_san) -fno-sanitize=vptr -fsanitize=fuzzer-no-link
OPT     := $(OPT_$(VARIANT)) $(EXTRA)

pkg      = $(shell $(PKG_CONFIG) $(1) 2>/dev/null)
# Open MPI's and MPICH's wrappers tell the flags; the compiler stays ours.
MPI_INC  = $(shell mpicc --showme:compile 2>/dev/null || mpicc -compile_info 2>/dev/null | cut -d' ' -f2-)
MPI_LIB  = $(shell mpicc --showme:link 2>/dev/null || mpicc -link_info 2>/dev/null | cut -d' ' -f2-)
H5       = $(if $(call pkg,--modversion hdf5-openmpi),hdf5-openmpi,hdf5)

# Nobody traps on floating point or reads its flags: so both sides of a choice may be computed, which is what vectors need.  NaN and inf stay.
CFLAGS   = -std=c11 -D_GNU_SOURCE $(WARN) $(OPT) -fopenmp -fno-math-errno -fno-trapping-math -I. -MMD -MP
# BLAS: what pkg-config knows (openblas, blis), or flags: BLAS="-I/opt/mkl/include -L/opt/mkl/lib -lmkl_rt", so for ArmPL (-larmpl_mp), AOCL (-lblis-mt).
# Of Debian's OpenBLAS that of OpenMP, where it is installed: one pool of threads a rank, not two.
BLAS    ?= openblas
BLAS_DIR := $(if $(filter openblas,$(BLAS)),$(wildcard $(dir $(patsubst %/,%,$(call pkg,--variable=libdir openblas)))openblas-openmp))
blas     = $(if $(filter -%,$(BLAS)),$(filter $(2),$(BLAS)),$(shell PKG_CONFIG_PATH=$(BLAS_DIR)/pkgconfig:$$PKG_CONFIG_PATH $(PKG_CONFIG) $(1) $(BLAS) 2>/dev/null))
CORE_INC := $(call blas,--cflags,-I% -D% -include%)
# oneDNN 2 or 3, for train.compute = "bf16": that of pkg-config, or one on the compiler's paths, as Debian's, which pkg-config does not know.
# Its threads must be OpenMP's, which this program can keep to one, or none (DNNL_CPU_RUNTIME 2, 1; not TBB or SYCL).  Without it bf16_none.c refuses.
DNNL     := $(shell printf '\043include <oneapi/dnnl/dnnl.h>\nint of = DNNL_VERSION_MAJOR, by = DNNL_CPU_RUNTIME;' | $(CC) $(call pkg,--cflags dnnl) -E -P - 2>/dev/null | sed -n 's/^int of = \([23]\), by = [12]u;/\1/p')
DNNL_LIB := $(if $(DNNL),$(or $(call pkg,--libs dnnl),-ldnnl))
CORE_LIB := $(call blas,--libs,-L% -l% -Wl% -f%) $(BLAS_DIR:$(PKG_CONFIG_SYSROOT_DIR)%=-Wl,-rpath,%) $(DNNL_LIB) -lm
IO_INC   = $(MPI_INC) $(call pkg,--cflags $(H5) libzstd libxxhash jansson libpcre2-8 libutf8proc zlib)
IO_LIB   = $(call pkg,--libs $(H5) libzstd libxxhash jansson sentencepiece libpcre2-8 libutf8proc zlib) -lstdc++ -ldl
CFG_LIB  = $(call pkg,--libs libconfig) $(HTTP_LIB)
# Before OpenBLAS, which serves its BLAS and LAPACK, whatever -lblas is on this machine.
SCA_LIB  = $(filter-out -lblas -llapack,$(or $(call pkg,--libs scalapack-openmpi),$(call pkg,--libs scalapack),-lscalapack))
DIST_INC = $(MPI_INC) $(call pkg,--cflags hwloc)
DIST_LIB = $(SCA_LIB) $(call pkg,--libs hwloc) $(MPI_LIB)

# libmicrohttpd, for `asvr serve`.  Without it http_none.c refuses.
HTTP     := $(if $(call pkg,--modversion 'libmicrohttpd >= 0.9.71'),mhd)
HTTP_LIB := $(if $(HTTP),$(call pkg,--libs libmicrohttpd))

objects  = $(patsubst %.c,$(OUT)/obj/%.o,$(wildcard $(addsuffix /*.c,$(1))))
# core/cpu is compiled for each level of vectors, its table the only global symbol (core/vectors.h): a build for many processors has several.
LEVELS   := base $(if $(filter x86-64 x86-64-v2,$(ARCH)),avx2) $(if $(filter x86-64 x86-64-v2 x86-64-v3,$(ARCH)),avx512)
FLAGS_avx2   := -mavx2 -mfma
FLAGS_avx512 := $(FLAGS_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl
DNNL_NOT := $(if $(DNNL),none onednn$(if $(filter 2,$(DNNL)),3,2),onednn onednn2 onednn3)
CORE_O   := $(filter-out $(addprefix %/bf16_,$(DNNL_NOT:=.o)),$(call objects,core core/ref core/dnnl)) $(LEVELS:%=$(OUT)/obj/cpu_%.o)
DIST_O   := $(call objects,dist)
# The picture decoders are a module of their own: libvips brings the serial HDF5 with it.
MODULE   := io/image/vips.c io/image/bicubic.c io/image/bmp.c io/image/header.c io/base/err.c
IO_O     := $(filter-out $(OUT)/obj/io/image/vips.o $(OUT)/obj/io/image/bicubic.o $(OUT)/obj/io/image/bmp.o,$(call objects,$(wildcard io/*))) $(OUT)/obj/io/text/sentencepiece.o
LAUNCH_O := $(filter-out %/http_$(if $(HTTP),none,mhd).o,$(call objects,launch $(wildcard launch/*)))

CORE     := $(OUT)/libcore.a
DIST     := $(OUT)/libdist.a
IO       := $(OUT)/libio.a
IMAGE    := $(OUT)/asvr-image.so
# So is what reads parquet files: Arrow's C++ library is on few machines.  Where it is not found, there is no such module.
# ARROW=DIR: a folder with include/ and libarrow.so, libparquet.so (in it, or in lib/), as the package pyarrow from PyPI has.
ARROW    ?=
ARROW_SO  = $(foreach l,arrow parquet,$(firstword $(sort $(wildcard $(addsuffix /lib$(l).so*,$(ARROW) $(ARROW)/lib $(ARROW)/lib64)))))
ARROW_INC = $(if $(ARROW),-isystem $(ARROW)/include,$(call pkg,--cflags arrow parquet))
ARROW_LIB = $(if $(ARROW),$(ARROW_SO) $(addprefix -Wl$(comma)-rpath$(comma),$(sort $(abspath $(dir $(ARROW_SO))))),$(call pkg,--libs arrow parquet))
comma    := ,
PARQUET  := $(if $(or $(ARROW),$(call pkg,--modversion arrow parquet)),$(OUT)/asvr-parquet.so)

.PHONY: all test test-slurm programs faults faults-full fault-tools core-test demo reproduce asan fuzz fuzz-programs simulate simulator test-simulate peers peer-programs docs site docs-test install install-files uninstall deb test-packages clean
all: $(OUT)/asvr $(IMAGE) $(PARQUET)

$(OUT)/obj/core/dnnl/%.o: CORE_INC += $(call pkg,--cflags dnnl)
$(CORE): $(CORE_O)
$(DIST): $(DIST_O)
$(IO): $(IO_O)
$(CORE) $(DIST) $(IO):
	@rm -f $@
	$(AR) rcs $@ $^

$(OUT)/obj/core/%.o: core/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) -c $< -o $@
define level
$(OUT)/obj/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(FLAGS_$(1)) $$(CORE_INC) -c $$< -o $$@
$(OUT)/obj/cpu_$(1).o: $$(patsubst %.c,$(OUT)/obj/$(1)/%.o,$$(wildcard core/cpu/*.c))
	$$(CC) -r -nostdlib $$^ -o $$@
	$$(OBJCOPY) --redefine-sym cpu_ops=cpu_ops_$(1) --keep-global-symbol=cpu_ops_$(1) $$@
endef
$(foreach l,$(LEVELS),$(eval $(call level,$(l))))
$(OUT)/obj/core/vectors.o: CFLAGS += -D'CPU_LEVELS=$(foreach l,$(LEVELS),LEVEL($(l)))'
$(OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(DIST_INC) $(IO_INC) -c $< -o $@
$(OUT)/obj/io/text/sentencepiece.o: io/text/sentencepiece.cc
	@mkdir -p $(@D)
	$(CXX) -std=c++17 -Wall -Wextra $(OPT) -I. $(call pkg,--cflags sentencepiece) -MMD -MP -c $< -o $@

# Compiled file by file, so that a changed header rebuilds what includes it.
$(OUT)/module/%.o: %.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) $(OPT) -I. -MMD -MP -fPIC -fvisibility=hidden $(call pkg,--cflags vips) -c $< -o $@
$(IMAGE): $(patsubst %.c,$(OUT)/module/%.o,$(MODULE))
	$(CC) $(OPT) -shared $^ -o $@ $(call pkg,--libs vips) -lm

$(OUT)/module/io/source/%.o: io/source/%.cc
	@mkdir -p $(@D)
	$(CXX) -std=c++20 -Wall -Wextra $(OPT) -I. -MMD -MP -fPIC -fvisibility=hidden $(ARROW_INC) -c $< -o $@
$(OUT)/asvr-parquet.so: $(OUT)/module/io/source/parquetmodule.o $(OUT)/module/io/source/parquetvalues.o
	$(CXX) $(OPT) -shared $^ -o $@ $(ARROW_LIB)

$(OUT)/asvr: $(LAUNCH_O) $(IO) $(DIST) $(CORE)
	$(CC) $(OPT) -fopenmp $^ -o $@ $(CFG_LIB) $(IO_LIB) $(DIST_LIB) $(CORE_LIB)

# ---- tests ----
$(OUT)/tests/core/%: tests/core/%.c $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $< -o $@ $(CORE) $(CORE_LIB) -lcmocka
$(OUT)/tests/dist/%: tests/dist/%.c $(DIST) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(DIST_INC) $< -o $@ $(DIST) $(CORE) $(DIST_LIB) $(CORE_LIB) -lcmocka
$(OUT)/tests/io/%: tests/io/%.c $(IO) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $< -o $@ $(IO) $(CORE) $(IO_LIB) $(MPI_LIB) $(CORE_LIB) -lcmocka
# What SentencePiece never does, the linker makes it do.
$(OUT)/tests/io/text/test_refused: CFLAGS += -Wl,--wrap=sp_encode
$(OUT)/tests/peers/%: tests/peers/%.c $(filter-out %/launch/main.o,$(LAUNCH_O)) $(IO) $(DIST) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $(filter %.c %.o %.a,$^) -o $@ $(CFG_LIB) $(IO_LIB) $(DIST_LIB) $(CORE_LIB)
$(OUT)/tests/launch/%: tests/launch/%.c $(filter-out %/launch/main.o,$(LAUNCH_O)) $(IO) $(DIST) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $(filter %.c %.o %.a,$^) -o $@ $(CFG_LIB) $(IO_LIB) $(DIST_LIB) $(CORE_LIB) -lcmocka
$(OUT)/tests/bench/%: tests/bench/%.c $(DIST) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(MPI_INC) $< -o $@ $(DIST) $(CORE) $(DIST_LIB) $(CORE_LIB)
$(OUT)/tests/bench/bench_ckpt: tests/bench/bench_ckpt.c $(IO) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $< -o $@ $(IO) $(CORE) $(IO_LIB) $(MPI_LIB) $(CORE_LIB)
$(OUT)/tests/bench/bench_text: tests/bench/bench_text.c $(IO) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $< -o $@ $(IO) $(CORE) $(IO_LIB) $(MPI_LIB) $(CORE_LIB)
$(OUT)/tests/bench/bench_store: tests/bench/bench_store.c $(IO) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $< -o $@ $(IO) $(CORE) $(call pkg,--libs libzstd) $(CORE_LIB)
$(OUT)/tests/bench/bench_set: tests/bench/bench_set.c $(OUT)/obj/tests/bench/ceiling.o $(IO) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $< -o $@ $(OUT)/obj/tests/bench/ceiling.o $(IO) $(CORE) $(IO_LIB) $(MPI_LIB) $(CORE_LIB)

# Any bytes for one parser each; without libFuzzer they run the files of a corpus.
FUZZ_MAIN := $(if $(filter fuzz,$(VARIANT)),,$(OUT)/obj/tests/fuzz/driver.o)
CHAT_O   := $(addprefix $(OUT)/obj/launch/serve/,chatrequest.o chatkeys.o dataurl.o refusal.o flow.o)
$(OUT)/tests/fuzz/%: tests/fuzz/%.c $(FUZZ_MAIN) $(call objects,launch/config) $(CHAT_O) $(IO) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) $(CORE_INC) $(IO_INC) $< -o $@ $(filter %.o %.a,$^) $(CFG_LIB) $(IO_LIB) $(MPI_LIB) $(CORE_LIB)
# Connections are its own.
$(OUT)/tests/launch/test_jobs: tests/launch/test_jobs.c $(OUT)/obj/launch/serve/jobs.o $(CHAT_O) $(IO) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $< -o $@ $(filter %.o %.a,$^) $(IO_LIB) $(MPI_LIB) $(CORE_LIB) -lcmocka
$(OUT)/tests/faults/preload.so: tests/faults/preload.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O1 -g -fPIC -fno-builtin -shared $< -o $@ -ldl
$(OUT)/tests/faults/%: tests/faults/%.c $(IO) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $< -o $@ $(IO) $(CORE) $(IO_LIB) $(MPI_LIB) $(CORE_LIB)
FAULT_TOOLS := $(addprefix $(OUT)/tests/faults/,preload.so replay corrupt flips)

tests     = $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/$(1)/test_*.c))
CORE_TESTS := $(call tests,core)
DIST_TESTS := $(call tests,dist)
IO_TESTS   := $(call tests,io/*)
LAUNCH_TESTS := $(call tests,launch)
FUZZ       := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))

test:
	@launch/scripts/setup.sh test
	@+$(MAKE) --no-print-directory -j2 VARIANT=debug programs
	@tests/run.sh build/debug
# NAMES="preempt node" for some of them.
test-slurm:
	@launch/scripts/setup.sh slurm
	@+$(MAKE) --no-print-directory -j2 VARIANT=debug programs
	@tests/slurm/run.sh build/debug $(NAMES)
programs: all $(CORE_TESTS) $(DIST_TESTS) $(IO_TESTS) $(LAUNCH_TESTS) $(FUZZ) $(OUT)/tests/io/set/manytasks

# The scorecard.  ROWS="1 4 9" for some rows, SEED=N for the same draws again.
faults faults-full:
	@launch/scripts/setup.sh test
	@+$(MAKE) --no-print-directory -j2 VARIANT=debug fault-tools
	@tests/faults/faults.sh build/debug $(if $(filter faults-full,$@),full,quick) $(ROWS)
fault-tools: programs $(FAULT_TOOLS)

# Law 1: core needs a C compiler, CBLAS and OpenMP, nothing else (oneDNN where it is found).
core-test: $(CORE_TESTS)
	@for t in $(CORE_TESTS); do echo $$t; $$t || exit 1; done

asan:
	@launch/scripts/setup.sh test
	@+$(MAKE) --no-print-directory -j2 VARIANT=san programs
	@tests/run.sh build/san core/ io/ fuzz/ launch/hostile

# Seconds for each target; NAMES="config text" for some of them.
T ?= 600
fuzz:
	@tests/fuzz/fuzz.sh $(T) $(NAMES)
fuzz-programs: $(IMAGE) $(FUZZ)

# SimGrid's MPI runs core and dist as they are; ops, arenas and what lies between dist and MPI are tests/simulate's.
SIM      := $(OUT)/simulate
SIM_C    := $(filter-out core/arena.c core/blas.c core/ops.c core/opspans.c core/opsums.c core/fault.c core/limits.c core/vectors.c,$(wildcard core/*.c)) \
            $(addprefix dist/,bucket.c bucketdrop.c bucketopen.c canon.c comm.c commsame.c grid.c levels.c tp.c zero.c zeroweights.c optim.c) \
            $(addprefix tests/simulate/,simulate.c simops.c simmem.c nomuon.c)
simulate:
	@launch/scripts/setup.sh simulate
	@+$(MAKE) --no-print-directory -j2 simulator
	@tests/simulate/simulate.sh $(OUT) $(if $(CURVE),curve,steps)
test-simulate:
	@launch/scripts/setup.sh simulate
	@+$(MAKE) --no-print-directory -j2 VARIANT=debug simulator
	@tests/simulate/check.sh build/debug
simulator: $(OUT)/asvr $(SIM)/simulate $(SIM)/describe
$(SIM)/%.o: %.c
	@mkdir -p $(@D)
	smpicc $(filter-out -march=%,$(CFLAGS)) -DNDEBUG -fPIC -c $< -o $@
$(SIM)/simmpi.o: tests/simulate/simmpi.cc
	@mkdir -p $(@D)
	smpicxx -std=c++17 -Wall -Wextra -O2 -fPIC -I. -MMD -MP -c $< -o $@
$(SIM)/simulate: $(patsubst %.c,$(SIM)/%.o,$(SIM_C)) $(SIM)/simmpi.o
	smpicxx -fopenmp $^ -o $@ -lm
$(SIM)/describe: tests/simulate/describe.c $(filter-out %/launch/main.o,$(LAUNCH_O)) $(IO) $(DIST) $(CORE)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CORE_INC) $(IO_INC) $(filter %.c %.o %.a,$^) -o $@ $(CFG_LIB) $(IO_LIB) $(DIST_LIB) $(CORE_LIB)

demo:
	@launch/scripts/setup.sh demo
	@+$(MAKE) --no-print-directory -j2 all
	@launch/scripts/demo.sh

reproduce:
	@launch/scripts/setup.sh demo
	@+$(MAKE) --no-print-directory -j2 all
	@launch/scripts/reproduce.sh

# Nothing else needs Python.  NAMES="export import" for some programs; PYTHON=python3.12 for another one; NEW and OLD (run.sh) for
# environments that are there already: then nothing is installed.
PYTHON ?= python3
PEERS  := build/peers/stamp build/peers/old/stamp build/peers/kits/stamp
peers: $(if $(NEW),,$(PEERS))
	@launch/scripts/setup.sh build
	@+$(MAKE) --no-print-directory -j2 all peer-programs
	@tests/peers/run.sh $(NAMES)
peer-programs: $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/peers/*.c tests/bench/bench_text.c))
NO_PEERS = { echo "make peers: nothing was compared: $< could not be installed (is there a network, and $(PYTHON) -m venv?)" >&2; exit 1; }
build/peers/stamp: tests/peers/requirements.txt
	@echo "peers: installing $< into build/peers: 5 GB, minutes"
	@$(PYTHON) -m venv --clear $(@D) && $(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $< || $(NO_PEERS)
	@touch $@
build/peers/old/stamp build/peers/kits/stamp: build/peers/%/stamp: tests/peers/requirements-%.txt build/peers/stamp
	@$(PYTHON) -m venv --clear $(@D) && $(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $< || $(NO_PEERS)
	@lib='import sysconfig; print(sysconfig.get_path("purelib"))'; build/peers/bin/python -c "$$lib" >"$$($(@D)/bin/python -c "$$lib")/newest.pth"
	@touch $@

docs: all
	$(OUT)/asvr help options --markdown > docs/OPTIONS.md
site:
	@launch/scripts/setup.sh site
	@launch/scripts/site.py build/site
docs-test:
	@launch/scripts/setup.sh test && launch/scripts/setup.sh site
	@+$(MAKE) --no-print-directory -j2 VARIANT=debug all
	@tests/docs/run.sh build/debug $(NAMES)

# ---- installing ----
# The program tells from where it lies where the rest is (io/base/home.h): bin, lib/asvr and share/asvr belong together.
PREFIX  ?= /usr/local
DESTDIR ?=
ZSH_DIR ?= $(PREFIX)/share/zsh/site-functions
VERSION := $(shell sed -n 's/.*VERSION "\(.*\)"/\1/p' launch/verbs.h)
TO      := $(DESTDIR)$(PREFIX)
DATA    := $(TO)/share/asvr
OWN      = $(shell find configs -type f | LC_ALL=C sort) $(filter-out slurm/site.sh,$(wildcard slurm/*.*)) launch/scripts/demo.sh launch/scripts/reproduce.sh launch/scripts/table.awk launch/scripts/asvr_read.py

install: all
	@+$(MAKE) --no-print-directory install-files VARIANT=$(VARIANT) ARCH=$(ARCH)
	@echo "asvr: installed in $(TO), built with -march=$(ARCH)$(if $(filter native,$(ARCH)),: for processors like this one alone)"
# What is built, and nothing else: no compiler is asked.  The program writes its own pages.
install-files:
	install -d $(TO)/bin $(TO)/lib/asvr $(TO)/share/doc/asvr/docs $(TO)/share/man/man1 $(TO)/share/bash-completion/completions $(DESTDIR)$(ZSH_DIR) $(TO)/share/pkgconfig
	install -m 755 $(OUT)/asvr $(TO)/bin/asvr
	install -m 644 $(wildcard $(OUT)/asvr-*.so) $(TO)/lib/asvr
	@for f in $(OWN); do install -D -m $$(head -c 2 $$f | grep -qF '#!' && echo 755 || echo 644) $$f $(DATA)/$$f || exit 1; done
	install -m 644 README.md CONTRIBUTING.md LICENSE $(TO)/share/doc/asvr
	install -m 644 docs/* $(TO)/share/doc/asvr/docs
	$(OUT)/asvr help man >$(TO)/share/man/man1/asvr.1
	$(OUT)/asvr help completion bash >$(TO)/share/bash-completion/completions/asvr
	$(OUT)/asvr help completion zsh >$(DESTDIR)$(ZSH_DIR)/_asvr
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' launch/packaging/asvr.pc.in >$(TO)/share/pkgconfig/asvr.pc
# Folders of its own go whole; those that others use, too, stay.
uninstall:
	rm -rf $(TO)/lib/asvr $(DATA) $(TO)/share/doc/asvr
	rm -f $(TO)/bin/asvr $(TO)/share/man/man1/asvr.1 $(TO)/share/bash-completion/completions/asvr $(DESTDIR)$(ZSH_DIR)/_asvr $(TO)/share/pkgconfig/asvr.pc

# The tree with debian/ on top, as dpkg-buildpackage wants it.
DEB     := build/deb/asvr-$(VERSION)
deb:
	rm -rf build/deb
	@mkdir -p $(DEB)
	tar cf - --exclude=slurm/site.sh --exclude=__pycache__ core dist io launch configs tests slurm docs Makefile README.md CONTRIBUTING.md LICENSE | tar xf - -C $(DEB)
	cp -r launch/packaging/debian $(DEB)/debian
	cd $(DEB) && dpkg-buildpackage -us -uc -b -j$(shell nproc)
test-packages:
	@launch/scripts/setup.sh packages
	@tests/packages/run.sh $(NAMES)

clean:
	rm -rf build

-include $(shell find $(OUT) \( -path build/packages -o -path build/deb \) -prune -o -type f -name '*.d' -print 2>/dev/null)
