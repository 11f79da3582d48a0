#!/bin/bash
# Very small sets, ranks without images, and the options that decide on length, evaluation and saving.
#   tests/system/small.sh [build/bin]
. "$(dirname "$0")/common.sh"

# is NAME WANTED GOT
is() {
	check "$1" "'$3' instead of '$2'" [ "$2" = "$3" ]
}

# small RUN RANKS ARGUMENT...: trains on the five images.
small() {
	local out=$1 ranks=$2

	shift 2
	trains "$out" "$out" "$ranks" --data five --arch resnet20 --lr 0.01 --threads 1 "$@"
}

# ends_at RUN NAME STEP: by the end event.
ends_at() {
	is "$2 ends at step $3" "complete $3" "$(value "$1/metrics.jsonl" end status) $(value "$1/metrics.jsonl" end step)"
}

"$bin/resnet-data" synth drawn --train 30 --val 20 >/dev/null || exit 2
mkdir -p five/train/arrow five/train/cross five/val/arrow five/val/cross
cp drawn/train/arrow/000[0-2].png five/train/arrow
cp drawn/train/cross/000[01].png five/train/cross
cp drawn/val/arrow/000[01].png five/val/arrow
cp drawn/val/cross/0000.png five/val/cross

if small eight 8 --global-batch 4 --epochs 2 --log-every 1; then
	ends_at eight "five images on 8 ranks" 4
	is "five images on 8 ranks: every validation image counts once" 3 "$(value eight/metrics.jsonl epoch val_images)"
	is "five images on 8 ranks: a step event per step" 4 "$(events eight/metrics.jsonl step | wc -l)"
	for ranks in 1 8; do
		run "eval.$ranks" $ranks resnet-eval eight --data five
	done
	same "three images on 8 ranks are evaluated like on one" eval.1.out eval.8.out
fi

small three 8 --global-batch 4 --epochs 2 --shards 3 && ends_at three "3 shards on 8 ranks" 4
check "ranks without images are told of" "$(cat three.err)" \
	grep -q '^resnet-train: warning: 5 of 8 ranks get no image of a batch of 4 in 3 shards' three.err
small seven 2 --global-batch 4 --epochs 2 --shards 7 && ends_at seven "7 shards on 2 ranks" 4
check "... and only these" "$(cat seven.err)" [ "$(grep -c 'get no image' seven.err)" -eq 0 ]
small three.1 1 --global-batch 4 --epochs 2 --shards 3 && is "3 shards have the same weights on 8 ranks and on one" \
	"$(value three/metrics.jsonl end weights)" "$(value three.1/metrics.jsonl end weights)"

# Five images in batches of 2: three steps, or two when the last one is dropped.
small keeps 2 --global-batch 2 --epochs 2 --drop-last off && ends_at keeps "--drop-last off" 6
small drops 2 --global-batch 2 --epochs 2 --drop-last on && ends_at drops "--drop-last on" 4
small larger 2 --global-batch 16 --epochs 2 --drop-last on && ends_at larger "a batch larger than the set" 2

if small holdout 4 --global-batch 2 --epochs 2 --holdout 2; then
	is "--holdout 2 leaves 3 images to train on" 3 "$(value holdout/metrics.jsonl start train_images)"
	is "--holdout 2 validates on 2 images" 2 "$(value holdout/metrics.jsonl epoch val_images)"
	ends_at holdout "--holdout 2" 4
	check "--holdout 2 chooses a best checkpoint" "there is no checkpoints/best" [ -e holdout/checkpoints/best/state.json ]
fi
small holdout.last 1 --global-batch 2 --epochs 3 --holdout 2 --save-every 0 &&
	check "--holdout 2 --save-every 0 has a best checkpoint as well" "there is no checkpoints/best" \
		[ -e holdout.last/checkpoints/best/state.json ]

if small quiet 2 --global-batch 2 --epochs 2 --eval-every 0; then
	is "--eval-every 0 never evaluates" 2 "$(events quiet/metrics.jsonl epoch | grep -c '"val_error":null')"
	check "--eval-every 0: the last line says so" "$(last_line quiet.out)" grep -q 'validation error unknown' quiet.out
fi
small second 1 --global-batch 5 --epochs 5 --eval-every 2 --lr 0 &&
	is "--eval-every 2 evaluates after epochs 2 and 4 and at the end" "2 4 5" "$(events second/metrics.jsonl epoch |
		grep -v '"val_error":null' | sed -E 's/.*"epoch":([0-9]+).*/\1/' | tr '\n' ' ' | sed 's/ $//')"

small save.0 2 --global-batch 2 --steps 5 --save-every 0 --eval-every 0 &&
	is "--save-every 0 saves at the end alone" "5" "$(saved_steps save.0)"
small save.2 2 --global-batch 2 --steps 5 --save-every 2 --eval-every 0 &&
	is "--save-every 2 saves steps 2, 4 and the last" "2 4 5" "$(saved_steps save.2)"
small keep.2 2 --global-batch 2 --steps 5 --save-every 1 --keep 2 --eval-every 0 &&
	is "--keep 2 keeps two checkpoints" "4 5" "$(saved_steps keep.2)"
small steps 2 --global-batch 2 --steps 1 && ends_at steps "--steps 1" 1

for sync in node off; do
	small "sync.$sync" 4 --global-batch 4 --epochs 2 --sync-bn $sync && ends_at "sync.$sync" "--sync-bn $sync on 4 ranks" 4
	small "sync.$sync.again" 4 --global-batch 4 --epochs 2 --sync-bn $sync && is "--sync-bn $sync is repeatable" \
		"$(value "sync.$sync/metrics.jsonl" end weights)" "$(value "sync.$sync.again/metrics.jsonl" end weights)"
done
# With batches of one image, three of the four ranks have none.
for sync in global node off; do
	small "one.$sync" 4 --global-batch 1 --steps 3 --sync-bn $sync && ends_at "one.$sync" "batch 1, --sync-bn $sync" 3
	is "batch 1, --sync-bn $sync: the weights are finite" 0 "$(grep -c '"loss":null' "one.$sync/metrics.jsonl")"
done
finish
