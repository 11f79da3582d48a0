#!/bin/bash
# Runs an x86-64 build on a processor that has nothing newer than x86-64 itself (qemu-user's qemu64), where any other instruction ends
# the program: unit tests, training under MPI and the benchmark, with RESNET_ISA unset and =portable.
#   tests/qemu64.sh [BUILD-FOLDER [SUITE...]]
# Exit code: 0 when all went well.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- core kernels pointwise tiles winograd_tiles stored conv batchnorm pool loss models optimizer plan network \
	gradients digest safetensors checkpoint images resize augment views colours jitter mix normalization packed loader dot conv_bf16 \
	fixtures fixture_nets
command -v qemu-x86_64 >/dev/null || {
	echo "qemu64.sh: error: no qemu-x86_64; run jobs/install-deps --arm64, or install qemu-user" >&2
	exit 2
}
# OpenBLAS takes qemu64 for an Opteron, and would use instructions of AMD's that qemu64 lacks.
export OPENBLAS_CORETYPE=Prescott OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
plain="qemu-x86_64 -cpu qemu64"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/resnet-qemu64.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

fail() {
	echo "qemu64.sh: FAIL: $*" >&2
	exit 1
}

# trains NAME COMMAND-PREFIX...: three steps by two ranks; prints the digest of the weights.
trains() {
	local run=$scratch/$1

	shift
	timeout -k 5 600 mpirun --oversubscribe --bind-to none --timeout 590 -np 2 "$@" "$build/bin/resnet-train" --arch resnet20 \
		--data "$scratch/data" --out "$run" --global-batch 8 --steps 3 --threads 1 >"$run.out" 2>&1 ||
		{ cat "$run.out" >&2; fail "training: $*"; }
	sed -n 's/^complete: .*weights //p' "$run.out"
}

code=0
# shellcheck disable=SC2086 # words on purpose
RESNET_ISA=avx2 timeout 60 $plain "$build/bin/resnet-bench" step --arch resnet20 --batch 1 >"$scratch/refused" 2>&1 || code=$?
[ $code -eq 2 ] && grep -q 'RESNET_ISA=avx2: this processor cannot run it' "$scratch/refused" || fail "qemu64 runs AVX2: nothing would be proved"

"$build/bin/resnet-data" synth "$scratch/data" --train 40 --val 20 >/dev/null
# shellcheck disable=SC2086
{
	unset RESNET_ISA
	unset=$(trains unset $plain)
	named=$(RESNET_ISA=portable trains portable $plain)
}
native=$(RESNET_ISA=portable trains native)
[ -n "$unset" ] && [ "$unset" = "$named" ] && [ "$unset" = "$native" ] ||
	fail "weights differ: $unset (RESNET_ISA unset), $named (portable), $native (portable without qemu)"
echo "ok 3 steps on 2 ranks end with the same weights as on this processor"

# shellcheck disable=SC2086
timeout -k 5 300 $plain "$build/bin/resnet-bench" step --arch resnet20 --batch 2 --iterations 1 || fail "resnet-bench"
# shellcheck disable=SC2086
timeout -k 5 3000 $plain "$build/tests/unit/run" "$@" || fail "unit tests"
echo "qemu64.sh: passed"
