#include "trainer/data/sampler.h"

#include "nn/core/rng.h"
#include "nn/core/shards.h"

/* Sets the shuffle's random numbers apart from those of the samples, whose third key is their index. */
static const uint64_t shuffle_key = UINT64_MAX;

void sampler_permutation(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch)
{
	struct rng rng = rng_stream(seed, epoch, shuffle_key);

	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	for (size_t i = count; i > 1; i--) {
		size_t j = (size_t)rng_below(&rng, i);
		uint32_t last = order[i - 1];

		order[i - 1] = order[j];
		order[j] = last;
	}
}

size_t sampler_steps(size_t count, size_t global_batch, bool drop_last)
{
	size_t whole = count / global_batch;
	bool partial = count % global_batch != 0;

	return whole + (partial && (!drop_last || whole == 0));
}

size_t sampler_batch_size(size_t step, size_t count, size_t global_batch)
{
	size_t left = count - step * global_batch;

	return left < global_batch ? left : global_batch;
}

void sampler_range(size_t *begin, size_t *end, size_t step, int shard, int shards, size_t count, size_t global_batch)
{
	size_t size = sampler_batch_size(step, count, global_batch);

	*begin = step * global_batch + shard_begin(shard, shards, size);
	*end = step * global_batch + shard_begin(shard + 1, shards, size);
}
