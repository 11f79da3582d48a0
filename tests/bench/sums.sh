#!/bin/bash
# Sums of gradients over ranks beside Open MPI's MPI_Allreduce, taking turns; prints a table. On network namespaces, which needs root.
#   tests/bench/sums.sh BUILD HOSTS RANKS RATE BYTES...     such as build 8 1 200mbit 65536 4194304; RANKS on each host
#   tests/bench/sums.sh BUILD 1 RANKS - BYTES...            on this machine alone
#   ROUNDS=9   WAYS="own pairwise ring doubling halving mpi mpi:3 mpi:4 mpi:5 mpi:6"   MAP=node   ranks go round the hosts
# The bound is what a host must send at least, 2 (HOSTS - 1) / HOSTS of the bytes, at the links' rate.
set -u -o pipefail
export LC_ALL=C OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
. "$(dirname "$0")/../namespaces.sh"
build=$1 hosts=$2 ranks=$3 rate=$4
shift 4
ways=${WAYS:-own pairwise ring doubling halving mpi mpi:3 mpi:4 mpi:5 mpi:6}
[ -x "$build/tests/bench/sums" ] || {
	echo "sums.sh: error: no $build/tests/bench/sums; build it with: make $build/tests/bench/sums" >&2
	exit 2
}
scratch=$(mktemp -d) || exit 1
trap 'hosts_remove; rm -r "$scratch"' EXIT
mpi=(--bind-to none --oversubscribe)
if [ "$hosts" -gt 1 ]; then
	hosts_make "$scratch" "$hosts" "$rate" || {
		echo "sums.sh: error: no network namespaces to be had: root and iproute2 are needed" >&2
		exit 1
	}
	hosts_list "$scratch/hosts" "$ranks"
	mpi=("${hosts_mpi[@]}" --hostfile "$scratch/hosts" --map-by "${MAP:-slot}" --mca mpi_yield_when_idle 1)
fi
printf '%d hosts, %d ranks each, links of %s, mapped by %s\n' "$hosts" "$ranks" "$rate" "${MAP:-slot}"
printf '%11s  %-9s %11s %11s %11s %7s\n' bytes way median least most bound
for bytes in "$@"; do
	# shellcheck disable=SC2086 # words
	timeout -k 5 900 mpirun "${mpi[@]}" --mca coll_tuned_use_dynamic_rules 1 -np $((hosts * ranks)) \
		"$build/tests/bench/sums" "${ROUNDS:-9}" "$bytes" $ways 2>"$scratch/errors" || {
		cat "$scratch/errors" >&2
		exit 1
	}
done | awk -v hosts="$hosts" -v rate="$rate" '
	function unit(text) { return text ~ /gbit/ ? 1e9 : text ~ /mbit/ ? 1e6 : 0 }
	{
		bound = 2 * (hosts - 1) / hosts * $1 * 8 / (rate * unit(rate) + !unit(rate)) * 1e3
		printf "%11d  %-9s %8.3f ms %8.3f ms %8.3f ms %6s\n", $1, $2, $3, $4, $5, unit(rate) ? sprintf("%.0f %%", 100 * $3 / bound) : "-"
	}'
