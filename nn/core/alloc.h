/* Heap memory: zeroed, aligned for vectors, in huge pages when large, counted, and able to fail on purpose in tests. */
#ifndef NN_CORE_ALLOC_H
#define NN_CORE_ALLOC_H

#include <stddef.h>

#include "nn/core/status.h"

#define NN_ALIGN 64

/* *out = `bytes` zeroed bytes aligned to NN_ALIGN (never NULL on success, also for 0 bytes).
 * Ownership: the caller's, freed by nn_free. Errors: NN_ERR_MEMORY; *out is then NULL. Thread-safe. */
enum nn_status nn_alloc(void *out, size_t bytes);

/* Frees what nn_alloc gave; NULL is allowed. */
void nn_free(void *memory);

/* Allocations made so far, in the whole process. Tests use it to show that a step allocates nothing. */
long nn_alloc_count(void);

/* Makes the Nth allocation from now (1 = the next) fail, once; 0 switches off. For tests. */
void nn_alloc_fail_at(long nth);

#endif
