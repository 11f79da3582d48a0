#include "trainer/run/sample_order.h"

#include <stdlib.h>
#include <string.h>

#include "nn/core/alloc.h"
#include "trainer/data/sampler.h"

static int increasing(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

enum nn_status sample_split_init(struct sample_split *split, size_t count, size_t holdout, uint64_t seed)
{
	enum nn_status status;

	*split = (struct sample_split){.train_count = count - holdout, .holdout_count = holdout};
	if (holdout >= count)
		return nn_error(NN_ERR_USAGE, "--holdout %zu leaves none of the %zu training images; use fewer", holdout, count);
	status = nn_alloc(&split->images, count * sizeof(*split->images));
	if (status != NN_OK)
		return status;
	sampler_permutation(split->images, count, seed, UINT64_MAX);
	qsort(split->images, split->train_count, sizeof(*split->images), increasing);
	qsort(split->images + split->train_count, holdout, sizeof(*split->images), increasing);
	return NN_OK;
}

void sample_split_release(struct sample_split *split)
{
	nn_free(split->images);
	memset(split, 0, sizeof(*split));
}

enum nn_status sample_order_init(struct sample_order *order, const struct sample_split *split)
{
	memset(order, 0, sizeof(*order));
	order->split = split;
	order->permutation_epoch = UINT64_MAX;
	return nn_alloc(&order->permutation, split->train_count * sizeof(*order->permutation));
}

void sample_order_release(struct sample_order *order)
{
	nn_free(order->permutation);
	order->permutation = NULL;
}

static void enter_epoch(struct sample_order *order)
{
	size_t count = order->split->train_count;

	if (order->shuffle)
		sampler_permutation(order->permutation, count, order->seed, order->epoch);
	else
		for (size_t i = 0; i < count; i++)
			order->permutation[i] = (uint32_t)i;
	order->permutation_epoch = order->epoch;
}

bool sample_order_next(uint32_t *images, size_t *samples, uint64_t *epoch, void *context)
{
	struct sample_order *order = context;
	size_t begin = 0, end = 0, count = order->split->train_count;

	if (order->step == order->steps_per_epoch) {
		order->step = 0;
		order->epoch++;
	}
	if (order->permutation_epoch != order->epoch)
		enter_epoch(order);
	*samples = 0;
	*epoch = order->epoch;
	for (int v = order->shards.lo; v < order->shards.hi; v++) {
		sampler_range(&begin, &end, (size_t)order->step, v, order->shards.count, count, order->global_batch);
		for (size_t i = begin; i < end; i++)
			images[(*samples)++] = order->split->images[order->permutation[i]];
	}
	if (order->partners && *samples > 0) {
		size_t first = (size_t)order->step * order->global_batch;
		size_t size = sampler_batch_size((size_t)order->step, count, order->global_batch);

		images[(*samples)++] = order->split->images[order->permutation[end < first + size ? end : first]];
	}
	order->step++;
	return true;
}

bool sample_range_next(uint32_t *images, size_t *samples, uint64_t *epoch, void *context)
{
	struct sample_range *range = context;

	*epoch = 0;
	*samples = 0;
	while (range->next < range->end && *samples < range->batch) {
		images[(*samples)++] = range->images ? range->images[range->next] : (uint32_t)range->next;
		range->next++;
	}
	return *samples > 0;
}
