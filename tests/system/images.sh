#!/bin/bash
# The same pixels as image folder and as CIFAR files are the same to both readers.
#   tests/system/images.sh [build/bin]
. "$(dirname "$0")/common.sh"

# digests OUTPUT DIR SPLIT: sorted digests of one split.
digests() {
	"$bin/resnet-data" digest "$2" --split "$3" | cut -c 1-32 | sort >"$1"
}

python3 "$here/make_images.py" cifar binary --train 120 --val 40 --seed 7 --twin folder || exit 2
for split in train val; do
	digests "binary.$split" binary $split
	digests "folder.$split" folder $split
	same "the $split images of a CIFAR file and of its PNG folder are equal" "binary.$split" "folder.$split"
done
"$bin/resnet-data" digest binary | cut -c 1-32 | sort >both
sort binary.train binary.val >parts
same "without --split digest prints both splits" both parts
check "every image has a line" "$(wc -l <both) lines instead of 160" [ "$(wc -l <both)" -eq 160 ]
check "no two images have one digest" "some are equal" [ "$(sort -u both | wc -l)" -eq 160 ]

cp -r folder changed
python3 "$here/make_images.py" cifar other --train 120 --val 40 --seed 8 --twin other_folder || exit 2
first=$(cd other_folder/train/cat && printf '%s\n' * | head -n 1)
cp "other_folder/train/cat/$first" "changed/train/cat/$(cd folder/train/cat && printf '%s\n' * | head -n 1)"
digests changed.train changed train
check "one other picture changes one digest" "$(comm -3 folder.train changed.train | wc -l) lines differ instead of 2" \
	[ "$(comm -3 folder.train changed.train | wc -l)" -eq 2 ]

mv changed/train/cat changed/train/lion
rm -r changed/test
"$bin/resnet-data" digest changed | cut -c 1-32 | sort >lion
cats=$(find changed/train/lion -name '*.png' | wc -l)
check "the class's name counts" "$(comm -13 changed.train lion | wc -l) digests are new instead of $cats" \
	[ "$(comm -13 changed.train lion | wc -l)" -eq "$cats" ]

"$bin/resnet-data" synth drawn --train 20 --val 10 >/dev/null
"$bin/resnet-data" digest drawn | head -n 1 >line
check "a line is a digest and the image's name" "$(cat line)" grep -Eq '^[0-9a-f]{32}  train/arrow/0000\.png$' line
finish
