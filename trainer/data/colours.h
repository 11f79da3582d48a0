/* Statistics of the colours in a set of pictures: exact sums over pixels, added in whatever order and on however many ranks, and
 * what follows from them. */
#ifndef TRAINER_DATA_COLOURS_H
#define TRAINER_DATA_COLOURS_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/data/image.h"

/* Sums over pixels of 0 to 255. All int64 so that ranks can add them up as one vector. Starts as {0}. */
struct colour_sums {
	int64_t pixels;
	int64_t sums[3];
	int64_t products[3][3]; /* symmetric; the squares on the diagonal */
};

/* Adds a picture's pixels. */
void colours_add(struct colour_sums *sums, const struct image *image);

/* Adds the sums over other pictures. False, and nothing is added, when the result would not fit. */
bool colours_join(struct colour_sums *sums, const struct colour_sums *more);

/* The mean of each channel and 1 / its standard deviation, in units of 0 to 1; the deviation is the sample's (n - 1), as
 * torch.std's. A constant channel gets inverse_std 1. Needs at least one pixel. */
void colours_moments(float mean[3], float inverse_std[3], const struct colour_sums *sums);

/* axes[i] = eigenvalue times eigenvector (red, green, blue) of the colours' covariance matrix in units of 0 to 1, the largest
 * first, the greatest component of each positive. Source: Krizhevsky et al. 2012, section 4.1; Jacobi's method. */
void colours_axes(float axes[3][3], const struct colour_sums *sums);

#endif
