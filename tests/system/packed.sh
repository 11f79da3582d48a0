#!/bin/bash
# Packed data sets: the same training as from the folder, a packer that is killed at any time, damage that is found.
#   tests/system/packed.sh [build/bin]
. "$(dirname "$0")/common.sh"

data() {
	"$bin/resnet-data" "$@"
}

# refuses NAME CODE PATTERN ARGUMENT...: of resnet-data.
refuses() {
	local name=$1 code=$2 pattern=$3 got

	shift 3
	data "$@" >refuses.out 2>refuses.err
	got=$?
	check "$name" "$got $(cat refuses.err)" eval "[ $got -eq $code ] && grep -Eq '^resnet-data: error: .*$pattern' refuses.err"
}

data synth drawn --train 400 --val 40 >/dev/null || exit 2
rm drawn/synth.txt

python3 "$here/make_images.py" cifar cifar --train 20 --val 10

# A kill at any moment leaves whole pieces, and the packed folder appears whole. The disk is made slow, so that there are kills on a fast
# machine; each try has 10 ms more than the one before, so that there is an end on a slow one.
kills=0
whole=0
faulty_disk || fail "a slow disk" "it does not compile"
for try in $(seq 99); do
	LD_PRELOAD=$scratch/faulty_disk.so FAULTY_SLOW=packed.part "$bin/resnet-data" pack drawn packed --piece 20000 >pack.out 2>pack.err &
	packer=$!
	sleep "$(printf '0.%03d' $((try * 10)))"
	if kill -KILL $packer 2>/dev/null; then kills=$((kills + 1)); fi
	wait $packer 2>/dev/null
	[ -d packed ] && break
done
[ -d packed ] && whole=1
check "a packer that is killed again and again goes on each time until it is done" "$kills kills, $(cat pack.err)" \
	[ $whole -eq 1 ]
check "... after at least five kills" "$kills" [ $kills -ge 5 ]
data verify packed >verify.out 2>&1
code=$?
check "... and nothing is missing or damaged" "$(cat verify.out)" [ $code -eq 0 ]
check "... nor left over" "$(ls packed)" [ "$(find packed -name '*.tmp' | wc -l)" -eq 0 ]
data digest drawn >drawn.digests
data digest packed >packed.digests
same "all images are those of the folder, in its order" drawn.digests packed.digests
data unpack packed unpacked
check "unpacked, the files are the same" "$(diff -rq drawn unpacked)" diff -r drawn unpacked
check "stat says what is in it" "$(data stat packed)" grep -q '^train: 400 images of 10 classes in [0-9]* data files' verify.out

net=(--arch resnet20 --global-batch 40 --shards 2)
trains "from the folder" folder_run 1 "${net[@]}" --data drawn --epochs 2
trains "from the packed folder" packed_run 2 "${net[@]}" --data packed --epochs 2 &&
	check "training from the packed folder gives the same weights" "$(value packed_run/metrics.jsonl end weights)" \
		[ "$(value packed_run/metrics.jsonl end weights)" = "$(value folder_run/metrics.jsonl end weights)" ]
trains "first epoch" mixed_run 2 "${net[@]}" --data drawn --epochs 1
trains "second epoch" mixed_run 2 "${net[@]}" --data packed --epochs 2 &&
	check "a run goes on from the packed folder to the same weights" "$(value mixed_run/metrics.jsonl end weights)" \
		[ "$(value mixed_run/metrics.jsonl end weights)" = "$(value folder_run/metrics.jsonl end weights)" ]

# A kill before each call that changes a file, one after the other, and a restart after each: the part never holds half a file under a
# name that counts, and what comes out is what an undisturbed packer makes, byte for byte. Then failing calls.
data synth few --train 10 --val 10 >/dev/null
data pack few whole --piece 8000 --threads 2 >/dev/null 2>&1
faults=$bin/../tests/torture/faults.so
strikes=0
bad=
for nth in $(seq 500); do
	# the braces keep the shell's word of the kill away
	{ LD_PRELOAD=$faults FAULTS_KILL=yes FAULTS_FIRST=$nth FAULTS_LAST=$nth "$bin/resnet-data" pack few struck --piece 8000 --threads 2; } \
		>/dev/null 2>&1
	[ $? -eq 137 ] || break
	strikes=$((strikes + 1))
	[ -d struck ] && { diff -r whole struck >/dev/null || bad="$bad $nth:whole"; }
	for index in struck.part/*.index; do
		[ -e "$index" ] || continue
		cmp -s "$index" "whole/${index##*/}" && cmp -s "${index%index}data" "whole/$(basename "${index%index}data")" || bad="$bad $nth:$index"
	done
	data pack few struck --piece 8000 >/dev/null 2>&1 && diff -r whole struck >/dev/null || bad="$bad $nth:restart"
	rm -rf struck struck.part
