#!/bin/bash
# Jobs on two to four hosts: network namespaces on a bridge. The same bits as on one host, by every algorithm that sums gradients; what is
# measured for the choice is kept; a link that goes down ends the job. Needs root and iproute2; without them there is nothing to test.
#   tests/system/hosts.sh [build/bin]
. "$(dirname "$0")/common.sh"

. "$here/../namespaces.sh"
if ! hosts_make "$scratch" 4 2>/dev/null; then
	hosts_remove
	echo "no network namespaces to be had, nothing tested"
	finish
fi
trap 'hosts_remove; leave' EXIT
hosts_list hosts 4
export XDG_CACHE_HOME=$scratch/cache
mkdir cache

# across OUTPUT RANKS HOSTS MAP ARGUMENT...: starts resnet-train on the first so many hosts, in the background; MAP is node (ranks go round
# the hosts) or slot (neighbours share a host).
across() {
	local out=$1 ranks=$2 count=$3 map=$4

	[ "$map" = node ] || map="ppr:$(((ranks + count - 1) / count)):node"
	shift 4
	head -n "$count" hosts >"$out.hosts"
	setsid timeout -k 5 "$limit" mpirun --timeout "$limit" "${hosts_mpi[@]}" --hostfile "$out.hosts" --map-by "$map" -np "$ranks" \
		-x XDG_CACHE_HOME "$bin/resnet-train" --out "$scratch/$out" --data "$scratch/drawn" --arch resnet20 --global-batch 24 \
		--threads 1 "$@" >"$out.out" 2>"$out.err" &
	session=$!
}

# alike NAME REFERENCE OUTPUT RANKS HOSTS MAP ARGUMENT...: ends with the weights and the losses of the run called REFERENCE.
alike() {
	local name=$1 reference=$2 out=$3

	shift 2
	across "$@"
	wait "$session" || fail "$name" "exit code $?: $(grep -m 1 error: "$out.err")"
	end_job
	check "$name: $3 nodes" "$(sed -n 2p "$out.out")" grep -q "^$2 ranks on $3 nodes" "$out.out"
	check "$name: the weights of one host" "$(value "$out/metrics.jsonl" end weights)" \
		[ "$(value "$out/metrics.jsonl" end weights)" = "$(value "$reference/metrics.jsonl" end weights)" ]
	events "$reference/metrics.jsonl" step >"$reference.steps"
	events "$out/metrics.jsonl" step >"$out.steps"
	same "$name: the losses of one host" "$reference.steps" "$out.steps"
}

"$bin/resnet-data" synth drawn --train 160 --val 40 >/dev/null || exit 1
common=(--steps 12 --shards 8 --log-every 1)

# Every algorithm, by slot and by node, on two, three and four hosts, with other buckets, threads and overlap: one changed bit fails.
for dtype in fp32 bf16; do
	options=("${common[@]}" --gradient-dtype $dtype)
	trains "one host, $dtype" one.$dtype 1 --data drawn --arch resnet20 --global-batch 24 --threads 1 "${options[@]}"
	for kind in pairwise:2:slot:8:4:1 ring:2:node:8:0.3:1 doubling:2:slot:4:0.01:2 halving:2:node:2:4:2 pairwise:4:node:8:0.01:1 \
		ring:4:slot:8:4:1 doubling:4:node:8:0.3:2 halving:4:slot:8:4:1 pairwise:3:node:5:0.3:1 ring:3:slot:7:0.01:1 \
		doubling:3:node:8:4:1 halving:3:node:7:0.3:1 halving:4:node:6:0.01:2; do
		IFS=: read -r algorithm hosts map ranks megabytes threads <<<"$kind"
		alike "$dtype, $algorithm, $ranks ranks on $hosts hosts by $map, buckets of $megabytes MB, $threads threads" one.$dtype \
			"$dtype.$algorithm.$hosts.$ranks" "$ranks" "$hosts" "$map" "${options[@]}" --allreduce "$algorithm" \
			--bucket-mb "$megabytes" --threads "$threads" --overlap "$([ "$threads" = 1 ] && echo on || echo off)"
	done
	# 160 images: an epoch has seven steps, and the run goes on in the middle of the first and the second.
	resumed=("${options[@]}" --save-every 1)
	across again.$dtype 8 2 node "${resumed[@]}" --steps 3 --allreduce ring && wait "$session" || fail "8 ranks, 3 steps" "$?"
	end_job
	across again.$dtype 2 2 node "${resumed[@]}" --steps 9 --allreduce halving && wait "$session" || fail "2 ranks, 6 steps" "$?"
	end_job
	alike "$dtype, 8 ranks, then 2, then 4" one.$dtype again.$dtype 4 4 node "${resumed[@]}"
done

rm -rf cache/resnet-train
# What is chosen by measuring is kept, found again, and changes no bits.
options=("${common[@]}" --gradient-dtype fp32)
for kind in measured stored; do
	alike "$kind choice" one.fp32 tuned.$kind 6 3 slot "${options[@]}"
	check "$kind choice: the start event says so" "$(grep '"start"' tuned.$kind/metrics.jsonl)" \
		[ "$(value tuned.$kind/metrics.jsonl start tuned)" = $kind ]
	check "$kind choice: the log says so" "$(cat tuned.$kind/log.txt)" grep -q "gradients are summed by: .* (tuning: $kind)" \
		tuned.$kind/log.txt
