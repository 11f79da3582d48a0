#!/bin/sh
# A rank that calls comm_abort ends all ranks within 5 seconds, with its exit code and one error line; a rank that is silent in an
# exchange of several rounds is named, not one that waits for it; one that is silent at the end does not keep the others.
#   tests/system/abort.sh [build/tests/mpi/run]
set -u
run=${1:-build/tests/mpi/run}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
errors=$(mktemp) || exit 2
trap 'rm -f "$errors"' EXIT
failures=0
passed=0

fail() {
	echo "FAIL $1" >&2
	cat "$errors" >&2
	failures=$((failures + 1))
}

for rank in 0 1 3; do
	before=$failures
	timeout -k 5 5 mpirun -np 4 --oversubscribe --timeout 60 "$run" --abort-on-rank $rank >/dev/null 2>"$errors"
	code=$?
	[ $code -eq 3 ] || fail "rank $rank aborted with exit code 3, but mpirun left with $code (124: not within 5 s)"
	[ "$(grep -c 'error:' "$errors")" -eq 1 ] || fail "rank $rank aborted: not exactly one error line"
	grep -q "^mpi-tests: error: asked to abort (rank $rank)\$" "$errors" || fail "rank $rank aborted: its error line is missing"
	[ $failures -gt $before ] || passed=$((passed + 1))
done
for rank in 0 3 5; do
	before=$failures
	timeout -k 5 15 mpirun -np 8 --oversubscribe --bind-to none --timeout 60 "$run" --nodes 8 --silent-on-rank $rank \
		>/dev/null 2>"$errors"
	code=$?
	[ $code -eq 7 ] || fail "rank $rank of 8 nodes was silent, but mpirun left with $code (124: not within 15 s)"
	[ "$(grep -c 'error:' "$errors")" -eq 1 ] || fail "rank $rank of 8 nodes was silent: not exactly one error line"
	grep -q "error: nothing comes from rank $rank on host [^,]*; an exchange of pairs" "$errors" ||
		fail "rank $rank of 8 nodes was silent: it is not named alone"
	[ $failures -gt $before ] || passed=$((passed + 1))
done

# late NODES OPTION RANK PATTERN: the rank is late to end, and the others leave within the watchdog's second and 10 s. mpirun itself
# may crash when ranks leave MPI_Finalize: PMIx then frees what it still uses.
late() {
	before=$failures
	timeout -k 5 12 mpirun -np 4 --oversubscribe --bind-to none --timeout 60 "$run" --nodes "$1" "$2" "$3" >/dev/null 2>"$errors"
	code=$?
	[ $code -eq 7 ] || [ "$2 $code" = "--silent-in-finalize 139" ] || fail "$2 $3 on $1 nodes: mpirun left with $code (124: not within 12 s)"
	grep -q "^run: error: $4" "$errors" || fail "$2 $3 on $1 nodes: no error line like \"$4\""
	[ $failures -gt $before ] || passed=$((passed + 1))
}

late 1 --silent-before-end 2 'rank 2 on host [^,]* is silent; a barrier'
late 4 --silent-before-end 2 'nothing comes from rank 2 on host [^,]*; a barrier'
late 2 --silent-in-finalize 1 'MPI has not ended within 2 s: another rank is silent; start the same command again (rank [023])'
echo "$passed passed, $failures failed"
[ $failures -eq 0 ]
