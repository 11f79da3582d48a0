/* Direct convolutions: the forward pass and the data gradient as windows of taps that move over an image. */
#include <string.h>

#include "nn/layers/conv_internal.h"

/* Longest chain of float additions in a forward or data-gradient sum; longer sums are added up in memory, chain by chain. Relative
 * error of a 3 x 3 convolution of 512 channels: 7.9e-7 with one chain of 4608 taps, 2.2e-7 so, 1.8e-7 with chains of 144, which
 * pass over the output twice as often. */
enum { CHAIN_TAPS = 256 };

/* Values of input in a block of a 1 x 1 convolution: they stay in the first-level cache. More than WIDE_WEIGHTS weights come from
 * behind the second-level cache each time that they pass, and blocks are then as large as that cache allows: at 7 x 7 pixels 10.3
 * instead of 13.2 ms for 512 -> 2048 channels of 16 images. */
enum { BLOCK_VALUES = 7168, WIDE_BLOCK_VALUES = 114688, WIDE_WEIGHTS = 1 << 18 };

/* One chain of taps: `rows` kernel rows of `taps` floats; weight is the chain's part of a panel of `channels` output channels. */
struct chain {
	int rows, taps;
	int vectors, channels;
	bool accumulate;
	const struct conv_finish *finish; /* of the panel's channels, behind the last chain; NULL: nothing */
};

/* What the tile at `out` ends with. */
static struct tile_finish finish_at(const float *out, const struct window *w, const struct chain *chain)
{
	const struct conv_finish *finish = chain->finish;

	return (struct tile_finish){finish->bias, finish->residual ? finish->residual + (out - w->out) : NULL, finish->relu};
}

static float finished(float sum, const struct tile_finish *finish, ptrdiff_t at, int channel)
{
	sum += finish->bias[channel];
	if (finish->residual)
		sum += finish->residual[at + channel];
	return finish->relu && sum < 0 ? 0 : sum;
}