done
check "both choices are the same" "" [ "$(value tuned.measured/metrics.jsonl start allreduce)" = \
	"$(value tuned.stored/metrics.jsonl start allreduce)" ]
alike "other ranks a host, another choice" one.fp32 tuned.other 3 3 slot "${options[@]}"
check "other ranks a host, another choice: measured" "" [ "$(value tuned.other/metrics.jsonl start tuned)" = measured ]
check "a file for each" "$(ls cache/resnet-train)" [ "$(ls cache/resnet-train | wc -l)" -eq 2 ]
alike "--tune off" one.fp32 tuned.off 5 3 slot "${options[@]}" --tune off
check "--tune off: nothing measured or kept" "$(ls cache/resnet-train)" \
	[ "$(value tuned.off/metrics.jsonl start tuned) $(ls cache/resnet-train | wc -l)" = "off 2" ]
alike "two hosts have no choice" one.fp32 tuned.two 8 2 slot "${options[@]}"
check "two hosts have no choice: doubling, and no file" "$(grep '"start"' tuned.two/metrics.jsonl)" [ \
	"$(value tuned.two/metrics.jsonl start tuned) $(value tuned.two/metrics.jsonl start allreduce) $(ls cache/resnet-train | wc -l)" = \
	"off doubling 2" ]
XDG_CACHE_HOME=/dev/null
alike "a cache that cannot be written" one.fp32 tuned.nowhere 5 3 slot "${options[@]}"
check "a cache that cannot be written: measured" "" [ "$(value tuned.nowhere/metrics.jsonl start tuned)" = measured ]

# endless OUTPUT RANKS HOSTS MAP ARGUMENT...: starts a job that does not end by itself, and waits until it has trained some steps.
endless() {
	across "$@" --steps 20000 --shards 6 --log-every 2 --eval-every 0 --save-every 0 --watchdog 3
	for _ in $(seq 600); do
		! grep -q '"step":4,' "$1/metrics.jsonl" 2>/dev/null || break
		sleep 0.05
	done
}

# stopped_alone NAME OUTPUT HOST RANK: a rank of the running job is stopped, and named alone within the watchdog's 3 s and 10 s.
stopped_alone() {
	local out=$2 host=$3 rank=$4 pid start=$SECONDS code

	for pid in $(ip netns pids "$hosts_id-$host"); do
		[ "$(ps -o comm= -p "$pid")" = resnet-train ] || continue
		! tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$rank" || kill -STOP "$pid"
	done
	wait "$session"
	code=$?
	check "$1: exit code 7 within the watchdog and 10 s" "exit code $code after $((SECONDS - start)) s" \
		[ "$code $((SECONDS - start <= 13))" = "7 1" ]
	check "$1: one error line names rank $rank alone" "$(grep error: "$out.err")" [ "$(grep -c error: "$out.err") $(grep -c \
		"^resnet-train: error: \(nothing comes from \)\?rank $rank on host host$host\(;\| is silent;\) .* of step" "$out.err")" = "1 1" ]
	end_job
}

# stop NAME KIND...: jobs on four hosts of which a rank is stopped, whatever the moment, and whoever else waits for those that wait for it.
# KIND is ALGORITHM:RANKS:HOST:RANK.
stop() {
	local name=$1 kind algorithm ranks host rank

	shift
	for kind in "$@"; do
		IFS=: read -r algorithm ranks host rank <<<"$kind"
		endless "$name.$algorithm" "$ranks" 4 node --allreduce "$algorithm"
		sleep "0.$((RANDOM % 900 + 100))"
		stopped_alone "4 hosts, $name, $algorithm, rank $rank is stopped" "$name.$algorithm" "$host" "$rank"
	done
}

stop threads ring:4:3:2 pairwise:4:1:0 doubling:4:4:3 mpi:8:2:5 halving:8:4:7
several=$bin
preload funneled
stop one-thread mpi:4:3:2 ring:4:2:1
bin=$several

endless cut 4 2 node
# ranks_left: processes of resnet-train on both hosts.
ranks_left() {
	for host in 1 2; do ip netns pids "$hosts_id-$host" | xargs -r ps -o stat=,comm= -p; done | grep resnet-train | grep -c -v '^Z'
}

# mpirun itself waits for its daemon behind the link, for as long as TCP does; what counts here is that no rank does.
before=$(ranks_left)
ip link set "${hosts_id}v2" down
for _ in $(seq 26); do # the watchdog and 10 s
	[ "$(ranks_left)" -gt 0 ] || break
	sleep 0.5
done
check "a link that goes down ends all ranks on both sides of it" "$before before, $(ranks_left) now" \
	[ "$before $(ranks_left)" = "4 0" ]
check "one error line names the ranks behind the link" "$(grep error: cut.err)" \
	grep -q '^resnet-train: error: nothing comes from rank 1 on host host2, rank 3 on host host2; the .* of step' cut.err
end_job
finish
