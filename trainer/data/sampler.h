/* Which image comes when: pure functions of seed, epoch, step and shard. */
#ifndef TRAINER_DATA_SAMPLER_H
#define TRAINER_DATA_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* order = the images 0 .. count-1 in the random order of this epoch, the same on every rank.
 * Source: Fisher and Yates' shuffle; the numbers come from rng_stream(seed, epoch, a constant). */
void sampler_permutation(uint32_t *order, size_t count, uint64_t seed, uint64_t epoch);

/* Steps of an epoch of `count` images. A last partial batch is a step of its own, unless drop_last. An epoch smaller than one batch
 * is one (partial) step also with drop_last, because there would be nothing to train on otherwise. 0 only for no images. */
size_t sampler_steps(size_t count, size_t global_batch, bool drop_last);

/* Images in the global batch of step `step` of the epoch, step < sampler_steps. */
size_t sampler_batch_size(size_t step, size_t count, size_t global_batch);

/* Shard `shard` of `shards` of that step's batch holds the positions [*begin, *end) of the epoch's order; they may be empty. */
void sampler_range(size_t *begin, size_t *end, size_t step, int shard, int shards, size_t count, size_t global_batch);

#endif
