/* Counter-based random numbers: a value depends on its key and counter only, never on who asked before.
 * Source: Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3" (the idea); SplitMix64's finaliser (Steele et al. 2014)
 * as the mixer. */
#ifndef NN_CORE_RNG_H
#define NN_CORE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t key;
	uint64_t counter;
};

/* A stream for (seed, a, b): for example seed, epoch, sample. Different triples give independent streams. */
struct rng rng_stream(uint64_t seed, uint64_t a, uint64_t b);

/* 64 uniform bits; advances the counter. */
uint64_t rng_next(struct rng *rng);

/* Uniform in [0, 1), 53 bits. */
double rng_uniform(struct rng *rng);

/* Uniform integer in [0, below), without bias; below > 0. */
uint64_t rng_below(struct rng *rng, uint64_t below);

/* Standard normal (Box-Muller). */
double rng_normal(struct rng *rng);

#endif