done
check "a packer killed before any of its $strikes calls leaves no half file for whole, and is continued to the same bytes" "$bad" \
	[ -z "$bad" ]
check "... and there are enough of such calls" "$strikes" [ $strikes -ge 60 ]
bad=
for nth in $(seq $strikes); do
	rm -rf failed failed.part
	LD_PRELOAD=$faults FAULTS_ERRNO=28 FAULTS_PATH=/failed FAULTS_FIRST=$nth FAULTS_LAST=$nth \
		"$bin/resnet-data" pack few "$scratch/failed" --piece 8000 >/dev/null 2>failed.err
	code=$?
	# code 3: the finished set is looked at in the end
	case $code in
	5) grep -q '^resnet-data: error: cannot .*No space left' failed.err || bad="$bad $nth:$(cat failed.err)" ;;
	0 | 3) [ -d failed ] || bad="$bad $nth:$code" ;;
	*) bad="$bad $nth:$code" ;;
	esac
	if [ -d failed ]; then diff -r whole failed >/dev/null || bad="$bad $nth:whole"; fi
	data pack few failed --piece 8000 >/dev/null 2>&1 && diff -r whole failed >/dev/null || bad="$bad $nth:again"
done
check "a full disk at any of them is exit code 5, no harm, and the next call goes on" "$bad" [ -z "$bad" ]

# Every byte of a small set, and each changed: verify finds it.
cp -r whole flipped
python3 - "$bin/resnet-data" flipped >flips.out 2>&1 <<'END'
import os, subprocess, sys
program, folder = sys.argv[1:]
missed = total = 0
for name in sorted(os.listdir(folder)):
    path = os.path.join(folder, name)
    good = open(path, "rb").read()
    step = 1 if name.endswith("00000.index") else 41
    for at in range(0, len(good), step):
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes([good[at] ^ 1 << at % 8]))
        got = subprocess.run([program, "verify", folder], capture_output=True)
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(good[at:at + 1])
        total += 1
        missed += got.returncode != 3 or path.encode() not in got.stderr
print(total, "bytes,", missed, "missed")
sys.exit(missed != 0 or total < 1000)
END
code=$?
check "verify finds a changed byte, names the file and exits with 3 ($(tail -n 1 flips.out))" "$(tail -n 3 flips.out)" [ $code -eq 0 ]

# The sampler: the same batches of 400 images an epoch from both, on 1, 2, 3 and 8 ranks, full and with a window; the same weights everywhere, after a
# stop in mid-epoch and on another number of ranks, too. Which images those are, tests/unit/test_sample_order.c counts.
exact=(--arch resnet20 --global-batch 24 --shards 8 --epochs 1 --loader-threads 1 --normalize imagenet --eval-every 0 --image-size 16)
digest() {
	value "$1/metrics.jsonl" end weights
}
for window in 0 96; do
	for from in drawn packed; do
		for ranks in 1 2 3 8; do
			name=$from-$window-$ranks
			trains "$name" "$name" $ranks "${exact[@]}" --shuffle-window $window --data $from || continue
			[ $name = drawn-$window-1 ] ||
				check "window $window: $ranks ranks from the $from set, the same weights" "$(digest "$name")" \
					[ "$(digest "$name")" = "$(digest drawn-$window-1)" ]
		done
		trains "half an epoch" "half-$from-$window" 3 "${exact[@]}" --epochs 0 --steps 7 --shuffle-window $window --data $from &&
			trains "the other half" "half-$from-$window" 8 "${exact[@]}" --shuffle-window $window --data $from &&
			check "window $window: 7 steps on 3 ranks and the rest on 8 from the $from set, the same weights" "$(digest half-$from-$window)" \
				[ "$(digest half-$from-$window)" = "$(digest drawn-$window-1)" ]
	done
done
check "a window is another order than none" "$(digest drawn-96-1)" [ "$(digest drawn-96-1)" != "$(digest drawn-0-1)" ]

# Colours: a packed set knows them, so that only the images of the first steps are read.
trains "colours from the folder" measured 2 "${net[@]}" --data drawn --steps 1 --eval-every 0 --augment none
LD_PRELOAD=$scratch/faulty_disk.so FAULTY_EIO=train-00040.data \
	trains "colours from the packed set" kept 2 "${net[@]}" --data packed --steps 1 --eval-every 0 --augment none --shuffle off --log-every 1 &&
	ok "a packed set's own mean and deviation are taken without reading its images"
LD_PRELOAD=$scratch/faulty_disk.so FAULTY_EIO=train-00040.data \
	run held 2 resnet-train "${net[@]}" --data packed --steps 1 --holdout 5 --shuffle off --out held
code=$?
check "... but measured when --holdout takes some away" "$code $(cat held.err)" [ $code -eq 3 ]

