#!/bin/bash
# Runs replay on 2, 4 and 8 hosts: network namespaces on a bridge, whose links have the given rate both ways. Needs root and iproute2.
#   on_hosts.sh BUILD PROFILE RATE      RATE as tc says it (200mbit)
# Prints the bytes that a link carries at once after a pause, then what costs and replay print: costs between two hosts; steps that only
# communicate, then whole steps.
set -u
build=$1 profile=$2 rate=$3
scratch=$(mktemp -d) || exit 1
. "$(dirname "$0")/../namespaces.sh"
trap 'hosts_remove; rm -r "$scratch"' EXIT

on_hosts() {
	local ranks=$1

	shift
	hosts_list "$scratch/hosts" 1
	timeout -k 5 300 mpirun --timeout 290 --hostfile "$scratch/hosts" --map-by node -np "$ranks" "${hosts_mpi[@]}" \
		--mca mpi_yield_when_idle 1 "$@" 2>>"$scratch/errors" || {
		cat "$scratch/errors" >&2
		exit 1
	}
}

hosts_make "$scratch" 8 "$rate" || {
	echo "on_hosts.sh: error: no network namespaces to be had: root and iproute2 are needed" >&2
	exit 1
}
echo "burst $hosts_burst"
on_hosts 2 "$build/tests/scale/costs"
for speed in 0 1; do
	for hosts in 2 4 8; do
		on_hosts "$hosts" "$build/tests/scale/replay" "$profile" 3 "$speed" 1000000
	done
done