/* A tile whose channels do not fill its vectors goes through a buffer. */
static void tail_tile(conv_tile_fn tile, float *out, const float *in, const float *weight, const struct window *w,
		      const struct chain *chain, const struct tile_finish *finish, struct prefetch prefetch, int pixels, int width)
{
	float buffer[KERNEL_PIXELS_MAX * KERNEL_VECTORS * 16];

	tile(buffer, in, weight, width, w->pixel_stride, w->row_stride, chain->rows, chain->taps, false, NULL, prefetch);
	for (int p = 0; p < pixels; p++)
		for (int c = 0; c < chain->channels; c++) {
			float *to = out + p * w->out_pixel + c;

			*to = chain->accumulate ? *to + buffer[p * width + c] : buffer[p * width + c];
			if (finish)
				*to = finished(*to, finish, p * w->out_pixel, c);
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
		struct prefetch prefetch = ahead_take(w->ahead, kernels, chain->rows * chain->taps);
		struct tile_finish ending, *finish = NULL;

		if (chain->finish) {
			ending = finish_at(y, w, chain);
			finish = &ending;
		}
		if (chain->channels < width)
			tail_tile(tile, y, x, weight, w, chain, finish, prefetch, pixels, width);
		else
			tile(y, x, weight, w->out_pixel, w->pixel_stride, w->row_stride, chain->rows, chain->taps,
			     chain->accumulate, finish, prefetch);
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
		      const struct conv_finish *finish, int vectors, int channels)
{
	struct chain chain = {w->rows, w->taps, vectors, channels, w->accumulate, finish};
	int chains = (w->taps + CHAIN_TAPS - 1) / CHAIN_TAPS;

	if (w->rows * w->taps <= CHAIN_TAPS) {
		chain_lines(out, in, weight, w, kernels, &chain);
		return;
	}
	chain.rows = 1;
	for (int r = 0; r < w->rows; r++)
		for (int i = 0, at = 0; i < chains; i++) {
			chain.taps = (w->taps - at) / (chains - i);
			chain.finish = r == w->rows - 1 && i == chains - 1 ? finish : NULL;
			chain_lines(out, in + r * w->row_stride + at, weight, w, kernels, &chain);
			weight += (ptrdiff_t)chain.taps * vectors * kernels->vector;
			chain.accumulate = true;
			at += chain.taps;
		}
}

static void float_window(float *out, const float *in, const float *weight, const struct window *w, const struct kernels *kernels)
{
	for (int k = 0; k < w->out_c;) {
		int vectors = conv_panel_vectors(w->out_c - k, kernels->vector);
		int width = vectors * kernels->vector;
		struct conv_finish finish;

		if (w->finish)
			finish = (struct conv_finish){w->finish->bias + k, w->finish->residual, w->finish->relu};
		panel_run(out + k, in, weight, w, kernels, w->finish ? &finish : NULL, vectors,
			  w->out_c - k < width ? w->out_c - k : width);
		weight += (ptrdiff_t)w->rows * w->taps * width;
		k += width;
	}
}

/* The window's output, in the way that fits how values are stored. */
static void window_run(void *out, const void *in, const void *packed, const struct window *w, const struct conv_env *env)
{
	if (env->bf16)
		dot_window(out, in, packed, w, env->kernels);
	else
		float_window(out, in, packed, w, env->kernels);
}

/* A 1 x 1 convolution: all pixels are one long line. Blocks of it stay in the cache while all panels of weights pass. */
static void pointwise(void *out, const void *in, const void *packed, const struct window *line, const struct conv_env *env,
		      size_t pixels)
{
	const struct pointwise *values = conv_values(env);
	struct window w = *line;
	size_t values_wanted = (size_t)w.taps * (size_t)w.out_c > WIDE_WEIGHTS ? WIDE_BLOCK_VALUES : BLOCK_VALUES;
	size_t tile = (size_t)env->kernels->tile_pixels, block = values_wanted / (size_t)w.taps / tile * tile;

	if (block < tile)
		block = tile;
	w.out_h = 1;
	w.samples = 1;
	for (size_t at = 0; at < pixels; at += block) {
		w.out_w = (int)(pixels - at < block ? pixels - at : block);
		window_run(stored_into(values, out, at * (size_t)w.out_c), stored(values, in, at * (size_t)w.taps), packed, &w,
			   env);
	}
}

/* Whether values are copied: to have zeros around the images, or behind the taps that fill up a step of 32. */
static bool copied(const struct conv_env *env, int taps, bool padded)
{
	return padded || (env->bf16 && taps % DOT_STEP);
}

/* A sample's shape, and the zeros around it. */
struct frame {
	int h, w, c;
	int before, behind_h, behind_w;
};

static void copy_samples(void *to, const void *from, const struct frame *frame, const struct conv_env *env, size_t samples)
{
	const struct pointwise *values = conv_values(env);
	size_t sample = (size_t)frame->h * (size_t)frame->w * (size_t)frame->c;
	size_t padded = (size_t)(frame->h + frame->before + frame->behind_h) *
			(size_t)(frame->w + frame->before + frame->behind_w) * (size_t)frame->c;

	for (size_t n = 0; n < samples; n++)
		direct_copy_padded(stored_into(values, to, n * padded), stored(values, from, n * sample), frame->h, frame->w,
				   (size_t)frame->c * values->bytes, frame->before, frame->behind_h, frame->behind_w);
	memset(stored_into(values, to, samples * padded), 0, DOT_STEP * values->bytes);
}

void direct_forward(void *out, const void *in, const void *packed, const struct conv *conv, const struct conv_env *env,
		    size_t samples, const struct conv_finish *finish, void *room)
{
	int taps = conv->kernel * conv->in_c;
	ptrdiff_t line = (ptrdiff_t)(conv->in_w + 2 * conv->pad) * conv->in_c;
	struct frame frame = {conv->in_h, conv->in_w, conv->in_c, conv->pad, conv->pad, conv->pad};
	struct window w = {
	    .pixel_stride = (ptrdiff_t)conv->stride * conv->in_c,
	    .row_stride = line,
	    .line_stride = line * conv->stride,
	    .out_pixel = conv->out_c,
	    .out_line = (ptrdiff_t)conv->out_w * conv->out_c,
	    .rows = conv->kernel,
	    .taps = taps,
	    .out_h = conv->out_h,
	    .out_w = conv->out_w,
	    .out_c = conv->out_c,
	    .samples = samples,
	    .in_sample = direct_framed_size(conv, false),
	    .out_sample = (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c,
	    .finish = finish,
	    .out = out,
	    .ahead = env->ahead,
	};

	if (copied(env, taps, conv->pad > 0)) {
		copy_samples(room, in, &frame, env, samples);
		in = room;
	}
	if (conv_is_pointwise(conv))
		pointwise(out, in, packed, &w, env, samples * (size_t)conv->out_h * (size_t)conv->out_w);
	else
		window_run(out, in, packed, &w, env);
}

/* The input pixels of phase (a, b); d_out is padded by `before`, its lines are `line` values long. */
static void backward_phase(void *d_in, const void *d_out, const void *packed, const struct conv *conv, const struct conv_env *env,
			   size_t samples, int a, int b, int before, ptrdiff_t line, bool accumulate)
{
	const struct pointwise *values = conv_values(env);
	int top = direct_phase_first(conv, a), left = direct_phase_first(conv, b);
	int rows = direct_phase_taps(conv, a), columns = direct_phase_taps(conv, b);
	int stride = conv->stride;
	ptrdiff_t in_line = (ptrdiff_t)conv->in_w * conv->in_c;
	ptrdiff_t to = (stride * top + a - conv->pad) * in_line + (ptrdiff_t)(stride * left + b - conv->pad) * conv->in_c;
	ptrdiff_t from = (top - rows + 1 + before) * line + (ptrdiff_t)(left - columns + 1 + before) * conv->out_c;
	struct window w = {
	    .pixel_stride = conv->out_c,
	    .row_stride = line,
	    .line_stride = line,
	    .out_pixel = (ptrdiff_t)stride * conv->in_c,
	    .out_line = stride * in_line,
	    .rows = rows,
	    .taps = columns * conv->out_c,
	    .out_h = direct_phase_last(conv, a, conv->in_h) - top + 1,
	    .out_w = direct_phase_last(conv, b, conv->in_w) - left + 1,
	    .out_c = conv->in_c,
	    .accumulate = accumulate,
	    .samples = samples,
	    .in_sample = direct_framed_size(conv, true),
	    .out_sample = (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c,
	    .ahead = env->ahead,
	};

	if (w.out_h <= 0 || w.out_w <= 0 || (accumulate && rows * columns == 0))
		return;
	/* A phase without taps is written as zeros: its window has no rows. */
	if (columns == 0)
		w.rows = 0;
	window_run(stored_into(values, d_in, (size_t)to), stored(values, d_out, (size_t)from), packed, &w, env);
}

static void pointwise_data(void *d_in, const void *d_out, const void *packed, const struct conv *conv, const struct conv_env *env,
			   size_t samples, bool accumulate)
{
	struct window w = {.pixel_stride = conv->out_c,
			   .out_pixel = conv->in_c,
			   .rows = 1,
			   .taps = conv->out_c,
			   .out_c = conv->in_c,
			   .accumulate = accumulate,
			   .ahead = env->ahead};

	pointwise(d_in, d_out, packed, &w, env, samples * (size_t)conv->in_h * (size_t)conv->in_w);
}

static size_t phase_size(const struct conv *conv, const struct conv_env *env, int a, int b)
{
	int lines = direct_phase_taps(conv, a), taps = direct_phase_taps(conv, b) * conv->out_c;

	return env->bf16 ? dot_panels_size(conv->in_c, lines, taps)
			 : direct_panels_size(conv->in_c, env->kernels->vector, (size_t)lines * (size_t)taps);
}

void direct_data(void *d_in, const void *d_out, const void *packed, const struct conv *conv, const struct conv_env *env,
		 size_t samples, bool accumulate, void *room)
{
	size_t sample = (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c;
	struct frame frame = {conv->out_h,
			      conv->out_w,
			      conv->out_c,
			      direct_pad_before(conv),
			      direct_pad_behind(conv, conv->in_h, conv->out_h),
			      direct_pad_behind(conv, conv->in_w, conv->out_w)};
	ptrdiff_t line = (ptrdiff_t)(conv->out_w + frame.before + frame.behind_w) * conv->out_c;

	if (copied(env, conv->out_c, direct_framed_size(conv, true) > sample)) {
		copy_samples(room, d_out, &frame, env, samples);
		d_out = room;
	}
	if (conv_is_pointwise(conv)) {
		pointwise_data(d_in, d_out, packed, conv, env, samples, accumulate);
		return;
	}
	for (int a = 0; a < conv->stride; a++)
		for (int b = 0; b < conv->stride; b++) {
			backward_phase(d_in, d_out, packed, conv, env, samples, a, b, frame.before, line, accumulate);
			packed = stored(conv_values(env), packed, phase_size(conv, env, a, b));
		}
}
