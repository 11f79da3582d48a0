#!/bin/sh
# Cross-compiles the unit tests for arm64 and runs them under qemu-user: the NEON kernels and everything above them.
#   tests/arm64.sh [BUILD-FOLDER [SUITE...]]
# The libraries come from Debian's arm64 packages, unpacked into BUILD-FOLDER/root; nothing of them is installed. Exit code: 0 when
# all tests pass.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build-arm64}
[ $# -gt 0 ] && shift
for tool in aarch64-linux-gnu-gcc qemu-aarch64 apt-get dpkg-deb pkg-config; do
	command -v $tool >/dev/null || {
		echo "arm64.sh: error: no $tool; run jobs/install-deps --arm64 (on Debian or Ubuntu)" >&2
		exit 2
	}
done
mkdir -p "$build"
build=$(cd "$build" && pwd)
root=$build/root lib=$build/root/usr/lib/aarch64-linux-gnu

# unpack: the packages with all that they depend on, as if nothing were installed.
unpack() {
	apt=$build/apt
	mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$build/root.partial"
	: >"$apt/status"
	set -- -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" \
		-o Dir::State::status="$apt/status" -o Dir::Cache="$apt" -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)"
	apt-get "$@" update
	apt-get "$@" -y --no-install-recommends --download-only install libc6-dev libgcc-12-dev libcunit1-dev libopenblas-pthread-dev \
		libpng-dev libjpeg62-turbo-dev libjansson-dev libinih-dev libxxhash-dev libopenmpi-dev
	for package in "$apt"/archives/*.deb; do
		dpkg-deb -x "$package" "$build/root.partial"
	done
	mv "$build/root.partial" "$root"
	rm -rf "$apt"
}

[ -d "$root" ] || unpack >"$build/unpack.log" 2>&1 || {
	tail -n 3 "$build/unpack.log" >&2
	echo "arm64.sh: error: cannot fetch Debian's arm64 packages; see $build/unpack.log" >&2
	exit 2
}
export PKG_CONFIG_SYSROOT_DIR="$root"
export PKG_CONFIG_LIBDIR="$lib/pkgconfig:$lib/openblas-pthread/pkgconfig:$root/usr/share/pkgconfig"
make --no-print-directory CC=aarch64-linux-gnu-gcc B="${build#"$PWD"/}" \
	CFLAGS="--sysroot=$root -I$lib/openblas-pthread" LDLIBS="-Wl,-rpath-link,$lib:$lib/openblas-pthread" \
	"${build#"$PWD"/}/tests/unit/run"
export build root lib
# shellcheck disable=SC2046 # names have no spaces
[ $# -gt 0 ] || set -- $(sed -n 's/^\tX(\([a-z0-9_]*\)).*/\1/p' tests/unit/suites.h)
# Suites run side by side, each with a log of its own, which is shown when it fails.
# shellcheck disable=SC2016 # expanded by the inner shell
printf '%s\n' "$@" | xargs -n 1 -P "$(getconf _NPROCESSORS_ONLN)" sh -c '
	OPENBLAS_NUM_THREADS=1 timeout -k 5 5000 qemu-aarch64 -L "$root" -E RESNET_EMULATED=1 \
		-E LD_LIBRARY_PATH="$lib:$lib/openblas-pthread" "$build/tests/unit/run" "$1" >"$build/$1.log" 2>&1 || {
		cat "$build/$1.log"
		echo "arm64.sh: error: suite $1 failed, or took longer than 5000 s" >&2
		exit 1
	}
	awk -v suite="$1" "\$1 == \"tests\" { print \"  ARM64 \" suite \": \" \$4 \" of \" \$2 \" tests passed\" }" "$build/$1.log"' \
	suite
