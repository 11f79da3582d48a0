/* Direct convolutions: the forward pass and the data gradient as windows of taps that move over an image. */
#include <string.h>

#include "nn/layers/conv_internal.h"

/* Longest chain of float additions in a forward or data-gradient sum; longer sums are added up in memory, chain by chain. Relative
 * error of a 3 x 3 convolution of 512 channels: 7.9e-7 with one chain of 4608 taps, 2.2e-7 so, 1.8e-7 with chains of 144, which
 * pass over the output twice as often. */
enum { CHAIN_TAPS = 256 };

/* Floats of input in a block of a 1 x 1 convolution. */
enum { BLOCK_FLOATS = 49152 };

/* A window of a convolution: which taps, over which (padded) input, and where its output pixels go. The forward pass is one of
 * these; the data gradient is one for each of the stride x stride phases of the input grid. */
struct window {
	ptrdiff_t pixel_stride;	       /* of the input, in floats, between neighbouring output pixels */
	ptrdiff_t row_stride;	       /* between kernel rows */
	ptrdiff_t line_stride;	       /* between output rows */
	ptrdiff_t out_pixel, out_line; /* of the output */
	int rows, taps;		       /* kernel rows, and contiguous floats in each */
	int out_h, out_w, out_c;
	bool accumulate;
	size_t samples;
	size_t in_sample, out_sample; /* between samples */
};

/* First and last output row (counted in units of stride) whose input row i = stride q + phase - pad lies inside [0, size). */
static int phase_first(const struct conv *conv, int phase)
{
	int offset = conv->pad - phase;

	return offset > 0 ? (offset + conv->stride - 1) / conv->stride : 0;
}

static int phase_last(const struct conv *conv, int phase, int size)
{
	int top = size - 1 + conv->pad - phase;

	return top < 0 ? -1 : top / conv->stride;
}

/* Zero rows around d_out that the phases reach into: before the first and behind the last row (or column). */
static int pad_before(const struct conv *conv)
{
	int pad = 0;

	for (int a = 0; a < conv->stride; a++) {
		int reach = direct_phase_taps(conv, a) - 1 - phase_first(conv, a);

		pad = reach > pad ? reach : pad;
	}
	return pad;
}

static int pad_behind(const struct conv *conv, int in_size, int out_size)
{
	int pad = 0;

	for (int a = 0; a < conv->stride; a++) {
		int reach = direct_phase_taps(conv, a) ? phase_last(conv, a, in_size) - (out_size - 1) : 0;

		pad = reach > pad ? reach : pad;
	}
	return pad;
}

size_t direct_padded_size(const struct conv *conv, bool backward)
{
	int before = pad_before(conv);
	int h = conv->out_h + before + pad_behind(conv, conv->in_h, conv->out_h);
	int w = conv->out_w + before + pad_behind(conv, conv->in_w, conv->out_w);

	if (backward)
		return (size_t)h * (size_t)w * (size_t)conv->out_c;
	return conv->pad ? (size_t)(conv->in_h + 2 * conv->pad) * (size_t)(conv->in_w + 2 * conv->pad) * (size_t)conv->in_c : 0;
}

/* One chain of taps: `rows` kernel rows of `taps` floats; weight is the chain's part of a panel of `channels` output channels. */
struct chain {
	int rows, taps;
	int vectors, channels;
	bool accumulate;
};

/* A tile whose channels do not fill its vectors goes through a buffer. */
static void tail_tile(conv_tile_fn tile, float *out, const float *in, const float *weight, const struct window *w,
		      const struct chain *chain, int pixels, int width)
{
	float buffer[KERNEL_PIXELS_MAX * KERNEL_VECTORS * 16];

	tile(buffer, in, weight, width, w->pixel_stride, w->row_stride, chain->rows, chain->taps, false);
	for (int p = 0; p < pixels; p++)
		for (int c = 0; c < chain->channels; c++) {
			float *to = out + p * w->out_pixel + c;

			*to = chain->accumulate ? *to + buffer[p * width + c] : buffer[p * width + c];
		}
}

/* One line of output pixels, cut into tiles of nearly equal length. */
static void chain_line(float *out, const float *in, const float *weight, const struct window *w, const struct kernels *kernels,
		       const struct chain *chain)
{
	int width = chain->vectors * kernels->vector;
	int tiles = (w->out_w + kernels->tile_pixels - 1) / kernels->tile_pixels;

	for (int i = 0, at = 0; i < tiles; i++) {
		int pixels = (w->out_w - at) / (tiles - i);
		conv_tile_fn tile = kernels->conv_tile[chain->vectors - 1][pixels - 1];
		const float *x = in + at * w->pixel_stride;
		float *y = out + at * w->out_pixel;

		if (chain->channels < width)
			tail_tile(tile, y, x, weight, w, chain, pixels, width);
		else
			tile(y, x, weight, w->out_pixel, w->pixel_stride, w->row_stride, chain->rows, chain->taps,
			     chain->accumulate);
		at += pixels;
	}
}

