/* Direct convolutions of bf16: the same windows as conv_window.c, as products of matrices in blocks of 16 pixels x 16 channels
 * (nn/kernels/dot.inc). A window's taps are cut into steps of 32; taps that fill up the last step have the weight 0. */
#include <assert.h>
#include <string.h>

#include "nn/layers/conv_internal.h"

enum { BLOCK = 16, STEP = 32, UNIT = STEP * BLOCK, BLOCKS_MAX = 4 };

static int steps_of(int taps)
{
	return (taps + STEP - 1) / STEP;
}

static int columns_of(int channels_left)
{
	return channels_left > BLOCK ? 2 : 1;
}

size_t dot_panels_size(int channels, int lines, int taps)
{
	return (size_t)((channels + BLOCK - 1) / BLOCK) * (size_t)lines * (size_t)steps_of(taps) * UNIT;
}

/* Blocks of the window's output that are computed together. */
struct blocks {
	const uint16_t *in[BLOCKS_MAX];
	uint16_t *out[BLOCKS_MAX];
	int pixels[BLOCKS_MAX];
	int count;
};

static void blocks_run(struct blocks *blocks, const uint16_t *panel, const struct window *w, const struct kernels *kernels,
		       int columns, int channels)
{
	float sums[BLOCKS_MAX * BLOCK * BLOCK];

	kernels->dot(sums, blocks->in, panel, w->pixel_stride, w->row_stride, w->rows, steps_of(w->taps), blocks->count, columns);
	for (int i = 0; i < blocks->count; i++)
		kernels->dot_store(blocks->out[i], sums + i * BLOCK * BLOCK * columns, w->out_pixel, (ptrdiff_t)BLOCK * columns,
				   blocks->pixels[i], channels, w->accumulate);
	blocks->count = 0;
}

/* All pixels for one panel of output channels. */
static void panel_run(uint16_t *out, const uint16_t *in, const uint16_t *panel, const struct window *w,
		      const struct kernels *kernels, int columns, int channels)
{
	struct blocks blocks = {.count = 0};

	for (size_t n = 0; n < w->samples; n++)
		for (int h = 0; h < w->out_h; h++)
			for (int x = 0; x < w->out_w; x += BLOCK) {
				int i = blocks.count++;

				blocks.in[i] = in + n * w->in_sample + h * w->line_stride + x * w->pixel_stride;
				blocks.out[i] = out + n * w->out_sample + h * w->out_line + x * w->out_pixel;
				blocks.pixels[i] = w->out_w - x < BLOCK ? w->out_w - x : BLOCK;
				if (blocks.count == BLOCKS_MAX / columns)
					blocks_run(&blocks, panel, w, kernels, columns, channels);
			}
	if (blocks.count)
		blocks_run(&blocks, panel, w, kernels, columns, channels);
}

void dot_window(uint16_t *out, const uint16_t *in, const uint16_t *packed, const struct window *w, const struct kernels *kernels)
{
	kernels->dot_begin();
	for (int k = 0; k < w->out_c;) {
		int columns = columns_of(w->out_c - k), left = w->out_c - k;

		panel_run(out + k, in, packed, w, kernels, columns, left < BLOCK * columns ? left : BLOCK * columns);
		packed += dot_panels_size(BLOCK * columns, w->rows, w->taps);
		k += BLOCK * columns;
	}
	kernels->dot_end();
}

size_t conv_reach(const struct conv *conv)
{
	int channels = conv->in_c > conv->out_c ? conv->in_c : conv->out_c;

	return (size_t)BLOCK * (size_t)conv->stride * (size_t)channels + STEP;
}

/* ---- packed weights ---- */

/* Behind the panels: the weights as bf16, and a row of zeros. */
struct rounded {
	const uint16_t *weights; /* HWIO */
	const uint16_t *zeros;	 /* for rows that do not exist */
};

static size_t weight_count(const struct conv *conv)
{
	return (size_t)(conv->kernel * conv->kernel) * (size_t)conv->in_c * (size_t)conv->out_c;
}

static size_t panels_size(const struct conv *conv, bool backward)
{
	size_t size = 0;

	if (!backward)
		return dot_panels_size(conv->out_c, conv->kernel, conv->kernel * conv->in_c);
	for (int a = 0; a < conv->stride; a++)
		for (int b = 0; b < conv->stride; b++)
			size += dot_panels_size(conv->in_c, direct_phase_taps(conv, a), direct_phase_taps(conv, b) * conv->out_c);
	return size;
}

