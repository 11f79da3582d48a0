#!/bin/bash
# Wrong input, a full disk, damaged files: one error line that says what, which file, which rank and what to do; the documented exit
# code on every rank within 5 s; no rank left running.
#   tests/system/errors.sh [build/bin]     RESNET_SHOW=1 prints the messages; RESNET_ERROR_SECONDS=N allows more time
. "$(dirname "$0")/common.sh"
allowed=${RESNET_ERROR_SECONDS:-5}
mounts=()

unmount() {
	local at

	for at in ${mounts[@]+"${mounts[@]}"}; do umount "$at"; done
}
trap 'unmount; leave' EXIT

milliseconds() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# one_line PROGRAM CODE PATTERN GOT TOOK: what is wrong with job.err, nothing when all is well.
one_line() {
	local program=$1 lines

	lines=$(grep -c "^$program: error: " job.err)
	[ "$4" -eq "$2" ] || echo "exit code $4 instead of $2;"
	[ "$lines" -eq 1 ] || echo "$lines error lines;"
	[ "$(grep "^$program: " job.err | grep -vcE "more threads than there are cores|no validation images")" -eq "$lines" ] || echo "other lines of $program;"
	grep -Eq "^$program: error: .*$3" job.err || echo "the message is not like '$3': $(grep -m 1 'error: ' job.err);"
	[ "$5" -le $((allowed * 1000)) ] || echo "took $5 ms;"
}

# judge NAME CODE PATTERN GOT START PROGRAM: after the job has ended.
judge() {
	local problems

	problems=$(one_line "$6" "$2" "$3" "$4" $(($(milliseconds) - $5)))
	[ "$6" != resnet-train ] || grep -Eq '^resnet-train: error: .* \(rank [0-9]+\)$' job.err || problems="$problems no rank named;"
	[ -z "$session" ] || [ -z "$(job_processes)" ] || problems="$problems a rank is left running;"
	end_job
	if [ -z "$problems" ]; then ok "$1"; else fail "$1" "$(echo "$problems" | tr '\n' ' ')"; fi
	[ -z "${RESNET_SHOW:-}" ] || sed -n "s/^$6: error:/   &/p" job.err
}

# on_ranks NAME CODE PATTERN RANKS PROGRAM ARGUMENT...: a job that takes too long runs once more, for the machine may have been slow.
on_ranks() {
	local name=$1 code=$2 pattern=$3 start got

	shift 3
	for _ in 1 2; do
		end_job
		start=$(milliseconds)
		launch "$@" >job.out 2>job.err
		wait "$session"
		got=$?
		[ $(($(milliseconds) - start)) -gt $((allowed * 1000)) ] || break
	done
	judge "$name" "$code" "$pattern" $got "$start" "$2"
}

# refused NAME CODE PATTERN ARGUMENT...: resnet-train on 4 ranks; a later option wins over these.
refused() {
	local name=$1 code=$2 pattern=$3

	shift 3
	on_ranks "$name" "$code" "$pattern" 4 resnet-train --arch resnet20 --global-batch 8 --steps 4 --out scratch_run --data drawn "$@"
}

eval_refused() {
	local name=$1 code=$2 pattern=$3

	shift 3
	on_ranks "resnet-eval: $name" "$code" "$pattern" 2 resnet-eval "$@"
}

data_refused() {
	local name=$1 code=$2 pattern=$3 start

	shift 3
	start=$(milliseconds)
	session=
	"$bin/resnet-data" "$@" >job.out 2>job.err
	judge "resnet-data: $name" "$code" "$pattern" $? "$start" resnet-data
}

# with_file NAME: a copy of the drawn set whose picture train/cross/0000.png is to be replaced; its path is in $picture.
with_file() {
	cp -r drawn "$1"
	picture=$1/train/cross/0000.png
	rm "$picture"
}

"$bin/resnet-data" synth drawn --train 60 --val 20 >/dev/null || exit 2

