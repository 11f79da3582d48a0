/* Every node adds everything, by recursive doubling along the tree (comm/doubling.h): about log N messages of the whole vector. For
 * short ones. */
#include <string.h>

#include "comm/node_reducer.h"
#include "nn/core/bf16.h"

static void add_floats(const void *context, void *into, const void *from, size_t bytes)
{
	float *sum = into;
	const float *other = from;

	(void)context;
	for (size_t i = 0; i < bytes / sizeof(*sum); i++)
		sum[i] += other[i];
}

static void add_bf16(const void *context, void *into, const void *from, size_t bytes)
{
	uint16_t *sum = into;
	const uint16_t *other = from;

	(void)context;
	for (size_t i = 0; i < bytes / sizeof(*sum); i++)
		sum[i] = bf16_from_float(bf16_to_float(sum[i]) + bf16_to_float(other[i]));
}

static void sum_floats(struct node_reducer *reducer, float *total, float *const *sums, size_t count)
{
	struct doubling_values values = {.slots = reducer->slots, .bytes = count * sizeof(float), .merge = add_floats};

	for (int i = 0; i < reducer->doubling.plan.own; i++)
		memcpy((float *)reducer->slots + (size_t)i * count, sums[i], values.bytes);
	memcpy(total, doubling_run(&reducer->doubling, &values), values.bytes);
}

static void sum_bf16(struct node_reducer *reducer, float *total, float *const *sums, size_t count)
{
	struct doubling_values values = {.slots = reducer->slots, .bytes = count * sizeof(uint16_t), .merge = add_bf16};
	const uint16_t *result;

	for (int i = 0; i < reducer->doubling.plan.own; i++)
		for (size_t k = 0; k < count; k++)
			((uint16_t *)reducer->slots)[(size_t)i * count + k] = bf16_from_float(sums[i][k]);
	result = doubling_run(&reducer->doubling, &values);
	for (size_t k = 0; k < count; k++)
		total[k] = bf16_to_float(result[k]);
}

void reduce_doubling(struct node_reducer *reducer, float *total, float *const *sums, size_t count)
{
	if (reducer->comm->nodes == 2)
		reduce_pair(reducer, total, sums, count);
	else if (reducer->bf16)
		sum_bf16(reducer, total, sums, count);
	else
		sum_floats(reducer, total, sums, count);
}
