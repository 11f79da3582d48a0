#!/bin/sh
# Runs every system test and adds up their counts; what failed is said once more at the end.
#   tests/system/all.sh [build]
set -u
build=${1:-build}
here=$(dirname "$0")
output=$(mktemp) || exit 2
failures=$(mktemp) || exit 2
trap 'rm -f "$output" "$failures"' EXIT
passed=0
failed=0

# The counts are those of a script's last line, `N passed, N failed`; a script that does not get there has failed.
for script in "$here"/*.sh; do
	name=$(basename "$script")
	case "$name" in all.sh | common.sh | digests.sh) continue ;; esac # the last wants data
	target=$build/bin
	if [ "$name" = abort.sh ] || [ "$name" = calls.sh ]; then target=$build/tests/mpi/run; fi
	echo "== $name"
	timeout -k 10 900 "$script" "$target" >"$output" 2>&1
	code=$?
	cat "$output"
	sed -n "s/^FAIL/FAIL $name:/p" "$output" >>"$failures"
	set -- $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$output" | tail -n 1)
	passed=$((passed + ${1:-0}))
	failed=$((failed + ${2:-0}))
	if [ $code -ne 0 ] && [ "${2:-0}" -eq 0 ]; then
		echo "FAIL $name: exit code $code" | tee -a "$failures"
		failed=$((failed + 1))
	fi
done
cat "$failures"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
