#!/bin/bash
# Debug builds compare what ranks call: a rank in another collective, or with other arguments, ends the job and is named.
#   tests/system/calls.sh [build/tests/mpi/run]
set -u
run=${1:-build/tests/mpi/run}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_WAIT_POLICY=passive
errors=$(mktemp) || exit 2
trap 'rm -f "$errors"' EXIT
failed=0
passed=0

check() {
	local name=$1

	shift
	if "$@"; then
		echo "ok $name"
		passed=$((passed + 1))
	else
		echo "FAIL $name: exit code $code: $(head -c 600 "$errors")"
		failed=$((failed + 1))
	fi
}

# job RANKS ARGUMENT...: sets `code`.
job() {
	local ranks=$1

	shift
	timeout -k 5 60 mpirun -np "$ranks" --oversubscribe --bind-to none --timeout 50 "$run" "$@" >/dev/null 2>"$errors"
	code=$?
}

# named BUG RANK CALL: one error line, with the rank that is alone in its call, and what it calls.
named() {
	[ "$code" -eq 7 ] && [ "$(grep -c 'error:' "$errors")" -eq 1 ] &&
		grep -q "error: a bug in this program: .*rank $1 on host [^ ]* calls $2" "$errors" && grep -q "calls $3" "$errors"
}

for nodes in 0 2 3; do
	for rank in 0 1 2; do
		job 3 --nodes $nodes --compare-calls 1 --barrier-on-rank $rank
		check "$nodes nodes: rank $rank in a barrier is named" named $rank "a barrier" "the agreement"
		job 3 --nodes $nodes --compare-calls 1 --shorter-on-rank $rank
		check "$nodes nodes: rank $rank with fewer gradients is named" named $rank 'the sum of gradients (0, 32)' \
			'the sum of gradients (0, 64)'
	done
	job 3 --nodes $nodes --compare-calls 0 --barrier-on-rank 1
	check "$nodes nodes: without comparing, nobody sees it" [ "$code" -eq 0 ]
	job 4 --nodes $nodes --compare-calls 1
	check "$nodes nodes: what is right passes" [ "$code" -eq 0 ]
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
