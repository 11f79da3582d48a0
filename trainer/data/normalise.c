#include "trainer/data/normalise.h"

#include <string.h>

/* What each of the 256 values of a channel becomes. */
struct table {
	float values[256][3];
};

static void fill(struct table *table, const struct normal *normal)
{
	for (int value = 0; value < 256; value++)
		for (int c = 0; c < 3; c++)
			table->values[value][c] =
			    ((float)value / 255.0f - (normal->mean[c] - normal->shift[c])) * normal->inverse_std[c];
}

static void look_up(float *out, const uint8_t *pixel, const struct table *table)
{
	for (int c = 0; c < 3; c++)
		out[c] = table->values[pixel[c]][c];
}

static void compute(float *out, const uint8_t *pixel, const float *mean, const struct normal *normal)
{
	for (int c = 0; c < 3; c++)
		out[c] = ((float)pixel[c] / 255.0f - (mean[c] - normal->shift[c])) * normal->inverse_std[c];
}

/* A row of the result from a row of the picture; row_mean: its per-pixel mean or NULL. */
static void fill_row(float *out, int width, const uint8_t *row, const float *row_mean, int picture_width, const struct table *table,
		     const struct normal *normal, struct placement placement)
{
	for (int x = 0; x < width; x++, out += 3) {
		int from = (placement.mirrored ? width - 1 - x : x) + placement.dx;

		if (from < 0 || from >= picture_width)
			memset(out, 0, 3 * sizeof(*out));
		else if (row_mean)
			compute(out, row + (size_t)from * 3, row_mean + (size_t)from * 3, normal);
		else
			look_up(out, row + (size_t)from * 3, table);
	}
}

void normalise(float *out, int width, int height, struct pixels picture, const struct normal *normal, struct placement placement)
{
	size_t stride = (size_t)width * 3, mean_stride = (size_t)picture.width * 3;
	const float *means = normal->pixel_mean;
	struct table table;

	if (!means)
		fill(&table, normal);
	for (int y = 0; y < height; y++, out += stride) {
		int from = y + placement.dy;

		if (from < 0 || from >= picture.height)
			memset(out, 0, stride * sizeof(*out));
		else
			fill_row(out, width, picture.data + (size_t)from * picture.stride,
				 means ? means + (size_t)from * mean_stride : NULL, picture.width, &table, normal, placement);
	}
}
