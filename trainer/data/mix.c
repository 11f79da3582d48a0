#include "trainer/data/mix.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* Sets these random numbers apart from those of the augmentation, whose third key is the sample's 32 bits. */
static const uint64_t mix_key = UINT64_C(1) << 32;

bool mix_is_on(const struct mix *mix)
{
	return mix->mixup > 0 || mix->cutmix > 0;
}

struct rng mix_stream(uint64_t seed, uint64_t epoch, uint32_t sample)
{
	return rng_stream(seed, epoch, mix_key | sample);
}

/* The logarithm of a gamma variate: for a small alpha the variate itself may be too small for a double. */
static double log_gamma_variate(struct rng *rng, double alpha)
{
	double shape = alpha < 1 ? alpha + 1 : alpha, d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);

	for (;;) {
		double x = rng_normal(rng), u = 1 - rng_uniform(rng), v = 1 + c * x;

		if (v <= 0)
			continue;
		v = v * v * v;
		if (log(u) >= 0.5 * x * x + d - d * v + d * log(v))
			continue;
		return log(d) + log(v) + (alpha < 1 ? log(1 - rng_uniform(rng)) / alpha : 0);
	}
}

double mix_beta(struct rng *rng, double alpha)
{
	double a = log_gamma_variate(rng, alpha), b = log_gamma_variate(rng, alpha);

	return 1 / (1 + exp(b - a));
}

static void blend(float *sample, const float *partner, size_t count, float share)
{
	float other = 1 - share;

	for (size_t i = 0; i < count; i++)
		sample[i] = share * sample[i] + other * partner[i];
}

/* [*begin, *end) = what a length around a random middle covers of [0, size). */
static void cut(int *begin, int *end, int length, int size, struct rng *rng)
{
	int middle = (int)rng_below(rng, (uint64_t)size);

	*begin = middle - length / 2 > 0 ? middle - length / 2 : 0;
	*end = middle + length / 2 < size ? middle + length / 2 : size;
}

static float paste(float *sample, const float *partner, int size, double share, struct rng *rng)
{
	int length = (int)(size * sqrt(1 - share));
	int left, right, top, bottom;

	cut(&left, &right, length, size, rng);
	cut(&top, &bottom, length, size, rng);
	for (int y = top; y < bottom; y++) {
		size_t at = ((size_t)y * (size_t)size + (size_t)left) * 3;

		memcpy(sample + at, partner + at, (size_t)(right - left) * 3 * sizeof(*sample));
	}
	return (float)(1 - (double)(right - left) * (bottom - top) / ((double)size * size));
}

float mix_samples(float *sample, const float *partner, int size, const struct mix *mix, struct rng rng)
{
	bool cutmix = mix->cutmix > 0 && (mix->mixup <= 0 || rng_next(&rng) >> 63);
	double share = mix_beta(&rng, cutmix ? mix->cutmix : mix->mixup);

	if (cutmix)
		return paste(sample, partner, size, share, &rng);
	blend(sample, partner, (size_t)size * (size_t)size * 3, (float)share);
	return (float)share;
}
