/* 3 x 3 convolutions by Winograd's F(4 x 4, 3 x 3): Lavin and Gray 2016, algorithm 1. 16 output pixels of a channel pair take 36
 * multiplications instead of 144; the transforms (nn/kernels/winograd.inc) go over the channels only once.
 *
 * Tiles are taken in blocks, so that a block's transformed tiles (36 positions, tiles, channels) stay in the second-level cache;
 * those of wide layers do not. Which tiles share a block changes no bits of the forward pass and the data gradient; the weight
 * gradient's blocks follow from the shape and the number of samples. */
#include "nn/layers/conv_internal.h"

enum { TILE = 4, POSITIONS = 36 };

/* Most tiles in a block, and in one of a wide layer, whose transformed weights are gone through for each block and fit no cache;
 * most taps in a chain of float additions, as in direct convolutions. */
enum { BLOCK_TILES = 32, WIDE_BLOCK_TILES = 64, CHAIN_TAPS = 256 };

/* Positions lie so many floats further apart than what belongs to them: at a power of two they would all want the same places of
 * the caches. */
enum { APART = 16 };

/* Weights of more than so many channel pairs, 4.7 MB when transformed, leave the second-level cache before they are used again. */
enum { PANEL_PAIRS = 1 << 15 };

/* The image and channels of one direction. */
struct image {
	int h, w, in_c, out_c;
	int across, tiles; /* tiles in a row, and in a sample */
	int block;	   /* most tiles in a block */
};

/* One tile: where it begins, and how many of its pixels exist. */
struct tile {
	size_t sample;
	int y, x;
	int rows, columns;
};

static int tiles_across(int size)
{
	return (size + TILE - 1) / TILE;
}

int winograd_tiles(const struct conv *conv)
{
	return tiles_across(conv->out_w) * tiles_across(conv->out_h);
}

bool winograd_wide(const struct conv *conv)
{
	return (double)conv->in_c * conv->out_c > 16384.0 * winograd_tiles(conv);
}

int winograd_block_tiles(const struct conv *conv)
{
	return winograd_wide(conv) ? WIDE_BLOCK_TILES : BLOCK_TILES;
}

static struct image image_of(const struct conv *conv, bool backward)
{
	return (struct image){conv->out_h,
			      conv->out_w,
			      backward ? conv->out_c : conv->in_c,
			      backward ? conv->in_c : conv->out_c,
			      tiles_across(conv->out_w),
			      winograd_tiles(conv),
			      winograd_block_tiles(conv)};
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

static struct tile tile_at(const struct image *image, size_t index)
{
	int place = (int)(index % (size_t)image->tiles);
	struct tile tile = {index / (size_t)image->tiles, place / image->across * TILE, place % image->across * TILE, 0, 0};

