/* Which image comes when: pure functions of seed, epoch, step and shard. */
#ifndef TRAINER_DATA_SAMPLER_H
#define TRAINER_DATA_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* order = the images 0 .. count-1 in the random order of this epoch, the same on every rank.
 * Source: Fisher and Yates' shuffle; the numbers come from rng_stream(seed, epoch, a constant). */
void sampler_permutation(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch);

/* Images that stay neighbours until the shuffle of a window parts them, so that a disk reads them in one go. */
enum { SAMPLER_BLOCK = 32 };

/* How an epoch is shuffled in two levels. Place b of every global batch is a stream: it takes its images from a run of the data set
 * that no other stream reads. */
struct sampler_windows {
	size_t count; /* images */
	size_t global_batch;
	size_t depth; /* steps of a stream in a window, at least 1: its window holds so many images */
};

/* order = the images 0 .. count-1 in an order of this epoch: blocks of SAMPLER_BLOCK images in random order are cut into one run
 * for each stream, and inside a stream each window is in random order. A function of windows, seed and epoch; the same on every
 * rank. `blocks` is room for sampler_blocks(count) numbers. */
void sampler_window_order(uint32_t *order, uint32_t *blocks, const struct sampler_windows *windows, uint64_t seed, uint64_t epoch);

size_t sampler_blocks(size_t count);

/* Steps of the epoch in which the global batch has a place `stream`, a last partial batch included. */
size_t sampler_stream_length(const struct sampler_windows *windows, size_t stream);

/* Window number `window` of the stream is steps [*begin, *end) of the epoch; empty behind the last one. The streams' windows begin
 * at different steps, evenly spread. */
void sampler_window_range(size_t *begin, size_t *end, const struct sampler_windows *windows, size_t stream, size_t window);

/* The number of the window that holds a step. */
size_t sampler_window_at(const struct sampler_windows *windows, size_t stream, size_t step);

/* Steps of an epoch of `count` images. A last partial batch is a step of its own, unless drop_last. An epoch smaller than one batch
 * is one (partial) step also with drop_last, because there would be nothing to train on otherwise. 0 only for no images. */
size_t sampler_steps(size_t count, size_t global_batch, bool drop_last);

/* Images in the global batch of step `step` of the epoch, step < sampler_steps. */
size_t sampler_batch_size(size_t step, size_t count, size_t global_batch);

/* Shard `shard` of `shards` of that step's batch holds the positions [*begin, *end) of the epoch's order; they may be empty. */
void sampler_range(size_t *begin, size_t *end, size_t step, int shard, int shards, size_t count, size_t global_batch);

#endif
