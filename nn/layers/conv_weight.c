/* The weight gradient of a convolution: d_weight[r][s][c][k] = sum over pixels of in[h stride + r - pad][w stride + s - pad][c] *
 * d_out[h][w][k]. No padding is stored: each tap (r, s) runs over the output pixels whose input pixel exists. */
#include <omp.h>

#include "nn/kernels/gemm.h"
#include "nn/layers/conv_internal.h"

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

/* A part of the sum: `taps` contiguous taps (kernel columns x input channels) from kernel position (r, s) on, over the output
 * pixels h x w, for the panel of output channels that begins at k. */
struct patch {
	int r, s, taps;
	struct span h, w;
	int k;
};

/* Output channels that do not fill a vector. */
static void tail_channels(float *d_weight, const float *in, const float *d_out, const struct conv *conv, int taps, int rows,
			  int cols, int channels)
{
	for (int r = 0; r < rows; r++)
		for (int q = 0; q < cols; q++) {
			const float *x = in + ((ptrdiff_t)r * conv->in_w + q) * conv->stride * conv->in_c;
			const float *d = d_out + ((ptrdiff_t)r * conv->out_w + q) * conv->out_c;

			for (int t = 0; t < taps; t++)
				for (int k = 0; k < channels; k++)
					d_weight[(ptrdiff_t)t * conv->out_c + k] += x[t] * d[k];
		}
}

/* Whole vectors of output channels, tile by tile of taps. */
static void vector_channels(float *d_weight, const float *in, const float *d_out, const struct conv *conv,
			    const struct kernels *kernels, int vectors, int taps, int rows, int cols)
{
	int tiles = (taps + kernels->tile_taps - 1) / kernels->tile_taps;

	for (int i = 0, t = 0; i < tiles; i++) {
		int count = (taps - t) / (tiles - i);

		kernels->weight_tile[vectors - 1][count - 1](d_weight + (ptrdiff_t)t * conv->out_c, in + t, d_out, conv->out_c,
							     (ptrdiff_t)conv->stride * conv->in_c,
							     (ptrdiff_t)conv->stride * conv->in_w * conv->in_c, conv->out_c,
							     (ptrdiff_t)conv->out_w * conv->out_c, rows, cols);
		t += count;
	}
}

static void run_patch(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct kernels *kernels,
		      struct patch patch)
{
	int left = conv->out_c - patch.k, cols = patch.w.hi - patch.w.lo, step;
	int vectors = left >= 2 * kernels->vector ? 2 : left >= kernels->vector ? 1 : 0;
	float *to = d_weight + (ptrdiff_t)(patch.r * conv->kernel + patch.s) * conv->in_c * conv->out_c + patch.k;

	if (cols <= 0)
		return;
	step = CHAIN_PIXELS / cols ? CHAIN_PIXELS / cols : 1;
	for (int at = patch.h.lo; at < patch.h.hi; at += step) {
		int rows = patch.h.hi - at < step ? patch.h.hi - at : step;
		const float *x = in + (((ptrdiff_t)at * conv->stride + patch.r - conv->pad) * conv->in_w +
				       (ptrdiff_t)patch.w.lo * conv->stride + patch.s - conv->pad) *
					  conv->in_c;
		const float *d = d_out + ((ptrdiff_t)at * conv->out_w + patch.w.lo) * conv->out_c + patch.k;

		if (vectors)
			vector_channels(to, x, d, conv, kernels, vectors, patch.taps, rows, cols);
		else
			tail_channels(to, x, d, conv, patch.taps, rows, cols, left);
	}
}

/* Kernel row r for one panel and one sample. With few input channels (the first layer's 3) a tap fills no tile; then all taps of
 * the row go together over the output columns where every tap exists, and tap by tap over the columns at the borders. */
static void sample_row(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct kernels *kernels,
		       int r, int k)
{
	struct patch patch = {.r = r, .k = k, .h = tap_span(r, conv->in_h, conv->out_h, conv->stride, conv->pad)};
	struct span inner = {tap_span(0, conv->in_w, conv->out_w, conv->stride, conv->pad).lo,
			     tap_span(conv->kernel - 1, conv->in_w, conv->out_w, conv->stride, conv->pad).hi};
	bool together = 2 * conv->in_c <= kernels->tile_taps && inner.hi > inner.lo;

	if (together) {
		patch.taps = conv->kernel * conv->in_c;
		patch.w = inner;
		run_patch(d_weight, in, d_out, conv, kernels, patch);
	}
	patch.taps = conv->in_c;
	for (patch.s = 0; patch.s < conv->kernel; patch.s++) {
		struct span all = tap_span(patch.s, conv->in_w, conv->out_w, conv->stride, conv->pad);

		patch.w = together ? (struct span){all.lo, inner.lo} : all;
		run_patch(d_weight, in, d_out, conv, kernels, patch);
		patch.w = (struct span){inner.hi, all.hi};
		if (together)
			run_patch(d_weight, in, d_out, conv, kernels, patch);
	}
}

static int panel_width(int channels_left, int vector)
{
	return channels_left >= 2 * vector ? 2 * vector : channels_left >= vector ? vector : channels_left;
}

/* Threads own blocks (kernel row, panel) of the gradient, so the order of additions does not depend on their number. */
static void windows(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct kernels *kernels,
		    size_t samples)
{
	size_t in_size = (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c;
	size_t out_size = (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c;
	int team = omp_get_num_threads(), me = omp_get_thread_num();

	for (size_t n = 0; n < samples; n++) {
		int block = 0;

		for (int r = 0; r < conv->kernel; r++)
			for (int k = 0; k < conv->out_c; k += panel_width(conv->out_c - k, kernels->vector), block++)
				if (block % team == me)
					sample_row(d_weight, in + n * in_size, d_out + n * out_size, conv, kernels, r, k);
	}
}

void direct_weight(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct kernels *kernels,
		   size_t samples)
{
	int pixels = (int)samples * conv->out_h * conv->out_w;

	if (conv_is_pointwise(conv))
		gemm_transposed(d_weight, in, d_out, conv->in_c, conv->out_c, pixels, conv->out_c, conv->in_c, conv->out_c);
	else
		windows(d_weight, in, d_out, conv, kernels, samples);
}
