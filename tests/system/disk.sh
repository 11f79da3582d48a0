#!/bin/bash
# Disks that are full, read-only or broken, before a run and in the middle: training goes on with warnings, the checkpoints from before
# stay good, a last save that fails is exit code 5, and the same command goes on when the disk is well again.
#   tests/system/disk.sh [build/bin]     RESNET_ERROR_SECONDS=N allows more time than a second to refuse a folder
. "$(dirname "$0")/common.sh"
tools=$(cd "$bin/../tests/torture" && pwd) || exit 2
allowed=${RESNET_ERROR_SECONDS:-1}
mounts=()

unmount() {
	local at

	for at in ${mounts[@]+"${mounts[@]}"}; do umount "$at"; done
}
trap 'end_job; unmount; leave' EXIT

settings=(--data drawn --arch resnet20 --global-batch 8 --steps 8 --log-every 1 --threads 1 --save-every 1 --eval-every 0 --lr 0.02
	--shards 2 --image-size 64) # steps that take long enough for this script to step in

# start RUN ARGUMENT...: resnet-train in the background, as one process without mpirun, which takes two seconds to end a job that fails.
start() {
	local out=$1

	shift
	setsid timeout -k 5 "$limit" "$bin/resnet-train" --out "$out" "${settings[@]}" "$@" >"$out.out" 2>"$out.err" &
	session=$!
}

# slowly COMMAND...: every image takes longer to read, so that this script can step in on any machine.
slowly() {
	LD_PRELOAD=$scratch/faulty_disk.so FAULTY_SLOW=/drawn/ FAULTY_MS=50 "$@"
}

# one RUN ARGUMENT...: that from start to end; returns its exit code.
one() {
	local code

	start "$@"
	wait "$session"
	code=$?
	end_job
	return $code
}

# disk NAME OPTIONS: a tmpfs in the folder NAME.
disk() {
	mkdir "$1" && mount -t tmpfs -o "$2" tmpfs "$1" && mounts+=("$scratch/$1")
}

# until_says FILE PATTERN: waits for such a line, as long as the job runs.
until_says() {
	until grep -q "$2" "$1" 2>/dev/null || [ -z "$(job_processes)" ]; do sleep 0.02; done
	grep -q "$2" "$1"
}

# intact RUN FEWEST: at least so many checkpoints; each is that of the run `whole`; the run gives the last one or the one before;
# nothing unfinished is left.
intact() {
	local folder count=0 newest="" before="" gives

	for folder in "$1"/checkpoints/step-*; do
		[ -d "$folder" ] || continue
		before=$newest
		newest=$(basename "$folder")
		cmp "$folder/model.safetensors" "whole/checkpoints/$newest/model.safetensors" || return
		cmp "$folder/optimizer.safetensors" "whole/checkpoints/$newest/optimizer.safetensors" || return
		count=$((count + 1))
	done
	[ $count -ge "$2" ] || return
	gives=$("$tools/torture" resolve "$1" | head -n 1)
	case "${gives##*/}" in "$newest" | "$before") ;; *) return 1 ;; esac
	[ -z "$(find "$1/checkpoints" -name '*.tmp*')" ]
}

# warned NAME OUTPUT REASON: at least one save failed with a warning of one line; there are no other lines of the program but an error.
warned() {
	check "$1: a warning for each save that fails" "$(grep 'resnet-train: ' "$2" | grep -Ev "step [0-9]+ is not saved.*($3)" | head -3)" \
		eval "grep -Eq '^resnet-train: warning: step [0-9]+ is not saved: .*($3)' '$2' &&
			! grep '^resnet-train: ' '$2' | grep -Evq 'is not saved.*($3)|cannot .*metrics.jsonl: ($3).*; events wait in memory|more threads than there are cores'"
}

# fails_at_end NAME RUN CODE REASON FEWEST: exit code 5 at the last save; training got there; the checkpoints before are good.
fails_at_end() {
	check "$1: exit code 5 at the last save" "code $3, $(grep 'error:' "$2.err")" eval "[ $3 -eq 5 ] &&
		grep -Eq '^resnet-train: error: step 8 is not saved, the checkpoints from before are intact: cannot .*($4); .* \(rank 0\)$' '$2.err'"
	check "$1: training went on" "$(last_line "$2.out")" grep -q 'step 8/8' "$2.out"
	warned "$1" "$2.err" "$4"
	check "$1: checkpoints from before are good, nothing unfinished is left" "$(ls -A "$2/checkpoints")" intact "$2" "$5"
}