static void chain_lines(float *out, const float *in, const float *weight, const struct window *w, const struct kernels *kernels,
			const struct chain *chain)
{
	for (size_t n = 0; n < w->samples; n++)
		for (int h = 0; h < w->out_h; h++)
			chain_line(out + n * w->out_sample + h * w->out_line, in + n * w->in_sample + h * w->line_stride, weight, w,
				   kernels, chain);
}

/* One panel. Sums of many taps are cut into chains, and all pixels take one chain before the next: a chain's weights stay in the
 * first-level cache, and the pixels, which are fewer, are gone through again. */
static void panel_run(float *out, const float *in, const float *weight, const struct window *w, const struct kernels *kernels,
		      int vectors, int channels)
{
	struct chain chain = {w->rows, w->taps, vectors, channels, w->accumulate};
	int chains = (w->taps + CHAIN_TAPS - 1) / CHAIN_TAPS;

	if (w->rows * w->taps <= CHAIN_TAPS) {
		chain_lines(out, in, weight, w, kernels, &chain);
		return;
	}
	chain.rows = 1;
	for (int r = 0; r < w->rows; r++)
		for (int i = 0, at = 0; i < chains; i++) {
			chain.taps = (w->taps - at) / (chains - i);
			chain_lines(out, in + r * w->row_stride + at, weight, w, kernels, &chain);
			weight += (ptrdiff_t)chain.taps * vectors * kernels->vector;
			chain.accumulate = true;
			at += chain.taps;
		}
}

static void window_run(float *out, const float *in, const float *weight, const struct window *w, const struct kernels *kernels)
{
	for (int k = 0; k < w->out_c;) {
		int vectors = conv_panel_vectors(w->out_c - k, kernels->vector);
		int width = vectors * kernels->vector;

		panel_run(out + k, in, weight, w, kernels, vectors, w->out_c - k < width ? w->out_c - k : width);
		weight += (ptrdiff_t)w->rows * w->taps * width;
		k += width;
	}
}

/* A 1 x 1 convolution: all pixels are one long line. Blocks of it stay in the cache while all panels of weights pass. */
static void pointwise(float *out, const float *in, const float *packed, const struct window *line, const struct kernels *kernels,
		      size_t pixels)
{
	struct window w = *line;
	size_t block = BLOCK_FLOATS / (size_t)w.taps / (size_t)kernels->tile_pixels * (size_t)kernels->tile_pixels;

	if (block < (size_t)kernels->tile_pixels)
		block = (size_t)kernels->tile_pixels;
	w.out_h = 1;
	w.samples = 1;
	for (size_t at = 0; at < pixels; at += block) {
		w.out_w = (int)(pixels - at < block ? pixels - at : block);
		window_run(out + at * (size_t)w.out_c, in + at * (size_t)w.taps, packed, &w, kernels);
	}
}

/* to (h + before + behind rows ...) = from (h, w, c) with zeros around it. */
static void copy_padded(float *to, const float *from, int h, int w, int c, int before, int behind_h, int behind_w)
{
	size_t line = (size_t)w * (size_t)c, left = (size_t)before * (size_t)c, right = (size_t)behind_w * (size_t)c;
	size_t full = left + line + right;

	memset(to, 0, full * (size_t)before * sizeof(float));
	to += full * (size_t)before;
	for (int i = 0; i < h; i++, to += full, from += line) {
		memset(to, 0, left * sizeof(float));
		memcpy(to + left, from, line * sizeof(float));
		memset(to + left + line, 0, right * sizeof(float));
	}
	memset(to, 0, full * (size_t)behind_h * sizeof(float));
}

