#!/bin/sh
# Times training steps of resnet-bench and of PyTorch (contiguous and channels_last), one thread on one core, and prints medians.
#   tests/bench/compare.sh [BUILD-FOLDER [CASE...]]
# A CASE is ARCH:BATCH:IMAGE-SIZE:ITERATIONS. The three take turns, since a machine's speed drifts over minutes: only ratios within
# a run count. Takes about 5 minutes and wants an idle machine. Exit code: 0 when everything ran.
#   ROUNDS=5                 how often each takes its turn
#   CORE=0                   the core; default: the first that this process may use
#   PYTHON=/usr/bin/python3  a Python with torch and torchvision
set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 2
build=${1:-build}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- resnet20:128:32:7 resnet50:16:224:2
rounds=${ROUNDS:-5}
python=${PYTHON:-/usr/bin/python3}
core=${CORE:-$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')}

# PyTorch's best settings: Debian's build takes AVX2 unless told otherwise, and freed memory that goes back to the system costs
# page faults in every step.
grep -qw avx512f /proc/cpuinfo && export ATEN_CPU_CAPABILITY="${ATEN_CPU_CAPABILITY:-avx512}"
export MALLOC_MMAP_THRESHOLD_=8589934592 MALLOC_TRIM_THRESHOLD_=17179869184

results=$(mktemp) || exit 2
trap 'rm -f "$results"' EXIT

# run NAME COMMAND...: appends "NAME median_ms images_per_second peak_mib" to the results.
run() {
	name=$1
	shift
	line=$(taskset -c "$core" "$@") || {
		echo "compare.sh: error: $* failed" >&2
		exit 1
	}
	echo "$line" | sed -E "s/.*\"median_ms\": ([0-9.]+).*\"images_per_second\": ([0-9.]+).*\"peak_mib\": ([0-9.]+).*/$name \1 \2 \3/" \
		>>"$results"
}

# Medians over the rounds, and the speed against the best setting of PyTorch.
table() {
	sort -k1,1 -k2,2n "$results" | awk '
		{ n[$1]++; ms[$1, n[$1]] = $2; speed[$1, n[$1]] = $3; if ($4 > peak[$1]) peak[$1] = $4 }
		function middle(values, name) {
			return (values[name, int((n[name] + 1) / 2)] + values[name, int(n[name] / 2) + 1]) / 2
		}
		END {
			best = middle(ms, "torch_contiguous")
			if (middle(ms, "torch_channels_last") < best)
				best = middle(ms, "torch_channels_last")
			printf "  %-20s %10s %21s %10s %8s %8s\n", "", "median ms", "least - most", "images/s", "MiB", "speed"
			count = split("resnet-bench torch_contiguous torch_channels_last", names, " ")
			for (i = 1; i <= count; i++) {
				name = names[i]
				printf "  %-20s %10.2f %10.2f -%9.2f %10.2f %8.0f %7.2fx\n", name, middle(ms, name), ms[name, 1],
					ms[name, n[name]], middle(speed, name), peak[name], best / middle(ms, name)
			}
		}'
}

for entry in "$@"; do
	IFS=: read -r arch batch size iterations <<-END
		$entry
	END
	set -- --arch "$arch" --batch "$batch" --image-size "$size" --iterations "$iterations" --threads 1
	: >"$results"
	round=0
	while [ $round -lt "$rounds" ]; do
		run resnet-bench "$build/bin/resnet-bench" step --json "$@"
		run torch_contiguous "$python" tests/bench/step_torch.py "$@"
		run torch_channels_last "$python" tests/bench/step_torch.py --channels-last "$@"
		round=$((round + 1))
	done
	echo "$arch, batch $batch at $size pixels, training step on one thread; speed 1 = PyTorch's better setting"
	table
done
