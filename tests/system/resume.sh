#!/bin/bash
# A run that is killed at any moment and started again ends like one that was left alone.
#   tests/system/resume.sh [build/bin]       RESNET_SEED=N repeats the moments of an earlier call
#   RESNET_CIFAR=/FOLDER tests/system/resume.sh [build/bin]    only: 20 kills of a run on real CIFAR-10 (binary files), an epoch and a half
. "$(dirname "$0")/common.sh"
seed=${RESNET_SEED:-$((($$ * 32749 + $(date +%s)) % 32768))}
RANDOM=$seed
echo "moments by RESNET_SEED=$seed"

settings=(--data drawn --arch resnet20 --global-batch 20 --steps 24 --log-every 1 --threads 1 --lr 0.02)

steps_in() {
	{ grep -c '"event":"step"' "$1/metrics.jsonl" || [ $? -eq 1 ] || echo 0; } 2>/dev/null
}

# moment RUN N KILLS: waits for a random step in the Nth part of the run, and then for a part of a step or, at its beginning, of the
# start. $steps: those of the run, but for the last two.
moment() {
	local target=$(((steps * $2 + RANDOM * steps / 32768) / $3)) part=$((RANDOM % 100))

	[ $target -gt 0 ] || part=$((RANDOM % 1000))
	while [ -n "$(job_processes)" ] && [ "$(steps_in "$1")" -lt $target ]; do sleep 0.03; done
	sleep "0.$(printf '%03d' $part)"
}

