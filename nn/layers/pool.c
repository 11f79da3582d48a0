#include "nn/layers/pool.h"

#include <string.h>

static size_t in_size(const struct conv *shape)
{
	return (size_t)shape->in_h * (size_t)shape->in_w * (size_t)shape->in_c;
}

static size_t out_size(const struct conv *shape)
{
	return (size_t)shape->out_h * (size_t)shape->out_w * (size_t)shape->out_c;
}

/* What a window of max pooling works with. */
struct window {
	const struct pointwise *pointwise;
	const struct conv *shape;
	int h, w; /* output pixel */
};

/* Where a tap lies in the input, in values; false outside. */
static bool tap_at(ptrdiff_t *offset, const struct window *window, int r, int s)
{
	const struct conv *shape = window->shape;
	int y = window->h * shape->stride + r - shape->pad, x = window->w * shape->stride + s - shape->pad;

	*offset = ((ptrdiff_t)y * shape->in_w + x) * shape->in_c;
	return y >= 0 && x >= 0 && y < shape->in_h && x < shape->in_w;
}

/* The first tap inside is taken as it is; of the others, the first one that is larger wins. */
static void max_pixel(void *out, uint8_t *index, const void *in, const struct window *window)
{
	const struct conv *shape = window->shape;
	bool begun = false;
	ptrdiff_t offset;

	for (int r = 0; r < shape->kernel; r++)
		for (int s = 0; s < shape->kernel; s++) {
			if (!tap_at(&offset, window, r, s))
				continue;
			if (begun) {
				window->pointwise->max_tap(out, index, stored(window->pointwise, in, (size_t)offset), shape->in_c,
							   (uint8_t)(r * shape->kernel + s));
				continue;
			}
			memcpy(out, stored(window->pointwise, in, (size_t)offset), (size_t)shape->in_c * window->pointwise->bytes);
			memset(index, r * shape->kernel + s, (size_t)shape->in_c);
			begun = true;
		}
}

void maxpool_forward(void *out, uint8_t *index, const void *in, const struct conv *shape, const struct pointwise *pointwise,
		     size_t samples, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++)
		for (int h = 0; h < shape->out_h; h++)
			for (int w = 0; w < shape->out_w; w++) {
				size_t at =
				    n * out_size(shape) + ((size_t)h * (size_t)shape->out_w + (size_t)w) * (size_t)shape->out_c;
				struct window window = {pointwise, shape, h, w};

				max_pixel(stored_into(pointwise, out, at), index + at, stored(pointwise, in, n * in_size(shape)),
					  &window);
			}
}

static void unpool_pixel(void *d_in, const void *d_out, const uint8_t *index, const struct window *window)
{
	const struct conv *shape = window->shape;
	ptrdiff_t offsets[MAXPOOL_KERNEL_MAX * MAXPOOL_KERNEL_MAX];

	for (int r = 0; r < shape->kernel; r++)
		for (int s = 0; s < shape->kernel; s++)
			tap_at(&offsets[r * shape->kernel + s], window, r, s);
	window->pointwise->unpool(d_in, d_out, index, offsets, shape->in_c);
}

void maxpool_backward(void *d_in, const void *d_out, const uint8_t *index, const struct conv *shape,
		      const struct pointwise *pointwise, size_t samples, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++) {
		void *to = stored_into(pointwise, d_in, n * in_size(shape));

		memset(to, 0, in_size(shape) * pointwise->bytes);
		for (int h = 0; h < shape->out_h; h++)
			for (int w = 0; w < shape->out_w; w++) {
				size_t at =
				    n * out_size(shape) + ((size_t)h * (size_t)shape->out_w + (size_t)w) * (size_t)shape->out_c;
				struct window window = {pointwise, shape, h, w};

				unpool_pixel(to, stored(pointwise, d_out, at), index + at, &window);
			}
	}
}

static int cell_begin(int cell, int cells, int size)
{
	return cell * size / cells;
}

static int cell_end(int cell, int cells, int size)
{
	return ((cell + 1) * size + cells - 1) / cells;
}

/* The pixels of cell (i, j). */
struct cell {
	int h0, h1, w0, w1;
	float share; /* 1 / pixels */
};

static struct cell cell_at(const struct avgpool *shape, int i, int j)
{
	struct cell cell = {cell_begin(i, shape->cells, shape->in_h), cell_end(i, shape->cells, shape->in_h),
			    cell_begin(j, shape->cells, shape->in_w), cell_end(j, shape->cells, shape->in_w), 0};

