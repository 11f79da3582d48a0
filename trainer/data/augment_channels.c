#include <math.h>

#include "trainer/data/augment.h"

void augment_channel_sums(uint64_t sums[3], uint64_t squares[3], uint64_t *pixels, const struct image *image)
{
	size_t count = (size_t)image->width * (size_t)image->height;

	for (size_t i = 0; i < count; i++)
		for (int c = 0; c < 3; c++) {
			unsigned value = image->pixels[i * 3 + (size_t)c];

			sums[c] += value;
			squares[c] += value * value;
		}
	*pixels += count;
}

void augment_channel_moments(float mean[3], float inverse_std[3], const uint64_t sums[3], const uint64_t squares[3],
			     uint64_t pixels)
{
	double count = (double)pixels;

	for (int c = 0; c < 3; c++) {
		double average = (double)sums[c] / count;
		double deviations = (double)squares[c] - average * (double)sums[c];
		double variance = pixels > 1 ? deviations / (count - 1) : 0;

		mean[c] = (float)(average / 255);
		inverse_std[c] = variance > 0 ? (float)(255 / sqrt(variance)) : 1.0f;
	}
}