# kill_one: SIGKILL to one rank; mpirun is to end the others.
kill_one() {
	local pids pid

	mapfile -t pids < <(ps -o pid=,comm= --sid "$session" | awk '$2 ~ /^resnet-tr/ { print $1 }')
	if [ ${#pids[@]} -gt 0 ]; then
		pid=${pids[RANDOM % ${#pids[@]}]}
		kill -KILL "$pid" 2>/dev/null
		wait "$session" 2>/dev/null
		sleep 1
		[ -z "$(job_processes)" ] || fail "one rank killed" "others go on without it"
	fi
	end_job
}

# whole_lines METRICS: no torn, doubled or foreign line.
whole_lines() {
	[ -z "$(tail -c 1 "$1")" ] || return 1
	grep -Evq '^\{"event":"(start|step|epoch|end)",.*[0-9"l]\}$' "$1" && return 1
	[ -z "$(events "$1" | sort | uniq -d)" ]
}

# interrupted NAME RUN RANKS KILLS METHOD ARGUMENT...: kills it so many times, then lets it end; compares with the run `whole` of the
# same $settings.
interrupted() {
	local name=$1 out=$2 ranks=$3 kills=$4 method=$5 n moments=

	shift 5
	for ((n = 0; n < kills; n++)); do
		launch "$ranks" resnet-train --out "$out" "${settings[@]}" "$@" >>"$out.killed" 2>&1
		moment "$out" $n "$kills"
		moments="$moments $(steps_in "$out")"
		"$method"
	done
	trains "$name" "$out" "$ranks" "${settings[@]}" "$@" || return
	events "$out/metrics.jsonl" >"$out.events"
	same "$name: steps, epochs and end" whole.events "$out.events"
	check "$name: every line is whole and there once" "see $out/metrics.jsonl: $(events "$out/metrics.jsonl" | sort | uniq -d |
		head -1)" whole_lines "$out/metrics.jsonl"
	check "$name: the last line" "$(last_line "$out.out")" [ "$(last_line "$out.out")" = "$(last_line whole.out)" ]
	check "$name: the same best checkpoint" "$(readlink "$out/checkpoints/best")" \
		[ "$(readlink "$out/checkpoints/best")" = "$(readlink whole/checkpoints/best)" ]
	check "$name: nothing unfinished is left" "$(ls -A "$out/checkpoints")" \
		[ -z "$(find "$out/checkpoints" -name '.tmp*')" ]
	echo "   $name: killed near steps$moments"
}

if [ -n "${RESNET_CIFAR:-}" ]; then
	settings=(--data "$RESNET_CIFAR" --arch resnet20 --global-batch 128 --steps 586 --log-every 1 --threads 1 --lr 0.1)
	steps=584
	limit=900
	trains "left alone" whole 2 "${settings[@]}" || finish
	events whole/metrics.jsonl >whole.events
	interrupted "CIFAR-10, 20 kills" cifar 2 20 end_job --save-every 25
	finish
fi

steps=22
"$bin/resnet-data" synth drawn --train 150 --val 40 >/dev/null || exit 2
trains "left alone" whole 2 "${settings[@]}" || finish
events whole/metrics.jsonl >whole.events

interrupted "all killed, a save per epoch" epoch 2 3 end_job
interrupted "all killed, a save every 3 steps" third 2 4 end_job --save-every 3
interrupted "all killed, a save every step" each 2 4 end_job --save-every 1
interrupted "one rank killed" one 2 3 kill_one --save-every 2

# A finished run.
mkdir -p third/checkpoints/.tmp-gone-step-0000000003
cp third/metrics.jsonl before.jsonl
start=$SECONDS
trains "finished" third 2 "${settings[@]}" --save-every 3
check "a finished run ends at once" "$((SECONDS - start)) s" [ $((SECONDS - start)) -le 10 ]
check "a finished run prints its last line" "$(last_line third.out)" [ "$(last_line third.out)" = "$(last_line whole.out)" ]
check "a finished run clears what a killed removal left" "$(ls -A third/checkpoints)" [ -z "$(find third/checkpoints -name '.tmp*')" ]
events third/metrics.jsonl >third.events
same "a finished run keeps its events" whole.events third.events

# A longer run from a finished one.
trains "half" half 2 "${settings[@]}" --steps 12
trains "raised" half 2 "${settings[@]}"
check "more --steps go on from the checkpoint" "$(value half/metrics.jsonl start resumed_step)" \
	[ "$(value half/metrics.jsonl start resumed_step)" = 12 ]
check "more --steps end with the weights of the whole run" "$(last_line half.out)" \
	[ "$(last_line half.out)" = "$(last_line whole.out)" ]
events half/metrics.jsonl >half.events
same "an epoch that --steps had cut short has one event, that of its end" whole.events half.events
check "the log names the change of --steps" "$(tail -n 3 half/log.txt)" grep -q -- '--steps was 12 and is now 24' half/log.txt
trains "epochs" epochs 1 --data drawn --arch resnet20 --global-batch 50 --epochs 1 --lr 0.02
trains "epochs raised" epochs 1 --data drawn --arch resnet20 --global-batch 50 --epochs 2 --lr 0.02
check "more --epochs go on from the checkpoint" "$(grep '"event":"start"' epochs/metrics.jsonl)" \
	[ "$(value epochs/metrics.jsonl start resumed_step) $(value epochs/metrics.jsonl end step)" = "3 6" ]
check "the log names the change of --epochs" "$(cat epochs/log.txt)" grep -q -- '--epochs was 1 and is now 2' epochs/log.txt

# Other ranks, another folder.
trains "fewer ranks, first" ranks 2 "${settings[@]}" --steps 9
trains "fewer ranks" ranks 1 "${settings[@]}"
check "another number of ranks keeps the shards" "$(value ranks/metrics.jsonl start shards)" \
	[ "$(value ranks/metrics.jsonl start ranks) $(value ranks/metrics.jsonl start shards)" = "1 2" ]
check "another number of ranks ends with the same weights" "$(last_line ranks.out)" \
	[ "$(last_line ranks.out)" = "$(last_line whole.out)" ]
trains "more ranks, first" more 2 "${settings[@]}" --steps 9
trains "more ranks" more 3 "${settings[@]}"
check "more ranks than shards end with the same weights" "$(last_line more.out)" \
	[ "$(last_line more.out)" = "$(last_line whole.out)" ]

trains "first part" part 2 "${settings[@]}" --steps 9
cp -r part part.copy
trains "other folder" other 2 "${settings[@]}" --resume part/checkpoints/step-0000000009
trains "an earlier checkpoint, first" earlier 2 "${settings[@]}" --save-every 4 --keep 9
launch 2 resnet-train --out earlier "${settings[@]}" --steps 100000 --save-every 0 --eval-every 0 --resume earlier/checkpoints/step-0000000004 >earlier.out 2>&1
for _ in $(seq 200); do
	! grep -q '"resumed_step":4,' earlier/metrics.jsonl || [ "$(steps_in earlier)" -lt 6 ] || break
	sleep 0.05
done
end_job
trains "an earlier checkpoint" earlier 2 "${settings[@]}" --keep 9
check "--resume of an earlier checkpoint in the same folder counts from its first moment on" \
	"$(grep '"event":"start"' earlier/metrics.jsonl)" [ "$(grep -o '"resumed_step":[0-9]*' earlier/metrics.jsonl | tr '\n' ' ')" = \
	'"resumed_step":0 "resumed_step":4 ' ]
check "... and later ones stay under another name" "$(ls earlier/checkpoints)" [ -e earlier/checkpoints/left-step-0000000024/state.json ]
events earlier/metrics.jsonl >earlier.events
same "... and ends as the whole run" whole.events earlier.events
check "--resume PATH into another --out ends with the same weights" "$(last_line other.out)" \
	[ "$(last_line other.out)" = "$(last_line whole.out)" ]
check "--resume PATH leaves the other run alone" "$(diff -r part part.copy | head -1)" diff -r part part.copy
trains "other folder, run" other.run 2 "${settings[@]}" --resume part
check "--resume RUN takes its latest checkpoint" "$(value other.run/metrics.jsonl start resumed_step)" \
	[ "$(value other.run/metrics.jsonl start resumed_step)" = 9 ]
run never 2 resnet-train --out part "${settings[@]}" --resume never
check "--resume never refuses a folder with a run" "exit code not 2, or $(cat never.err)" \
	grep -q '^resnet-train: error: part already has a run' never.err
check "--resume never leaves that run alone" "$(diff -r part part.copy | head -1)" diff -r part part.copy
finish