# ends_well NAME RUN CODE: exit code 0 and everything is like in the run that was left alone.
ends_well() {
	check "$1: exit code 0" "code $3, $(grep 'error:' "$2.err")" [ "$3" -eq 0 ]
	check "$1: the last line" "$(last_line "$2.out")" [ "$(last_line "$2.out")" = "$(last_line whole.out)" ]
	events "$2/metrics.jsonl" >"$2.events"
	same "$1: every event is there once" whole.events "$2.events"
	check "$1: the checkpoints are good, nothing unfinished is left" "$(ls -A "$2/checkpoints")" intact "$2" 3
}

# goes_on NAME RUN: the same command, now that nothing is wrong any more.
goes_on() {
	one "$2"
	ends_well "$1, then well again" "$2" $?
}

# refused NAME PATTERN OUT: exit code 5, an error of one line, within a second beside what MPI takes to start; at the second try, when
# the machine was slow at the first.
refused() {
	local begin took code

	for _ in 1 2; do
		begin=${EPOCHREALTIME/./}
		timeout -k 5 "$limit" "$bin/resnet-train" --out "$3" "${settings[@]}" >refused.out 2>refused.err
		code=$?
		took=$((${EPOCHREALTIME/./} - begin))
		[ $took -gt $((allowed * 1000000 + mpi_takes)) ] || break
	done
	check "$1: refused with exit code 5" "code $code, $(grep 'resnet-train' refused.err)" eval "[ $code -eq 5 ] &&
		[ \$(grep -c '^resnet-train: ' refused.err) -eq 1 ] && grep -Eq '^resnet-train: error: .*$2' refused.err"
	check "$1: refused within a second" "took $took us, MPI alone $mpi_takes" [ $took -le $((allowed * 1000000 + mpi_takes)) ]
}

"$bin/resnet-data" synth drawn --train 20 --val 10 >/dev/null || exit 2
faulty_disk || exit 2
trains "left alone" whole 2 "${settings[@]}" --keep 9 || finish
events whole/metrics.jsonl >whole.events
begin=${EPOCHREALTIME/./}
"$bin/resnet-train" --version >/dev/null
mpi_takes=$((${EPOCHREALTIME/./} - begin))

# Calls that fail. A quota cannot be had everywhere, but its error.
export FAULTS_ERRNO FAULTS_CALL FAULTS_PATH=/checkpoints/ FAULTS_FIRST FAULTS_LAST
FAULTS_CALL=fsync FAULTS_ERRNO=5 FAULTS_FIRST=20 FAULTS_LAST=22
LD_PRELOAD=$tools/faults.so one eio
code=$?
warned "EIO on fsync" eio.err 'Input/output error'
ends_well "EIO on fsync for a while" eio $code
FAULTS_CALL=write FAULTS_ERRNO=28 FAULTS_PATH=metrics.jsonl FAULTS_FIRST=3 FAULTS_LAST=8
LD_PRELOAD=$tools/faults.so one events
code=$?
check "events that find no room: a warning says that they wait" "$(grep warning: events.err | head -2)" \
	grep -q '^resnet-train: warning: cannot .*metrics.jsonl: No space left on device; events wait in memory' events.err
warned "events that find no room" events.err 'No space left on device'
ends_well "events that find no room for a while" events $code
# The one validation image stays wrong with a learning rate of 0: the first best checkpoint that can be saved is the best.
FAULTS_PATH=/checkpoints/.tmp-step-0000000003 FAULTS_FIRST=1 FAULTS_LAST=1
LD_PRELOAD=$tools/faults.so one best --lr 0 --holdout 1 --steps 9 --eval-every 1 --keep 9 --save-every epoch
warned "the best checkpoint cannot be saved" best.err 'No space left on device'
check "the best checkpoint cannot be saved: the next one that is as good is the best" "$(ls best/checkpoints)" \
	[ "$(readlink best/checkpoints/best) $(value best/metrics.jsonl epoch val_error)" = "step-0000000006 100.0" ]
