#!/bin/bash
# Exposed communication, of all in a step: (step - step without messages) / step, by `resnet-bench comm`, on two ranks of one thread.
# On network namespaces, which needs root; wants an idle machine with two cores. Exit code 1 when a row with overlap misses its limit.
#   tests/bench/exposed.sh BUILD [ROW...]     rows: resnet50 (two hosts at 1 Gbit/s, 16 images a rank; then what plain sockets cost that
#                                             move as many bytes beside as much computing), resnet50-bf16 (the same with
#                                             --gradient-dtype bf16), resnet50-ddp (the same by PyTorch's DistributedDataParallel over
#                                             gloo, statistics left to each rank), resnet20 (this machine, 64 images a rank)
#   ITERATIONS=9     steps of each of the five kinds, of resnet50; twenty times as many of resnet20
#   PYTHON=/usr/bin/python3     one with torch, for resnet50-ddp
set -u
export LC_ALL=C OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
here=$(dirname "$0")
. "$(dirname "$0")/../namespaces.sh"
build=$1
shift
[ $# -gt 0 ] || set -- resnet50 resnet50-bf16 resnet50-ddp resnet20
iterations=${ITERATIONS:-9}
scratch=$(mktemp -d) || exit 1
trap 'hosts_remove; rm -r "$scratch"' EXIT

# row LIMIT ARGUMENT...: mpirun's and resnet-bench's; prints both lines, what exposed is made of, and whether the one with overlap is
# below so many per cent.
row() {
	local limit=$1

	shift
	timeout -k 5 600 mpirun --timeout 600 "$@" --threads 1 --json >"$scratch/out" 2>"$scratch/errors" || {
		cat "$scratch/errors" >&2
		return 2
	}
	python3 -c '
import json, sys
limit = float(sys.argv[1])
rows = [json.loads(line) for line in sys.stdin]
for row in rows:
    step = row["median_ms"]
    print("%-9s batch %3d  %d nodes  gradients %s  overlap %-3s  step %8.2f ms  without messages %8.2f ms  exposed %5.2f %%  main thread waits: "
          "gradients %5.2f %%  statistics %5.2f %%" % (
          row["arch"], row["batch"], row["nodes"], row["gradient_dtype"], "on" if row["overlap"] else "off", step, row["local_ms"], 100 * row["exposed"],
          100 * row["gradients_ms"] / step, 100 * row["statistics_ms"] / step))
print("%-9s with overlap, exposed when only gradients go between ranks %5.2f %%, when only statistics do %5.2f %%" % (
      rows[-1]["arch"], 100 * rows[-1]["exposed_gradients"], 100 * rows[-1]["exposed_statistics"]))
missed = 100 * rows[-1]["exposed"] >= limit
print("%-9s exposed with overlap: %s %g %%" % (rows[-1]["arch"], "not below" if missed else "below", limit))
sys.exit(missed)' "$limit" <"$scratch/out"
}

# sockets: as many bytes as ResNet-50's gradients have, beside as much computing as the step of the row before without messages.
sockets() {
	local computing

	computing=$(python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["local_ms"])' <"$scratch/out" 2>/dev/null) || return 2
	timeout -k 5 300 mpirun --timeout 300 "${between_hosts[@]}" "$build/tests/bench/sockets" "$hosts_net.1" $((4 * 25557032)) \
		"$computing" "$iterations"
}

# ddp: in both memory formats, with tests/bench/compare.py's settings.
ddp() {
	local format words settings=(MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184 PYTHONDONTWRITEBYTECODE=1
		"MASTER_ADDR=$hosts_net.1" MASTER_PORT=29500 GLOO_SOCKET_IFNAME=eth0)

	! grep -q avx512f /proc/cpuinfo || settings+=(ATEN_CPU_CAPABILITY=avx512)
	for format in contiguous channels-last; do
		words=()
		[ $format = contiguous ] || words=("--$format")
		# shellcheck disable=SC2016 # expanded by the ranks
		timeout -k 5 600 mpirun --timeout 600 "${between_hosts[@]}" env "${settings[@]}" bash -c \
			'exec "$@" --rank "$OMPI_COMM_WORLD_RANK"' rank "${PYTHON:-/usr/bin/python3}" "$here/step_torch.py" --ddp --exposed \
			--arch resnet50 --batch 32 --iterations "$iterations" "${words[@]}" \
			>"$scratch/ddp" 2>"$scratch/errors" || {
			cat "$scratch/errors" >&2
			return 2
		}
		python3 -c '
import json, sys
row = json.loads(sys.stdin.readlines()[-1])
print("%-9s %-13s %s  step %8.2f ms  without messages %8.2f ms  exposed %5.2f %%" % (
      row["arch"], sys.argv[1], row["program"], row["median_ms"], row["local_ms"], 100 * row["exposed"]))' $format <"$scratch/ddp"
	done
}

missed=0
for name in "$@"; do
	case $name in
	resnet50 | resnet50-bf16 | resnet50-ddp)
		dtype=${name#resnet50} dtype=${dtype#-}
		[ -n "${hosts_count:-}" ] || hosts_make "$scratch" 2 1gbit || {
			echo "exposed.sh: error: no network namespaces to be had: root and iproute2 are needed" >&2
			exit 2
		}
		hosts_list "$scratch/hosts" 1
		# shellcheck disable=SC2016 # expanded by the ranks; each host has a core of its own
		between_hosts=("${hosts_mpi[@]}" --hostfile "$scratch/hosts" -np 2
			bash -c 'exec taskset -c "$OMPI_COMM_WORLD_RANK" "$@"' pinned)
		if [ "$dtype" = ddp ]; then
			ddp || missed=1
			continue
		fi
		row 5 "${between_hosts[@]}" "$build/bin/resnet-bench" comm --arch resnet50 --batch 32 --iterations "$iterations" \
			--gradient-dtype "${dtype:-fp32}" || missed=1
		[ "$dtype" ] || sockets || missed=1
		;;
	resnet20)
		row 2 --bind-to core -np 2 "$build/bin/resnet-bench" comm --arch resnet20 --batch 128 --iterations $((20 * iterations)) ||
			missed=1
		;;
	*)
		echo "exposed.sh: error: '$name' is none of resnet50, resnet50-bf16, resnet50-ddp and resnet20" >&2
		exit 2
		;;
	esac
done
exit $missed
