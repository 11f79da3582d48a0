#!/bin/bash
# The report on cores at the start: it is there, it warns of ranks that are badly bound, and what it advises is right.
#   tests/system/binding.sh [build/bin]
. "$(dirname "$0")/common.sh"
unset OMP_WAIT_POLICY
cores=$(nproc)

"$bin/resnet-data" synth data --train 32 --val 10 >/dev/null || exit 2

# bound OUTPUT OPTION... -- ARGUMENT...: a short run under mpirun with just these options.
bound() {
	local output=$1 options=()

	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	rm -rf run
	timeout -k 5 "$limit" mpirun --timeout "$limit" "${options[@]}" "$bin/resnet-train" --arch resnet20 --data data --out run \
		--global-batch 16 --steps 1 --eval-every 0 "$@" >"$output.out" 2>"$output.err" ||
		fail "$output" "exit code $?: $(head -n 3 "$output.err")"
}

# warned OUTPUT WORDS: one warning of the program, with these words.
warned() {
	[ "$(grep -c '^resnet-train: warning:' "$1.err")" -eq 1 ] && grep -q "^resnet-train: warning: .*$2" "$1.err"
}

quiet() {
	! grep -q '^resnet-train: warning:' "$1.err"
}

bound free -np 1 --bind-to none --
check "a rank with all cores is fine" "$(cat free.err)" quiet free
check "the report names threads and cores" "$(cat free.out)" \
	grep -q "^1 rank x $cores threads* on this node, each bound to $cores cpus*; the node has .*NUMA node" free.out
check "the log has the report and the flags" "$(cat run/log.txt)" \
	eval 'grep -q "1 rank x $cores thread" run/log.txt && grep -q "mpirun -np 1 --map-by .*srun --nodes=1 --ntasks=1" run/log.txt'

bound crowd --oversubscribe -np $((cores + 1)) --bind-to none -- --threads 1
check "more ranks than cores are warned of" "$(cat crowd.err)" warned crowd 'shares cores with more threads than there are cores'
bound many -np 1 --bind-to none -- --threads $((cores + 1))
check "more threads than cores are warned of" "$(cat many.err)" eval \
	'if [ "$cores" -gt 1 ]; then warned many "shares cores with more threads.*OMP_WAIT_POLICY"; else warned many "one core"; fi'
bound single -np 1 --bind-to core -- --threads 2
check "several threads on one core are warned of" "$(cat single.err)" warned single 'is bound to one core and has several threads'

if [ "$cores" -gt 1 ]; then
	bound idle -np 1 --bind-to core --
	check "one core while others are idle is warned of" "$(cat idle.err)" warned idle 'is bound to one core while cores of its node are idle'
	advice=$(sed -n 's/.*use mpirun \(.*\), or srun.*/\1/p' idle.err)
	check "the warning has the flags of mpirun" "$(cat idle.err)" [ -n "$advice" ]
	# shellcheck disable=SC2086 # words on purpose
	bound advised $advice --
	check "the flags that it gives need no warning" "$advice: $(cat advised.err)" quiet advised
	check "and use all cores" "$(cat advised.out)" grep -q "^1 rank x $cores threads" advised.out
fi
finish
