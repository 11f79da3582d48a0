#include "nn/core/rng.h"

#include <math.h>

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

struct rng rng_stream(uint64_t seed, uint64_t a, uint64_t b)
{
	uint64_t key = mix(seed + 0x9e3779b97f4a7c15u);

	key = mix(key ^ mix(a + 0x3c6ef372fe94f82bu));
	key = mix(key ^ mix(b + 0xdaa66d2c7ddf743fu));
	return (struct rng){.key = key, .counter = 0};
}

uint64_t rng_next(struct rng *rng)
{
	return mix(rng->key + 0x9e3779b97f4a7c15u * ++rng->counter);
}

double rng_uniform(struct rng *rng)
{
	return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

uint64_t rng_below(struct rng *rng, uint64_t below)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % below;
	uint64_t value;

	do
		value = rng_next(rng);
	while (value >= limit);
	return value % below;
}

double rng_normal(struct rng *rng)
{
	double radius = sqrt(-2.0 * log(1.0 - rng_uniform(rng)));

	return radius * cos(6.283185307179586 * rng_uniform(rng));
}
