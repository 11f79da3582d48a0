# Sourced by scripts that run MPI jobs on several hosts of this machine: network namespaces on a bridge, with host names and /dev/shm of
# their own. Needs root and iproute2.
# shellcheck shell=bash disable=SC2034
hosts_id=rt$$
hosts_net=10.$((100 + $$ % 100)).$((1 + $$ / 100 % 250))
hosts_burst=$((256 * 1024)) # bytes that a link carries at once after a pause

# Kills what still runs on the hosts, and removes them.
hosts_remove() {
	local host pid

	for host in $(seq "${hosts_count:-0}"); do
		for pid in $(ip netns pids "$hosts_id-$host" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
		ip link del "${hosts_id}v$host" 2>/dev/null
		ip netns del "$hosts_id-$host" 2>/dev/null
	done
	ip link del "${hosts_id}b" 2>/dev/null
}

# The queue is longer than what the others send to one host at once: lost packets would cost TCP 200 ms each. Of two hosts only the
# sending side has a rate: nothing else comes to the other one, and a second queue takes processor time that no real link does.
hosts_add() {
	local link=${hosts_id}v$1 name=$hosts_id-$1

	ip netns add "$name" && ip link add "$link" type veth peer name eth0 netns "$name" && ip link set "$link" master "${hosts_id}b" up &&
		ip -n "$name" addr add "$hosts_net.$1/24" dev eth0 && ip -n "$name" link set eth0 up && ip -n "$name" link set lo up || return 1
	[ -n "$2" ] || return 0
	nsenter --net="/run/netns/$name" tc qdisc add dev eth0 root tbf rate "$2" burst "$hosts_burst" limit 16mb || return 1
	[ "$hosts_count" -le 2 ] || tc qdisc add dev "$link" root tbf rate "$2" burst "$hosts_burst" limit 16mb
}

# hosts_make FOLDER COUNT [RATE]: host1, host2, ... whose links have RATE both ways, as tc says it (200mbit); $hosts_mpi is then what
# mpirun needs to reach them, with a file in FOLDER in place of ssh. Fails where there are no namespaces to be had.
hosts_make() {
	local host

	hosts_count=$2
	ip link add "${hosts_id}b" type bridge && ip link set "${hosts_id}b" up && ip addr add "$hosts_net.254/24" dev "${hosts_id}b" ||
		return 1
	for host in $(seq "$2"); do hosts_add "$host" "${3:-}" || return 1; done
	cat >"$1/remote_shell" <<-END
		#!/bin/bash
		while [ "\${1#-}" != "\$1" ]; do shift; done
		host=\${1##*.}
		shift
		exec nsenter --net=/run/netns/$hosts_id-\$host unshare --uts --mount --ipc bash -c \
			'hostname host\$0; mount -t tmpfs tmpfs /dev/shm; eval "\$1"' "\$host" "\$*"
	END
	chmod +x "$1/remote_shell"
	hosts_mpi=(--bind-to none --mca plm rsh --mca plm_rsh_agent "$1/remote_shell" --mca oob_tcp_if_include "$hosts_net.0/24"
		--mca btl self,vader,tcp --mca btl_tcp_if_include "$hosts_net.0/24" --mca pml ob1)
}

# hosts_list FILE SLOTS: the hosts for mpirun --hostfile.
hosts_list() {
	seq -f "$hosts_net.%g slots=$2" "$hosts_count" >"$1"
}
