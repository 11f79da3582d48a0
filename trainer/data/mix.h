/* Mixing training samples by pairs: mixup and cutmix. The partner of a sample is the next one of the global batch, the first one
 * for the last, and the random numbers are the sample's own, so that neither shards, ranks nor threads decide on bits. Source:
 * Zhang et al. 2017, "mixup: Beyond Empirical Risk Minimization"; Yun et al. 2019, "CutMix". */
#ifndef TRAINER_DATA_MIX_H
#define TRAINER_DATA_MIX_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/core/rng.h"

/* Alpha of each: the share of a sample is drawn from Beta(alpha, alpha). 0: off. With both, a coin decides for each sample. */
struct mix {
	double mixup, cutmix;
};

bool mix_is_on(const struct mix *mix);

/* The stream of random numbers with which a sample is mixed; another one than that of its augmentation. */
struct rng mix_stream(uint64_t seed, uint64_t epoch, uint32_t sample);

/* sample = its mixture with partner: share * sample + (1 - share) * partner, or with a rectangle of (1 - share) of the area from
 * the partner, cut off at the border. Returns the sample's share of the label: for cutmix of the area that is left. Shapes: (size,
 * size, 3) both, HWC. */
float mix_samples(float *sample, const float *partner, int size, const struct mix *mix, struct rng rng);

/* Beta(alpha, alpha), from two gamma variates. Source: Marsaglia and Tsang 2000. */
double mix_beta(struct rng *rng, double alpha);

#endif
