/* The weight gradient of a convolution: d_weight[r][s][c][k] = sum over pixels of in[h stride + r - pad][w stride + s - pad][c] *
 * d_out[h][w][k]. No padding is stored: each tap (r, s) runs over the output pixels whose input pixel exists. */
#include <omp.h>
#include <string.h>

#include "nn/kernels/gemm.h"
#include "nn/layers/conv.h"

/* Longest chain of float additions in a tile, in pixels; tiles are then added to memory. Keeps the error and the footprint small.
 */
enum { CHAIN_PIXELS = 512 };

/* Output positions [lo, hi) whose input position o * stride + tap - pad lies inside [0, in). */
struct span {
	int lo, hi;
};

static struct span tap_span(int tap, int in, int out, int stride, int pad)
{
	int first = pad - tap, last = in - 1 + pad - tap;
	struct span span;

	span.lo = first > 0 ? (first + stride - 1) / stride : 0;
	span.hi = last < 0 ? 0 : last / stride + 1;
	if (span.hi > out)
		span.hi = out;
	return span;
}

/* Output channels that do not fill a vector. */
static void tail_channels(float *d_weight, const float *in, const float *d_out, const struct conv *conv, int rows, int cols,
			  int channels)
{
	for (int r = 0; r < rows; r++)
		for (int q = 0; q < cols; q++) {
			const float *x = in + ((ptrdiff_t)r * conv->in_w + q) * conv->stride * conv->in_c;
			const float *d = d_out + ((ptrdiff_t)r * conv->out_w + q) * conv->out_c;

			for (int c = 0; c < conv->in_c; c++)
				for (int k = 0; k < channels; k++)
					d_weight[(ptrdiff_t)c * conv->out_c + k] += x[c] * d[k];
		}
}

/* All input channels against one panel of output channels, over rows x cols output pixels. */
static void panel_taps(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct kernels *kernels,
		       int vectors, int rows, int cols)
{
	int tiles = (conv->in_c + kernels->tile_taps - 1) / kernels->tile_taps;

	for (int i = 0, c = 0; i < tiles; i++) {
		int taps = (conv->in_c - c) / (tiles - i);

		kernels->weight_tile[vectors - 1][taps - 1](d_weight + (ptrdiff_t)c * conv->out_c, in + c, d_out, conv->out_c,
							    (ptrdiff_t)conv->stride * conv->in_c,
							    (ptrdiff_t)conv->stride * conv->in_w * conv->in_c, conv->out_c,
							    (ptrdiff_t)conv->out_w * conv->out_c, rows, cols);
		c += taps;
	}
}

/* One tap (r, s), the panel that begins at output channel k, one sample. */
static void sample_block(float *d_weight, const float *in, const float *d_out, const struct conv *conv,
			 const struct kernels *kernels, int r, int s, int k)
{
	struct span h = tap_span(r, conv->in_h, conv->out_h, conv->stride, conv->pad);
	struct span w = tap_span(s, conv->in_w, conv->out_w, conv->stride, conv->pad);
	int left = conv->out_c - k;
	int vectors = left >= 2 * kernels->vector ? 2 : left >= kernels->vector ? 1 : 0;
	int cols = w.hi - w.lo, step;

	if (cols <= 0)
		return;
	step = CHAIN_PIXELS / cols ? CHAIN_PIXELS / cols : 1;
	for (int at = h.lo; at < h.hi; at += step) {
		int rows = h.hi - at < step ? h.hi - at : step;
		const float *x = in + (((ptrdiff_t)at * conv->stride + r - conv->pad) * conv->in_w +
				       (ptrdiff_t)w.lo * conv->stride + s - conv->pad) *
					  conv->in_c;
		const float *d = d_out + ((ptrdiff_t)at * conv->out_w + w.lo) * conv->out_c + k;
		float *to = d_weight + (ptrdiff_t)(r * conv->kernel + s) * conv->in_c * conv->out_c + k;

		if (vectors)
			panel_taps(to, x, d, conv, kernels, vectors, rows, cols);
		else
			tail_channels(to, x, d, conv, rows, cols, left);
	}
}

static int panel_width(int channels_left, int vector)
{
	return channels_left >= 2 * vector ? 2 * vector : channels_left >= vector ? vector : channels_left;
}

/* Threads own blocks (tap, panel) of the gradient, so the order of additions does not depend on their number. */
static void direct(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct kernels *kernels,
		   size_t samples, int threads)
{
	size_t in_size = (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c;
	size_t out_size = (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c;

#pragma omp parallel num_threads(threads)
	for (size_t n = 0; n < samples; n++) {
		int block = 0, team = omp_get_num_threads(), me = omp_get_thread_num();

		for (int tap = 0; tap < conv->kernel * conv->kernel; tap++)
			for (int k = 0; k < conv->out_c; k += panel_width(conv->out_c - k, kernels->vector), block++)
				if (block % team == me)
					sample_block(d_weight, in + n * in_size, d_out + n * out_size, conv, kernels,
						     tap / conv->kernel, tap % conv->kernel, k);
	}
}

void conv_backward_weight(float *d_weight, const float *in, const float *d_out, const struct conv *conv,
			  const struct kernels *kernels, size_t samples, int threads)
{
	size_t taps = (size_t)conv->kernel * (size_t)conv->kernel;
	size_t pixels = samples * (size_t)conv->out_h * (size_t)conv->out_w;

	memset(d_weight, 0, taps * (size_t)conv->in_c * (size_t)conv->out_c * sizeof(float));
	if (samples == 0)
		return;
	if (conv->kernel == 1 && conv->stride == 1 && conv->pad == 0)
		gemm_transposed(d_weight, in, d_out, conv->in_c, conv->out_c, (int)pixels, conv->out_c, conv->in_c, conv->out_c,
				threads);
	else
		direct(d_weight, in, d_out, conv, kernels, samples, threads);
}