size_t dot_packed_size(const struct conv *conv, bool backward)
{
	return panels_size(conv, backward) + weight_count(conv) + (size_t)conv->out_c + (size_t)(2 * STEP);
}

static void pack_forward(uint16_t *packed, const struct rounded *from, const struct conv *conv, const struct kernels *kernels)
{
	int taps = conv->kernel * conv->in_c;

	for (int k = 0, columns; k < conv->out_c; k += BLOCK * columns) {
		columns = columns_of(conv->out_c - k);
		for (int r = 0; r < conv->kernel; r++)
			for (int t = 0; t < taps; t += STEP) {
				const uint16_t *rows[STEP];

				for (int i = 0; i < STEP; i++)
					rows[i] = t + i < taps ? from->weights + (ptrdiff_t)(r * taps + t + i) * conv->out_c
							       : from->zeros;
				for (int column = 0; column < columns; column++, packed += UNIT)
					kernels->interleave(packed, rows, k + BLOCK * column);
			}
	}
}

/* One step of the data gradient's weights for input channels c .. c + 15: taps t .. t + 31 of [column][out_c], both flipped. */
static void pack_step(uint16_t *packed, const struct rounded *from, const struct conv *conv, const struct kernels *kernels,
		      const int *taps, int count, int t, int c)
{
	if (conv->out_c % STEP == 0) {
		const uint16_t *rows[BLOCK];
		ptrdiff_t first = (ptrdiff_t)taps[t / conv->out_c] * conv->in_c + c;

		for (int i = 0; i < BLOCK; i++)
			rows[i] = c + i < conv->in_c ? from->weights + (first + i) * conv->out_c + t % conv->out_c : from->zeros;
		kernels->transpose(packed, 2 * (ptrdiff_t)BLOCK, rows);
		return;
	}
	for (int i = 0; i < STEP; i++)
		for (int j = 0; j < BLOCK; j++) {
			bool exists = t + i < count * conv->out_c && c + j < conv->in_c;
			ptrdiff_t at = exists ? ((ptrdiff_t)taps[(t + i) / conv->out_c] * conv->in_c + c + j) * conv->out_c : 0;

			packed[i / 2 * 2 * BLOCK + 2 * j + i % 2] = exists ? from->weights[at + (t + i) % conv->out_c] : 0;
		}
}

/* Phase (a, b), as direct_pack's. */
static uint16_t *pack_phase(uint16_t *packed, const struct rounded *from, const struct conv *conv, const struct kernels *kernels,
			    int a, int b)
{
	int lines = direct_phase_taps(conv, a), count = direct_phase_taps(conv, b);

	for (int c = 0, columns; c < conv->in_c; c += BLOCK * columns) {
		columns = columns_of(conv->in_c - c);
		for (int line = lines - 1; line >= 0; line--) {
			int taps[DIRECT_KERNEL_MAX] = {0};

			for (int u = 0; u < count; u++)
				taps[u] = (a + conv->stride * line) * conv->kernel + b + conv->stride * (count - 1 - u);
			for (int t = 0; t < count * conv->out_c; t += STEP)
				for (int column = 0; column < columns; column++, packed += UNIT)
					pack_step(packed, from, conv, kernels, taps, count, t, c + BLOCK * column);
		}
	}
	return packed;
}

void dot_pack(uint16_t *packed, const float *weight, const struct conv *conv, const struct kernels *kernels, bool backward)
{
	uint16_t *weights = packed + panels_size(conv, backward), *zeros = weights + weight_count(conv);
	struct rounded rounded = {weights, zeros};

	assert(conv->kernel <= DIRECT_KERNEL_MAX);
	kernels->narrow(weights, weight, weight_count(conv));
	memset(zeros, 0, ((size_t)conv->out_c + (size_t)(2 * STEP)) * sizeof(*zeros));
	if (!backward) {
		pack_forward(packed, &rounded, conv, kernels);
		return;
	}
	for (int a = 0; a < conv->stride; a++)
		for (int b = 0; b < conv->stride; b++)
			packed = pack_phase(packed, &rounded, conv, kernels, a, b);
}
