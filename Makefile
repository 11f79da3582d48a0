# resnet-train: one Makefile for the whole tree. `make help` lists the targets.
#   BUILD=release|debug|asan|tsan|fuzz   each in a folder of its own (build/, build-debug/, ...)
#   CC=clang PREFIX=/opt/resnet DESTDIR=...   the usual variables

BUILD  ?= release
PREFIX ?= /usr/local
CC     := $(if $(filter default,$(origin CC)),gcc,$(CC))
B      := $(if $(filter release,$(BUILD)),build,build-$(BUILD))
VERSION := 0.1.0

libs := libpng libjpeg jansson inih libxxhash openblas hwloc
PKG_CFLAGS = $(shell pkg-config --cflags $(libs) ompi-c)
PKG_LIBS   = $(shell pkg-config --libs $(libs) ompi-c)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings
WARN += $(if $(findstring clang,$(CC)),,-Wno-psabi)
OPT_release := -O2 -g -ftree-vectorize
compare     := -DCOMM_COMPARE_CALLS
OPT_debug   := -O0 -g3 $(compare)
OPT_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined $(compare)
OPT_tsan    := -O1 -g -fsanitize=thread $(compare)
OPT_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
CFLAGS_ALL = -std=c11 $(WARN) -ffp-contract=off -fno-common -fopenmp -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE \
	-DRESNET_VERSION='"$(VERSION)"' -I. $(OPT_$(BUILD)) $(PKG_CFLAGS) $(CFLAGS)
LDLIBS_ALL = $(PKG_LIBS) -lm -lpthread $(LDLIBS)

machine := $(shell $(CC) -dumpmachine)
kernel_flags := -O3 -ffp-contract=fast
ifneq ($(filter x86_64-%,$(machine)),)
isa_flags_avx2   := -mavx2 -mfma
isa_flags_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512
isa_flags_avx512bf16 := $(isa_flags_avx512) -mavx512bf16
isa_flags_amx    := $(isa_flags_avx512bf16) -mamx-tile -mamx-bf16
kernels_skip := nn/kernels/set_neon.c
else
kernels_skip := $(addprefix nn/kernels/set_,avx2.c avx512.c avx512bf16.c amx.c)
kernels_skip += $(if $(filter aarch64-%,$(machine)),,nn/kernels/set_neon.c)
# gcc 12 would load pixels so early that sums no longer fit the registers
isa_flags_neon   := $(if $(findstring clang,$(CC)),,-fno-schedule-insns)
endif