# Data.
refused "missing data folder" 3 'nowhere: no such data folder; check' --data nowhere
refused "no --data" 2 'name a folder .* with --data' --data ''
mkdir empty
refused "empty data folder" 3 'empty: no data set in this folder; expected train/CLASS' --data empty
cp -r drawn empty_class
mkdir empty_class/train/lion
refused "empty class" 3 'empty_class/train/lion: class without images; add some or remove' --data empty_class
mkdir -p no_class/train
cp drawn/train/cross/0000.png no_class/train
refused "images without class folders" 3 'no_class/train: no class folders.*put the images' --data no_class
mkdir -p one_class/train
cp -r drawn/train/cross one_class/train
refused "a single class" 3 'one_class has only one class; training needs two' --data one_class
mkdir -p text/train/a text/train/b
echo hello | tee text/train/a/a.png text/train/b/b.png >text/train/b/c.jpg
refused "no readable image" 3 "text/train/./[abc].[pj][np]g: not a PNG or JPEG image .*remove it" --data text
with_file broken_png
head -c 600 drawn/train/cross/0000.png >"$picture"
refused "truncated PNG" 3 'broken_png/train/cross/0000.png: damaged PNG \(truncated\); remove it or copy it again' --data broken_png
with_file good_jpeg
python3 "$here/make_images.py" jpeg "$picture"
trains "good JPEG" good_jpeg_run 2 --arch resnet20 --global-batch 30 --steps 2 --data good_jpeg && ok "a JPEG among PNGs is read"
with_file broken_jpeg
head -c 400 good_jpeg/train/cross/0000.png >"$picture"
refused "truncated JPEG" 3 'broken_jpeg/train/cross/0000.png: .*JPEG.*; remove it or copy it again' --data broken_jpeg
with_file zero
: >"$picture"
refused "file of zero bytes" 3 'zero/train/cross/0000.png: zero bytes; remove it or copy it again' --data zero
with_file word
echo "just text" >"$picture"
refused "text named .png" 3 "word/train/cross/0000.png: not a PNG or JPEG image \(first bytes 'just'\); remove it" --data word
with_file huge
python3 "$here/make_images.py" huge "$picture"
refused "PNG that claims 100000 x 100000 pixels" 3 'huge/train/cross/0000.png: claims 100000 x 100000 pixels.*; remove it' --data huge
cp -r drawn more_classes
cp -r more_classes/val/cross more_classes/val/lion
refused "a class of val that train has not" 3 'more_classes: class lion of the validation images is not a class of the training' \
	--data more_classes
python3 "$here/make_images.py" cifar binary --train 20 --val 10
cp -r binary short
head -c 30000 binary/data_batch_1.bin >short/data_batch_1.bin
refused "CIFAR file of the wrong length" 3 'short/data_batch_1.bin: 30000 bytes are not a whole number of records.*; copy' --data short
cp -r binary label
printf '\310' | dd of=label/data_batch_1.bin bs=1 seek=$((3 * 3073)) conv=notrunc 2>/dev/null
refused "CIFAR label out of range" 3 'label/data_batch_1.bin: label 200 in record 3 .*; damaged, copy it again' --data label

cp -r drawn vanishing
start=$(milliseconds)
launch 4 resnet-train --arch resnet20 --global-batch 8 --steps 100000 --log-every 1 --out vanish --data vanishing >job.out 2>job.err
until grep -q '"event":"step"' vanish/metrics.jsonl 2>/dev/null || [ $(($(milliseconds) - start)) -gt 60000 ]; do sleep 0.1; done
start=$(milliseconds)
mv vanishing/train/cross vanishing/gone
wait "$session"
judge "files that vanish during the run" 3 'vanishing/train/cross/....\.png: cannot open: No such file .*; check' $? "$start" resnet-train

