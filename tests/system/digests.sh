#!/bin/bash
# The digest of the weights after 60 steps of ResNet-20 on real CIFAR-10 images with 8 shards: the same on 1, 2, 4 and 8 ranks, with other
# threads and buckets, by each algorithm on two hosts (network namespaces; root), and when the run goes on with other ranks.
#   CIFAR=FOLDER tests/system/digests.sh [build/bin]     FOLDER: CIFAR-10's binary version; PRECISIONS="fp32 bf16"
# Not one of all.sh's: it wants real images.
cifar=${CIFAR:+$(cd "$CIFAR" && pwd)}
. "$(dirname "$0")/common.sh"
. "$here/../namespaces.sh"
[ -n "$cifar" ] || {
	echo "digests.sh: error: CIFAR is not set; call make digests CIFAR=FOLDER" >&2
	exit 2
}
common=(--data "$cifar" --arch resnet20 --global-batch 64 --shards 8 --steps 60 --eval-every 0 --log-every 10 --augment cifar --lr 0.1)

# holds NAME RUN: all 60 steps, and the digest of the first run; one changed bit would make it another.
holds() {
	local found

	found=$(value "$2/metrics.jsonl" end weights)
	digest=${digest:-$found}
	check "$1: the digest of one rank" "$found" [ "$(value "$2/metrics.jsonl" end step) $found" = "60 $digest" ]
	events "$2/metrics.jsonl" step | tail -n 1 >"$2.steps"
	reference=${reference:-$2.steps}
	same "$1: the loss of one rank" "$reference" "$2.steps"
}

# on_hosts NAME RUN MAP ARGUMENT...: four ranks on two hosts; MAP is slot (neighbours share a host) or node (ranks go round the hosts).
on_hosts() {
	local name=$1 out=$2 map=$3

	[ "$map" = node ] || map=ppr:2:node
	shift 3
	setsid timeout -k 5 "$limit" mpirun --timeout "$limit" "${hosts_mpi[@]}" --hostfile hosts --map-by "$map" -np 4 \
		"$bin/resnet-train" --out "$scratch/$out" "$@" >"$out.out" 2>"$out.err" &
	session=$!
	wait "$session" || fail "$name" "exit code $?: $(grep -m 1 error: "$out.err")"
	end_job
	check "$name: two nodes" "$(sed -n 2p "$out.out")" grep -q "^4 ranks on 2 nodes" "$out.out"
	holds "$name" "$out"
}

hosts_made=
if hosts_make "$scratch" 2 2>/dev/null; then hosts_made=1; else echo "no network namespaces to be had, one host only"; fi
trap 'hosts_remove; leave' EXIT
hosts_list hosts 4
for precision in ${PRECISIONS:-fp32 bf16}; do
	digest='' reference=''
	options=("${common[@]}" --precision "$precision")
	for kind in 1:1:4 1:2:4 2:1:4 2:2:0.1 4:1:0.01 4:2:4 8:1:4 8:2:0.1; do
		IFS=: read -r ranks threads megabytes <<<"$kind"
		name="$precision, $ranks ranks, $threads threads, buckets of $megabytes MB" out=$precision.$ranks.$threads
		trains "$name" "$out" "$ranks" "${options[@]}" --threads "$threads" --bucket-mb "$megabytes" && holds "$name" "$out"
	done
	for algorithm in ${hosts_made:+pairwise ring doubling halving}; do
		for map in slot node; do
			on_hosts "$precision, $algorithm on two hosts by $map" "$precision.$algorithm.$map" $map "${options[@]}" --threads 1 \
				--allreduce "$algorithm"
		done
	done
	# 782 steps are an epoch: all of this is in the middle of the first.
	for kind in 8:20 2:40 4:60; do
		trains "$precision, resumed: ${kind#*:} steps" "$precision.again" "${kind%:*}" "${options[@]}" --threads 1 --steps "${kind#*:}"
	done
	check "$precision: each went on" "$(grep '"start"' "$precision.again/metrics.jsonl")" \
		[ "$(sed -nE 's/.*"ranks":([0-9]+).*"resumed_step":([0-9]+).*/\1 from \2/p' "$precision.again/metrics.jsonl" | tr '\n' ',')" = \
			"8 from 0,2 from 20,4 from 40," ]
	holds "$precision, 8 ranks, then 2, then 4" "$precision.again"
	trains "$precision, another seed" "$precision.other" 2 "${options[@]}" --threads 1 --seed 1 &&
		check "$precision, another seed: another digest" "$digest" [ "$(value "$precision.other/metrics.jsonl" end weights)" != "$digest" ]
done
finish
