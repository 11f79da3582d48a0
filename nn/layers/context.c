#include "nn/layers/context.h"

#include <string.h>

void context_gather(const struct context *context, int channels, size_t parts, enum merge merge)
{
	size_t width = 1 + 2 * (size_t)channels;
	int local = context->shards.hi - context->shards.lo;

	memset(context->shard_rows, 0, (size_t)(local ? local : 1) * width * sizeof(double));
	for (int i = 0; i < local; i++)
		for (size_t n = context->shard_begin[i] * parts; n < context->shard_begin[i + 1] * parts; n++)
			statistics_merge(context->shard_rows + (size_t)i * width, context->sample_rows + n * width, channels,
					 merge);
	if (context->exchange_begin)
		context->exchange_begin(context->exchange_context, context->shard_rows, channels, merge);
}

enum nn_status context_total(const double **total, const struct context *context, int channels, enum merge merge)
{
	*total = context->shard_rows;
	if (context->exchange)
		return context->exchange(context->exchange_context, context->shard_rows, channels, merge);
	statistics_subtree(context->shard_rows, 0, context->shards.hi - context->shards.lo, channels, merge);
	return NN_OK;
}
