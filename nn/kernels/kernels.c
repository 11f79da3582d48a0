#include "nn/kernels/kernels.h"

#include <stdio.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
extern const struct kernels kernels_avx512bf16;
extern const struct kernels kernels_amx;
#elif defined(__aarch64__)
extern const struct kernels kernels_neon;
#endif

const struct kernels *const kernels_all[] = {
/* clang-format off */
#if defined(__x86_64__)
	&kernels_amx,
	&kernels_avx512bf16,
	&kernels_avx512,
	&kernels_avx2,
#elif defined(__aarch64__)
	&kernels_neon,
#endif
	&kernels_portable,
	NULL,
    /* clang-format on */
};

#if defined(__x86_64__)

static bool has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl");
}

/* Leaf 7, sub-leaf 1, EAX bit 5. */
static bool has_avx512bf16(void)
{
	unsigned a, b, c, d;

	return has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

/* Leaf 7, EDX bits 22 (AMX-BF16) and 24 (AMX-TILE). Linux wants to be asked for the tiles' 8 KiB in each process. */
static bool has_amx(void)
{
#if defined(__linux__)
	enum { ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18 };
	unsigned a, b, c, d;

	return has_avx512bf16() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1) &&
	       syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
#else
	return false;
#endif
}

#endif

bool kernels_usable(const struct kernels *set)
{
#if defined(__x86_64__)
	if (set == &kernels_amx)
		return has_amx();
	if (set == &kernels_avx512bf16)
		return has_avx512bf16();
	if (set == &kernels_avx512)
		return has_avx512();
	if (set == &kernels_avx2)
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#if defined(__aarch64__)
	if (set == &kernels_neon)
		return true;
#endif
	return set == &kernels_portable;
}

static bool only_for_bf16(const struct kernels *set)
{
	return strcmp(set->name, "amx") == 0 || strcmp(set->name, "avx512bf16") == 0;
}

/* "a, b or c": the sets that were compiled in. */
static const char *all_names(char *text, size_t size)
{
	size_t used = 0;

	for (int i = 0; kernels_all[i]; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s",
					 i == 0		      ? ""
					 : kernels_all[i + 1] ? ", "
							      : " or ",
					 kernels_all[i]->name);
	return text;
}

/* The best set of a processor without AVX512-BF16, with the products of one that has it. */
static const struct kernels *emulating(void)
{
	static struct kernels set;
	int i = 0;

	while (!kernels_usable(kernels_all[i]))
		i++;
	set = *kernels_all[i];
	set.name = "avx512bf16";
	set.bf16_products = true;
	return &set;
}

enum nn_status kernels_select(const struct kernels **out, const char *name, bool bf16)
{
	bool any = !name || !*name, emulated = !any && strcmp(name, "avx512bf16") == 0;
	char names[128];

	*out = NULL;
	for (int i = 0; kernels_all[i]; i++) {
		if (any ? only_for_bf16(kernels_all[i]) && !bf16 : strcmp(kernels_all[i]->name, name) != 0)
			continue;
		if (kernels_usable(kernels_all[i])) {
			*out = kernels_all[i];
			return NN_OK;
		}
		if (!any && !emulated)
			return nn_error(NN_ERR_USAGE, "RESNET_ISA=%s: this processor cannot run it; unset RESNET_ISA", name);
	}
	if (emulated) {
		*out = emulating();
		return NN_OK;
	}
	return nn_error(NN_ERR_USAGE, "RESNET_ISA=%s: unknown instruction set; use %s", name, all_names(names, sizeof(names)));
}
