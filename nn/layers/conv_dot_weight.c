/* The weight gradient of a convolution of bf16: d_weight[r][s][c][k] = sum over pixels of in[...][c] * d_out[...][k], as products
 * of the transposed input (channels, positions) with d_out (positions, channels), a product for each tap.
 *
 * Positions are those of the padded input image, line after line and sample after sample; d_out is 0 where none of its pixels
 * belongs to a position. Then a tap is nothing but an offset into a channel's positions. With a stride the padded image falls into
 * stride x stride phases, each an image of its own. */
#include <string.h>

#include "nn/layers/conv_internal.h"

enum { BLOCK = 16, STEP = 32, UNIT = STEP * BLOCK, BLOCKS_MAX = 4 };

/* Where everything lies. */
struct layout {
	int phases; /* on a side */
	int h, w;   /* of a phase's image */
	size_t positions;
	int steps;	/* of d_out */
	int long_steps; /* of the input: the taps reach behind the last position */
	ptrdiff_t row;	/* between two channels of the transposed input */
	int in_blocks, out_blocks;
	size_t phase_size;
};

static int blocks_of(int channels)
{
	return (channels + BLOCK - 1) / BLOCK;
}

static struct layout layout_of(const struct conv *conv, size_t samples)
{
	struct layout layout = {.phases = conv->kernel < conv->stride ? conv->kernel : conv->stride,
				.h = (conv->in_h + 2 * conv->pad + conv->stride - 1) / conv->stride,
				.w = (conv->in_w + 2 * conv->pad + conv->stride - 1) / conv->stride,
				.in_blocks = blocks_of(conv->in_c),
				.out_blocks = blocks_of(conv->out_c)};
	int reach = (conv->kernel - 1) / conv->stride * (layout.w + 1);

	layout.positions = samples * (size_t)layout.h * (size_t)layout.w;
	layout.steps = (int)((layout.positions + STEP - 1) / STEP);
	layout.long_steps = layout.steps + (reach + STEP - 1) / STEP;
	layout.row = (ptrdiff_t)(layout.long_steps | 1) * STEP; /* odd: rows should not all fall into the same cache set */
	layout.phase_size = (size_t)layout.row * (size_t)layout.in_blocks * BLOCK;
	return layout;
}

static size_t zeros_size(const struct layout *layout)
{
	return (size_t)BLOCK * (size_t)(layout->in_blocks + layout->out_blocks);
}

size_t dot_weight_size(const struct conv *conv, size_t samples)
{
	struct layout layout = layout_of(conv, samples);

	return zeros_size(&layout) + layout.phase_size * (size_t)(layout.phases * layout.phases) +
	       (size_t)layout.out_blocks * (size_t)layout.steps * UNIT;
}

/* An image whose pixels belong to positions: those at stride * (y, x) + (top, left). */
struct grid {
	const uint16_t *pixels;
	int h, w, c;
	int stride, top, left;
};

/* The pixels of 32 positions, zeros where there is none. */
static void find_pixels(const uint16_t *rows[STEP], const struct grid *grid, const struct layout *layout, int step,
			const uint16_t *zeros)
{
	size_t position = (size_t)step * STEP, image = (size_t)layout->h * (size_t)layout->w, sample = position / image;
	int y = (int)(position % image) / layout->w, x = (int)(position % image) % layout->w;

	for (int i = 0; i < STEP; i++, position++) {
		int row = y * grid->stride + grid->top, column = x * grid->stride + grid->left;
		bool exists = position < layout->positions && row >= 0 && row < grid->h && column >= 0 && column < grid->w;

		rows[i] = exists ? grid->pixels + (((ptrdiff_t)sample * grid->h + row) * grid->w + column) * grid->c : zeros;
		if (++x == layout->w) {
			x = 0;
			if (++y == layout->h) {
				y = 0;
				sample++;
			}
		}
	}
}

/* d_out's blocks: [panel][step][column]. */
static void gather_gradient(uint16_t *to, const struct grid *grid, const struct layout *layout, const struct kernels *kernels,
			    int step, const uint16_t *zeros)
{
	const uint16_t *rows[STEP];

	find_pixels(rows, grid, layout, step, zeros);
	for (int block = 0; block < layout->out_blocks; block++) {
		int first = block / 2 * 2, columns = layout->out_blocks - first > 1 ? 2 : 1;

		kernels->interleave(to + ((ptrdiff_t)first * layout->steps + step * columns + block - first) * UNIT, rows,
				    (ptrdiff_t)block * BLOCK);
	}
}

