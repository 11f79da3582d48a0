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
refused "a third kind of --sync-bn" "must be global or off" comm --sync-bn some
refused "--data without data" "belongs to resnet-bench data" step --data .
finish
