#!/bin/bash
# Broken and hostile data: what is said, with which exit code, and with --max-bad that everything else is trained on exactly once, to
# the same bits on any number of ranks.
#   tests/system/hostile.sh [build/bin]
. "$(dirname "$0")/common.sh"
net=(--arch resnet20 --global-batch 8 --loader-threads 2)

# refused NAME CODE PATTERN RANKS ARGUMENT...: one error line of this kind, with its rank; nothing left running.
refused() {
	local name=$1 code=$2 pattern=$3 ranks=$4 got problems=

	shift 4
	run refused "$ranks" resnet-train "${net[@]}" --out refused_run "$@"
	got=$?
	[ $got -eq "$code" ] || problems="exit code $got instead of $code;"
	[ "$(grep -c '^resnet-train: error: ' refused.err)" -eq 1 ] || problems="$problems not one error line;"
	grep -Eq "^resnet-train: error: .*$pattern.* \(rank [0-9]+\)$" refused.err || problems="$problems $(cat refused.err)"
	rm -rf refused_run
	check "$name" "$problems" [ -z "$problems" ]
}

digest() {
	value "$1/metrics.jsonl" end weights
}

# samples RUN: training images used, as its last checkpoint counts them.
samples() {
	sed -E 's/.*"samples": *([0-9]+).*/\1/' <(tr -d '\n' <"$1/checkpoints/latest/state.json")
}

# left_out FILE: the names of what a run's end says was left out, sorted.
left_out() {
	sed -nE 's/^resnet-train: warning: left out: ([^:]*): .*/\1/p' "$1" | sort
}

"$bin/resnet-data" synth drawn --train 60 --val 20 >/dev/null || exit 2

# Five training images and one validation image that cannot be read, each in another way.
cp -r drawn bad
: >bad/train/arrow/0000.png
head -c 300 drawn/train/cross/0001.png >bad/train/cross/0001.png
echo "just text" >bad/train/cross/0002.png
python3 "$here/make_images.py" huge bad/train/ring/0003.png
python3 "$here/make_images.py" jpeg photo.jpg
head -c 400 photo.jpg >bad/train/square/0005.png
head -c 100 drawn/val/cross/0001.png >bad/val/cross/0001.png
(cd bad && printf 'bad/%s\n' train/arrow/0000.png train/cross/0001.png train/cross/0002.png train/ring/0003.png \
	train/square/0005.png val/cross/0001.png) | sort >expected

"$bin/resnet-data" check bad >checked 2>checked.err
code=$?
sed 's/: .*//' checked | sort >checked.names
same "resnet-data check names all that cannot be read" checked.names expected
check "... and counts them" "exit code $code, $(cat checked.err)" \
	[ "$code $(cat checked.err)" = "3 resnet-data: error: 6 of the 80 images in bad cannot be read; resnet-train leaves them out with --max-bad 6" ]
check "resnet-data check of a whole data set" "$("$bin/resnet-data" check drawn 2>&1)" "$bin/resnet-data" check drawn

# An evaluation that fails loses no step.
cp -r drawn unseen
head -c 100 drawn/val/cross/0001.png >unseen/val/cross/0001.png
unseen=("${net[@]}" --shards 4 --data unseen --epochs 2 --eval-every 1)
run unseen_run 2 resnet-train --out unseen_run "${unseen[@]}"
check "a validation image that cannot be read: the epoch before it is saved" "$(cat unseen_run.err)" \
	grep -q 'error: unseen/val/cross/0001.png: .*; step 8 is saved (rank [01])$' unseen_run.err
cp drawn/val/cross/0001.png unseen/val/cross
trains "... and goes on with its evaluation when the image is mended" unseen_run 4 "${unseen[@]}"
trains "another run has it mended from the beginning" seen_run 2 "${unseen[@]}"
for run in unseen_run seen_run; do sed -E 's/"seconds":[^,}]*//' <(grep '"event":"e' $run/metrics.jsonl) >$run.events; done
same "... to the same metrics and weights" unseen_run.events seen_run.events

