# resnet-train: one non-recursive Makefile. `make help` lists the targets.
#   BUILD=release|debug|asan|tsan   each in a folder of its own (build/, build-debug/, ...)
#   CC=clang PREFIX=/opt/resnet DESTDIR=...   the usual variables

BUILD  ?= release
PREFIX ?= /usr/local
CC     := $(if $(filter default,$(origin CC)),gcc,$(CC))
B      := $(if $(filter release,$(BUILD)),build,build-$(BUILD))
VERSION := 0.1.0

libs := libpng libjpeg jansson inih libxxhash openblas
PKG_CFLAGS = $(shell pkg-config --cflags $(libs) ompi-c)
PKG_LIBS   = $(shell pkg-config --libs $(libs) ompi-c)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings
WARN += $(if $(findstring clang,$(CC)),,-Wno-psabi)
OPT_release := -O2 -g -ftree-vectorize
OPT_debug   := -O0 -g3
OPT_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT_tsan    := -O1 -g -fsanitize=thread
CFLAGS_ALL = -std=c11 $(WARN) -ffp-contract=off -fno-common -fopenmp -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE \
	-DRESNET_VERSION='"$(VERSION)"' -I. $(OPT_$(BUILD)) $(PKG_CFLAGS) $(CFLAGS)
LDLIBS_ALL = $(PKG_LIBS) -lm -lpthread $(LDLIBS)

machine := $(shell $(CC) -dumpmachine)
kernel_flags := -O3 -ffp-contract=fast
ifneq ($(filter x86_64-%,$(machine)),)
isa_flags_avx2   := -mavx2 -mfma
isa_flags_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512
else
kernels_skip := nn/kernels/set_avx2.c nn/kernels/set_avx512.c
endif

nn_src      := $(filter-out $(kernels_skip),$(wildcard nn/*/*.c))
comm_src    := $(wildcard comm/*.c)
trainer_src := $(filter-out trainer/cmd/%,$(wildcard trainer/*/*.c))
cmd_src     := $(wildcard trainer/cmd/*.c)
unit_src    := $(wildcard tests/unit/*.c)
mpi_src     := $(wildcard tests/mpi/*.c)
ref_src     := $(wildcard tests/reference/*.c)
all_src     := $(nn_src) $(comm_src) $(trainer_src) $(cmd_src) $(unit_src) $(mpi_src) $(ref_src)
headers_src := $(wildcard nn/*/*.h comm/*.h trainer/*/*.h tests/*/*.h)

obj = $(patsubst %.c,$(B)/%.o,$(1))
bins      := $(patsubst trainer/cmd/%.c,$(B)/bin/%,$(cmd_src))
unit_bin  := $(B)/tests/unit/run
mpi_bin   := $(B)/tests/mpi/run
ref_bins  := $(patsubst %.c,$(B)/%,$(ref_src))
archives  := $(B)/libtrainer.a $(B)/libcomm.a $(B)/libnn.a

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all demo test test-unit test-mpi test-system parity bench install uninstall clean layers headers lint format asan help deps

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
$(unit_bin): $(call obj,$(unit_src)) $(archives)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) $^ -o $@ $(LDLIBS_ALL) $(shell pkg-config --libs cunit)
$(mpi_bin): $(call obj,$(mpi_src)) $(archives)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) $^ -o $@ $(LDLIBS_ALL) $(shell pkg-config --libs cunit)
$(ref_bins): $(B)/%: $(B)/%.o $(archives)
	@echo "  LINK  $@"
	@$(CC) $(CFLAGS_ALL) $^ -o $@ $(LDLIBS_ALL)

-include $(patsubst %.o,%.d,$(call obj,$(all_src)))