	cell.share = 1.0f / (float)((cell.h1 - cell.h0) * (cell.w1 - cell.w0));
	return cell;
}

static void average_cell(float *restrict out, const void *in, const struct avgpool *shape, const struct pointwise *pointwise,
			 struct cell cell)
{
	memset(out, 0, (size_t)shape->channels * sizeof(float));
	for (int h = cell.h0; h < cell.h1; h++)
		for (int w = cell.w0; w < cell.w1; w++) {
			size_t pixel = (size_t)h * (size_t)shape->in_w + (size_t)w;

			pointwise->sum(out, stored(pointwise, in, pixel * (size_t)shape->channels), shape->channels);
		}
	for (int c = 0; c < shape->channels; c++)
		out[c] *= cell.share;
}

static void spread_cell(void *d_in, const float *d_out, const struct avgpool *shape, const struct pointwise *pointwise,
			struct cell cell)
{
	for (int h = cell.h0; h < cell.h1; h++)
		for (int w = cell.w0; w < cell.w1; w++) {
			size_t pixel = (size_t)h * (size_t)shape->in_w + (size_t)w;

			pointwise->spread(stored_into(pointwise, d_in, pixel * (size_t)shape->channels), d_out, cell.share,
					  shape->channels);
		}
}

static size_t cell_offset(const struct avgpool *shape, size_t n, int i, int j)
{
	size_t cells = (size_t)shape->cells;

	return ((n * cells + (size_t)i) * cells + (size_t)j) * (size_t)shape->channels;
}

void avgpool_forward(float *out, const void *in, const struct avgpool *shape, const struct pointwise *pointwise, size_t samples,
		     int threads)
{
	size_t size = (size_t)shape->in_h * (size_t)shape->in_w * (size_t)shape->channels;

#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++)
		for (int i = 0; i < shape->cells; i++)
			for (int j = 0; j < shape->cells; j++)
				average_cell(out + cell_offset(shape, n, i, j), stored(pointwise, in, n * size), shape, pointwise,
					     cell_at(shape, i, j));
}

void avgpool_backward(void *d_in, const float *d_out, const struct avgpool *shape, const struct pointwise *pointwise,
		      size_t samples, int threads)
{
	size_t size = (size_t)shape->in_h * (size_t)shape->in_w * (size_t)shape->channels;

#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++) {
		void *to = stored_into(pointwise, d_in, n * size);

		memset(to, 0, size * pointwise->bytes);
		for (int i = 0; i < shape->cells; i++)
			for (int j = 0; j < shape->cells; j++)
				spread_cell(to, d_out + cell_offset(shape, n, i, j), shape, pointwise, cell_at(shape, i, j));
	}
}

/* Values from the beginning of the batch to output pixel (h, w) of sample n, and to the input pixel that it comes from. */
static size_t kept_pixel(const struct conv *shape, size_t n, int h, int w)
{
	return n * out_size(shape) + ((size_t)h * (size_t)shape->out_w + (size_t)w) * (size_t)shape->out_c;
}

static size_t kept_from(const struct conv *shape, size_t n, int h, int w)
{
	return n * in_size(shape) + ((size_t)h * (size_t)shape->in_w + (size_t)w) * (size_t)shape->stride * (size_t)shape->in_c;
}

void subsample_forward(void *out, const void *in, const struct conv *shape, const struct pointwise *pointwise, size_t samples,
		       int threads)
{
	size_t kept = (size_t)shape->in_c * pointwise->bytes, added = (size_t)(shape->out_c - shape->in_c) * pointwise->bytes;

#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++)
		for (int h = 0; h < shape->out_h; h++)
			for (int w = 0; w < shape->out_w; w++) {
				char *to = stored_into(pointwise, out, kept_pixel(shape, n, h, w));

				memcpy(to, stored(pointwise, in, kept_from(shape, n, h, w)), kept);
				memset(to + kept, 0, added);
			}
}

void subsample_backward(void *d_in, const void *d_out, const struct conv *shape, const struct pointwise *pointwise, size_t samples,
			int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++)
		for (int h = 0; h < shape->out_h; h++)
			for (int w = 0; w < shape->out_w; w++)
				pointwise->add(stored_into(pointwise, d_in, kept_from(shape, n, h, w)),
					       stored(pointwise, d_out, kept_pixel(shape, n, h, w)), (size_t)shape->in_c);
}