# Options.
refused "unknown option" 2 "unknown option '--bogus'; see resnet-train --help" --bogus
refused "misspelt option" 2 "unknown option '--globl-batch'; did you mean --global-batch\?" --globl-batch 8
refused "unknown arch" 2 "arch.*resnet21.*" --arch resnet21
refused "--global-batch 0" 2 '--global-batch' --global-batch 0
refused "--lr 1e30" 2 '--lr' --lr 1e30
refused "--lr nan" 2 '--lr' --lr nan
refused "a value that is no number" 2 '--steps' --steps many
refused "missing value" 2 '--seed: a value is missing' --seed
refused "--steps and --epochs" 2 'give one of them' --epochs 2
same=(--arch resnet20 --global-batch 8 --steps 4 --out scratch_run --data drawn)
on_ranks "ranks with other --shards" 2 "--shards is '8' on rank 2 on host [^ ]*, but '6' on rank 0 on host [^ ]*; start all" 2 resnet-train \
	"${same[@]}" --shards 6 : -np 1 "$bin/resnet-train" "${same[@]}" --shards 8
on_ranks "a rank with --version" 2 'only one of rank 2 on host [^ ]* and rank 0 on host [^ ]* is given --help or --version' 2 resnet-train \
	"${same[@]}" : -np 1 "$bin/resnet-train" --version
on_ranks "a rank with --trace" 2 "--trace is 't.json' on rank 2 on host [^ ]*, but '' on rank 0 on host [^ ]*; start all" 2 resnet-train \
	"${same[@]}" : -np 1 "$bin/resnet-train" "${same[@]}" --trace t.json
on_ranks "resnet-bench comm: a wrong option is said once" 2 "unknown or incomplete option '--nix'" 3 resnet-bench comm --nix
refused "an empty --out" 2 '--out is empty; name a folder' --out ""
refused "--allow-change arch" 2 'a run keeps its arch' --allow-change arch
run other_threads 1 resnet-train "${same[@]}" --out other_threads --threads 1 : -np 1 "$bin/resnet-train" "${same[@]}" --out other_threads --threads 2
check "ranks may have other --threads" "$(grep error: other_threads.err)" grep -q '^complete: step 4' other_threads.out
refused "stray argument" 2 "unexpected argument 'drawn'" drawn
refused "--holdout of all images" 2 '--holdout 60 leaves none of the 60 training images; use fewer' --holdout 60
refused "missing --config file" 2 'nowhere.ini' --config nowhere.ini
printf '[train]\nsteps = 4\nglobl-batch = 8\n' >wrong.ini
refused "misspelt key in the --config file" 2 'wrong.ini.*globl-batch.*global-batch' --config wrong.ini
refused "too large a batch" 2 '--global-batch 100000 needs [0-9]+ MiB .* the largest batch that fits on these 4 ranks is [1-9]' \
	--arch resnet152 --image-size 224 --global-batch 100000
refused "unknown recipe" 2 '--recipe resnet20: must be one of cifar10-plain110, .*cifar10-resnet20' --recipe resnet20
refused "--plan for a number that is none" 2 '--plan many: must be a whole number or job' --plan=many
RESNET_ISA=nonsense refused "RESNET_ISA=nonsense" 2 'RESNET_ISA.*nonsense'

# Run folder.
: >file
refused "a file as parent of --out" 5 'file.*; name another folder' --out file/run
refused "--out in /proc" 5 'cannot .* /proc/.*; check the path' --out /proc/run
mkdir full_metrics
ln -s /dev/full full_metrics/metrics.jsonl
refused "metrics.jsonl on a full disk" 5 'full_metrics/metrics.jsonl: No space left on device' --out full_metrics
mkdir tmpfs
if mount -t tmpfs -o size=3m tmpfs tmpfs 2>/dev/null; then
	mounts+=("$scratch/tmpfs")
	run full 4 resnet-train --arch resnet20 --global-batch 8 --steps 4 --data drawn --out tmpfs/run --save-every 1
	check "a full disk at the last save is exit code 5" "exit code $?" [ $? -eq 5 ]
	check "before that it is a warning, and training goes on" "$(cat full.err)" \
		[ "$(grep -c '^resnet-train: warning: step [23] is not saved: cannot write tmpfs/run/.*No space left' full.err)" -eq 2 ]
	check "the error says what, where and what to do" "$(cat full.err)" \
		grep -Eq '^resnet-train: error: step 4 is not saved, .*tmpfs/run/checkpoints/.*: No space left on device; free some space' full.err
	check "no half a checkpoint is left" "$(ls -A tmpfs/run/checkpoints)" [ -z "$(find tmpfs/run/checkpoints -name '.tmp*')" ]
	check "the checkpoint before the full disk is good" "$("$bin/resnet-eval" tmpfs/run --digest 2>&1)" \
		"$bin/resnet-eval" tmpfs/run --digest >/dev/null
	refused "no room for a checkpoint from the beginning" 5 'the disk of tmpfs/other has .* free and a checkpoint takes' --out tmpfs/other
	mount -o remount,size=30m tmpfs
	trains "after the full disk" tmpfs/run 4 --arch resnet20 --global-batch 8 --steps 4 --data drawn --save-every 1 &&
		check "with more space the same command goes on" "$(value tmpfs/run/metrics.jsonl start resumed_step)" \
			[ "$(value tmpfs/run/metrics.jsonl start resumed_step)" -ge 1 ]
	mount -o remount,ro tmpfs
	refused "--out on a read-only disk" 5 'tmpfs/other.*: Read-only file system; check the path' --out tmpfs/other