for ranks in 1 2 4; do
	trains "--max-bad on $ranks ranks" "skip$ranks" $ranks "${net[@]}" --shards 4 --data bad --max-bad 6 --epochs 2 || continue
	left_out "skip$ranks.err" >"named$ranks"
	same "--max-bad 6 on $ranks ranks: every file that was left out is named at the end" "named$ranks" expected
	check "... and in log.txt when it is met" "$(grep -c 'Z left out: ' "skip$ranks/log.txt") lines" \
		[ "$(grep -c 'Z left out: ' "skip$ranks/log.txt")" -eq 6 ]
	check "... every other image is trained on once an epoch" "$(samples "skip$ranks") samples" [ "$(samples "skip$ranks")" -eq 110 ]
	check "... and validates" "$(value "skip$ranks/metrics.jsonl" epoch val_images)" \
		[ "$(value "skip$ranks/metrics.jsonl" epoch val_images)" -eq 19 ]
	check "... to the same weights" "$(digest "skip$ranks")" [ "$(digest "skip$ranks")" = "$(digest skip1)" ]
done
for ranks in 1 4; do
	trains "--max-bad without a scan" "late$ranks" $ranks "${net[@]}" --shards 4 --data bad --max-bad 6 --epochs 1 \
		--normalize imagenet
done
check "images that fail in the middle of an epoch are left out alike on 1 and 4 ranks" "$(digest late1) $(digest late4)" \
	[ "$(digest late1)" = "$(digest late4)" ]
trains "first half" halves 2 "${net[@]}" --shards 4 --data bad --max-bad 6 --epochs 1
trains "second half" halves 1 "${net[@]}" --shards 4 --data bad --max-bad 6 --epochs 2
check "a resumed run ends with the same weights" "$(digest halves)" [ "$(digest halves)" = "$(digest skip1)" ]
left_out halves.err | sed 's,^bad/,,' >halves.named
sed 's,^bad/,,' expected >expected.short
same "... and still names what was left out before" halves.named expected.short
trains "holdout" holdout 2 "${net[@]}" --data bad --max-bad 6 --holdout 20 --epochs 1 &&
	check "images that --holdout took are left out of the evaluation" "$(samples holdout) + $(value holdout/metrics.jsonl epoch val_images)" \
		[ $(($(samples holdout) + $(value holdout/metrics.jsonl epoch val_images))) -eq 55 ]
refused "one more than --max-bad" 3 'bad/train/.*: .*With it 5 images cannot be read and --max-bad allows 4; log.txt names the others' 2 \
	--data bad --max-bad 4
refused "one more than --max-bad in the validation images" 3 'bad/val/cross/0001.png: .*With it 6 images .*allows 5' 2 \
	--data bad --max-bad 5 --epochs 1