void direct_forward(float *out, const float *in, const float *packed, const struct conv *conv, const struct kernels *kernels,
		    size_t samples, float *padded)
{
	size_t in_size = (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c;
	ptrdiff_t line = (ptrdiff_t)(conv->in_w + 2 * conv->pad) * conv->in_c;
	struct window w = {
	    .pixel_stride = (ptrdiff_t)conv->stride * conv->in_c,
	    .row_stride = line,
	    .line_stride = line * conv->stride,
	    .out_pixel = conv->out_c,
	    .out_line = (ptrdiff_t)conv->out_w * conv->out_c,
	    .rows = conv->kernel,
	    .taps = conv->kernel * conv->in_c,
	    .out_h = conv->out_h,
	    .out_w = conv->out_w,
	    .out_c = conv->out_c,
	    .samples = samples,
	    .in_sample = in_size,
	    .out_sample = (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c,
	};

	if (conv_is_pointwise(conv)) {
		pointwise(out, in, packed, &w, kernels, samples * (size_t)conv->out_h * (size_t)conv->out_w);
		return;
	}
	if (conv->pad) {
		w.in_sample = direct_padded_size(conv, false);
		for (size_t n = 0; n < samples; n++)
			copy_padded(padded + n * w.in_sample, in + n * in_size, conv->in_h, conv->in_w, conv->in_c, conv->pad,
				    conv->pad, conv->pad);
		in = padded;
	}
	window_run(out, in, packed, &w, kernels);
}

/* The input pixels of phase (a, b); d_out is padded by `before`, its lines are `line` floats long, its samples `sample`. */
static void backward_phase(float *d_in, const float *d_out, const float *packed, const struct conv *conv,
			   const struct kernels *kernels, size_t samples, int a, int b, int before, ptrdiff_t line, size_t sample,
			   bool accumulate)
{
	int top = phase_first(conv, a), left = phase_first(conv, b);
	int rows = direct_phase_taps(conv, a), columns = direct_phase_taps(conv, b);
	int stride = conv->stride;
	ptrdiff_t in_line = (ptrdiff_t)conv->in_w * conv->in_c;
	struct window w = {
	    .pixel_stride = conv->out_c,
	    .row_stride = line,
	    .line_stride = line,
	    .out_pixel = (ptrdiff_t)stride * conv->in_c,
	    .out_line = stride * in_line,
	    .rows = rows,
	    .taps = columns * conv->out_c,
	    .out_h = phase_last(conv, a, conv->in_h) - top + 1,
	    .out_w = phase_last(conv, b, conv->in_w) - left + 1,
	    .out_c = conv->in_c,
	    .accumulate = accumulate,
	    .samples = samples,
	    .in_sample = sample,
	    .out_sample = (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c,
	};
	float *out = d_in + (stride * top + a - conv->pad) * in_line + (ptrdiff_t)(stride * left + b - conv->pad) * conv->in_c;

	if (w.out_h <= 0 || w.out_w <= 0 || (accumulate && rows * columns == 0))
		return;
	/* A phase without taps is written as zeros: its window has no rows. */
	if (columns == 0)
		w.rows = 0;
	window_run(out, d_out + (top - rows + 1 + before) * line + (ptrdiff_t)(left - columns + 1 + before) * conv->out_c, packed,
		   &w, kernels);
}

static void pointwise_data(float *d_in, const float *d_out, const float *packed, const struct conv *conv,
			   const struct kernels *kernels, size_t samples, bool accumulate)
{
	struct window w = {.pixel_stride = conv->out_c,
			   .out_pixel = conv->in_c,
			   .rows = 1,
			   .taps = conv->out_c,
			   .out_c = conv->in_c,
			   .accumulate = accumulate};

	pointwise(d_in, d_out, packed, &w, kernels, samples * (size_t)conv->in_h * (size_t)conv->in_w);
}

void direct_data(float *d_in, const float *d_out, const float *packed, const struct conv *conv, const struct kernels *kernels,
		 size_t samples, bool accumulate, float *padded)
{
	size_t sample = (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c,
	       padded_sample = direct_padded_size(conv, true);
	int before = pad_before(conv);
	int behind_h = pad_behind(conv, conv->in_h, conv->out_h), behind_w = pad_behind(conv, conv->in_w, conv->out_w);
	ptrdiff_t line = (ptrdiff_t)(conv->out_w + before + behind_w) * conv->out_c;

	if (conv_is_pointwise(conv)) {
		pointwise_data(d_in, d_out, packed, conv, kernels, samples, accumulate);
		return;
	}
	if (padded_sample > sample) {
		for (size_t n = 0; n < samples; n++)
			copy_padded(padded + n * padded_sample, d_out + n * sample, conv->out_h, conv->out_w, conv->out_c, before,
				    behind_h, behind_w);
		d_out = padded;
	}
	for (int a = 0; a < conv->stride; a++)
		for (int b = 0; b < conv->stride; b++) {
			size_t taps = (size_t)direct_phase_taps(conv, a) * (size_t)direct_phase_taps(conv, b) * (size_t)conv->out_c;

			backward_phase(d_in, d_out, packed, conv, kernels, samples, a, b, before, line, padded_sample, accumulate);
			packed += direct_panels_size(conv->in_c, kernels->vector, taps);
		}
}
