#!/bin/bash
# SIGUSR1, SIGTERM, SIGINT and --time-limit: the ranks agree, save, leave with 85; the run then ends as if nothing had been.
#   tests/system/signals.sh [build/bin]
. "$(dirname "$0")/common.sh"

options=(--arch resnet20 --data drawn --global-batch 16 --steps 36 --shards 2 --seed 3 --log-every 4 --save-every 10 --lr 0.05
	--image-size 64) # steps that take long enough for this script to step in
"$bin/resnet-data" synth drawn --train 160 --val 400 >/dev/null || exit 1

# The ranks of the job, by their place in it.
rank() {
	ps -o pid=,comm= --sid "$session" | awk '$2 == "resnet-train" { print $1 }' | sed -n "$(($1 + 1))p"
}

# begin RUN RANKS ARGUMENT...: starts a job and waits until it has begun to train.
begin() {
	local out=$1 ranks=$2

	shift 2
	launch "$ranks" resnet-train --out "$out" "${options[@]}" "$@" >"$out.out" 2>"$out.err"
	for _ in $(seq 200); do
		! grep -q 'steps of 16 images' "$out.out" || break
		sleep 0.05
	done
}

# same_events NAME RUN: the run's events are those of the uninterrupted one.
same_events() {
	events whole/metrics.jsonl >whole.events
	events "$2/metrics.jsonl" >"$2.events"
	same "$1" whole.events "$2.events"
}

# left NAME RUN STATUS: the job that `begin` started leaves with 85, an end event of that status, and a good checkpoint of its step.
left() {
	local name=$1 out=$2 code problems=

	wait "$session"
	code=$?
	[ $code -eq 85 ] || problems="exit code $code: $(grep -m 1 error: "$out.err"); "
	[ -z "$(job_processes)" ] || problems+="a rank is left running; "
	end_job
	[ "$(value "$out/metrics.jsonl" end status)" = "$3" ] || problems+="the end event says $(value "$out/metrics.jsonl" end status); "
	[ "$("$bin/resnet-eval" "$out" --digest)" = "$(value "$out/metrics.jsonl" end weights)" ] || problems+="another digest; "
	grep -q 'the same command goes on from there' "$out.out" || problems+="the last line does not say how to go on; "
	check "$name" "$problems" [ -z "$problems" ]
}

trains "uninterrupted" whole 2 "${options[@]}"
for kind in USR1:0:requeue TERM:1:requeue INT:0:stopped; do
	IFS=: read -r signal target status <<<"$kind"
	begin "run_$signal" 2
	kill "-$signal" "$(rank "$target")"
	left "SIG$signal to rank $target saves and leaves with 85" "run_$signal" "$status"
	trains "after SIG$signal" "run_$signal" 2 "${options[@]}" &&
		same_events "a run that SIG$signal cut ends as the uninterrupted one" "run_$signal"
done

begin passed 2
kill -USR1 "$(pgrep -s "$session" -x mpirun)"
left "mpirun passes SIGUSR1 on" passed requeue

begin twice 2 --save-every 0
process=$(rank 0)
kill -STOP "$(rank 1)" # no step ends, so no rank can save in between
kill -TERM "$process"
sleep 0.5
kill -TERM "$process"
wait "$session"
check "a second SIGTERM leaves at once and saves nothing" "$(ls twice/checkpoints 2>/dev/null)" [ ! -e twice/checkpoints/latest ]
# mpirun does not wait for those that it kills.
for _ in $(seq 100); do
	[ -n "$(job_processes)" ] || break
	sleep 0.05
done
check "no rank is left after it" "$(job_processes)" [ -z "$(job_processes)" ]
end_job

# Every epoch ends in an evaluation that is longer than its steps: some of these signals fall into one.
for starts in $(seq 30); do
	begin often 2 --save-every 0
	tenths=$((RANDOM % 5 + starts)) # longer each time, for slow machines
	sleep "$((tenths / 10)).$((tenths % 10))"
	process=$(rank 0)
	[ -z "$process" ] || kill -TERM "$process" 2>/dev/null
	wait "$session"
	code=$?
	end_job
	[ $code -eq 85 ] || break
