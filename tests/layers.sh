#!/bin/sh
# Proves that the layers depend on each other downward only: by the includes in the sources and by libnn's symbols.
#   tests/layers.sh [BUILD-FOLDER]
# The folder (default: build) must hold libnn.a. Exit code: 0 when nothing was found, 1 otherwise.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 2
build=${1:-build}
failures=0

# fail RULE FINDINGS: a rule that is broken, and where; nothing when there are no findings.
fail() {
	[ -n "$2" ] || return 0
	printf 'layers.sh: %s:\n%s\n' "$1" "$2" >&2
	failures=$((failures + 1))
}

# Lines "file:line:#include ..." of the given folders or files.
includes() {
	grep -rnE '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' "$@"
}

[ -s "$build/libnn.a" ] || {
	echo "layers.sh: $build/libnn.a is missing; run make first" >&2
	exit 1
}

fail "nn includes neither comm nor trainer" "$(includes nn | grep -E '"(comm|trainer)/')"
fail "comm includes nothing of nn but nn/core" "$(includes comm | grep '"nn/' | grep -v '"nn/core/')"
fail "comm does not include trainer" "$(includes comm | grep '"trainer/')"
fail "trainer/data, which runs on threads of its own, does not include comm" "$(includes trainer/data | grep '"comm/')"
fail "only comm includes mpi.h" "$(includes nn trainer | grep 'mpi\.h')"
fail "only nn/kernels/gemm.c uses BLAS" \
	"$(grep -rnE 'cblas|openblas_' --include='*.[ch]' nn comm trainer | grep -v '^nn/kernels/gemm\.c:')"
fail "includes in quotes start at the top of the tree" \
	"$(includes nn comm trainer tests | grep '"' | grep -vE '"(nn|comm|trainer|tests)/')"
fail "libnn.a has no symbol of MPI" "$(nm -A "$build/libnn.a" | grep -E '[ _]P?MPI_|ompi_')"

[ $failures -eq 0 ] && echo "layers.sh: passed"
[ $failures -eq 0 ]
