#!/bin/bash
# --trace FILE: one timeline of all ranks, which changes nothing else, is whole or absent, and cannot be asked for in vain.
#   tests/system/trace.sh [build/bin]
. "$(dirname "$0")/common.sh"

"$bin/resnet-data" synth data --train 96 --val 32 >/dev/null || exit 2
common="--arch resnet20 --data data --global-batch 16 --steps 6 --shards 2 --log-every 1 --threads 1 --save-every 3 --bucket-mb 0.1"

# timeline NAME FILE ASSERTION...: python expressions of the helpers in trace.py, each a check.
timeline() {
	local name=$1 file=$2 what

	shift 2
	for what; do
		check "$name: $what" "not so" python3 "$here/trace.py" "$file" "$what"
	done
}

# shellcheck disable=SC2086 # words on purpose
trains "without" plain 2 $common &&
	trains "with" traced 2 $common --trace traced.json &&
	check "a trace changes no bits" "other weights" [ "$(value plain/metrics.jsonl end weights)" = "$(value traced/metrics.jsonl end weights)" ]
events plain/metrics.jsonl >plain.events
events traced/metrics.jsonl >traced.events
same "a trace changes no event" plain.events traced.events
check "the log names the trace" "it does not" grep -q 'the trace is in traced.json' traced/log.txt
check "nothing is left beside it" "a temporary file" [ ! -e traced.json.tmp ]
timeline "two ranks" traced.json \
	'ranks() == [0, 1]' \
	'all(names(r) >= {"step", "data wait", "agreement", "forward", "loss", "backward", "gradient wait", "optimizer", "SyncBN", "bucket", "load batch", "evaluation", "checkpoint"} for r in ranks())' \
	'"save" in names(0) and "save" not in names(1)' \
	'all(values(r, "step") == [1, 2, 3, 4, 5, 6] for r in ranks())' \
	'all(sum(values(r, "bucket")) == 6 * 4 * parameters() for r in ranks())' \
	'all(count(r, "SyncBN") == 6 * 2 * 19 for r in ranks())' \
	'nested()' \
	'inside("forward", "step") and inside("backward", "step") and inside("SyncBN", "step")' \
	'track("bucket") == {"gradient sums"} and track("forward") == {"compute"} and track("save") == {"saver"}' \
	'process_names_are_ranks()' \
	'aligned("bucket") and aligned("SyncBN")' \
	'all(0 <= e["dur"] < 120e6 and -5e6 < e["ts"] < 120e6 for e in events())'

# Step events carry what the timeline shows.
check "gradient_bytes is the gradient of a step" "$(value traced/metrics.jsonl step gradient_bytes)" \
	[ "$(value traced/metrics.jsonl step gradient_bytes)" -eq $((4 * $(value traced/metrics.jsonl start parameters))) ]
check "bus_bandwidth is that of the timeline's buckets" "$(value traced/metrics.jsonl step bus_bandwidth)" \
	python3 "$here/trace.py" traced.json 'bandwidth_agrees("traced/metrics.jsonl")'

# shellcheck disable=SC2086
trains "inline" inline 2 $common --overlap off --trace inline.json &&
	timeline "without overlap" inline.json 'nested()' 'track("bucket") == {"compute"}' 'inside("bucket", "backward")'
# shellcheck disable=SC2086
trains "alone" alone 1 $common --trace alone.json &&
	timeline "one rank" alone.json 'ranks() == [0]' '"SyncBN" not in names(0) and "bucket" not in names(0)' 'nested()'
check "one rank sums nothing" "$(value alone/metrics.jsonl step gradient_bytes)" [ "$(value alone/metrics.jsonl step gradient_bytes)" = 0 ]

# refused NAME FILE: exit code 5, one error line that names the file, and no training.
refused() {
	local code

	# shellcheck disable=SC2086
	run refused 2 resnet-train --out refused $common --trace "$2"
	code=$?
	check "$1: exit code 5" "$code" [ "$code" -eq 5 ]
	check "$1: one error line names it" "$(cat refused.err)" [ "$(grep -c "resnet-train: error: .*$2" refused.err)" -eq 1 ]
	check "$1: nothing is trained" "there are events" [ ! -s refused/metrics.jsonl ]
	rm -rf refused
}
mkdir folder
refused "a folder that is missing" missing/trace.json
refused "a folder" folder
refused "a device" /dev/null

# A job that is killed leaves no part of a file, and one from before as it was.
echo old >killed.json
# shellcheck disable=SC2086
launch 2 resnet-train --out killed ${common/--steps 6/--steps 100000} --trace killed.json >killed.out 2>killed.err
for _ in $(seq 300); do
	grep -qs '"step":5' killed/metrics.jsonl && break
	sleep 0.1
done
check "the job that is killed was training" "no step" grep -qs '"step":5' killed/metrics.jsonl
end_job
check "a killed job leaves the file from before" "$(head -c 100 killed.json)" [ "$(cat killed.json)" = old ]
check "and no other" "$(ls killed.json*)" [ ! -e killed.json.tmp ]
finish
