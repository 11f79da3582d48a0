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

# A kill at any moment leaves whole pieces, and the packed folder appears whole. The disk is made slow, so that there are kills on a fast
# machine; each try has 10 ms more than the one before, so that there is an end on a slow one.
kills=0
whole=0
${CC:-cc} -shared -fPIC -o faulty_disk.so "$here/faulty_disk.c" -ldl || fail "a slow disk" "it does not compile"
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
refuses "packing what is packed" 3 'packed: no folder of images' pack packed again
refuses "packing over something else" 2 'unpacked exists and is not drawn packed' pack drawn unpacked
refuses "unpacking over something" 2 'drawn exists' unpack packed drawn
refuses "one folder is missing" 2 'say what to do' pack drawn
refuses "an option of another command" 2 'unpack has no such option, pack has' unpack packed again --piece 5
finish