# Splitting.
data split drawn parts --val 10% >parts.out
check "split says how many" "$(cat parts.out)" grep -q '^parts: 360 training and 40 validation images of 10 classes$' parts.out
(cd drawn/train && find . -type f | sort) >all.names
(cd parts && find train val -type f | sed 's,^[a-z]*,.,' | sort) >parts.names
same "every image is in exactly one part" all.names parts.names
check "... as a link" "$(find parts -type f -links 1 | head -n 3)" [ "$(find parts -type f -links 1 | wc -l)" -eq 0 ]
check "... four of each class validate" "$(ls parts/val/arrow)" [ "$(for class in parts/val/*; do ls "$class" | wc -l; done | sort -u)" = 4 ]
data split packed packed_parts --val 40 --threads 3 >/dev/null
data digest parts >parts.digests
data digest packed_parts >packed_parts.digests
same "a packed set is split in the same way" parts.digests packed_parts.digests
if [ "$(id -u)" -eq 0 ] && mkdir other_disk && mount -t tmpfs tmpfs other_disk 2>/dev/null; then
	data split drawn other_disk/parts --val 10% >copied.out
	check "on another file system files are copied, which is said" "$(cat copied.out)" grep -q '400 files are copies' copied.out
	check "... whole" "$(diff -rq parts other_disk/parts)" diff -r parts other_disk/parts
	umount other_disk
fi
trains "a split set" parts_run 2 "${net[@]}" --data parts --epochs 1 && ok "a split set trains"
refuses "split over something" 2 'parts exists; choose' split drawn parts
refuses "a share of everything" 2 "--val 100% is not a whole number and no share between 0% and 100%" split drawn none --val 100%
refuses "more than can validate" 2 '391 of 400 images cannot validate: at least 1, and at most 390 so that each class' split drawn none --val 391
refuses "CIFAR files" 3 'its images are no files that could be split; resnet-train --holdout' split cifar none
refuses "no folder at all" 3 'nowhere/[.]: cannot open the folder: No such file' split nowhere none
refuses "quality without a size" 2 '--quality is that of files which --shorter-side makes' pack drawn none --quality 80

# Shrinking.
mkdir -p photos/train/a
python3 "$here/make_images.py" jpeg photos/train/a/1.jpg
cp drawn/train/ring/0000.png photos/train/a/2.png
echo text >photos/train/a/3.jpg
data pack photos small --shorter-side 24 >small.out 2>&1
check "pack --shorter-side says what it did" "$(cat small.out)" \
	grep -q '^train: JPEGs with a shorter side of more than 24 pixels were scaled to it, quality 90$' small.out
check "... and how many cannot be decoded" "$(cat small.out)" grep -q '^train: 1 of the images cannot be decoded' small.out
data unpack small small_files
check "... files that are no JPEGs stay as they are" "$(ls -l small_files/train/a)" \
	eval "cmp photos/train/a/2.png small_files/train/a/2.png && cmp photos/train/a/3.jpg small_files/train/a/3.jpg &&
		! cmp -s photos/train/a/1.jpg small_files/train/a/1.jpg"
refuses "packing the same with another quality" 2 'small exists and is not photos packed like this' pack photos small --shorter-side 24 --quality 80

cp -r packed broken
python3 "$here/make_images.py" flip broken/train-00003.data 0.5
refuses "verify names the damaged image" 3 'broken/train-00003.data: the bytes of train/.*png are damaged; copy' verify broken
run damaged 2 resnet-train "${net[@]}" --data broken --out broken_run --epochs 1
code=$?
check "training stops at it with exit code 3" "$code $(cat damaged.err)" [ $code -eq 3 ]
check "... and says so" "$(cat damaged.err)" grep -Eq '^resnet-train: error: broken/train-00003.data: the bytes of train/' damaged.err
trains "--max-bad" bad_run 2 "${net[@]}" --data broken --epochs 1 --max-bad 1 && ok "--max-bad 1 leaves it out"
python3 "$here/make_images.py" flip broken/train-00000.index 0.5
refuses "a damaged index is refused when it is opened" 3 'broken/train-00000.index: damaged index' stat broken
refuses "a folder without a packed set" 3 'drawn: no packed data set' verify drawn
data pack packed repacked --piece 100000 >/dev/null 2>&1
data digest repacked >repacked.digests
same "what is packed is packed again in other pieces" drawn.digests repacked.digests
refuses "packing CIFAR files" 3 'cifar: no folder of images' pack cifar again
refuses "packing over something else" 2 'unpacked exists and is not drawn packed' pack drawn unpacked
refuses "unpacking over something" 2 'drawn exists' unpack packed drawn
refuses "one folder is missing" 2 'pack wants two folders, and there is one' pack drawn
refuses "an option of another command" 2 'unpack has no such option, pack has' unpack packed again --piece 5
finish
