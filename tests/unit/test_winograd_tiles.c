/* Winograd's transforms of every kernel set that this processor can run, on whole tiles and on every part of one at an image's
 * edge, against the matrices of the paper in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

/* Lavin and Gray 2016, section 4.3. */
static const double input_matrix[36] = {4, 0,  -5, 0, 1, 0, 0, -4, -4, 1,  1, 0, 0, 4, -4, -1, 1, 0,
					0, -2, -1, 2, 1, 0, 0, 2,  -1, -2, 1, 0, 0, 4, 0,  -5, 0, 1};
static const double output_matrix[24] = {1, 1, 1, 1, 1, 0, 0, 1, -1, 2, -2, 0, 0, 1, 1, 4, 4, 0, 0, 1, -1, 8, -8, 1};
static const double gradient_matrix[24] = {1, 0, 0, 0, 1, 1, 1, 1, 1, -1, 1, -1, 1, 2, 4, 8, 1, -2, 4, -8, 0, 0, 0, 1};
static const double weight_matrix[18] = {1. / 4,  0,	   0,	   -1. / 6, -1. / 6,  -1. / 6, -1. / 6, 1. / 6, -1. / 6,
					 1. / 24, 1. / 12, 1. / 6, 1. / 24, -1. / 12, 1. / 6,  0,	0,	1};
static const double weight_gradient_matrix[18] = {1. / 4,  -1. / 6,  -1. / 6, 1. / 24, 1. / 24, 0,	 0,	 -1. / 6, 1. / 6,
						  1. / 12, -1. / 12, 0,	      0,       -1. / 6, -1. / 6, 1. / 6, 1. / 6,  1};

/* The largest error of a transform whose sums without signs are `size`: at most 12 roundings in each of two passes. */
static double bound(double size)
{
	return 24 * 0x1p-24 * size;
}

/* out (rows, rows) = m (rows, lines) times in (lines, lines) times m transposed; size: the same of absolute values. */
static void transform(double *out, double *size, const double *m, int rows, int lines, const double *in)
{
	for (int i = 0; i < rows * rows; i++) {
		out[i] = size[i] = 0;
		for (int k = 0; k < lines * lines; k++) {
			double term = m[i / rows * lines + k / lines] * m[i % rows * lines + k % lines] * in[k];

			out[i] += term;
			size[i] += fabs(term);
		}
	}
}

/* A tile of pixels in an image, or of positions: element (i, j) of channel c lies at i * line + j * step + c. */
struct layout {
	ptrdiff_t line, step;
};

/* Whether all elements of the first rows x columns of `out` are within the bound of `before` and the transform of `in`, of which
 * those in the masks are there. */
static bool is_transform(const float *out, struct layout out_at, int rows, int columns, const float *before, const double *m,
			 int m_rows, int lines, const float *in, struct layout in_at, unsigned row_mask, unsigned column_mask,
			 int channels)
{
	bool right = true;

	for (int c = 0; c < channels; c++) {
		double wanted[36], size[36], tile[36];

		for (int k = 0; k < lines * lines; k++) {
			int i = k / lines, j = k % lines;

			tile[k] = row_mask >> i & column_mask >> j & 1 ? (double)in[i * in_at.line + j * in_at.step + c] : 0;
		}
		transform(wanted, size, m, m_rows, lines, tile);
		for (int i = 0; i < rows; i++)
			for (int j = 0; j < columns; j++) {
				ptrdiff_t at = i * out_at.line + j * out_at.step + c;
				double sum = wanted[i * m_rows + j] + (before ? (double)before[at] : 0);
				double all = size[i * m_rows + j] + (before ? fabs((double)before[at]) : 0);

				right = right && fabs((double)out[at] - sum) <= bound(all);
			}
	}
	return right;
}

/* What is not there is not a number, so that reading it shows. */
static float *image(struct layout at, int lines, unsigned row_mask, unsigned column_mask, int channels)
{
	size_t count = (size_t)(lines * at.line);
	float *values = reference_values(count, 1), *out = guard_alloc(count);

	for (int i = 0; i < lines; i++)
		for (int j = 0; j < lines; j++)
			if (row_mask >> i & column_mask >> j & 1)
				memcpy(out + i * at.line + j * at.step, values + i * at.line + j * at.step,
				       (size_t)channels * sizeof(float));
	free(values);
	return out;
}

typedef void (*tile_fn)(const struct kernels *set, int channels, struct layout pixels, ptrdiff_t position);

/* One and three vectors of channels, in lines and positions with gaps. */
static void each_set(tile_fn check)
{
	for (int s = 0; reference_set(s); s++)
		for (int vectors = 1; vectors <= 3; vectors += 2) {
			int channels = vectors * reference_set(s)->vector;

			check(reference_set(s), channels, (struct layout){7 * channels + 5, channels}, channels + 3);
		}
}

