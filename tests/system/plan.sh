#!/bin/bash
# --plan foretells what a run takes; --recipe gives it its settings.
#   tests/system/plan.sh [build/bin]
. "$(dirname "$0")/common.sh"

"$bin/resnet-data" synth drawn --train 150 --val 40 >/dev/null || exit 2

# total FILE: the MiB per rank of the last line.
total() {
	sed -n '$s/^total: \([0-9]*\) MiB per rank$/\1/p' "$1"
}

net=(--arch resnet20 --data drawn --global-batch 64 --threads 1)
run four 4 resnet-train --plan "${net[@]}"
check "--plan: the last line is the total" "$(tail -n 1 four.out)" [ -n "$(total four.out)" ]
check "--plan: a row for each layer" "$(head -n 5 four.out)" [ "$(grep -c '^layer[123]\.[012]\.conv[12] ' four.out)" -eq 18 ]
check "--plan makes no run folder" "$(ls)" [ ! -e run ]
run planned 1 resnet-train --plan 4 "${net[@]}"
check "--plan 4 on one rank says what --plan says on four" "$(total planned.out)" [ "$(total planned.out)" = "$(total four.out)" ]
"$bin/resnet-train" --plan --arch resnet18 >alone.out 2>&1
check "--plan without --data says which classes it takes" "$(head -n 1 alone.out)" grep -q '1000 classes (taken for granted' alone.out

# The parts add up to the total.
sum=$(awk '/^(parameters|gradients|momentum|activations|scratch|loader) / { sum += $2 } END { print int(sum + 0.5) }' four.out)
check "--plan: the classes add up" "$sum, $(total four.out)" [ $(($(total four.out) - sum)) -le 1 ]

# Resident memory at its highest: the plan, the copy that rank 0 saves from, and a process with MPI.
cat >measure <<'END'
#!/bin/bash
"$@" >/dev/null 2>&1 &
until grep -q '"step":2' measured/metrics.jsonl 2>/dev/null || ! kill -0 $!; do sleep 0.1; done
sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' /proc/$!/status
kill -INT $!
wait
END
chmod +x measure
"$bin/resnet-train" "${net[@]}" --plan 1 >one.out
needed=$(total one.out)
used=$(($(./measure "$bin/resnet-train" "${net[@]}" --steps 100000 --log-every 1 --eval-every 0 --save-every 0 --out measured) / 1024))
check "a run takes what --plan says, and 64 MiB more at most" "$used MiB used, $needed planned" \
	[ "$used" -ge "$needed" -a "$used" -le $((needed + 64)) ]

# --recompute changes memory and time, and no bit; a run may be resumed with the other setting.
deep=(--arch resnet110 --data drawn --global-batch 64 --threads 1)
for recompute in off on; do
	"$bin/resnet-train" "${deep[@]}" --plan 1 --recompute $recompute >"deep.$recompute"
	trains "--recompute $recompute" "bits.$recompute" 2 "${net[@]}" --steps 4 --eval-every 0 --recompute $recompute
done
check "--recompute on: half the memory, at most" "$(total deep.on) of $(total deep.off) MiB" \
	[ $((2 * $(total deep.on))) -lt "$(total deep.off)" ]
trains "--recompute changes" bits.change 2 "${net[@]}" --steps 2 --eval-every 0 --recompute on
trains "--recompute changes" bits.change 2 "${net[@]}" --steps 4 --eval-every 0 --recompute off
for run in on change; do
	check "--recompute, $run: the weights of a run without" "$(value bits.$run/metrics.jsonl end weights)" \
		[ "$(value bits.$run/metrics.jsonl end weights)" = "$(value bits.off/metrics.jsonl end weights)" ]
done
check "--recompute is kept in config.ini" "$(cat bits.on/config.ini)" grep -q '^recompute = on$' bits.on/config.ini

trains "recipe" recipe 1 --recipe cifar10-resnet32 --data drawn --steps 1 --global-batch 10 --eval-every 0
check "--recipe: the command line wins, the rest is the recipe's" "$(grep -E '^(arch|steps|global-batch|lr-milestones)' recipe/config.ini)" \
	[ "$(grep -cE '^(arch = resnet32|steps = 1|global-batch = 10|lr-milestones = 81.8414,122.7621)$' recipe/config.ini)" -eq 4 ]
for file in "$here"/../../jobs/recipes/*.ini; do
	name=$(basename "$file" .ini)
	"$bin/resnet-train" --recipe "$name" --plan 8 >recipe.out 2>&1 || fail "recipe $name" "$(cat recipe.out)"
done
check "every recipe is one" "$(cat recipe.out)" [ -n "$(total recipe.out)" ]
finish
