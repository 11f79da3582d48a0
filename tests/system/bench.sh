#!/bin/bash
# resnet-bench: every command's table and JSON on small nets, with 2 ranks too, and what it refuses.
#   tests/system/bench.sh [build/bin]
. "$(dirname "$0")/common.sh"

# measures NAME RANKS LINES ARGUMENT...: exit code 0, so many lines of JSON, a time or a speed above 0 in each; and a table without JSON.
measures() {
	local name=$1 ranks=$2 lines=$3 bad

	shift 3
	run "$name" "$ranks" resnet-bench "$@" --json || {
		fail "$name" "$(cat "$name.err")"
		return
	}
	bad=$(python3 -c '
import json, sys
rows = [json.loads(line) for line in sys.stdin]
if len(rows) != int(sys.argv[1]):
    print(len(rows), "lines")
for row in rows:
    if not row.get("median_ms", row.get("median", 0)) > 0 or row["mode"] != sys.argv[2]:
        print(row)' "$lines" "$1" <"$name.out" 2>&1)
	check "$name prints JSON" "$bad" [ -z "$bad" ]
	run "$name" "$ranks" resnet-bench "$@" || fail "$name" "no table: $(cat "$name.err")"
	check "$name prints a table" "$(head -1 "$name.out")" grep -qE 'GFLOP/s|images/s' "$name.out"
	check "$name prints a table without JSON" "$(head -1 "$name.out")" [ "$(grep -c '^{' "$name.out")" -eq 0 ]
}

# refused NAME PATTERN ARGUMENT...: exit code 2 and one line of error.
refused() {
	local name=$1 pattern=$2 code

	shift 2
	"$bin/resnet-bench" "$@" >refused.out 2>refused.err
	code=$?
	check "$name is refused" "exit code $code: $(cat refused.err)" \
		eval '[ $code -eq 2 ] && [ $(wc -l <refused.err) -eq 1 ] && grep -q "^resnet-bench: error: .*$pattern" refused.err && ! [ -s refused.out ]'
}

small=(--batch 4 --iterations 2)
measures step 1 1 step "${small[@]}"
measures evaluation 1 1 eval "${small[@]}"
measures threads 1 1 step "${small[@]}" --threads 2
measures ranks 2 2 comm "${small[@]}"
measures own_statistics 2 2 comm "${small[@]}" --sync-bn off
# six shapes in three passes each but for the first layer's data gradient, then the step
measures layers 1 18 layers "${small[@]}"
measures ceilings 1 12 peaks --iterations 1 --threads 2
RESNET_ISA=portable measures portable_layers 1 18 layers "${small[@]}"

measures shards 2 2 comm "${small[@]}" --shards 8
measures shards_of_one 1 1 step "${small[@]}" --shards 3

# shellcheck disable=SC2317 # called through check
# exposed_is TEST < JSON: exposed is what the step takes beyond the local one, and the test holds for each object.
exposed_is() {
	python3 -c '
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    exposed, median, local = row["exposed"], row["median_ms"], row["local_ms"]
    rounding = 1e-4 + 1e-3 / median # of what is printed: four digits of the share, three of milliseconds
    assert 0 < local and abs(exposed - (median - local) / median) < rounding and eval(sys.argv[1]), row' "$1"
}

run alone 1 resnet-bench comm "${small[@]}" --json
check "the exposed share is that of the step without the local one" "$(cat alone.out)" exposed_is True <alone.out
. "$here/../namespaces.sh"
trap 'hosts_remove; leave' EXIT
if hosts_make "$scratch" 2 20mbit 2>/dev/null; then
	# 1.1 MB of gradients take 0.3 s at least; a step without them a few hundredths
	hosts_list hosts 1
	timeout -k 5 "$limit" mpirun --timeout "$limit" "${hosts_mpi[@]}" --hostfile hosts -np 2 \
		"$bin/resnet-bench" comm --batch 4 --iterations 5 --json >slow.out 2>slow.err
	check "on a slow link nearly all of a step is exposed, and the main thread's wait with it" "$(cat slow.out slow.err)" \
		exposed_is 'exposed > 0.5 and row["gradients_ms"] + row["statistics_ms"] > 200 and local < 200' <slow.out
	check "on a slow link it is gradients that take the time" "$(cat slow.out)" \
		exposed_is '0.5 < row["exposed_gradients"] > row["exposed_statistics"]' <slow.out
	check "on a slow link: two rows" "$(wc -l <slow.out)" [ "$(wc -l <slow.out)" -eq 2 ]
else
	echo "no network namespaces to be had, the exposed share on a slow link is not tested"
fi

run exchanged 2 resnet-bench comm "${small[@]}" --json
check "statistics are everybody's by default" "$(head -1 exchanged.out)" grep -q '"sync_bn": "global"' exchanged.out
run direct 1 resnet-bench layers "${small[@]}" --winograd off --json
check "--winograd off shows in the layers" "$(head -3 direct.out)" [ "$(grep -c '"algorithm": "winograd"' direct.out)" -eq 0 ]
RESNET_ISA=avx512bf16 run narrow 1 resnet-bench layers "${small[@]}" --precision bf16 --json
check "products of bf16 take no Winograd" "$(head -3 narrow.out)" [ "$(grep -c '"algorithm": "winograd"' narrow.out)" -eq 0 ]
RESNET_ISA=portable run widened 1 resnet-bench layers "${small[@]}" --precision bf16 --json
check "bf16 that are computed as fp32 do" "$(head -3 widened.out)" [ "$(grep -c '"algorithm": "winograd"' widened.out)" -gt 0 ]
run both 1 resnet-bench layers "${small[@]}" --json
check "3 x 3 layers of stride 1 are Winograd's" "$(head -3 both.out)" [ "$(grep -c '"algorithm": "winograd"' both.out)" -eq 9 ]
check "all 19 convolutions of ResNet-20 are counted" "$(cat both.out)" \
	[ $(($(sed -nE 's/.*"pass": "forward".*"layers": ([0-9]+).*/\1/p' both.out | paste -sd+))) -eq 19 ]

refused "no command" "say what to time"
refused "a second command" "is not expected" step eval
refused "an unknown command" "is not expected" walk
refused "a batch of none" "is not a whole number" step --batch 0
refused "an unknown option" "unknown or incomplete" step --precisely
refused "an unknown network" "resnet21" step --arch resnet21
refused "--sync-bn without ranks" "belongs to resnet-bench comm" step --sync-bn off
refused "--shards without training" "belongs to resnet-bench step" eval --shards 2
refused "no shards" "is not a whole number" step --shards 0
refused "a third kind of --sync-bn" "must be global or off" comm --sync-bn some
refused "--data without data" "belongs to resnet-bench data" step --data .
finish
