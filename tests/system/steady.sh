#!/bin/bash
# A training process asks for no memory inside its steps: a run of 53 steps allocates as often as one of 33, and touches as many new
# pages. Threads of MPI may allocate now and then; once in each step would be 20 times.
#   tests/system/steady.sh [build/bin]
. "$(dirname "$0")/common.sh"
first=33 # steps of the shorter runs: a whole epoch and the beginning of the next, so that all images were touched
more=20  # steps that the longer runs have
pages=300 # fewer than 15 new ones in a step; mapped images and stacks that the system had taken away come back now and then

if ! ${CC:-cc} -shared -fPIC -O2 -o counting.so "$here/counting.c" -ldl 2>cc.err; then
	fail "the counter is built" "$(head -n 1 cc.err)"
	finish
fi
# CIFAR files, whose images need no decoder: libpng and libjpeg allocate for every image.
mkdir data
for file in data_batch_{1..5} test_batch; do
	for image in {1..192}; do
		printf "\\x0$((image % 10))"
		head -c 3072 /dev/urandom
	done >data/$file.bin
done

# counted NAME STEPS RANKS ARGUMENT...: a run, and what its ranks counted, added up, as $allocations and $faults.
counted() {
	local name=$1 steps=$2 ranks=$3

	shift 3
	rm -rf run counts
	# The launcher has processes of its own; only ours are to count.
	printf '#!/bin/sh\nLD_PRELOAD=%s COUNTING=%s exec "%s" "$@"\n' "$scratch/counting.so" "$scratch/counts" "$bin/resnet-train" >train
	chmod +x train
	timeout -k 5 "$limit" mpirun --oversubscribe --timeout "$limit" --bind-to none -np "$ranks" ./train --data data --out run \
		--steps "$steps" --global-batch 32 --eval-every 0 --log-every 1000 "$@" >run.out 2>run.err ||
		fail "$name" "exit code $?: $(grep -m 1 'error:' run.err)"
	[ "$(wc -l <counts)" -eq "$ranks" ] || fail "$name" "not every rank counted: $(cat counts)"
	allocations=$(awk '{ n += $1 } END { print n }' counts)
	faults=$(awk '{ n += $2 } END { print n }' counts)
}

# steady NAME RANKS ARGUMENT...: what a longer run needs more. Systems that page memory out by themselves make faults now and then, and
# MPI allocates more when ranks start far apart, so there are three tries; a step that does it fails them all.
steady() {
	local name=$1 ranks=$2 before touched

	shift 2
	for _ in 1 2 3; do
		counted "$name" $first "$ranks" "$@"
		before=$allocations
		touched=$faults
		counted "$name" $((first + more)) "$ranks" "$@"
		[ "$faults" -gt $((touched + pages * ranks)) ] || [ "$allocations" -ge $((before + more)) ] || break
	done
	check "$name: $more steps more allocate nothing" "$before allocations, and $allocations" \
		[ "$allocations" -lt $((before + more)) ]
	check "$name: $more steps more touch no new pages" "$touched page faults, and $faults" \
		[ "$faults" -le $((touched + pages * ranks)) ]
}

steady "one rank" 1 --arch resnet20
steady "two threads" 1 --arch resnet20 --threads 2
steady "two ranks" 2 --arch resnet20 --threads 1
steady "bf16" 2 --arch resnet20 --threads 1 --precision bf16 --gradient-dtype bf16
steady "recomputed" 1 --arch resnet56 --recompute on
finish
