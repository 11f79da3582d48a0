/* The weight gradient of a convolution: d_weight[r][s][c][k] = sum over pixels of in[h stride + r - pad][w stride + s - pad][c] *
 * d_out[h][w][k], as products of matrices with a row per output pixel.
 *
 * Blocks of pixels are copied together first, as in Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix
 * Multiplication": the taps in strips as wide as a tile, zeros where a tap lies outside the image, and d_out in panels of two
 * vectors. Then a tile's operands lie in the first-level cache, whatever the number of channels. */
#include <omp.h>
#include <string.h>

#include "nn/layers/conv_internal.h"

/* Most pixels in a block; also the longest chain of float additions, since tiles are added to memory block by block. */
enum { BLOCK_PIXELS = 400, VECTOR_MAX = 16 };

/* Taps that are gathered together: `columns` columns of kernel row r from s on, which lie one behind the other in memory. */
struct taps {
	int r, s, columns;
	int count; /* floats */
};

/* One kernel position at a time; with few input channels a whole row, which fills the tiles better. */
static int columns_together(const struct conv *conv)
{
	return conv->in_c < 64 ? conv->kernel : 1;
}

static int strips_of(int taps, const struct kernels *kernels)
{
	return (taps + kernels->tile_taps - 1) / kernels->tile_taps;
}

static size_t strips_size(const struct conv *conv, const struct kernels *kernels)
{
	int strips = strips_of(columns_together(conv) * conv->in_c, kernels);

	return (size_t)strips * (size_t)kernels->tile_taps * BLOCK_PIXELS;
}

size_t direct_weight_size(const struct conv *conv, const struct kernels *kernels)
{
	return strips_size(conv, kernels) + (size_t)(KERNEL_VECTORS * kernels->vector * BLOCK_PIXELS);
}

/* Output positions [lo, hi) whose input positions o * stride + s - pad, ..., + columns - 1, lie inside [0, in). */
struct span {
	int lo, hi;
};

static struct span inside(const struct conv *conv, const struct taps *taps)
{
	int first = conv->pad - taps->s, last = conv->in_w - taps->columns + conv->pad - taps->s;
	struct span span = {first > 0 ? (first + conv->stride - 1) / conv->stride : 0, last < 0 ? 0 : last / conv->stride + 1};

	if (span.hi > conv->out_w)
		span.hi = conv->out_w;
	return span;
}

/* The strips' pixels [to, to + count) become zeros. */
static void clear_pixels(float *strips, int to, int count, const struct taps *taps, const struct kernels *kernels, int pixels)
{
	int width = kernels->tile_taps;

	for (int i = 0; i < strips_of(taps->count, kernels); i++)
		memset(strips + (ptrdiff_t)(i * pixels + to) * width, 0, (size_t)(count * width) * sizeof(float));
}

/* One pixel at the border, of whose columns only some exist; x is column 0 of its input row. */
static void border_pixel(float *strips, int to, const float *x, int w, const struct conv *conv, const struct taps *taps,
			 const struct kernels *kernels, int pixels)
{
	int width = kernels->tile_taps, first = w * conv->stride + taps->s - conv->pad, place = 0;
	float *pixel = strips + (ptrdiff_t)to * width;

	for (int i = 0; i < taps->columns; i++) {
		bool exists = first + i >= 0 && first + i < conv->in_w;

		for (int c = 0; c < conv->in_c; c++) {
			pixel[place] = exists ? x[(first + i) * conv->in_c + c] : 0;
			if (++place == width) {
				place = 0;
				pixel += (ptrdiff_t)pixels * width;
			}
		}
	}
}

/* Gathers the taps of output pixels [w, end) of row h (counted through all samples) as the strips' pixels from `to` on. */
static void gather_row(float *strips, int to, const float *in, const struct conv *conv, const struct taps *taps,
		       const struct kernels *kernels, int pixels, int h, int w, int end)
{
	int sample = h / conv->out_h, y = h % conv->out_h * conv->stride + taps->r - conv->pad;
	const float *x = in + ((ptrdiff_t)sample * conv->in_h + y) * conv->in_w * conv->in_c;
	struct span span = inside(conv, taps);

	if (y < 0 || y >= conv->in_h) {
		clear_pixels(strips, to, end - w, taps, kernels, pixels);
		return;
	}
	for (; w < end && (w < span.lo || w >= span.hi); w++)
		border_pixel(strips, to++, x, w, conv, taps, kernels, pixels);
	if (w < end) {
		int count = (end < span.hi ? end : span.hi) - w;

		kernels->gather_taps(strips + (ptrdiff_t)to * kernels->tile_taps,
				     x + (ptrdiff_t)(w * conv->stride + taps->s - conv->pad) * conv->in_c,
				     (ptrdiff_t)conv->stride * conv->in_c, count, taps->count,
				     (ptrdiff_t)pixels * kernels->tile_taps);
		w += count;
		to += count;
	}
	for (; w < end; w++)
		border_pixel(strips, to++, x, w, conv, taps, kernels, pixels);
}

