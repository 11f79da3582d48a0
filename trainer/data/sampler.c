#include "trainer/data/sampler.h"

#include "nn/core/rng.h"
#include "nn/core/shards.h"

/* Sets the shuffle's random numbers apart from those of the samples, whose third key is their index. The streams of a shuffle in
 * two levels count down from the second. */
static const uint64_t shuffle_key = UINT64_MAX, stream_key = UINT64_MAX - 1;

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

size_t sampler_blocks(size_t count)
{
	return (count + SAMPLER_BLOCK - 1) / SAMPLER_BLOCK;
}

size_t sampler_stream_length(const struct sampler_windows *windows, size_t stream)
{
	return stream < windows->count ? (windows->count - stream - 1) / windows->global_batch + 1 : 0;
}

/* Steps that the stream's first window is short of: windows of all streams at once would be read at once. */
static size_t phase_of(const struct sampler_windows *windows, size_t stream)
{
	return stream * windows->depth / windows->global_batch;
}

void sampler_window_range(size_t *begin, size_t *end, const struct sampler_windows *windows, size_t stream, size_t window)
{
	size_t phase = phase_of(windows, stream), length = sampler_stream_length(windows, stream);

	*begin = window == 0 ? 0 : window * windows->depth - phase;
	*end = (window + 1) * windows->depth - phase;
	*begin = *begin < length ? *begin : length;
	*end = *end < length ? *end : length;
}

size_t sampler_window_at(const struct sampler_windows *windows, size_t stream, size_t step)
{
	return (step + phase_of(windows, stream)) / windows->depth;
}

/* Gives every stream its run, without shuffling. */
static void deal_blocks(uint32_t *order, const uint32_t *blocks, const struct sampler_windows *windows)
{
	size_t block = 0, offset = 0;

	for (size_t stream = 0; stream < windows->global_batch && stream < windows->count; stream++)
		for (size_t at = stream; at < windows->count; at += windows->global_batch) {
			size_t image = (size_t)blocks[block] * SAMPLER_BLOCK + offset;

			order[at] = (uint32_t)image;
			offset++;
			if (offset == SAMPLER_BLOCK || image + 1 == windows->count) {
				block++;
				offset = 0;
			}
		}
}

/* Shuffles steps [begin, end) of a stream. */
static void shuffle_window(uint32_t *order, struct rng *rng, size_t stream, size_t stride, size_t begin, size_t end)
{
	for (size_t i = end; i > begin + 1; i--) {
		size_t j = begin + (size_t)rng_below(rng, i - begin);
		uint32_t last = order[(i - 1) * stride + stream];

		order[(i - 1) * stride + stream] = order[j * stride + stream];
		order[j * stride + stream] = last;
	}
}

void sampler_window_order(uint32_t *order, uint32_t *blocks, const struct sampler_windows *windows, uint64_t seed, uint64_t epoch)
{
	sampler_permutation(blocks, sampler_blocks(windows->count), seed, epoch);
	deal_blocks(order, blocks, windows);
	for (size_t stream = 0; stream < windows->global_batch && stream < windows->count; stream++) {
		struct rng rng = rng_stream(seed, epoch, stream_key - stream);
		size_t begin = 0, end = 0, length = sampler_stream_length(windows, stream);

		for (size_t window = 0; end < length; window++) {
			sampler_window_range(&begin, &end, windows, stream, window);
			shuffle_window(order, &rng, stream, windows->global_batch, begin, end);
		}
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
