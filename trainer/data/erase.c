#include "trainer/data/erase.h"

#include <math.h>
#include <string.h>

#include "trainer/data/fit.h"

enum { TRIES = 10 };

static void clear(float *sample, int size, int x, int y, int width, int height)
{
	for (int row = y; row < y + height; row++)
		memset(sample + ((size_t)row * (size_t)size + (size_t)x) * 3, 0, (size_t)width * 3 * sizeof(*sample));
}

void erase_random(float *sample, int size, double probability, struct rng *rng)
{
	const double least_area = 0.02, most_area = 0.33, least_ratio = 0.3, most_ratio = 3.3;

	if (rng_uniform(rng) >= probability)
		return;
	for (int i = 0; i < TRIES; i++) {
		double area = (double)size * size * (least_area + (most_area - least_area) * rng_uniform(rng));
		double ratio = exp(log(least_ratio) + (log(most_ratio) - log(least_ratio)) * rng_uniform(rng));
		int height = round_to_even(sqrt(area * ratio)), width = round_to_even(sqrt(area / ratio));
		int x, y;

		if (height >= size || width >= size)
			continue;
		y = (int)rng_below(rng, (uint64_t)(size - height) + 1);
		x = (int)rng_below(rng, (uint64_t)(size - width) + 1);
		clear(sample, size, x, y, width, height);
		return;
	}
}
