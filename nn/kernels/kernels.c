#include "nn/kernels/kernels.h"

#include <string.h>

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
#endif

const struct kernels *const kernels_all[] = {
#if defined(__x86_64__)
    &kernels_avx512,
    &kernels_avx2,
#endif
    &kernels_portable,
    NULL,
};

bool kernels_usable(const struct kernels *set)
{
#if defined(__x86_64__)
	if (set == &kernels_avx512)
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
	if (set == &kernels_avx2)
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
	return set == &kernels_portable;
}

enum nn_status kernels_select(const struct kernels **out, const char *name)
{
	bool any = !name || !*name;

	*out = NULL;
	for (int i = 0; kernels_all[i]; i++) {
		if (!any && strcmp(kernels_all[i]->name, name) != 0)
			continue;
		if (kernels_usable(kernels_all[i])) {
			*out = kernels_all[i];
			return NN_OK;
		}
		if (!any)
			return nn_error(NN_ERR_USAGE, "RESNET_ISA=%s: this processor cannot run it; unset RESNET_ISA", name);
	}
	return nn_error(NN_ERR_USAGE, "RESNET_ISA=%s: unknown instruction set; use avx512, avx2 or portable", name);
}