else
	echo "   not checked: a full and a read-only disk (mounting is not allowed here)"
fi

# Checkpoints.
trains "good run" good 4 --arch resnet20 --global-batch 8 --steps 4 --save-every 2 --data drawn
digest=$(value good/metrics.jsonl end weights)
refused "checkpoint of another architecture" 4 'is of resnet20, not of resnet32; use --arch resnet20 or another --out' \
	--out good --arch resnet32
refused "another --lr" 4 '--lr is 0\.05, but .*good.* 0\.1; .*--allow-change lr' --out good --lr 0.05
trains "allowed --lr" good 4 --arch resnet20 --global-batch 8 --steps 6 --save-every 2 --data drawn --lr 0.05 --allow-change lr &&
	check "another --lr passes with --allow-change lr" "$(tail -n 3 good/log.txt)" grep -q -- '--lr was 0.1 and is now 0.05' good/log.txt
check "what was allowed once is not allowed by config.ini" "$(cat good/config.ini)" grep -q '^allow-change = *$' good/config.ini
digest=$(value good/metrics.jsonl end weights)
refused "loss not finite" 6 '(loss|weights).* not finite.*start again in another --out with a lower --lr.*--allow-change lr' --out good --steps 200 --lr 1e6 \
	--weight-decay 1 --allow-change lr,weight-decay --save-every 0 --eval-every 0
check "the checkpoint before is intact" "$(readlink good/checkpoints/latest)" \
	[ "$("$bin/resnet-eval" good --digest 2>/dev/null | tail -n 1)" = "$digest" ]
trains "good again" good 4 --arch resnet20 --global-batch 8 --steps 6 --save-every 2 --data drawn --lr 0.05 &&
	ok "after numbers that were not finite the settings are still those of the checkpoint"
refused "other images than those of the checkpoint" 4 'training images in binary are not those of the checkpoint .*--allow-change data' \
	--out good --data binary --lr 0.05
"$bin/resnet-data" synth redrawn --train 60 --val 20 --seed 7 >/dev/null || exit 2
cp -r good redone
trains "other images with --allow-change data" redone 4 --arch resnet20 --global-batch 8 --steps 8 --data redrawn --lr 0.05 --allow-change data &&
	ok "other images pass with --allow-change data"
refused "--resume of nothing" 4 'nowhere.*' --resume nowhere --out fresh
refused "--init-from a missing file" 4 'nowhere.safetensors' --init-from nowhere.safetensors --out fresh
cp -r good damaged
python3 "$here/make_images.py" flip damaged/checkpoints/step-0000000006/model.safetensors 0.7
trains "latest damaged" damaged 4 --arch resnet20 --global-batch 8 --steps 6 --data drawn --lr 0.05 --allow-change lr &&
	check "a damaged latest checkpoint: the one before is used, and the log says so" "$(tail -n 3 damaged/log.txt)" \
		grep -q 'model.safetensors is damaged.*; going on from .*step-0000000004' damaged/log.txt
