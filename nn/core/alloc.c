#include "nn/core/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* From this size on memory is asked for in huge pages, where the system has them: a layer walks over more pages of 4 KiB than the
 * processor keeps translations of. */
static const size_t huge_page = (size_t)2 << 20;

static atomic_long made;
static atomic_long fail_in;

/* `rounded` bytes, a multiple of NN_ALIGN. */
static void *aligned_memory(size_t rounded)
{
	size_t whole = (rounded + huge_page - 1) / huge_page * huge_page;
	void *memory;

	if (rounded < 2 * huge_page || whole < rounded)
		return aligned_alloc(NN_ALIGN, rounded);
	memory = aligned_alloc(huge_page, whole);
#ifdef MADV_HUGEPAGE
	if (memory)
		madvise(memory, whole, MADV_HUGEPAGE); /* a wish: nothing depends on its success */
#endif
	return memory;
}

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
	*slot = aligned_memory(rounded ? rounded : NN_ALIGN);
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