static void check_input(const struct kernels *set, int channels, struct layout pixels, ptrdiff_t position)
{
	for (unsigned masks = 0; masks<64 * 64; masks += channels> set->vector ? 21 : 1) {
		unsigned rows = masks / 64, columns = masks % 64;
		float *in = image(pixels, 6, rows, columns, channels), *v = guard_alloc(36 * (size_t)position);

		set->winograd_input(v, in, pixels.line, channels, position, rows, columns);
		CU_ASSERT(is_transform(v, (struct layout){6 * position, position}, 6, 6, NULL, input_matrix, 6, 6, in, pixels, rows,
				       columns, channels));
		CU_ASSERT(guard_intact(v, 36 * (size_t)position));
		guard_free(in);
		guard_free(v);
	}
}

static void patches_with_any_rows_and_columns_are_transformed(void)
{
	each_set(check_input);
}

/* All sizes of a tile; pixels behind it stay as they were. */
static void check_output(const struct kernels *set, int channels, struct layout pixels, ptrdiff_t position)
{
	size_t count = 4 * (size_t)pixels.line;
	float *m = reference_values(36 * (size_t)position, 2), *before = reference_values(count, 3);

	for (int kind = 0; kind < 32; kind++) {
		int rows = 1 + kind / 4 % 4, columns = 1 + kind % 4;
		bool accumulate = kind / 16, outside = true;
		float *out = guard_alloc(count);

		memcpy(out, before, count * sizeof(float));
		set->winograd_output(out, m, pixels.line, channels, position, rows, columns, accumulate, NULL);
		CU_ASSERT(is_transform(out, pixels, rows, columns, accumulate ? before : NULL, output_matrix, 4, 6, m,
				       (struct layout){6 * position, position}, 63, 63, channels));
		for (size_t i = 0; i < count; i++)
			if (i / (size_t)pixels.line >= (size_t)rows || i % (size_t)pixels.line >= (size_t)(columns * channels))
				outside = outside && same_bits(&out[i], &before[i], sizeof(float));
		CU_ASSERT(outside);
		CU_ASSERT(guard_intact(out, count));
		guard_free(out);
	}
	free(m);
	free(before);
}

static void products_become_tiles_of_every_size_also_added(void)
{
	each_set(check_output);
}

static void check_gradient(const struct kernels *set, int channels, struct layout pixels, ptrdiff_t position)
{
	for (int kind = 0; kind < 16; kind++) {
		unsigned rows = (2u << kind / 4) - 1, columns = (2u << kind % 4) - 1;
		float *d_out = image(pixels, 4, rows, columns, channels), *z = guard_alloc(36 * (size_t)position);

		set->winograd_gradient(z, d_out, pixels.line, channels, position, 1 + kind / 4, 1 + kind % 4);
		CU_ASSERT(is_transform(z, (struct layout){6 * position, position}, 6, 6, NULL, gradient_matrix, 6, 4, d_out, pixels,
				       rows, columns, channels));
		CU_ASSERT(guard_intact(z, 36 * (size_t)position));
		guard_free(d_out);
		guard_free(z);
	}
}

static void gradients_of_tiles_of_every_size_are_transformed(void)
{
	each_set(check_gradient);
}

/* Both are about 3 x 3 taps, `n` apart: those of one vector, and those of all channels. */
static void check_weights(const struct kernels *set, int channels, struct layout pixels, ptrdiff_t position)
{
	size_t n = (size_t)channels;
	const struct layout taps = {3 * channels, channels}, positions = {6 * channels, channels};
	float *weight = reference_values(9 * n, 4), *d_u = reference_values(36 * n, 5);
	float *u = guard_alloc(36 * (size_t)position), *d_weight = guard_alloc(9 * n);

	(void)pixels;
	set->winograd_weight(u, weight, NULL, channels, position);
	CU_ASSERT(is_transform(u, (struct layout){6 * position, position}, 6, 6, NULL, weight_matrix, 6, 3, weight, taps, 7, 7,
			       set->vector));
	set->winograd_weight_gradient(d_weight, d_u, n);
	CU_ASSERT(is_transform(d_weight, taps, 3, 3, NULL, weight_gradient_matrix, 3, 6, d_u, positions, 63, 63, channels));
	CU_ASSERT(guard_intact(u, 36 * (size_t)position));
	CU_ASSERT(guard_intact(d_weight, 9 * n));
	guard_free(u);
	guard_free(d_weight);
	free(weight);
	free(d_u);
}

static void weights_and_their_gradients_are_transformed(void)
{
	each_set(check_weights);
}

void suite_winograd_tiles(void)
{
	static const struct test_row rows[] = {
	    TEST(patches_with_any_rows_and_columns_are_transformed),
	    TEST(products_become_tiles_of_every_size_also_added),
	    TEST(gradients_of_tiles_of_every_size_are_transformed),
	    TEST(weights_and_their_gradients_are_transformed),
	};

	ADD_SUITE("winograd_tiles", rows);
}