nn_src      := $(filter-out $(kernels_skip),$(wildcard nn/*/*.c))
comm_src    := $(wildcard comm/*.c)
trainer_src := $(filter-out trainer/cmd/%,$(wildcard trainer/*/*.c))
cmd_src     := $(wildcard trainer/cmd/*.c)
unit_src    := $(wildcard tests/unit/*.c)
mpi_src     := $(wildcard tests/mpi/*.c)
fuzz_src    := $(wildcard tests/fuzz/*.c)
ref_src     := $(wildcard tests/reference/*.c)
torture_src := $(wildcard tests/torture/*.c)
scale_src   := $(wildcard tests/scale/*.c)
bench_src   := $(wildcard tests/bench/*.c)
all_src     := $(nn_src) $(comm_src) $(trainer_src) $(cmd_src) $(unit_src) $(mpi_src) $(fuzz_src) $(ref_src) $(torture_src) $(scale_src) $(bench_src)
headers_src := $(wildcard nn/*/*.h comm/*.h trainer/*/*.h tests/*/*.h)

obj = $(patsubst %.c,$(B)/%.o,$(1))
bins      := $(patsubst trainer/cmd/%.c,$(B)/bin/%,$(cmd_src))
unit_bin  := $(B)/tests/unit/run
mpi_bin   := $(B)/tests/mpi/run
ref_bins  := $(patsubst %.c,$(B)/%,$(ref_src))
bench_bins  := $(patsubst %.c,$(B)/%,$(bench_src))
torture_bin := $(B)/tests/torture/torture
faults_so   := $(B)/tests/torture/faults.so
archives  := $(B)/libtrainer.a $(B)/libcomm.a $(B)/libnn.a

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all demo demo-run test check test-unit test-mpi test-system digests test-slurm test-arm64 test-portable torture parity bench bench-sums bench-exposed scale scale-check scale-programs fuzz fuzz-run install uninstall clean layers portable headers lint format asan help

all: $(bins) ## build the programs into build/bin

$(B)/libnn.a: $(call obj,$(nn_src))
$(B)/libcomm.a: $(call obj,$(comm_src))
$(B)/libtrainer.a: $(call obj,$(trainer_src))
$(archives):
	@rm -f $@
	@$(AR) rcs $@ $^

$(B)/nn/kernels/set_%.o: private EXTRA = $(kernel_flags) $(isa_flags_$(patsubst set_%.o,%,$(@F)))
$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CFLAGS_ALL) $(EXTRA) -MMD -MP -c $< -o $@

$(B)/bin/%: $(B)/trainer/cmd/%.o $(archives)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) $^ -o $@ $(LDLIBS_ALL)
$(unit_bin): $(call obj,$(unit_src) $(fuzz_src)) $(archives)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) $^ -o $@ $(LDLIBS_ALL) $(shell pkg-config --libs cunit)
$(mpi_bin): $(call obj,$(mpi_src)) $(archives)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) $^ -o $@ $(LDLIBS_ALL) $(shell pkg-config --libs cunit)
$(ref_bins) $(bench_bins): $(B)/%: $(B)/%.o $(archives)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) $^ -o $@ $(LDLIBS_ALL)
# without MPI: thousands of them are started
$(torture_bin): $(call obj,$(torture_src)) $(archives)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) $^ -o $@ $(shell pkg-config --libs jansson libxxhash) -lm $(LDLIBS)
$(faults_so): tests/torture/faults.c tests/torture/faults.h Makefile
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) -fPIC -shared $< -o $@

# mpirun as tests and the demo call it. Root is refused by Open MPI unless both variables are set.
export OMPI_ALLOW_RUN_AS_ROOT = 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM = 1
MPIRUN := mpirun --oversubscribe

DEMO        := $(B)/demo
DEMO_EPOCHS ?= 6
DEMO_TRAIN  := $(B)/bin/resnet-train --arch resnet20 --data $(DEMO)/data --out $(DEMO)/run --global-batch 64 \
	--lr 0.1 --lr-schedule cosine --warmup-epochs 1

demo: ## install, build, draw the embedded data set and train ResNet-20 on it with 8 ranks
	@jobs/install-deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory demo-run
demo-run:
	@mkdir -p $(DEMO)
	$(B)/bin/resnet-data synth $(DEMO)/data
	$(MPIRUN) -np 8 $(DEMO_TRAIN) --epochs $(DEMO_EPOCHS)
	@echo "Once more with one more epoch goes on from the checkpoint: make demo DEMO_EPOCHS=$$(($(DEMO_EPOCHS) + 1))"

test: ## install, build and run all tests
	@jobs/install-deps
	@$(MAKE) --no-print-directory check
check: layers portable headers test-unit test-mpi test-system ## all tests, nothing is installed
test-unit: $(unit_bin) ## CUnit tests of single modules
	OMP_WAIT_POLICY=passive timeout -k 5 600 $(unit_bin)
test-mpi: $(mpi_bin) ## CUnit tests under mpirun with 1 to 8 ranks, on one, two, three and as many made-up nodes
	@for np in 1 2 3 4 5 7 8; do for nodes in 0 2 3 $$np; do echo "mpi tests: $$np ranks, nodes $$nodes"; \
		timeout -k 5 120 $(MPIRUN) --bind-to none --timeout 110 -np $$np $(mpi_bin) --nodes $$nodes || exit 1; done; done
test-system: $(bins) $(mpi_bin) $(torture_bin) $(faults_so) ## tests of whole programs
	@tests/system/all.sh $(B)
digests: $(bins) ## the same weights on real images, CIFAR=DIR: ranks, threads, buckets, hosts (root), resumed, fp32 and bf16
	@[ -d "$(CIFAR)" ] || { echo "make digests CIFAR=DIR: the folder of CIFAR-10's binary version" >&2; exit 1; }
	@CIFAR="$(CIFAR)" tests/system/digests.sh $(B)/bin
KILLS ?= 1000
torture: $(bins) $(torture_bin) ## kills, failing calls, power cuts and damage of checkpoints at length (KILLS=1000); wants strace
	@RESNET_KILLS=$(KILLS) tests/system/torture.sh $(B)/bin
test-arm64: ## cross-compile for arm64, and run the unit tests under qemu-user (jobs/install-deps --arm64)
	@tests/arm64.sh build-arm64
test-portable: portable $(bins) $(unit_bin) ## run on an emulated x86-64 that has nothing newer (jobs/install-deps --arm64)
	@tests/qemu64.sh $(B)
test-slurm: ## install Slurm, and run jobs on a cluster of two nodes made of namespaces (needs root)
	@[ "$$(id -u)" -ne 0 ] || jobs/install-deps --slurm
	@$(MAKE) --no-print-directory all
	@timeout -k 60 1500 tests/slurm/all.sh $(B)/bin
layers: $(B)/libnn.a ## prove that includes and symbols run downward only
	@tests/layers.sh $(B)
portable: $(archives) $(call obj,$(cmd_src)) ## prove that instructions newer than x86-64 are in the sets named after them only
	@tests/portable.sh $(B)
headers: ## every header compiles alone
	@CC="$(CC)" CFLAGS="$(filter-out -fopenmp,$(CFLAGS_ALL))" tests/headers.sh $(headers_src)
parity: $(ref_bins) $(bins) ## compare with PyTorch (python3-torch), live
	@tests/reference/parity.sh $(B)
bench-sums: $(bench_bins) ## sums over ranks beside MPI_Allreduce, on 8 network namespaces (root); wants an idle machine
	@tests/bench/sums.sh $(B) 8 1 200mbit 65536 524288 1048576 4194304
bench-exposed: $(bins) $(bench_bins) ## exposed communication of ResNet-50 on 2 network namespaces (root) and of ResNet-20 on 2 ranks; wants an idle machine
	@tests/bench/exposed.sh $(B)
bench: $(bins) ## ceilings, layers, training and evaluation beside PyTorch, alternating; wants an idle machine
	@tests/bench/compare.py $(B)

# Steps replayed with comm/: on real hosts, and compiled by smpicc on those of SimGrid, where the linker wraps what takes time.
scale_bins := $(addprefix $(B)/tests/scale/,profile costs replay)
scale_sim  := $(B)/tests/scale/replay_simulated
scale_wrap := MPI_Isend MPI_Irecv MPI_Testall reducer_sum buckets_next doubling_init doubling_run doubling_begin doubling_finish statistics_merge additions_run
$(B)/tests/scale/replay: $(B)/tests/scale/machine_real.o
$(scale_bins): $(B)/tests/scale/%: $(B)/tests/scale/%.o $(B)/tests/scale/profile_file.o $(archives)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) $(filter %.o,$^) $(filter %.a,$^) -o $@ $(LDLIBS_ALL)
scale_sim_src := $(addprefix tests/scale/,replay.c machine_simulated.c memory_simulated.c profile_file.c) $(comm_src) nn/core/shards.c nn/core/status.c
$(scale_sim): $(scale_sim_src) $(wildcard tests/scale/*.h comm/*.h nn/core/*.h) Makefile
	@command -v smpicc >/dev/null && command -v smpirun >/dev/null || { \
		echo "SimGrid's smpicc and smpirun are missing; jobs/install-deps --scale installs them" >&2; exit 1; }
	@mkdir -p $(@D)
	@echo "  SMPI  $@"
	@smpicc -std=c11 $(WARN) -O2 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -DSIMULATED -I. $(scale_sim_src) \
		$(scale_wrap:%=-Wl,--wrap=%) -o $@
scale-programs: $(scale_sim) $(scale_bins)
scale: scale-programs ## simulate 8 to 1024 nodes with SimGrid (SPEEDS="1 16" BATCH=32 LATENCY=10); wants an idle machine for the profiles
	@tests/scale/scale.py table $(B)
scale-check: scale-programs ## the simulation beside real runs on 2, 4 and 8 network namespaces (root)
	@tests/scale/scale.py check $(B)

lint: ## clang-tidy with the MPI checks, clang-format, and a build by clang
	@$(MAKE) --no-print-directory CC=clang B=$(B)-clang all
	@clang-format --dry-run -Werror $(all_src) $(headers_src)
	@printf '%s\n' $(nn_src) $(comm_src) $(trainer_src) $(cmd_src) | grep -v nn/kernels/set_ | \
		xargs -P 2 -n 1 sh -c 'clang-tidy --quiet "$$@" -- $(CFLAGS_TIDY)' tidy
CFLAGS_TIDY = -std=c11 -fopenmp -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -DRESNET_VERSION=\"$(VERSION)\" -I. $(PKG_CFLAGS)
format: ## format the sources
	clang-format -i $(all_src) $(headers_src)
asan: ## tests with address and undefined-behaviour sanitizers, under mpirun too
	@$(MAKE) --no-print-directory BUILD=asan all build-asan/tests/unit/run build-asan/tests/mpi/run build-asan/tests/torture/torture
	@tests/asan.sh build-asan

# What foreign bytes reach, without kernels and MPI.
fuzzed_src   := $(wildcard nn/core/*.c trainer/data/*.c trainer/state/*.c trainer/report/*.c trainer/run/option*.c) trainer/run/config_file.c \
	trainer/run/command_line.c trainer/run/recipe.c
fuzz_targets := png jpeg cifar packed safetensors ini lines
fuzz_bins    := $(fuzz_targets:%=$(B)/fuzz/%)
SECONDS      ?= 60
$(B)/libfuzzed.a: $(call obj,$(fuzz_src) $(fuzzed_src))
	@rm -f $@
	@$(AR) rcs $@ $^
$(fuzz_bins): $(B)/fuzz/%: tests/fuzz/libfuzzer/entry.c tests/fuzz/libfuzzer/png_mutator.c $(B)/libfuzzed.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer -DTARGET=$* $(if $(filter png,$*),$^,$(filter-out %_mutator.c,$^)) -o $@ $(LDLIBS_ALL)
fuzz: ## libFuzzer (clang) on every reader of foreign bytes, SECONDS=60 each; FUZZ_DATA=DIR adds real files
	@$(MAKE) --no-print-directory BUILD=fuzz CC=clang fuzz-run
fuzz-run: $(fuzz_bins)
	@tests/fuzz/run.sh $(B) $(SECONDS)

man_pages = $(patsubst $(B)/bin/%,$(B)/man/%.1,$(bins)) $(B)/man/resnet-submit.1
$(B)/man/%.1: $(B)/bin/%
	@mkdir -p $(@D)
	@help2man --no-info --name="data-parallel training of residual networks on CPU nodes" --output=$@ $<
share = $(DESTDIR)$(PREFIX)/share/resnet-train
$(B)/man/resnet-submit.1: jobs/resnet-submit
	@mkdir -p $(@D)
	@help2man --no-info --no-discard-stderr --version-string=$(VERSION) --name="submit training runs to Slurm" --output=$@ $<
install: all $(man_pages) ## install programs and manual pages below PREFIX (/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(bins) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(man_pages) $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(share)/jobs $(share)/recipes
	install -m 755 jobs/resnet-submit $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(wildcard jobs/*.sbatch jobs/*.md) $(share)/jobs
	install -m 644 $(wildcard jobs/recipes/*.ini) $(share)/recipes
uninstall: ## remove what install put there
	rm -f $(patsubst $(B)/bin/%,$(DESTDIR)$(PREFIX)/bin/%,$(bins))
	rm -f $(patsubst $(B)/man/%,$(DESTDIR)$(PREFIX)/share/man/man1/%,$(man_pages))
	rm -f $(DESTDIR)$(PREFIX)/bin/resnet-submit
	rm -rf $(share)
clean: ## remove everything that was built
	rm -rf build build-debug build-asan build-tsan build-fuzz build-clang build-arm64
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

-include $(patsubst %.o,%.d,$(call obj,$(all_src)))