FAULTS_PATH=/checkpoints/ FAULTS_CALL=write FAULTS_ERRNO=122 FAULTS_FIRST=200 FAULTS_LAST=1000000
LD_PRELOAD=$tools/faults.so one quota
fails_at_end "quota" quota $? 'Disk quota exceeded' 1
unset FAULTS_ERRNO FAULTS_CALL FAULTS_PATH FAULTS_FIRST FAULTS_LAST
goes_on "quota" quota

# A limit of file sizes, for the ranks alone: mpirun itself never ends under one, because PMIx cannot make its own shared files.
one sizes --steps 2
ranks=(mpirun --oversubscribe --bind-to none -np 2 --mca btl "self,tcp")
setsid timeout -k 5 "$limit" "${ranks[@]}" sh -c 'ulimit -S -f 600; exec "$@"' sh "$bin/resnet-train" --out sizes "${settings[@]}" \
	>sizes.out 2>sizes.err &
session=$!
wait "$session"
fails_at_end "ulimit -f" sizes $? 'File too large' 2
end_job
goes_on "ulimit -f" sizes

# Folders that go away.
start gone --steps 40
until_says gone/log.txt 'saved step'
until rm -rf gone 2>/dev/null; do :; done
wait "$session"
code=$?
end_job
check "run folder removed: trains to the end, exit code 5" "code $code, $(grep 'error:' gone.err)" eval "[ $code -eq 5 ] &&
	grep -q '^resnet-train: error: step 40 is not saved' gone.err && grep -q 'step 40/40' gone.out"
check "run folder removed: a warning for each save that fails" "see above" \
	grep -q '^resnet-train: warning: step [0-9]* is not saved: .*gone.*No such file or directory' gone.err
start gone.half --steps 40
until_says gone.half/log.txt 'saved step'
until rm -rf gone.half/checkpoints 2>/dev/null; do :; done
wait "$session"
code=$?
end_job
check "checkpoints removed: there are new ones at the end, exit code 0" "code $code, $(ls gone.half/checkpoints)" \
	eval "[ $code -eq 0 ] && '$tools/torture' resolve gone.half | grep -q step-0000000040"
: >file
refused "a file as parent" 'file.*; name another folder' file/run
refused "a folder of /proc" 'cannot .* /proc/' /proc/run

if ! disk full size=5m 2>/dev/null; then
	echo "   not checked: full and read-only disks (mounting is not allowed here)"
	finish
fi
run full/run 2 resnet-train --out full/run "${settings[@]}"
fails_at_end "full disk" full/run $? 'No space left on device' 1
mount -o remount,size=30m full
goes_on "full disk" full/run
disk names size=20m,nr_inodes=14
one names/run
fails_at_end "no inodes" names/run $? 'No space left on device' 1
mount -o remount,nr_inodes=100 names
goes_on "no inodes" names/run

# Full to the last byte for a while: checkpoints and events.
disk filled size=20m
mkdir -p filled/run
ln -s filled/run filled.run
slowly start filled.run
until_says filled.run/log.txt 'saved step'
cat /dev/zero >filled/ballast 2>/dev/null
until_says filled.run.err 'is not saved'
rm filled/ballast
wait "$session"
code=$?
end_job
warned "full for a while" filled.run.err 'No space left on device'
ends_well "full for a while" filled.run $code

# Read-only for a while. Only the checkpoints: a disk with files open for writing does not become read-only.
mkdir -p readonly/checkpoints
mount --bind readonly/checkpoints readonly/checkpoints && mounts+=("$scratch/readonly/checkpoints")
slowly start readonly
until_says readonly/log.txt 'saved step'
until mount -o remount,bind,ro readonly/checkpoints 2>/dev/null || [ -z "$(job_processes)" ]; do :; done
until_says readonly.err 'is not saved'
mount -o remount,bind,rw readonly/checkpoints
wait "$session"
code=$?
end_job
warned "read-only for a while" readonly.err 'Read-only file system'
ends_well "read-only for a while" readonly $code

disk tiny size=1m
refused "a disk too small for a checkpoint" 'the disk of tiny/run has [0-9]+ KiB free and a checkpoint takes' tiny/run
mount -o remount,ro tiny
refused "a read-only disk" 'tiny/other: Read-only file system' tiny/other
finish
