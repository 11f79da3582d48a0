#include "nn/layers/pool.h"

#include <math.h>
#include <string.h>

static size_t in_size(const struct conv *shape)
{
	return (size_t)shape->in_h * (size_t)shape->in_w * (size_t)shape->in_c;
}

static size_t out_size(const struct conv *shape)
{
	return (size_t)shape->out_h * (size_t)shape->out_w * (size_t)shape->out_c;
}

/* One tap of one output pixel; the first one that is larger wins. */
static void max_tap(float *restrict best, uint8_t *restrict index, const float *restrict in, int channels, uint8_t tap)
{
	for (int c = 0; c < channels; c++) {
		int wins = in[c] > best[c] || in[c] != in[c];

		best[c] = wins ? in[c] : best[c];
		index[c] = wins ? tap : index[c];
	}
}

static void max_pixel(float *out, uint8_t *index, const float *in, const struct conv *shape, int h, int w)
{
	for (int c = 0; c < shape->in_c; c++)
		out[c] = -INFINITY;
	memset(index, 0, (size_t)shape->in_c);
	for (int r = 0; r < shape->kernel; r++)
		for (int s = 0; s < shape->kernel; s++) {
			int y = h * shape->stride + r - shape->pad, x = w * shape->stride + s - shape->pad;

			if (y >= 0 && x >= 0 && y < shape->in_h && x < shape->in_w)
				max_tap(out, index, in + ((ptrdiff_t)y * shape->in_w + x) * shape->in_c, shape->in_c,
					(uint8_t)(r * shape->kernel + s));
		}
}

void maxpool_forward(float *out, uint8_t *index, const float *in, const struct conv *shape, size_t samples, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++)
		for (int h = 0; h < shape->out_h; h++)
			for (int w = 0; w < shape->out_w; w++) {
				size_t at =
				    n * out_size(shape) + ((size_t)h * (size_t)shape->out_w + (size_t)w) * (size_t)shape->out_c;

				max_pixel(out + at, index + at, in + n * in_size(shape), shape, h, w);
			}
}

static void unpool_pixel(float *d_in, const float *d_out, const uint8_t *index, const struct conv *shape, int h, int w)
{
	for (int c = 0; c < shape->in_c; c++) {
		int y = h * shape->stride + index[c] / shape->kernel - shape->pad;
		int x = w * shape->stride + index[c] % shape->kernel - shape->pad;

		if (y >= 0 && x >= 0 && y < shape->in_h && x < shape->in_w)
			d_in[((ptrdiff_t)y * shape->in_w + x) * shape->in_c + c] += d_out[c];
	}
}

void maxpool_backward(float *d_in, const float *d_out, const uint8_t *index, const struct conv *shape, size_t samples, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++) {
		memset(d_in + n * in_size(shape), 0, in_size(shape) * sizeof(float));
		for (int h = 0; h < shape->out_h; h++)
			for (int w = 0; w < shape->out_w; w++) {
				size_t at =
				    n * out_size(shape) + ((size_t)h * (size_t)shape->out_w + (size_t)w) * (size_t)shape->out_c;

				unpool_pixel(d_in + n * in_size(shape), d_out + at, index + at, shape, h, w);
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

static void average_cell(float *restrict out, const float *in, const struct avgpool *shape, struct cell cell)
{
	memset(out, 0, (size_t)shape->channels * sizeof(float));
	for (int h = cell.h0; h < cell.h1; h++)
		for (int w = cell.w0; w < cell.w1; w++) {
			const float *pixel = in + ((ptrdiff_t)h * shape->in_w + w) * shape->channels;

			for (int c = 0; c < shape->channels; c++)
				out[c] += pixel[c];
		}
	for (int c = 0; c < shape->channels; c++)
		out[c] *= cell.share;
}

static void spread_cell(float *d_in, const float *d_out, const struct avgpool *shape, struct cell cell)
{
	for (int h = cell.h0; h < cell.h1; h++)
		for (int w = cell.w0; w < cell.w1; w++) {
			float *restrict pixel = d_in + ((ptrdiff_t)h * shape->in_w + w) * shape->channels;

			for (int c = 0; c < shape->channels; c++)
				pixel[c] += d_out[c] * cell.share;
		}
}

static size_t cell_offset(const struct avgpool *shape, size_t n, int i, int j)
{
	size_t cells = (size_t)shape->cells;

	return ((n * cells + (size_t)i) * cells + (size_t)j) * (size_t)shape->channels;
}

void avgpool_forward(float *out, const float *in, const struct avgpool *shape, size_t samples, int threads)
{
	size_t size = (size_t)shape->in_h * (size_t)shape->in_w * (size_t)shape->channels;

#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++)
		for (int i = 0; i < shape->cells; i++)
			for (int j = 0; j < shape->cells; j++)
				average_cell(out + cell_offset(shape, n, i, j), in + n * size, shape, cell_at(shape, i, j));
}

void avgpool_backward(float *d_in, const float *d_out, const struct avgpool *shape, size_t samples, int threads)
{
	size_t size = (size_t)shape->in_h * (size_t)shape->in_w * (size_t)shape->channels;

#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++) {
		memset(d_in + n * size, 0, size * sizeof(float));
		for (int i = 0; i < shape->cells; i++)
			for (int j = 0; j < shape->cells; j++)
				spread_cell(d_in + n * size, d_out + cell_offset(shape, n, i, j), shape, cell_at(shape, i, j));
	}
}

void subsample_forward(float *out, const float *in, const struct conv *shape, size_t samples, int threads)
{
	size_t kept = (size_t)shape->in_c, added = (size_t)(shape->out_c - shape->in_c);

#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++)
		for (int h = 0; h < shape->out_h; h++)
			for (int w = 0; w < shape->out_w; w++) {
				float *to = out + n * out_size(shape) + ((ptrdiff_t)h * shape->out_w + w) * shape->out_c;

				memcpy(to, in + n * in_size(shape) + ((ptrdiff_t)h * shape->in_w + w) * shape->stride * shape->in_c,
				       kept * sizeof(float));
				memset(to + kept, 0, added * sizeof(float));
			}
}

void subsample_backward(float *d_in, const float *d_out, const struct conv *shape, size_t samples, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
	for (size_t n = 0; n < samples; n++)
		for (int h = 0; h < shape->out_h; h++)
			for (int w = 0; w < shape->out_w; w++) {
				const float *from = d_out + n * out_size(shape) + ((ptrdiff_t)h * shape->out_w + w) * shape->out_c;
				float *to =
				    d_in + n * in_size(shape) + ((ptrdiff_t)h * shape->in_w + w) * shape->stride * shape->in_c;

				for (int c = 0; c < shape->in_c; c++)
					to[c] += from[c];
			}
}
