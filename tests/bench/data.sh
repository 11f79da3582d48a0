#!/bin/sh
# Reading and augmenting training images on one core: resnet-bench and torchvision take turns; prints medians.
#   tests/bench/data.sh BUILD-FOLDER DIR:AUGMENT:SIZE...     such as build cifar10-png:cifar:32 photos:inception:224
# DIR: an image folder with train/CLASS/*. Processor time is counted, so that other programs disturb little.
#   ROUNDS=3   how often each takes its turn           PYTHON=/usr/bin/python3  a Python with torchvision
set -u
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1
here=$(dirname "$0")
build=${1:-build}
shift
for entry in "$@"; do
	IFS=: read -r folder augment size <<-END
		$entry
	END
	set -- --data "$folder" --augment "$augment" --image-size "$size" --iterations 3
	round=0
	echo "$(basename "$folder"), $augment, $size pixels"
	while [ $round -lt "${ROUNDS:-3}" ]; do
		"$build/bin/resnet-bench" data --json "$@" || exit 1
		"${PYTHON:-/usr/bin/python3}" "$here/data_torch.py" "$@" || exit 1
		round=$((round + 1))
	done | sed -E 's/.*"program": "([^"]*)".*"images_per_second": ([0-9.]+).*/\1 \2/' | sort -k1,1 -k2,2n | awk '
		{ n[$1]++; value[$1, n[$1]] = $2 }
		function middle(name) { return value[name, int((n[name] + 1) / 2)] }
		END {
			printf "  resnet-bench %8.1f images/s per core\n  torchvision  %8.1f images/s per core\n  ratio        %8.2f\n",
				middle("resnet-bench"), middle("torchvision"), middle("resnet-bench") / middle("torchvision")
		}'
done
