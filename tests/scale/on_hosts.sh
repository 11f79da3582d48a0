#!/bin/bash
# Runs replay on 2, 4 and 8 hosts: network namespaces on a bridge, whose links have the given rate both ways. Needs root and iproute2.
#   on_hosts.sh BUILD PROFILE RATE      RATE as tc says it (200mbit)
# Prints what costs and replay print: costs between two hosts; steps that only communicate, then whole steps.
set -u
build=$1 profile=$2 rate=$3
scratch=$(mktemp -d) || exit 1
id=sc$$
net=10.$((100 + $$ % 100)).$((1 + $$ / 100 % 250))

remove_hosts() {
	local host pid

	for host in $(seq 8); do
		for pid in $(ip netns pids "$id-$host" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
		ip link del "${id}v$host" 2>/dev/null
		ip netns del "$id-$host" 2>/dev/null
	done
	ip link del "${id}b" 2>/dev/null
}

# The queue is longer than what the others send to one host at once: lost packets, which the simulation does not know, would cost
# TCP 200 ms each.
add_host() {
	ip netns add "$id-$1" && ip link add "${id}v$1" type veth peer name eth0 netns "$id-$1" &&
		ip link set "${id}v$1" master "${id}b" up && ip -n "$id-$1" addr add "$net.$1/24" dev eth0 &&
		ip -n "$id-$1" link set eth0 up && ip -n "$id-$1" link set lo up &&
		tc qdisc add dev "${id}v$1" root tbf rate "$2" burst 256kb limit 16mb &&
		nsenter --net="/run/netns/$id-$1" tc qdisc add dev eth0 root tbf rate "$2" burst 256kb limit 16mb
}

make_hosts() {
	local host

	ip link add "${id}b" type bridge && ip link set "${id}b" up && ip addr add "$net.254/24" dev "${id}b" || return 1
	for host in $(seq "$1"); do
		add_host "$host" "$2" || return 1
	done
	cat >"$scratch/remote_shell" <<-END
		#!/bin/bash
		while [ "\${1#-}" != "\$1" ]; do shift; done
		host=\${1##*.}
		shift
		exec nsenter --net=/run/netns/$id-\$host unshare --uts --mount --ipc bash -c \
			'hostname host\$0; mount -t tmpfs tmpfs /dev/shm; eval "\$1"' "\$host" "\$*"
	END
	chmod +x "$scratch/remote_shell"
}

on_hosts() {
	local ranks=$1

	shift
	seq -f "$net.%g slots=1" "$ranks" >"$scratch/hosts"
	timeout -k 5 300 mpirun --timeout 290 --bind-to none --hostfile "$scratch/hosts" --map-by node -np "$ranks" \
		--mca plm rsh --mca plm_rsh_agent "$scratch/remote_shell" --mca oob_tcp_if_include "$net.0/24" --mca btl self,tcp \
		--mca btl_tcp_if_include "$net.0/24" --mca pml ob1 --mca mpi_yield_when_idle 1 "$@" 2>>"$scratch/errors" || {
		cat "$scratch/errors" >&2
		exit 1
	}
}

trap 'remove_hosts; rm -r "$scratch"' EXIT
make_hosts 8 "$rate" || {
	echo "on_hosts.sh: error: no network namespaces to be had: root and iproute2 are needed" >&2
	exit 1
}
on_hosts 2 "$build/tests/scale/costs"
for speed in 0 1; do
	for hosts in 2 4 8; do
		on_hosts "$hosts" "$build/tests/scale/replay" "$profile" 3 "$speed" 1000000
	done
done