/* Gathers the block's taps; the team shares its rows. */
static void gather_block(float *strips, const float *in, const struct conv *conv, const struct taps *taps,
			 const struct kernels *kernels, int first, int pixels)
{
#pragma omp for schedule(static)
	for (int h = first / conv->out_w; h <= (first + pixels - 1) / conv->out_w; h++) {
		int w = h * conv->out_w < first ? first % conv->out_w : 0;
		int left = first + pixels - h * conv->out_w;

		gather_row(strips, h * conv->out_w + w - first, in, conv, taps, kernels, pixels, h, w,
			   left < conv->out_w ? left : conv->out_w);
	}
}

/* A tile whose channels do not fill its vectors goes through a buffer. */
static void tail_tile(float *d_weight, const float *strip, const float *panel, const struct kernels *kernels, int taps, int vectors,
		      int channels, int out_c, int pixels)
{
	float buffer[KERNEL_TAPS_MAX * KERNEL_VECTORS * VECTOR_MAX] = {0};
	int width = vectors * kernels->vector;

	kernels->weight_tile[vectors - 1][taps - 1](buffer, strip, panel, width, kernels->tile_taps, 0, width, 0, 1, pixels);
	for (int t = 0; t < taps; t++)
		for (int k = 0; k < channels; k++)
			d_weight[(ptrdiff_t)t * out_c + k] += buffer[t * width + k];
}

/* d_weight (taps, out_c) += strips [lo, hi) times the panel of `channels` output channels. */
static void multiply(float *d_weight, const float *strips, const float *panel, const struct kernels *kernels, int taps, int lo,
		     int hi, int channels, int out_c, int pixels)
{
	int vectors = conv_panel_vectors(channels, kernels->vector), width = vectors * kernels->vector;

	for (int i = lo; i < hi; i++) {
		int t = i * kernels->tile_taps, count = taps - t < kernels->tile_taps ? taps - t : kernels->tile_taps;
		const float *strip = strips + (ptrdiff_t)t * pixels;
		float *to = d_weight + (ptrdiff_t)t * out_c;

		if (channels < width)
			tail_tile(to, strip, panel, kernels, count, vectors, channels, out_c, pixels);
		else
			kernels->weight_tile[vectors - 1][count - 1](to, strip, panel, out_c, kernels->tile_taps, 0, width, 0, 1,
								     pixels);
	}
}

/* All output channels of a block for the gathered taps. The team shares panels and, when there are too few, parts of the strips. */
static void multiply_block(float *d_weight, const float *strips, const float *d_out, const struct conv *conv,
			   const struct kernels *kernels, int taps, int pixels, float *panel)
{
	int step = KERNEL_VECTORS * kernels->vector, panels = (conv->out_c + step - 1) / step,
	    strip_count = strips_of(taps, kernels);
	int parts = (omp_get_num_threads() + panels - 1) / panels;

#pragma omp for schedule(static)
	for (int item = 0; item < panels * parts; item++) {
		int k = item / parts * step, part = item % parts;
		int channels = conv->out_c - k < step ? conv->out_c - k : step;
		int width = kernels->vector * conv_panel_vectors(channels, kernels->vector);

		if (conv->out_c != width)
			kernels->gather_channels(panel, d_out + k, conv->out_c, pixels, channels, width);
		multiply(d_weight + k, strips, conv->out_c == width ? d_out : panel, kernels, taps, strip_count * part / parts,
			 strip_count * (part + 1) / parts, channels, conv->out_c, pixels);
	}
}

void direct_weight(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct kernels *kernels,
		   size_t samples, float *shared, float *own)
{
	int all = (int)samples * conv->out_h * conv->out_w, blocks = (all + BLOCK_PIXELS - 1) / BLOCK_PIXELS;
	int together = columns_together(conv);
	float *panel = own + strips_size(conv, kernels);

	for (int b = 0, first = 0; b < blocks; b++) {
		int pixels = (all - first) / (blocks - b);
		struct taps taps = {.columns = together, .count = together * conv->in_c};

		for (taps.r = 0; taps.r < conv->kernel; taps.r++)
			for (taps.s = 0; taps.s < conv->kernel; taps.s += together) {
				gather_block(shared, in, conv, &taps, kernels, first, pixels);
				multiply_block(d_weight + (ptrdiff_t)(taps.r * conv->kernel + taps.s) * conv->in_c * conv->out_c,
					       shared, d_out + (ptrdiff_t)first * conv->out_c, conv, kernels, taps.count, pixels,
					       panel);
			}
		first += pixels;
	}
}
