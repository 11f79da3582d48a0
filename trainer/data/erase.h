/* Random erasing: a rectangle of the normalised sample becomes 0.
 * Source: Zhong et al. 2017, "Random Erasing Data Augmentation"; torchvision's RandomErasing with its default scale and ratio. */
#ifndef TRAINER_DATA_ERASE_H
#define TRAINER_DATA_ERASE_H

#include "nn/core/rng.h"

/* With this probability, zeros in 2 to 33 % of the area, 0.3 to 3.3 times as high as wide. Shapes: sample (size, size, 3), HWC. */
void erase_random(float *sample, int size, double probability, struct rng *rng);

#endif
