/* Memory that is wanted soon.
 *
 * A convolution computes while the memory is idle; what lies between convolutions waits for it. So while the tiles of one chunk of
 * samples compute, they ask for what the next chunk will read and write, line by line: struct prefetch in nn/kernels/kernels.h.
 * Products of bf16 do not, and Winograd's products with large weights ask for weights instead. */
#ifndef NN_LAYERS_AHEAD_H
#define NN_LAYERS_AHEAD_H

#include <stddef.h>
#include <stdint.h>

#include "nn/kernels/kernels.h"

enum { AHEAD_SPANS = 6 };

struct span {
	uintptr_t from, end; /* addresses */
};

/* One thread's. Spans come in the order in which they were added. All zeros: nothing is wanted. */
struct ahead {
	struct span spans[AHEAD_SPANS];
	int first, count; /* of the spans that are left; asking changes the first one's `from` */
};

static inline void ahead_clear(struct ahead *ahead)
{
	ahead->first = ahead->count = 0;
}

/* Spans too many are left out: nothing but time is lost. */
static inline void ahead_add(struct ahead *ahead, const void *from, size_t bytes)
{
	if (ahead->first + ahead->count < AHEAD_SPANS)
		ahead->spans[ahead->first + ahead->count++] = (struct span){(uintptr_t)from, (uintptr_t)from + bytes};
}

/* What a tile with so many steps in its inner loop asks for. ahead may be NULL. */
static inline struct prefetch ahead_take(struct ahead *ahead, const struct kernels *kernels, int steps)
{
	struct prefetch prefetch = {(uintptr_t)kernels, 0};
	struct span *span;

	if (!ahead || ahead->count == 0)
		return prefetch;
	span = &ahead->spans[ahead->first];
	prefetch = (struct prefetch){span->from, (uintptr_t)kernels->prefetch_step};
	span->from += prefetch.step * (uintptr_t)steps;
	if (span->from >= span->end) {
		ahead->first++;
		ahead->count--;
	}
	return prefetch;
}

#endif
