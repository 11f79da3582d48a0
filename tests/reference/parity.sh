#!/bin/sh
# Runs all comparisons with PyTorch.
#   tests/reference/parity.sh BUILD     BUILD: the folder with bin/ and tests/reference/, build by default
# PARITY_CIFAR and PARITY_IMAGES name a CIFAR binary folder and an image folder; without them images are drawn.
# Exit code: 0 when all comparisons pass, 1 otherwise, 2 without PyTorch.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:-build}
# Debian's PyTorch belongs to Debian's Python, not to another one that comes first on PATH.
python=${PYTHON:-/usr/bin/python3}
export PYTHONDONTWRITEBYTECODE=1

"$python" -c 'import torch, torchvision' 2>/dev/null || {
	echo "parity.sh: $python has no torch and torchvision; run jobs/install-deps --dev, or name another with PYTHON=" >&2
	exit 2
}
failures=0
compare() {
	program=$1
	shift
	echo "== $program"
	"$python" "tests/reference/$program" --build "$build" "$@" || failures=$((failures + 1))
}
compare free_run.py ${PARITY_CIFAR:+--cifar "$PARITY_CIFAR"}
compare model_file.py
compare trajectory.py ${PARITY_CIFAR:+--cifar "$PARITY_CIFAR"}
compare protocols.py ${PARITY_IMAGES:+--images "$PARITY_IMAGES"}
compare parity.py ${PARITY_CIFAR:+--cifar "$PARITY_CIFAR"} ${PARITY_IMAGES:+--images "$PARITY_IMAGES"}
compare parity.py --winograd ${PARITY_CIFAR:+--cifar "$PARITY_CIFAR"} ${PARITY_IMAGES:+--images "$PARITY_IMAGES"}
[ $failures -eq 0 ] && echo "parity.sh: all comparisons pass"
[ $failures -eq 0 ]
