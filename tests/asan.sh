#!/bin/sh
# Runs tests and whole programs that were built with the address and undefined-behaviour sanitizers, under mpirun too.
#   tests/asan.sh [BUILD-FOLDER]
# The folder (default: build-asan) is one of `make BUILD=asan`. Exit code: 0 when no sanitizer and no test found anything.
set -u
export LC_ALL=C OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
cd "$(dirname "$0")/.." || exit 2
build=${1:-build-asan}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/resnet-asan.XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
failures=0

# Unwinding by frame pointers loses the callers inside Open MPI, and with them the suppressions.
export LSAN_OPTIONS="suppressions=tests/lsan.supp:fast_unwind_on_malloc=0:print_suppressions=0"
export UBSAN_OPTIONS=print_stacktrace=1

# run NAME COMMAND...: prints the output of a command that fails.
run() {
	name=$1
	shift
	if timeout -k 5 600 "$@" >"$scratch/log" 2>&1; then
		echo "asan.sh: passed: $name"
	else
		echo "asan.sh: FAILED with exit code $?: $name" >&2
		cat "$scratch/log" >&2
		failures=$((failures + 1))
	fi
}

# ranks NUMBER COMMAND...
ranks() {
	np=$1
	shift
	run "$np ranks: $(basename "$1")" mpirun --oversubscribe --bind-to none --timeout 590 -np "$np" "$@"
}

train() {
	ranks 2 "$build/bin/resnet-train" --arch resnet20 --data "$scratch/data" --out "$scratch/run" --global-batch 32 --threads 1 \
		--augment cifar --loader-threads 2 "$@"
}

run "unit tests" "$build/tests/unit/run"
for np in 2 4; do
	ranks $np "$build/tests/mpi/run"
done
run "damaged checkpoints" "$build/tests/torture/torture" damage "$scratch"
run "drawing a data set" "$build/bin/resnet-data" synth "$scratch/data" --train 80 --val 20
train --epochs 1
train --epochs 2 # goes on from the checkpoint
ranks 2 "$build/bin/resnet-eval" "$scratch/run" --data "$scratch/data"
run "classes of a picture" "$build/bin/resnet-eval" "$scratch/run" "$scratch/data/val/arrow/0000.png"
run "benchmark" "$build/bin/resnet-bench" step --batch 4 --iterations 1
run "benchmark of layers" "$build/bin/resnet-bench" layers --batch 4 --iterations 1
run "ceilings" "$build/bin/resnet-bench" peaks --iterations 1 --threads 2

[ $failures -eq 0 ] && echo "asan.sh: passed"
[ $failures -eq 0 ]
