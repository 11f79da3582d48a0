#!/bin/bash
# Jobs on two hosts: network namespaces on a bridge, with host names and /dev/shm of their own. The same bits as on one host; a link
# that goes down ends the job. Needs root and iproute2; without them there is nothing to test.
#   tests/system/hosts.sh [build/bin]
. "$(dirname "$0")/common.sh"

id=rt$$
net=10.$((100 + $$ % 100)).$((1 + $$ / 100 % 250))

remove_hosts() {
	local host pid

	for host in 1 2; do
		for pid in $(ip netns pids "$id-$host" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
		ip link del "${id}v$host" 2>/dev/null
		ip netns del "$id-$host" 2>/dev/null
	done
	ip link del "${id}b" 2>/dev/null
}

add_host() {
	ip netns add "$id-$1" && ip link add "${id}v$1" type veth peer name eth0 netns "$id-$1" &&
		ip link set "${id}v$1" master "${id}b" up && ip -n "$id-$1" addr add "$net.$1/24" dev eth0 &&
		ip -n "$id-$1" link set eth0 up && ip -n "$id-$1" link set lo up
}

make_hosts() {
	ip link add "${id}b" type bridge && ip link set "${id}b" up && ip addr add "$net.254/24" dev "${id}b" && add_host 1 && add_host 2
}

if ! make_hosts 2>/dev/null; then
	remove_hosts
	echo "no network namespaces to be had, nothing tested"
	finish
fi
trap 'remove_hosts; leave' EXIT

# What mpirun calls in place of ssh: OPTIONS HOST COMMAND...
cat >remote_shell <<END
#!/bin/bash
while [ "\${1#-}" != "\$1" ]; do shift; done
host=\${1##*.}
shift
exec nsenter --net=/run/netns/$id-\$host unshare --uts --mount --ipc bash -c \
	'hostname host\$0; mount -t tmpfs tmpfs /dev/shm; eval "\$1"' "\$host" "\$*"
END
chmod +x remote_shell
printf '%s slots=4\n' "$net.1" "$net.2" >hosts

# across OUTPUT RANKS ARGUMENT...: starts resnet-train on both hosts, in the background.
across() {
	local out=$1 ranks=$2

	shift 2
	setsid timeout -k 5 "$limit" mpirun --timeout "$limit" --bind-to none --hostfile hosts --map-by node -np "$ranks" \
		--mca plm rsh --mca plm_rsh_agent "$scratch/remote_shell" --mca oob_tcp_if_include "$net.0/24" --mca btl self,vader,tcp \
		--mca btl_tcp_if_include "$net.0/24" --mca pml ob1 "$bin/resnet-train" --out "$scratch/$out" --data "$scratch/drawn" \
		--arch resnet20 --global-batch 24 --threads 1 "$@" >"$out.out" 2>"$out.err" &
	session=$!
}

"$bin/resnet-data" synth drawn --train 160 --val 40 >/dev/null || exit 1
options=(--steps 12 --shards 6 --log-every 1)
trains "one host" one 1 --data drawn --arch resnet20 --global-batch 24 --threads 1 "${options[@]}"
for kind in 2:on:4 3:on:0.01 5:on:0.1 4:off:4; do
	IFS=: read -r ranks overlap megabytes <<<"$kind"
	name="$ranks ranks on two hosts, overlap $overlap, buckets of $megabytes MB"
	across "two.$ranks" "$ranks" "${options[@]}" --overlap "$overlap" --bucket-mb "$megabytes"
	wait "$session" || fail "$name" "exit code $?: $(grep -m 1 error: "two.$ranks.err")"
	end_job
	check "$name: two nodes" "$(sed -n 2p "two.$ranks.out")" grep -q "^$ranks ranks on 2 nodes" "two.$ranks.out"
	check "$name: the weights of one" "$(value "two.$ranks/metrics.jsonl" end weights)" \
		[ "$(value "two.$ranks/metrics.jsonl" end weights)" = "$(value one/metrics.jsonl end weights)" ]
done

across cut 4 --steps 20000 --shards 6 --log-every 2 --eval-every 0 --save-every 0 --watchdog 3
for _ in $(seq 600); do
	! grep -q '"step":4,' cut/metrics.jsonl 2>/dev/null || break
	sleep 0.05
done
# ranks_left: processes of resnet-train on both hosts.
ranks_left() {
	for host in 1 2; do ip netns pids "$id-$host" | xargs -r ps -o stat=,comm= -p; done | grep resnet-train | grep -c -v '^Z'
}

# mpirun itself waits for its daemon behind the link, for as long as TCP does; what counts here is that no rank does.
before=$(ranks_left)
ip link set "${id}v2" down
for _ in $(seq 40); do
	[ "$(ranks_left)" -gt 0 ] || break
	sleep 0.5
done
check "a link that goes down ends all ranks on both sides of it" "$before before, $(ranks_left) now" \
	[ "$before $(ranks_left)" = "4 0" ]
check "one error line names the ranks behind the link" "$(grep error: cut.err)" \
	grep -q '^resnet-train: error: nothing comes from rank 1 on host host2, rank 3 on host host2; the .* of step' cut.err
end_job
finish