refused "without --max-bad the first ends the run" 3 'bad/train/[a-z]*/000[0-5].png: ' 4 --data bad
mkdir -p hopeless/train
cp -r drawn/train/arrow drawn/train/cross hopeless/train
for file in hopeless/train/*/*.png; do echo text >"$file"; done
refused "nothing but bad images" 3 'none of the 12 training images can be read' 2 --data hopeless --max-bad 100
refused "a batch of nothing but bad images" 3 'none of the 8 images of the batch after step 0 can be read' 2 --data hopeless \
	--max-bad 100 --normalize imagenet

# Files that go away, change, fail or are slow while training goes on.
cp -r drawn leaving
launch 2 resnet-train "${net[@]}" --log-every 1 --epochs 40 --max-bad 6 --data leaving --out leaving_run >leaving.out 2>leaving.err
for _ in $(seq 600); do grep -q '"event":"step"' leaving_run/metrics.jsonl 2>/dev/null && break || sleep 0.1; done
mv leaving/train/cross leaving/gone
wait "$session"
code=$?
check "files that vanish in mid-epoch are left out, and the run ends well" "$code $(cat leaving.err)" [ $code -eq 0 ]
check "... all six named" "$(left_out leaving.err)" [ "$(left_out leaving.err | grep -c 'train/cross/000[0-5].png')" -eq 6 ]
python3 "$here/make_images.py" cifar binary --train 100 --val 10
launch 2 resnet-train "${net[@]}" --log-every 1 --epochs 1000 --data binary --out cifar_run >cifar.out 2>cifar.err
for _ in $(seq 600); do grep -q '"event":"step"' cifar_run/metrics.jsonl 2>/dev/null && break || sleep 0.1; done
truncate -s 1000 binary/data_batch_1.bin
wait "$session"
code=$?
check "a CIFAR file that is cut off during the run is exit code 3 and no signal" "$code $(cat cifar.err)" [ $code -eq 3 ]
check "... with one line that says so" "$(cat cifar.err)" \
	grep -Eq '^resnet-train: error: binary/data_batch_1.bin: became shorter while it was read; leave the data alone .*\(rank [01]\)$' cifar.err
if faulty_disk 2>cc.err; then
	export LD_PRELOAD=$scratch/faulty_disk.so
	FAULTY_EIO=ring/0004 refused "a read error of the disk" 3 'drawn/train/ring/0004.png: cannot read: Input/output error; check' 2 \
		--data drawn
	FAULTY_EACCES=ring/0004 refused "a file without rights" 3 'drawn/train/ring/0004.png: cannot open: Permission denied; check' 2 \
		--data drawn
	FAULTY_EIO=ring/0004 trains "read error" eio 2 "${net[@]}" --data drawn --epochs 1 --max-bad 1 &&
		check "--max-bad 1 goes on after a read error and names the file" "$(cat eio.err)" \
			[ "$(left_out eio.err)" = drawn/train/ring/0004.png ]
	# Two reads of 200 ms for each of a rank's four images make 1.6 s a step, which computing does not take on any machine.
	few=("${net[@]}" --data drawn --steps 3 --log-every 1 --loader-threads 1 --normalize imagenet --eval-every 0)
	FAULTY_SLOW=/train/ FAULTY_MS=200 trains "slow disk" slow 2 "${few[@]}"
	unset LD_PRELOAD
	trains "fast disk" fast 2 "${few[@]}"
	check "a slow disk changes no weight" "$(digest slow) $(digest fast)" [ "$(digest slow)" = "$(digest fast)" ]
	wait=$(value slow/metrics.jsonl step data_wait)
	check "... and shows as data_wait" "$wait" python3 -c "import sys; sys.exit(not $wait > 0.3)"
else
	fail "a disk that fails" "$(cat cc.err)"
fi

# Ranks that see other data.
cp -r drawn other
rm other/train/ring/0001.png
# odd NAME PATTERN FOLDER...: a rank for each folder.
odd() {
	local name=$1 pattern=$2 parts=() folder

	shift 2
	for folder; do parts+=(${parts[0]+:} -np 1 "$bin/resnet-train" "${net[@]}" --out odd_run --data "$folder"); done
	timeout -k 5 "$limit" mpirun --oversubscribe --bind-to none "${parts[@]}" >odd.out 2>odd.err
	code=$?
	check "$name" "$code $(cat odd.err)" [ $code -eq 3 ]
	check "... and is named" "$(cat odd.err)" grep -Eq "^resnet-train: error: .*not the same on all ranks: $pattern" odd.err
}
odd "a rank with another data set ends all" \
	'3 of 4 ranks see 60 and 20 images, others do not: rank 2 on host [^ ]+ \(59 and 20 images\); copy .*\(rank 2\)$' \
	drawn drawn other drawn
odd "rank 0 with another data set" '2 of 3 ranks see 60 and 20 images, others do not: rank 0 on host .*\(59 and 20 images\)' \
	other drawn drawn

# Names, links, copies.
mkdir -p names/train names/val
cp -r drawn/train/cross "names/train/"$'caf\xe9'
cp -r drawn/train/ring "names/train/"$'two\nlines \e[31m'
cp -r drawn/train/arrow 'names/train/\x41 "quoted" %s;#'
cp -r names/train/* names/val
mv "names/train/"$'caf\xe9/0000.png' "names/train/"$'caf\xe9/-\n\xff.png'
trains "names of any byte" names_run 2 "${net[@]}" --data names --epochs 1 && ok "names of any byte are trained on"
run names_eval 2 resnet-eval names_run --data names
code=$?
check "... and resnet-eval knows its classes again" "$code $(cat names_eval.err)" [ $code -eq 0 ]
run names_picture 1 resnet-eval names_run drawn/val/cross/0000.png
check "... and prints them as text" "$(cat names_picture.out)" grep -aqF 'caf\xe9' names_picture.out
"$bin/resnet-data" digest names >names.digests
check "resnet-data digest prints a line for each" "$(wc -l <names.digests)" [ "$(wc -l <names.digests)" -eq 36 ]
: >"names/train/"$'caf\xe9/-\n\xff.png'
refused "a file with a line break in its name is one line" 3 'train/caf.*/-\\x0a.*\.png: zero bytes' 2 --data names
cp -r drawn loop
rm -r loop/val
ln -s val loop/val
refused "links in a loop in the place of val/" 3 'loop/val: cannot open the folder: Too many levels of symbolic links' 2 --data loop
cp -r drawn both
cp -r binary/test_batch.bin both
refused "two data sets in one folder" 3 'both: two data sets in one folder, CIFAR-10 files and folders of images' 2 --data both
python3 "$here/make_images.py" cifar labels --train 20 --val 10
sed -i 's/^dog$/cat/' labels/batches.meta.txt
refused "label names that disagree" 3 'labels/batches.meta.txt: two classes are called cat; copy the file again' 2 --data labels
cp -r drawn copies
cp drawn/train/ring/0000.png copies/train/ring/copy.png
ln copies/train/ring/0000.png copies/train/ring/hard.png
ln -s 0000.png copies/train/ring/soft.png
"$bin/resnet-data" digest copies | sort | uniq -Dw 32 | cut -c 35- >copies.found
printf 'train/ring/%s.png\n' 0000 copy hard soft >copies.expected
same "copies of an image are images of their own, and digests find them" copies.found copies.expected
mkdir -p turned/train/a turned/train/b
cp photo.jpg turned/train/a/1.jpg
python3 "$here/make_images.py" exif turned/train/a/2.jpg
cp photo.jpg turned/train/b
check "EXIF orientation is not applied" "$("$bin/resnet-data" digest turned)" \
	[ "$("$bin/resnet-data" digest turned | cut -c 1-32 | sort -u | wc -l)" -eq 2 ]

