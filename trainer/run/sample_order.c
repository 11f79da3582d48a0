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

static struct sampler_windows windows_of(const struct sample_order *order)
{
	size_t depth = order->window / order->global_batch;

	return (struct sampler_windows){order->split->train_count, order->global_batch, depth > 1 ? depth : 1};
}

static bool has_windows(const struct sample_order *order)
{
	return order->window > 0 && order->window < order->split->train_count;
}

enum nn_status sample_order_init(struct sample_order *order, const struct sample_split *split, size_t window, size_t global_batch)
{
	enum nn_status status;

	memset(order, 0, sizeof(*order));
	order->split = split;
	order->window = window;
	order->global_batch = global_batch;
	order->permutation_epoch = UINT64_MAX;
	status = nn_alloc(&order->permutation, split->train_count * sizeof(*order->permutation));
	if (status == NN_OK && has_windows(order))
		status = nn_alloc(&order->blocks, sampler_blocks(split->train_count) * sizeof(*order->blocks));
	if (status == NN_OK && has_windows(order))
		status = nn_alloc(&order->ahead, windows_of(order).depth * sizeof(*order->ahead));
	return status;
}

void sample_order_release(struct sample_order *order)
{
	nn_free(order->permutation);
	nn_free(order->blocks);
	nn_free(order->ahead);
	order->permutation = order->blocks = order->ahead = NULL;
}

static void enter_epoch(struct sample_order *order)
{
	const struct sampler_windows windows = windows_of(order);
	size_t count = order->split->train_count;

	if (order->shuffle && has_windows(order))
		sampler_window_order(order->permutation, order->blocks, &windows, order->seed, order->epoch);
	else if (order->shuffle)
		sampler_permutation(order->permutation, count, order->seed, order->epoch);
	else
		for (size_t i = 0; i < count; i++)
			order->permutation[i] = (uint32_t)i;
	order->permutation_epoch = order->epoch;
}

/* Names a window's images, run by run: neighbours are read at once. A gap of one block, as --holdout makes them, is read over. */
static void announce_window(const struct sample_order *order, const struct sampler_windows *windows, size_t stream, size_t window)
{
	size_t begin, end, count = 0, first = 0;

	sampler_window_range(&begin, &end, windows, stream, window);
	for (size_t step = begin; step < end; step++)
		order->ahead[count++] = order->split->images[order->permutation[step * order->global_batch + stream]];
	qsort(order->ahead, count, sizeof(*order->ahead), increasing);
	for (size_t i = 1; i <= count; i++)
		if (i == count || order->ahead[i] - order->ahead[i - 1] > SAMPLER_BLOCK) {
			dataset_will_read(order->dataset, order->ahead[first], (size_t)order->ahead[i - 1] + 1);
			first = i;
		}
}

/* Announces what places [begin, end) of the coming batches will need: where a stream enters a window, the one behind it; at a
 * start, the window itself, too. */
static void announce(const struct sample_order *order, size_t begin, size_t end, bool start)
{
	const struct sampler_windows windows = windows_of(order);

	for (size_t stream = begin; stream < end; stream++) {
		size_t window = sampler_window_at(&windows, stream, (size_t)order->step), first, last;

		sampler_window_range(&first, &last, &windows, stream, window);
		if (start)
			announce_window(order, &windows, stream, window);
		if (start || first == (size_t)order->step)
			announce_window(order, &windows, stream, window + 1);
	}
}

bool sample_order_next(uint32_t *images, size_t *samples, uint64_t *epoch, void *context)
{
	struct sample_order *order = context;
	size_t begin = 0, end = 0, count = order->split->train_count, before;
	bool start;

	if (order->step == order->steps_per_epoch) {
		order->step = 0;
		order->epoch++;
	}
	start = order->permutation_epoch != order->epoch;
	if (start)
		enter_epoch(order);
	before = (size_t)order->step * order->global_batch;
	*samples = 0;
	*epoch = order->epoch;
	for (int v = order->shards.lo; v < order->shards.hi; v++) {
		sampler_range(&begin, &end, (size_t)order->step, v, order->shards.count, count, order->global_batch);
		for (size_t i = begin; i < end; i++)
			images[(*samples)++] = order->split->images[order->permutation[i]];
		if (order->dataset && order->shuffle && has_windows(order))
			announce(order, begin - before, end - before, start);
	}
	if (order->partners && *samples > 0) {
		size_t first = before;
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
