/* The inner loops of resize.c, in whole numbers, so that every instruction set gives the same bits. Not for others. */
#ifndef TRAINER_DATA_RESIZE_ROWS_H
#define TRAINER_DATA_RESIZE_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* Weights are fixed-point numbers: 8 bits of pixel and 2 of headroom are left in 32. */
enum { RESIZE_PRECISION = 32 - 8 - 2 };

/* One axis: output i is the sum of weights[i * taps + k] * input[first[i] + k] for k < used[i], used[i] >= 1. */
struct resize_axis {
	int taps;
	int count;
	int32_t *first;
	int32_t *used;
	int32_t *weights;
};

/* dst (axis->count RGB pixels) = a row of the source of `width` pixels, scaled. */
void resize_scale_row(uint8_t *dst, const uint8_t *src, int width, const struct resize_axis *axis);

/* dst = the weighted sum of `used` rows of `stride` bytes, one behind the other at src. */
void resize_mix_rows(uint8_t *dst, const uint8_t *src, size_t stride, const int32_t *weights, int used);

#endif
