/* The tiles of direct convolutions, of every kernel set that this processor can run, against double sums. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layers/ahead.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

enum { PIXEL = 5, GAP = 3 }; /* distance between pixels; floats between lines of results, which nobody may touch */

/* The largest error of a chain of n products and sums in float, of which `size` is the sum without signs. */
static double chain_bound(int n, double size)
{
	return (n + 2) * 0x1p-24 * size;
}

/* One call of a tile: lines x width results, GAP apart. */
struct tile {
	const struct kernels *set;
	int lines, vectors, rows, terms; /* pixels or taps; vectors of channels; rows, and taps or columns in each */
	int width;			 /* channels */
	bool accumulate;
	ptrdiff_t row; /* distance of rows in x */
	float *x, *y, *before;
};

typedef void (*tile_fn)(const struct tile *tile);

static size_t results(const struct tile *tile)
{
	return (size_t)(tile->lines * (tile->width + GAP));
}

/* Calls check for every size of tile, 1 to 3 rows and many lengths. */
static void each_tile(tile_fn check, bool weights)
{
	static const int lengths[] = {1, 2, 3, 4, 7, 16, 33};

	for (int s = 0; reference_set(s); s++)
		for (int i = 0; i < KERNEL_VECTORS * 3 * 7 * 2; i++) {
			const struct kernels *set = reference_set(s);
			struct tile tile = {.set = set,
					    .vectors = 1 + i % KERNEL_VECTORS,
					    .rows = 1 + i / KERNEL_VECTORS % 3,
					    .terms = lengths[i / (KERNEL_VECTORS * 3) % 7],
					    .accumulate = i / (KERNEL_VECTORS * 3 * 7)};

			tile.width = tile.vectors * set->vector;
			tile.row = 16 * PIXEL + 33 * PIXEL + 1;
			tile.x = reference_values((size_t)tile.row * 3, 1);
			tile.y = reference_values((size_t)(3 * 33 * (tile.width + GAP)), 2);
			tile.before = reference_values(16 * (size_t)(tile.width + GAP), 3);
			for (tile.lines = 1; tile.lines <= (weights ? set->tile_taps : set->tile_pixels); tile.lines++)
				check(&tile);
			free(tile.x);
			free(tile.y);
			free(tile.before);
		}
}

/* Whether result (line, c) is the sum of x times y, over what was there before when the tile adds, within the bound. */
static bool is_sum(const struct tile *tile, const float *out, int line, int c, int x_line, int x_term, int y_term)
{
	int at = line * (tile->width + GAP) + c;
	double sum = tile->accumulate ? (double)tile->before[at] : 0, size = fabs(sum);

	for (int r = 0; r < tile->rows; r++)
		for (int t = 0; t < tile->terms; t++) {
			double product = (double)tile->x[r * tile->row + line * x_line + t * x_term] *
					 (double)tile->y[(r * tile->terms + t) * y_term + c];

			sum += product;
			size += fabs(product);
		}
	return fabs((double)out[at] - sum) <= chain_bound(tile->rows * tile->terms + 1, size);
}

static void check_results(const struct tile *tile, const float *out, int x_line, int x_term, int y_term)
{
	for (int line = 0; line < tile->lines; line++) {
		bool right = true;

		for (int c = 0; c < tile->width; c++)
			right = right && is_sum(tile, out, line, c, x_line, x_term, y_term);
		CU_ASSERT(right);
		CU_ASSERT(same_bits(out + line * (tile->width + GAP) + tile->width,
				    tile->before + line * (tile->width + GAP) + tile->width, GAP * sizeof(float)));
	}
	CU_ASSERT(guard_intact(out, results(tile)));
}

static float *prepared(const struct tile *tile)
{
	float *out = guard_alloc(results(tile));

	memcpy(out, tile->before, results(tile) * sizeof(float));
	return out;
}

/* Memory is asked for without a change of results, also of what lies behind the end. */
static struct prefetch asking(const struct tile *tile)
{
	return (struct prefetch){(uintptr_t)tile->x, (uintptr_t)tile->set->prefetch_step};
}

static const struct prefetch not_asking = {(uintptr_t) "", 0};

/* The pixels of a tile, and each of them by a tile of one pixel and one vector. */
static void check_conv_tile(const struct tile *tile)
{
	float *out = prepared(tile), *single = prepared(tile), *narrow = reference_alloc((size_t)(3 * 33 * 16) * sizeof(float));
	int stride = tile->width + GAP, vector = tile->set->vector;

	tile->set->conv_tile[tile->vectors - 1][tile->lines - 1](out, tile->x, tile->y, stride, PIXEL, tile->row, tile->rows,
								 tile->terms, tile->accumulate, NULL, asking(tile));
	check_results(tile, out, PIXEL, 1, tile->width);
	for (int v = 0; v < tile->vectors; v++) {
		for (int i = 0; i < tile->rows * tile->terms; i++)
			memcpy(narrow + i * vector, tile->y + i * tile->width + v * vector, (size_t)vector * sizeof(float));
		for (int p = 0; p < tile->lines; p++)
			tile->set->conv_tile[0][0](single + p * stride + v * vector, tile->x + p * PIXEL, narrow, stride, PIXEL,
						   tile->row, tile->rows, tile->terms, tile->accumulate, NULL, not_asking);
	}
	CU_ASSERT(same_bits(out, single, results(tile) * sizeof(float)));
	guard_free(out);
	guard_free(single);
	free(narrow);
}