# Every kind of picture trains, from a folder and packed, under a wrong name as well.
mkdir -p every/train/kinds every/train/ring
python3 "$here/make_images.py" kinds every/train/kinds
cp drawn/train/ring/000*.png every/train/ring
trains "every kind of picture" every_run 2 "${net[@]}" --data every --epochs 2 --shards 2 --eval-every 0 &&
	check "grey, palette, 16 bits, alpha, interlaced, CMYK, and files with wrong endings: each is trained on once an epoch" \
		"$(samples every_run)" [ "$(samples every_run)" -eq $((2 * $(find every -type f | wc -l))) ]
"$bin/resnet-data" pack every every_packed >every.out 2>&1
trains "every kind, packed" every_packed_run 1 "${net[@]}" --data every_packed --epochs 2 --shards 2 --eval-every 0 &&
	check "... and packed they give the same weights" "$(digest every_packed_run)" [ "$(digest every_packed_run)" = "$(digest every_run)" ]

# The five bad files, packed: the same ones are left out, to the same weights.
"$bin/resnet-data" pack bad bad_packed --piece 20000 >bad.out 2>&1
check "packing bad files says how many cannot be decoded" "$(cat bad.out)" grep -q '^train: 5 of the images cannot be decoded' bad.out
trains "bad, packed" packed2 2 "${net[@]}" --shards 4 --data bad_packed --max-bad 6 --epochs 2
left_out packed2.err | sed 's,^bad_packed/,,' >packed.named
same "from a packed set the same files are left out and named" packed.named expected.short
check "... to the same weights" "$(digest packed2)" [ "$(digest packed2)" = "$(digest skip1)" ]
refused "without --max-bad the first ends the run, packed" 3 'train/[a-z]*/000[0-5].png: ' 2 --data bad_packed

