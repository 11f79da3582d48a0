# Sourced by the scripts beside it: the programs, a scratch folder, jobs under a time limit, checks and their count.
# shellcheck shell=bash disable=SC2034
set -u
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "${1:-build/bin}" && pwd) || exit 2
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# Threads that spin at a barrier would take the cores from those that they wait for: these jobs have more threads than cores.
export OMP_WAIT_POLICY=passive
scratch=$(mktemp -d "${TMPDIR:-/tmp}/resnet-system.XXXXXX") || exit 2
session=
passed=0
failed=0
limit=${RESNET_TEST_SECONDS:-120} # of one job

# The processes of the last job's session, of which this script is no part; those that ended and wait for init do not count.
job_processes() {
	ps -o pid=,stat= --sid "$session" | awk '$2 !~ /^Z/ { print $1 }'
}

# SIGKILL to all that is left of the last job, at once.
end_job() {
	local left

	[ -n "$session" ] || return 0
	mapfile -t left < <(job_processes)
	[ ${#left[@]} -eq 0 ] || kill -KILL "${left[@]}" 2>/dev/null
	wait "$session" 2>/dev/null
	session=
}

leave() {
	end_job
	cd /
	rm -rf "$scratch"
}
trap leave EXIT
trap 'exit 130' INT TERM
cd "$scratch" || exit 2

ok() {
	echo "ok $1"
	passed=$((passed + 1))
}

fail() {
	echo "FAIL $1: $2"
	failed=$((failed + 1))
}

# check NAME WHAT COMMAND...: the command says whether it went well.
check() {
	local name=$1 what=$2

	shift 2
	if "$@"; then ok "$name"; else fail "$name" "$what"; fi
}

# same NAME A B: two files are equal, and not empty.
same() {
	if ! [ -s "$2" ]; then
		fail "$1" "nothing to compare"
	elif cmp -s "$2" "$3"; then
		ok "$1"
	else
		fail "$1" "$(diff "$2" "$3" | grep '^[<>]' | head -2 | tr '\n' ' ')"
	fi
}

# faulty_disk: makes faulty_disk.so, for LD_PRELOAD.
faulty_disk() {
	${CC:-cc} -shared -fPIC -o "$scratch/faulty_disk.so" "$here/faulty_disk.c" -ldl
}

# preload NAME: from here on $bin has a resnet-train that NAME.c changes: a library that is loaded before MPI's.
preload() {
	# shellcheck disable=SC2046 # words
	${CC:-cc} -shared -fPIC $(pkg-config --cflags ompi-c) -o "$scratch/$1.so" "$here/$1.c" || exit 2
	mkdir "$scratch/$1"
	printf '#!/bin/sh\nLD_PRELOAD="%s" exec "%s" "$@"\n' "$scratch/$1.so" "$bin/resnet-train" >"$scratch/$1/resnet-train"
	chmod +x "$scratch/$1/resnet-train"
	bin=$scratch/$1
}

finish() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
}

# launch RANKS PROGRAM ARGUMENT...: starts a job in the background, in a session of its own whose id is in $session.
launch() {
	local ranks=$1 program=$2

	shift 2
	setsid timeout -k 5 "$limit" mpirun --oversubscribe --timeout "$limit" --bind-to none -np "$ranks" "$bin/$program" "$@" &
	session=$!
}

# run OUTPUT RANKS PROGRAM ARGUMENT...: a job from start to end, into OUTPUT.out and OUTPUT.err; returns its exit code.
run() {
	local output=$1 code

	shift
	launch "$@" >"$output.out" 2>"$output.err"
	wait "$session"
	code=$?
	end_job
	return $code
}

# trains NAME RUN RANKS ARGUMENT...: resnet-train ends well with --out RUN; anything else is a failed check called NAME.
trains() {
	local name=$1 out=$2 ranks=$3 code

	shift 3
	run "$out" "$ranks" resnet-train --out "$out" "$@" && return 0
	code=$?
	fail "$name" "exit code $code: $(tail -n 1 "$out.out") $(grep -m 1 'error:' "$out.err")"
	return 1
}

# events METRICS [EVENT]: the events but for start, without times and speeds.
events() {
	grep "\"event\":\"${2:-}" "$1" | grep -v '"event":"start"' |
		sed -E 's/,"(images_per_second|comm_exposed|data_wait|gradient_bytes|bus_bandwidth|seconds)":[^,}]*//g'
}

# value METRICS EVENT KEY: of the last such event.
value() {
	grep "\"event\":\"$2\"" "$1" | tail -n 1 | sed -E "s/.*\"$3\":\"?([^,\"}]*).*/\1/"
}

last_line() {
	tail -n 1 "$1" | tr -d '\r'
}

# The step of each checkpoint of a run, in order, on one line.
saved_steps() {
	(cd "$1/checkpoints" && printf '%s\n' step-* | sed -E 's/step-0*([0-9]+)/\1/' | tr '\n' ' ' | sed 's/ $//')
}