static void convolution_tiles_of_every_size_are_the_sums_and_have_their_bits_one_by_one(void)
{
	each_tile(check_conv_tile, false);
}

/* A gradient's tile always adds. Its sums start at 0, so that what was there comes last, as in a tile that adds. */
static void check_weight_tile(const struct tile *tile)
{
	struct tile added = *tile;
	float *out = prepared(tile), *single = prepared(tile);
	int stride = tile->width + GAP;
	ptrdiff_t row = (ptrdiff_t)tile->terms * stride;

	added.accumulate = true;
	tile->set->weight_tile[tile->vectors - 1][tile->lines - 1](out, tile->x, tile->y, stride, PIXEL, tile->row, stride, row,
								   tile->rows, tile->terms, asking(tile));
	check_results(&added, out, 1, PIXEL, stride);
	for (int i = 0; i < tile->lines * tile->vectors; i++) {
		int line = i / tile->vectors, c = i % tile->vectors * tile->set->vector;

		tile->set->weight_tile[0][0](single + line * stride + c, tile->x + line, tile->y + c, stride, PIXEL, tile->row,
					     stride, row, tile->rows, tile->terms, not_asking);
	}
	CU_ASSERT(same_bits(out, single, results(tile) * sizeof(float)));
	guard_free(out);
	guard_free(single);
}

static void weight_gradient_tiles_of_every_size_add_the_sums_and_have_their_bits_one_by_one(void)
{
	each_tile(check_weight_tile, true);
}

/* Spans are asked for in their order, each until a tile has passed its end, and nothing when there are none. */
static void memory_ahead_is_asked_for_span_by_span(void)
{
	const struct kernels *set = kernels_all[0];
	uintptr_t step = (uintptr_t)set->prefetch_step, at;
	char memory[4096];
	struct ahead ahead = {0};
	struct prefetch prefetch;

	CU_ASSERT(ahead_take(NULL, set, 10).step == 0);
	CU_ASSERT(ahead_take(&ahead, set, 10).step == 0);
	at = (uintptr_t)memory;
	ahead_add(&ahead, memory, 15 * step);
	ahead_add(&ahead, memory + 2048, 1);
	for (uintptr_t i = 0; i < 2; i++) {
		prefetch = ahead_take(&ahead, set, 10);
		CU_ASSERT(prefetch.at == at + 10 * i * step && prefetch.step == step);
	}
	prefetch = ahead_take(&ahead, set, 10);
	CU_ASSERT(prefetch.at == at + 2048 && prefetch.step == step);
	CU_ASSERT(ahead_take(&ahead, set, 10).step == 0);
	for (int i = 0; i < AHEAD_SPANS + 1; i++)
		ahead_add(&ahead, memory + i, 1);
	CU_ASSERT(ahead_take(&ahead, set, 1).at == at);
	ahead_clear(&ahead);
	CU_ASSERT(ahead_take(&ahead, set, 1).step == 0);
}

/* Strips of tile_taps taps; those of the last one that are there. What lies between is not said. */
static void taps_are_gathered_into_strips(void)
{
	enum { PIXELS = 9, STRIDE = 41 };
	float *in = reference_values(PIXELS * STRIDE, 4);

	for (int s = 0; reference_set(s); s++)
		for (int taps = 1; taps <= STRIDE; taps++) {
			int width = reference_set(s)->tile_taps, strip = PIXELS * width, count = (taps + width - 1) / width;
			float *strips = guard_alloc((size_t)(count * strip));
			bool right = true;

			reference_set(s)->gather_taps(strips, in, STRIDE, PIXELS, taps, strip);
			for (int p = 0; p < PIXELS; p++)
				for (int t = 0; t < taps; t++)
					right = right && same_bits(&strips[t / width * strip + p * width + t % width],
								   &in[p * STRIDE + t], sizeof(float));
			CU_ASSERT(right);
			CU_ASSERT(guard_intact(strips, (size_t)(count * strip)));
			guard_free(strips);
		}
	free(in);
}

static void channels_are_gathered_with_zeros_behind(void)
{
	enum { PIXELS = 9, STRIDE = 41 };
	float *in = reference_values(PIXELS * STRIDE, 5);

	for (int s = 0; reference_set(s); s++)
		for (int width = reference_set(s)->vector; width <= 2 * reference_set(s)->vector; width += reference_set(s)->vector)
			for (int channels = 1; channels <= width; channels++) {
				float *panel = guard_alloc((size_t)(PIXELS * width));
				bool right = true;

				reference_set(s)->gather_channels(panel, in, STRIDE, PIXELS, channels, width);
				for (int i = 0; i < PIXELS * width; i++)
					right =
					    right && panel[i] == (i % width < channels ? in[i / width * STRIDE + i % width] : 0);
				CU_ASSERT(right);
				CU_ASSERT(guard_intact(panel, (size_t)(PIXELS * width)));
				guard_free(panel);
			}
	free(in);
}

void suite_tiles(void)
{
	static const struct test_row rows[] = {
	    TEST(convolution_tiles_of_every_size_are_the_sums_and_have_their_bits_one_by_one),
	    TEST(weight_gradient_tiles_of_every_size_add_the_sums_and_have_their_bits_one_by_one),
	    TEST(memory_ahead_is_asked_for_span_by_span),
	    TEST(taps_are_gathered_into_strips),
	    TEST(channels_are_gathered_with_zeros_behind),
	};

	ADD_SUITE("tiles", rows);
}