# Packed files that fail, are cut off while training goes on, or are slow.
"$bin/resnet-data" pack drawn whole --piece 20000 >/dev/null 2>&1
if [ -e faulty_disk.so ]; then
	export LD_PRELOAD=$scratch/faulty_disk.so
	FAULTY_EIO=train-00001.data refused "a read error in a packed file" 3 'whole/train-00001.data: cannot read: Input/output error; check' 2 \
		--data whole
	FAULTY_EIO=drawn/train/ring/0002.png "$bin/resnet-data" pack drawn unread >/dev/null 2>unread.err
	code=$?
	check "a file that cannot be read ends packing with exit code 3" "$code $(cat unread.err)" \
		eval "[ $code -eq 3 ] && grep -q '^resnet-data: error: drawn/train/ring/0002.png: cannot read: Input/output error; check' unread.err"
	check "... and leaves no packed folder" "$(ls -d unread*)" [ ! -e unread ]
	FAULTY_SLOW=.data FAULTY_MS=200 trains "slow packed file" slow_packed 2 "${few[@]}" --data whole
	check "slow packed files change no weight" "$(digest slow_packed) $(digest fast)" [ "$(digest slow_packed)" = "$(digest fast)" ]
	unset LD_PRELOAD
fi
cp whole/train-00002.data kept.data
launch 2 resnet-train "${net[@]}" --log-every 1 --save-every 1 --epochs 1000 --data whole --out cut_run >cut.out 2>cut.err
for _ in $(seq 600); do [ -e cut_run/checkpoints/latest ] && break || sleep 0.1; done
truncate -s 1000 whole/train-00002.data
wait "$session"
code=$?
check "a packed file that is cut off during the run is exit code 3 and no signal" "$code $(cat cut.err)" [ $code -eq 3 ]
check "... with one line that says so" "$(cat cut.err)" \
	grep -Eq '^resnet-train: error: whole/train-00002.data: became shorter while it was read; leave the data alone .*\(rank [01]\)$' cut.err
cp kept.data whole/train-00002.data
steps=$(value cut_run/metrics.jsonl step step)
trains "cut off, then whole again" cut_run 2 "${net[@]}" --data whole --epochs 0 --steps $((steps + 8)) &&
	check "... and with the file whole again the run goes on from its last save" "$(value cut_run/metrics.jsonl start resumed_step)" \
		[ "$(value cut_run/metrics.jsonl start resumed_step)" -ge 1 ]

# A file that turns into something else in mid-epoch; endless links and folders inside a class; classes that disagree.
cp -r drawn turning
launch 2 resnet-train "${net[@]}" --log-every 1 --epochs 40 --max-bad 1 --data turning --out turning_run >turning.out 2>turning.err
for _ in $(seq 600); do grep -q '"event":"step"' turning_run/metrics.jsonl 2>/dev/null && break || sleep 0.1; done
echo text >turning/train/ring/0003.png
wait "$session"
code=$?
check "a file that becomes something else in mid-epoch is left out and named, and the run ends well" "$code $(cat turning.err)" \
	eval "[ $code -eq 0 ] && [ \"\$(left_out turning.err)\" = turning/train/ring/0003.png ]"
cp -r drawn circle
ln -s self.png circle/train/ring/self.png
refused "a link to itself among images" 3 'circle/train/ring/self.png: neither a file nor a folder nor a link to one \(Too many levels' 2 --data circle
ln -sfn .. circle/train/ring/self.png
refused "a link to a folder among images" 3 'circle/train/ring/self.png: folder inside a class' 2 --data circle
cp -r drawn strange
mkdir strange/val/zebra
cp drawn/val/ring/0000.png strange/val/zebra
refused "a class that only validates" 3 'strange: class zebra of the validation images is not a class of the training images' 2 --data strange
finish