static void gather_input(uint16_t *to, const struct grid *grid, const struct layout *layout, const struct kernels *kernels,
			 int step, const uint16_t *zeros)
{
	const uint16_t *rows[STEP], *pairs[BLOCK];
	uint16_t block[UNIT];

	find_pixels(rows, grid, layout, step, zeros);
	for (int i = 0; i < BLOCK; i++)
		pairs[i] = block + 2 * BLOCK * i;
	for (int i = 0; i < layout->in_blocks; i++) {
		kernels->interleave(block, rows, (ptrdiff_t)i * BLOCK);
		kernels->transpose(to + i * BLOCK * layout->row + (ptrdiff_t)step * STEP, layout->row, pairs);
	}
}

/* Blocks of d_weight that are computed together, `rows` of 16 input channels each. */
struct blocks {
	const uint16_t *in[BLOCKS_MAX];
	float *out[BLOCKS_MAX];
	int rows[BLOCKS_MAX];
	int count;
};

/* Blocks from `first` on, numbered [tap][channels / 16], for output channels from k on. */
static struct blocks find_blocks(float *d_weight, const uint16_t *in, const struct conv *conv, const struct layout *layout,
				 int first, int most, int k)
{
	struct blocks blocks = {.count = 0};

	for (int i = first; i < first + most && i < conv->kernel * conv->kernel * layout->in_blocks; i++) {
		int tap = i / layout->in_blocks, c = i % layout->in_blocks * BLOCK;
		int r = tap / conv->kernel, s = tap % conv->kernel;
		int phase = r % conv->stride * layout->phases + s % conv->stride;
		int at = blocks.count++;

		blocks.in[at] =
		    in + (size_t)phase * layout->phase_size + c * layout->row + r / conv->stride * layout->w + s / conv->stride;
		blocks.out[at] = d_weight + ((ptrdiff_t)tap * conv->in_c + c) * conv->out_c + k;
		blocks.rows[at] = conv->in_c - c < BLOCK ? conv->in_c - c : BLOCK;
	}
	return blocks;
}

/* Item `item` of groups of blocks x panels of output channels. */
static void multiply(float *d_weight, const uint16_t *in, const uint16_t *d_out, const struct conv *conv,
		     const struct layout *layout, const struct kernels *kernels, int item)
{
	int panels = (layout->out_blocks + 1) / 2, panel = item % panels;
	int columns = layout->out_blocks - 2 * panel > 1 ? 2 : 1, k = 2 * panel * BLOCK;
	int channels = conv->out_c - k < BLOCK * columns ? conv->out_c - k : BLOCK * columns;
	int most = BLOCKS_MAX / (layout->out_blocks > 1 ? 2 : 1);
	struct blocks blocks = find_blocks(d_weight, in, conv, layout, item / panels * most, most, k);
	float sums[BLOCKS_MAX * BLOCK * BLOCK];

	kernels->dot(sums, blocks.in, d_out + (ptrdiff_t)2 * panel * layout->steps * UNIT, layout->row, 0, 1, layout->steps,
		     blocks.count, columns);
	for (int i = 0; i < blocks.count; i++)
		kernels->dot_add(blocks.out[i], sums + i * BLOCK * BLOCK * columns, conv->out_c, (ptrdiff_t)BLOCK * columns,
				 blocks.rows[i], channels);
}

void dot_weight(float *d_weight, const uint16_t *in, const uint16_t *d_out, const struct conv *conv, const struct kernels *kernels,
		size_t samples, uint16_t *shared, const struct team *team)
{
	struct layout layout = layout_of(conv, samples);
	int phases = layout.phases * layout.phases, most = BLOCKS_MAX / (layout.out_blocks > 1 ? 2 : 1);
	int groups = (conv->kernel * conv->kernel * layout.in_blocks + most - 1) / most, panels = (layout.out_blocks + 1) / 2;
	uint16_t *zeros = shared, *transposed = zeros + zeros_size(&layout),
		 *gradient = transposed + layout.phase_size * (size_t)phases;

	int items = layout.long_steps * phases + layout.steps;

	if (team->rank == 0)
		memset(zeros, 0, zeros_size(&layout) * sizeof(*zeros));
	team_wait(team);
	for (int item = team_begin(team, items); item < team_end(team, items); item++) {
		int phase = item / layout.long_steps, a = phase / layout.phases, b = phase % layout.phases;
		struct grid image = {in, conv->in_h, conv->in_w, conv->in_c, conv->stride, a - conv->pad, b - conv->pad};
		struct grid gradients = {d_out, conv->out_h, conv->out_w, conv->out_c, 1, 0, 0};

		if (phase < phases)
			gather_input(transposed + (size_t)phase * layout.phase_size, &image, &layout, kernels,
				     item % layout.long_steps, zeros);
		else
			gather_gradient(gradient, &gradients, &layout, kernels, item - layout.long_steps * phases, zeros);
	}
	team_wait(team);
	kernels->dot_begin();
	for (int item = team_begin(team, groups * panels); item < team_end(team, groups * panels); item++)
		multiply(d_weight, transposed, gradient, conv, &layout, kernels, item);
	kernels->dot_end();
	team_wait(team);
}
