#include "nn/core/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long made;
static atomic_long fail_in;

enum nn_status nn_alloc(void *out, size_t bytes)
{
	void **slot = out;
	size_t rounded = (bytes + NN_ALIGN - 1) / NN_ALIGN * NN_ALIGN;

	*slot = NULL;
	atomic_fetch_add(&made, 1);
	if (atomic_load(&fail_in) > 0 && atomic_fetch_sub(&fail_in, 1) == 1)
		return nn_error(NN_ERR_MEMORY, "out of memory (%zu bytes; failure asked for by a test)", bytes);
	if (rounded < bytes)
		return nn_error(NN_ERR_MEMORY, "out of memory: %zu bytes asked for", bytes);
	*slot = aligned_alloc(NN_ALIGN, rounded ? rounded : NN_ALIGN);
	if (!*slot)
		return nn_error(NN_ERR_MEMORY, "out of memory: %zu bytes asked for; use a smaller batch or model", bytes);
	memset(*slot, 0, rounded ? rounded : NN_ALIGN);
	return NN_OK;
}

void nn_free(void *memory)
{
	free(memory);
}

long nn_alloc_count(void)
{
	return atomic_load(&made);
}

void nn_alloc_fail_at(long nth)
{
	atomic_store(&fail_in, nth);
}