done
check "with a signal in each start the run comes to its end in several" "exit code $code after $starts starts" \
	[ "$code:$((starts > 1))" = 0:1 ]
same_events "many signals, in evaluations too, change nothing" often

code=85
for starts in $(seq 30); do
	[ $code -eq 85 ] || break
	run limited 2 resnet-train --out limited "${options[@]}" --time-limit $((2 + starts / 5)) # longer in time, for slow machines
	code=$?
done
check "with --time-limit the run comes to its end in several starts" "exit code $code after $starts starts" \
	[ "$code:$((starts > 1))" = 0:1 ]
same_events "a run in pieces by --time-limit ends as the uninterrupted one" limited

# Two jobs on one folder.
begin shared 2 --steps 100000
holder=$(rank 0)
first=$session
start=$EPOCHSECONDS
run second 2 resnet-train --out shared "${options[@]}"
code=$?
check "a second job on the folder ends with 4" "exit code $code" [ $code -eq 4 ]
check "it does so at once" "$((EPOCHSECONDS - start)) s" [ $((EPOCHSECONDS - start)) -le 5 ]
check "it says who has the folder" "$(cat second.err)" grep -q "shared is in use by process $holder on host" second.err
session=$first
end_job
check "the crashed job left its lock" "there is none" [ -s shared/lock ]
run after 2 resnet-train --out shared "${options[@]}"
code=$?
check "after a crash of the first job the next one goes on" "exit code $code: $(cat after.err)" [ $code -eq 0 ]
check "the lock goes when the job ends" "it is there" [ ! -e shared/lock ]

# A lock from another machine that gives no sign of life.
mkdir silent
echo '{"id":"0123","host":"far-away","pid":1,"slurm_job":"","slurm_restart":0,"beat":3,"boot":"another","namespace":"another","started":"1"}' \
	>silent/lock
start=$EPOCHSECONDS
run taken 2 resnet-train --out silent "${options[@]}"
code=$?
check "a lock without a sign of life is taken over" "exit code $code: $(cat taken.err)" [ $code -eq 0 ]
check "but not before 20 seconds" "after $((EPOCHSECONDS - start)) s" [ $((EPOCHSECONDS - start)) -ge 20 ]

# A job that was suspended for so long that another one has taken its folder.
begin suspended 2 --steps 100000 --save-every 5 --keep 100000 --log-every 1 --eval-every 0
mapfile -t pids < <(ps -o pid=,comm= --sid "$session" | awk '$2 == "resnet-train" { print $1 }')
for _ in $(seq 200); do # between two saves: one that has asked already goes on when the job does
	kill -STOP "${pids[@]}"
	newest=$(find suspended/checkpoints -maxdepth 1 -name 'step-*' -printf '%f\n' 2>/dev/null | sort | tail -n 1)
	[ -n "$newest" ] && [ "$(readlink suspended/checkpoints/latest)" = "$newest" ] &&
		[ -z "$(find suspended/checkpoints -maxdepth 1 -name '.tmp*')" ] && break
	kill -CONT "${pids[@]}"
	sleep 0.05
done
sed 's/"id":"[^"]*"/"id":"4567"/' suspended/lock >suspended/lock.new
mv suspended/lock.new suspended/lock
mkdir -p suspended/checkpoints/.tmp-step-0000000001.4567 # which the other one writes
cp -a suspended suspended.copy
sleep 12
kill -CONT "${pids[@]}"
wait "$session"
code=$?
end_job
check "a job that lost its folder while it was suspended ends with 4" "exit code $code: $(cat suspended.err)" [ $code -eq 4 ]
rm suspended/log.txt suspended.copy/log.txt
check "... and has touched nothing of the other's" "$(diff -r suspended suspended.copy | head -3)" diff -r suspended suspended.copy
finish
