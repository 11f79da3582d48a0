#!/bin/sh
# Proves by disassembly that an x86-64 build runs on a processor that has nothing but x86-64's first instructions (SSE2): newer ones
# occur only in the kernel sets that are named after them, and in functions whose names end in _avx2; both are chosen at start.
#   tests/portable.sh [BUILD-FOLDER]
# The folder (default: build) must hold the three libraries and the programs' objects. Exit code: 0 when nothing was found.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 2
build=${1:-build}

# newer FILE...: "object function instruction", each once, for all instructions that x86-64 did not have at first.
newer() {
	objdump -d --no-show-raw-insn "$@" | awk '
	/file format/ { object = $1; sub(/:$/, "", object) }
	/^[0-9a-f]+ <.*>:$/ { name = substr($2, 2, length($2) - 3) }
	/^ +[0-9a-f]+:/ {
		at = $2 ~ /^(rep[nz]*|lock|bnd|notrack|data16|cs|ds|es|ss)$/ ? 3 : 2
		# VEX and EVEX; bits; SSE3, SSSE3, SSE4.1 and SSE4.2. tzcnt without BMI is bsf, and gcc uses it so.
		if ($at ~ /^v/ || /%[yz]mm|%tmm|%k[0-7]/ ||
		    $at ~ /^(andn[lq]?$|bextr|bls|bzhi|mulx|pdep|pext[lq]?$|rorx|sarx|shlx|shrx|lzcnt|popcnt|movbe|adcx|adox|crc32)/ ||
		    $at ~ /^(addsubp|haddp|hsubp|lddqu|movddup|movs[hl]dup|fisttp|cmpxchg16b)/ ||
		    $at ~ /^(pshufb|palignr|pabs|phadd|phsub|pmaddubsw|pmulhrsw|psign)/ ||
		    $at ~ /^(pmulld|pmuldq|pm(in|ax)(sb|sd|uw|ud)|round[ps]|ptest|p?blend|pmov[sz]x|p(ext|ins)r[bdq]|packusdw|dpp)/ ||
		    $at ~ /^(mpsadbw|insertps|extractps|movntdqa|phminpos|pcmp(eqq|gtq|[ei]str)|aes|pclmul|sha[1-9])/)
			print object, name, $at
	}' | sort -u
}

case "$(objdump -f "$build/libnn.a" | sed -n 's/^architecture: \([^,]*\).*/\1/p' | sort -u)" in
i386:x86-64) ;;
'')
	echo "portable.sh: error: no $build/libnn.a, or no objdump; run make first" >&2
	exit 1
	;;
*)
	echo "portable.sh: nothing to prove: $build is not for x86-64"
	exit 0
	;;
esac

all=$(newer "$build/libnn.a" "$build/libcomm.a" "$build/libtrainer.a" "$build"/trainer/cmd/*.o)
# A search that finds nothing in the sets for AVX would find nothing anywhere.
for object in set_avx2.o set_avx512.o set_avx512bf16.o set_amx.o; do
	printf '%s\n' "$all" | grep -q "^$object " || {
		echo "portable.sh: error: no AVX in $object: is it built, and can this objdump read it?" >&2
		exit 1
	}
done
found=$(printf '%s\n' "$all" | grep -vE '^set_(avx[0-9a-z]*|amx)\.o |^[^ ]+ [^ ]*_avx2(\.[^ ]*)? ')
[ -z "$found" ] || {
	printf 'portable.sh: instructions newer than x86-64 that no processor was asked for:\n%s\n' "$found" >&2
	exit 1
}
echo "portable.sh: passed"