	tile.rows = least(TILE, image->h - tile.y);
	tile.columns = least(TILE, image->w - tile.x);
	return tile;
}

static ptrdiff_t pixel_offset(const struct image *image, const struct tile *tile, int channels)
{
	return (((ptrdiff_t)tile->sample * image->h + tile->y) * image->w + tile->x) * channels;
}

static ptrdiff_t position_stride(int lines, int channels)
{
	return (ptrdiff_t)lines * channels + APART;
}

size_t winograd_work_size(const struct conv *conv)
{
	int tiles = winograd_block_tiles(conv);

	return (size_t)(POSITIONS * (position_stride(tiles, conv->in_c) + position_stride(tiles, conv->out_c)));
}

size_t winograd_gradient_size(const struct conv *conv)
{
	return (size_t)POSITIONS * (size_t)conv->in_c * (size_t)conv->out_c;
}

size_t winograd_packed_size(const struct conv *conv, bool backward)
{
	size_t taps = (size_t)conv->in_c * (size_t)conv->out_c;

	return (size_t)(POSITIONS * position_stride(conv->in_c, conv->out_c)) + (backward ? 9 * taps : 0);
}

/* turned (3, 3, out_c, in_c) = weight, rotated by half a turn, with its channels exchanged. */
static void turn(float *turned, const float *weight, int in_c, int out_c, const struct kernels *kernels)
{
	ptrdiff_t size = (ptrdiff_t)in_c * out_c;

	for (int tap = 8; tap >= 0; tap--, turned += size)
		direct_transpose(turned, in_c, weight + tap * size, out_c, in_c, out_c, kernels);
}

/* packed: for each position, panels of output channels; in a panel, one line per input channel. */
void winograd_pack(float *packed, const float *weight, const float *scale, const struct conv *conv, const struct kernels *kernels,
		   bool backward)
{
	struct image image = image_of(conv, backward);
	ptrdiff_t position = position_stride(image.in_c, image.out_c);

	if (backward) {
		turn(packed + POSITIONS * position, weight, conv->in_c, conv->out_c, kernels);
		weight = packed + POSITIONS * position;
	}
	for (int k = 0; k < image.out_c;) {
		int width = kernels->vector * conv_panel_vectors(image.out_c - k, kernels->vector);

		for (int c = 0; c < image.in_c; c++)
			for (int v = 0; v < width; v += kernels->vector)
				kernels->winograd_weight(packed + (ptrdiff_t)c * width + v,
							 weight + (ptrdiff_t)c * image.out_c + k + v, scale ? scale + k + v : NULL,
							 (ptrdiff_t)image.in_c * image.out_c, position);
		packed += (ptrdiff_t)image.in_c * width;
		k += width;
	}
}

/* Bit i: line first + i lies in [0, size). */
static unsigned inside(int first, int size)
{
	unsigned bits = 0;

	for (int i = 0; i < TILE + 2; i++)
		bits |= (unsigned)(first + i >= 0 && first + i < size) << i;
	return bits;
}

static void transform_patch(float *v, const float *in, const struct image *image, const struct kernels *kernels, size_t index,
			    ptrdiff_t position)
{
	struct tile tile = tile_at(image, index);
	ptrdiff_t line = (ptrdiff_t)image->w * image->in_c;

	kernels->winograd_input(v, in + pixel_offset(image, &tile, image->in_c) - line - image->in_c, line, image->in_c, position,
				inside(tile.y - 1, image->h), inside(tile.x - 1, image->w));
}

/* m (tiles, out_c) = v (tiles, in_c) times one position's packed weights. Of large weights the next panel is asked for, or the next
 * position's first one: all of it when there are more than 32 tiles, three quarters with 32. */
static void position_product(float *m, const float *v, const float *packed, const struct image *image, const struct conv_env *env,
			     int tiles)
{
	const struct kernels *kernels = env->kernels;
	int groups = (tiles + kernels->tile_pixels - 1) / kernels->tile_pixels;

	for (int k = 0; k < image->out_c;) {
		int vectors = conv_panel_vectors(image->out_c - k, kernels->vector), width = vectors * kernels->vector;
		ptrdiff_t panel = (ptrdiff_t)image->in_c * width;
		struct ahead next = {0}, *ahead = image->in_c * image->out_c > PANEL_PAIRS ? &next : env->ahead;

		ahead_add(&next, packed + panel, (size_t)panel * sizeof(*packed));
		for (int i = 0, at = 0; i < groups; i++) {
			int count = (tiles - at) / (groups - i);
			conv_tile_fn product = kernels->conv_tile[vectors - 1][count - 1];

			for (int c = 0; c < image->in_c; c += CHAIN_TAPS) {
				int taps = least(CHAIN_TAPS, image->in_c - c);

				product(m + (ptrdiff_t)at * image->out_c + k, v + (ptrdiff_t)at * image->in_c + c,
					packed + (ptrdiff_t)c * width, image->out_c, image->in_c, 0, 1, taps, c > 0, NULL,
					ahead_take(ahead, kernels, taps));
			}
			at += count;
		}
		packed += panel;
		k += width;
	}
}

static void run_block(float *out, const float *in, const float *packed, const struct image *image, const struct conv_env *env,
		      size_t first, int tiles, bool accumulate, const struct conv_finish *finish, float *work)
{
	ptrdiff_t in_position = position_stride(tiles, image->in_c), out_position = position_stride(tiles, image->out_c);
	ptrdiff_t weight_position = position_stride(image->in_c, image->out_c);
	float *v = work, *m = work + POSITIONS * in_position;

	for (int t = 0; t < tiles; t++)
		transform_patch(v + (ptrdiff_t)t * image->in_c, in, image, env->kernels, first + (size_t)t, in_position);
	for (int i = 0; i < POSITIONS; i++)
		position_product(m + i * out_position, v + i * in_position, packed + i * weight_position, image, env, tiles);
	for (int t = 0; t < tiles; t++) {
		struct tile tile = tile_at(image, first + (size_t)t);
		ptrdiff_t at = pixel_offset(image, &tile, image->out_c);
		struct tile_finish ending;

		if (finish)
			ending = (struct tile_finish){finish->bias, finish->residual ? finish->residual + at : NULL, finish->relu};
		env->kernels->winograd_output(out + at, m + (ptrdiff_t)t * image->out_c, (ptrdiff_t)image->w * image->out_c,
					      image->out_c, out_position, tile.rows, tile.columns, accumulate,
					      finish ? &ending : NULL);
	}
}

/* Tiles in the next of the blocks that share `left` tiles nearly evenly. */
static int next_block(const struct image *image, size_t left)
{
	size_t most = (size_t)image->block, blocks = (left + most - 1) / most;

	return (int)(left / blocks);
}

static void run(float *out, const float *in, const float *packed, const struct image *image, const struct conv_env *env,
		size_t samples, bool accumulate, const struct conv_finish *finish, float *work)
{
	size_t end = samples * (size_t)image->tiles;

	for (size_t first = 0; first < end;) {
		int tiles = next_block(image, end - first);

		run_block(out, in, packed, image, env, first, tiles, accumulate, finish, work);
		first += (size_t)tiles;
	}
}

void winograd_forward(float *out, const float *in, const float *packed, const struct conv *conv, const struct conv_env *env,
		      size_t samples, const struct conv_finish *finish, float *work)
{
	struct image image = image_of(conv, false);

	run(out, in, packed, &image, env, samples, false, finish, work);
}

void winograd_data(float *d_in, const float *d_out, const float *packed, const struct conv *conv, const struct conv_env *env,
		   size_t samples, bool accumulate, float *work)
{
	struct image image = image_of(conv, true);

	run(d_in, d_out, packed, &image, env, samples, accumulate, NULL, work);
}

/* d_u (in_c, out_c) += transpose(v) z, v (tiles, in_c), z (tiles, out_c). */
static void position_gradient(float *d_u, const float *v, const float *z, const struct image *image, const struct conv_env *env,
			      int tiles)
{
	const struct kernels *kernels = env->kernels;
	int groups = (image->in_c + kernels->tile_taps - 1) / kernels->tile_taps;

	for (int k = 0; k < image->out_c;) {
		int vectors = conv_panel_vectors(image->out_c - k, kernels->vector);

		for (int i = 0, c = 0; i < groups; i++) {
			int count = (image->in_c - c) / (groups - i);

			kernels->weight_tile[vectors - 1][count - 1](d_u + (ptrdiff_t)c * image->out_c + k, v + c, z + k,
								     image->out_c, image->in_c, 0, image->out_c, 0, 1, tiles,
								     ahead_take(env->ahead, kernels, tiles));
			c += count;
		}
		k += vectors * kernels->vector;
	}
}

void winograd_weight(float *d_transformed, const float *in, const float *d_out, const struct conv *conv, const struct conv_env *env,
		     size_t samples, float *work, const struct team *team)
{
	struct image image = image_of(conv, false);
	size_t end = samples * (size_t)image.tiles;

	for (size_t first = 0; first < end;) {
		int tiles = next_block(&image, end - first);
		ptrdiff_t in_position = position_stride(tiles, image.in_c), out_position = position_stride(tiles, image.out_c);
		float *v = work, *z = work + POSITIONS * in_position;

		for (int t = team_begin(team, tiles); t < team_end(team, tiles); t++) {
			struct tile tile = tile_at(&image, first + (size_t)t);

			transform_patch(v + (ptrdiff_t)t * image.in_c, in, &image, env->kernels, first + (size_t)t, in_position);
			env->kernels->winograd_gradient(
			    z + (ptrdiff_t)t * image.out_c, d_out + pixel_offset(&image, &tile, image.out_c),
			    (ptrdiff_t)image.w * image.out_c, image.out_c, out_position, tile.rows, tile.columns);
		}
		team_wait(team);
		for (int i = team_begin(team, POSITIONS); i < team_end(team, POSITIONS); i++)
			position_gradient(d_transformed + (ptrdiff_t)i * image.in_c * image.out_c, v + i * in_position,
					  z + i * out_position, &image, env, tiles);
		team_wait(team);
		first += (size_t)tiles;
	}
}

void winograd_finish(float *d_weight, const float *d_transformed, const struct conv *conv, const struct kernels *kernels)
{
	kernels->winograd_weight_gradient(d_weight, d_transformed, (size_t)conv->in_c * (size_t)conv->out_c);
}
