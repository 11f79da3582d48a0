/* Places buffers with known lifetimes in one block of memory, so that buffers which never live at the same time share it. */
#ifndef NN_MODELS_PLAN_H
#define NN_MODELS_PLAN_H

#include <stddef.h>

#include "nn/core/status.h"

/* Alive in every time step first .. last. `offset` is the result. Sizes and offsets in floats; size 0 takes no room. */
struct plan_item {
	size_t size;
	int first, last;
	size_t offset;
};

/* Fills in the offsets (multiples of 16 floats) and *total. Items are placed from the largest to the smallest, each at the lowest
 * place that is free during its life. Errors: NN_ERR_MEMORY. */
enum nn_status plan_place(struct plan_item *items, int count, size_t *total);

/* *peak = the most that is alive at once, *time = the first time step at which that is. Errors: NN_ERR_MEMORY. */
enum nn_status plan_peak(size_t *peak, int *time, const struct plan_item *items, int count);

#endif