for file in damaged/checkpoints/step-*/model.safetensors; do python3 "$here/make_images.py" flip "$file" 0.7; done
refused "all checkpoints damaged" 4 'none of the [0-9] checkpoints in .*damaged/checkpoints is good; .*remove it or' --out damaged \
	--lr 0.05

# resnet-eval.
eval_refused "no checkpoint named" 2 'no checkpoint named; see resnet-eval --help'
eval_refused "nothing to do" 2 'nothing to do: give' good
eval_refused "unknown option" 2 "unknown or incomplete option '--bogus'; see resnet-eval --help" --bogus good --digest
eval_refused "--batch 0" 2 '--batch 0: must be a whole number, at least 1' good --data drawn --batch 0
eval_refused "--split test" 2 '--split test: must be val or train' good --data drawn --split test
eval_refused "missing checkpoint" 4 'no checkpoint at nowhere.*; check the path' nowhere --data drawn
eval_refused "a folder that is neither" 4 'drawn has no checkpoint; name a checkpoint or run folder' drawn --data drawn
eval_refused "damaged checkpoints" 4 'none of the [0-9] checkpoints in .*damaged' damaged --data drawn
eval_refused "missing data folder" 3 'nowhere: no such data folder; check' good --data nowhere
eval_refused "other classes" 3 "class 'airplane' .*" good --data binary
eval_refused "missing picture" 3 'nowhere.png: cannot open' good nowhere.png
eval_refused "text named .png" 3 'word/train/cross/0000.png: not a PNG or JPEG' good word/train/cross/0000.png
eval_refused "truncated picture in the data" 3 'broken_png/train/cross/0000.png: damaged PNG' good --data broken_png --split train
# A host may have files of its own under the same names.
mkdir elsewhere
cp -r drawn elsewhere/drawn
rm "$(find elsewhere/drawn/val -name '*.png' | head -n 1)"
trains "another run of the same name" elsewhere/good 2 --arch resnet20 --global-batch 8 --steps 6 --save-every 2 --seed 2 --data drawn
eval_refused "ranks see other data" 3 'rank 2 on host [^ ]* sees another data set \(copy the data there again\) than rank 0' "$scratch/good" --data drawn : -np 1 -wdir \
	"$scratch/elsewhere" "$bin/resnet-eval" "$scratch/good" --data drawn
eval_refused "ranks see other checkpoints" 3 'rank 2 on host [^ ]* sees another checkpoint \(name a folder that all hosts share\) than rank 0' good --digest : -np 1 -wdir \
	"$scratch/elsewhere" "$bin/resnet-eval" good --digest
RESNET_ISA=nonsense eval_refused "RESNET_ISA=nonsense" 2 'RESNET_ISA.*nonsense' good --data drawn

# resnet-data.
data_refused "nothing to do" 2 'say what to do'
data_refused "unknown command" 2 "no command 'draw'; there are synth, check, digest, split, pack, unpack, verify and stat" draw out
data_refused "unknown option" 2 "unknown or incomplete option '--bogus'" synth --bogus out --train 20
data_refused "a value that is no number" 2 '--train many: must be a whole number from 0 to 2147483647' synth out --train many
data_refused "too few images" 2 '.*' synth out --train 3
data_refused "an option of another command" 2 'digest has no such option, synth has' digest drawn --size 16
data_refused "--split test" 2 '--split test: it is train or val' digest drawn --split test
data_refused "OUT is something else" 2 'good' synth good
data_refused "OUT with other options" 2 'drawn' synth drawn --train 50
data_refused "OUT in /proc" 5 '/proc/out.*: cannot create the folder: .*; check the path' synth /proc/out
data_refused "digest of a missing folder" 3 'nowhere: no such data folder; check' digest nowhere
data_refused "check of a folder that is missing" 3 'nowhere.*: cannot open the folder: No such file or directory; check the path' check nowhere
data_refused "digest of a damaged image" 3 'broken_png/train/cross/0000.png: damaged PNG' digest broken_png
finish
