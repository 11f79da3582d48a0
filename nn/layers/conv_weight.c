/* The weight gradient of a convolution: d_weight[r][s][c][k] = sum over pixels of in[h stride + r - pad][w stride + s - pad][c] *
 * d_out[h][w][k], as products of matrices with a row per output pixel.
 *
 * Output pixels are taken in areas of about a hundred, whose operands come from the second-level cache faster than they are
 * multiplied. Where pixels lie so far apart that they all want the same places of the first-level cache, or where the weight
 * gradient is too large to be gone through so often, larger areas are copied together first, as in Goto and van de Geijn 2008,
 * "Anatomy of High-Performance Matrix Multiplication": the taps in strips as wide as a tile, and d_out in panels of two vectors. */
#include <string.h>

#include "nn/layers/conv_internal.h"

/* Pixels in an area, also the longest chain of float additions, since tiles are added to memory area by area; the floats between
 * neighbouring pixels, and those of the weight gradient, from which on areas are gathered. */
enum { AREA_PIXELS = 98, GATHERED_PIXELS = 400, FAR_APART = 1024, GATHERED_WEIGHTS = 1 << 18, VECTOR_MAX = 16 };

/* An area of output pixels: rows x cols, from row `first` of all samples on; where the first pixel's top left tap lies and where
 * its gradient. Strides in floats. */
struct area {
	int first, rows, cols;
	const float *in, *d_out;
	ptrdiff_t in_pixel, in_row, out_pixel, out_row;
};

/* What does not change from area to area. */
struct gradient {
	float *d_weight;
	const struct conv *conv;
	const struct kernels *kernels;
	struct ahead *ahead;
	const struct team *team;
	const float *in;       /* with zeros around every sample */
	ptrdiff_t line;	       /* of the input with them */
	int segments, taps;    /* a kernel row is cut into segments of so many taps, which lie one behind the other */
	float *strips, *panel; /* strips NULL: taps are read where they lie */
};

static bool gathered(const struct conv *conv)
{
	return conv->stride * conv->in_c >= FAR_APART || conv->out_c >= FAR_APART ||
	       (ptrdiff_t)conv->kernel * conv->kernel * conv->in_c * conv->out_c > GATHERED_WEIGHTS;
}

static int area_pixels(const struct conv *conv)
{
	return gathered(conv) ? GATHERED_PIXELS : AREA_PIXELS;
}

/* Output rows in an area; a row is never cut but in 1 x 1 convolutions, where all pixels are one row. */
static int area_rows(const struct conv *conv)
{
	int rows = area_pixels(conv) / conv->out_w;

	return rows > 1 ? rows : 1;
}

static size_t most_pixels(const struct conv *conv)
{
	int pixels = conv_is_pointwise(conv) ? 0 : area_rows(conv) * conv->out_w;

	return (size_t)(pixels > area_pixels(conv) ? pixels : area_pixels(conv));
}

/* With few input channels the taps of a whole kernel row are taken together, which fills the tiles better. */
static int segment_taps(const struct conv *conv)
{
	return conv->in_c < 64 ? conv->kernel * conv->in_c : conv->in_c;
}

static int groups_of(int taps, const struct kernels *kernels)
{
	return (taps + kernels->tile_taps - 1) / kernels->tile_taps;
}

static size_t framed_size(const struct conv *conv, size_t samples)
{
	return conv->pad > 0 ? samples * direct_framed_size(conv, false) : 0;
}

static size_t strips_size(const struct conv *conv, const struct kernels *kernels)
{
	size_t width = (size_t)groups_of(segment_taps(conv), kernels) * (size_t)kernels->tile_taps;

	return gathered(conv) ? width * most_pixels(conv) : 0;
}

size_t direct_weight_size(const struct conv *conv, const struct kernels *kernels, size_t samples)
{
	return framed_size(conv, samples) + strips_size(conv, kernels) +
	       most_pixels(conv) * (size_t)(KERNEL_VECTORS * kernels->vector);
}

/* The top left tap of an output row's first pixel. */
static const float *row_input(const struct gradient *gradient, int row)
{
	const struct conv *conv = gradient->conv;

	return gradient->in + (ptrdiff_t)(row / conv->out_h) * (ptrdiff_t)direct_framed_size(conv, false) +
	       row % conv->out_h * conv->stride * gradient->line;
}

/* Gathers a segment of every pixel's taps, `at` floats behind the first one; the team shares them. */
static void gather_area(const struct gradient *gradient, const struct area *area, ptrdiff_t at)
{
	const struct team *team = gradient->team;
	ptrdiff_t pixels = (ptrdiff_t)area->rows * area->cols;
	int width = gradient->kernels->tile_taps, share = (area->cols + team->size - 1) / team->size;
	int shares = (area->cols + share - 1) / share;

	for (int item = team_begin(team, area->rows * shares); item < team_end(team, area->rows * shares); item++) {
		int h = item / shares, w = item % shares * share;
		const float *in = area->rows > 1 ? row_input(gradient, area->first + h) : area->in;

		gradient->kernels->gather_taps(gradient->strips + ((ptrdiff_t)h * area->cols + w) * width,
					       in + at + w * area->in_pixel, area->in_pixel,
					       area->cols - w < share ? area->cols - w : share, gradient->taps, pixels * width);
	}
	team_wait(team);
}

/* The part of d_out that tiles multiply: `channels` channels of an area's pixels. */
struct right {
	const float *d_out;
	ptrdiff_t pixel, row;
	int channels, vectors, width;
};

static struct right right_of(const struct gradient *gradient, const struct area *area, int k)
{
	int left = gradient->conv->out_c - k, vectors = conv_panel_vectors(left, gradient->kernels->vector);
	int width = vectors * gradient->kernels->vector;
	struct right right = {area->d_out + k, area->out_pixel, area->out_row, left < width ? left : width, vectors, width};

	if (right.channels == width && (!gradient->strips || gradient->conv->out_c == width))
		return right;
	for (int h = 0; h < area->rows; h++)
		gradient->kernels->gather_channels(gradient->panel + (ptrdiff_t)h * area->cols * width,
						   right.d_out + h * area->out_row, area->out_pixel, area->cols, right.channels,
						   width);
	right.d_out = gradient->panel;
	right.pixel = width;
	right.row = (ptrdiff_t)area->cols * width;
	return right;
}

/* A tile whose channels do not fill its vectors goes through a buffer. */
static void tail_tile(float *d_weight, weight_tile_fn tile, const float *in, const struct area *area, const struct right *right,
		      struct prefetch prefetch, int taps, int out_c)
{
	float buffer[KERNEL_TAPS_MAX * KERNEL_VECTORS * VECTOR_MAX] = {0};

	tile(buffer, in, right->d_out, right->width, area->in_pixel, area->in_row, right->pixel, right->row, area->rows, area->cols,
	     prefetch);
	for (int t = 0; t < taps; t++)
		for (int k = 0; k < right->channels; k++)
			d_weight[(ptrdiff_t)t * out_c + k] += buffer[t * right->width + k];
}

/* d_weight (taps, out_c) += taps [lo, hi) of the area's segment `in` times `right`. Strips are tiles wide; taps that are read where
 * they lie are cut into nearly equal tiles. */
static void multiply(float *d_weight, const struct gradient *gradient, const struct area *area, const float *in,
		     const struct right *right, int lo, int hi)
{
	const struct kernels *kernels = gradient->kernels;
	int out_c = gradient->conv->out_c, groups = groups_of(gradient->taps, kernels), width = kernels->tile_taps;

	for (int i = lo; i < hi; i++) {
		int t = gradient->strips ? i * width : gradient->taps * i / groups;
		int end = gradient->strips ? (i + 1) * width : gradient->taps * (i + 1) / groups;
		int taps = (end < gradient->taps ? end : gradient->taps) - t;
		weight_tile_fn tile = kernels->weight_tile[right->vectors - 1][taps - 1];
		const float *x = gradient->strips ? gradient->strips + (ptrdiff_t)t * area->rows * area->cols : in + t;
		float *to = d_weight + (ptrdiff_t)t * out_c;
		struct prefetch prefetch = ahead_take(gradient->ahead, kernels, area->rows * area->cols);

		if (right->channels < right->width)
			tail_tile(to, tile, x, area, right, prefetch, taps, out_c);
		else
			tile(to, x, right->d_out, out_c, area->in_pixel, area->in_row, right->pixel, right->row, area->rows,
			     area->cols, prefetch);
	}
}

/* All output channels for one segment of taps. The team shares panels of channels and, when there are too few, tiles. */
static void segment_gradient(float *d_weight, const struct gradient *gradient, const struct area *area, const float *in)
{
	const struct team *team = gradient->team;
	int step = KERNEL_VECTORS * gradient->kernels->vector, panels = (gradient->conv->out_c + step - 1) / step;
	int parts = (team->size + panels - 1) / panels, groups = groups_of(gradient->taps, gradient->kernels);

	for (int item = team_begin(team, panels * parts); item < team_end(team, panels * parts); item++) {
		int k = item / parts * step, part = item % parts;
		struct right right = right_of(gradient, area, k);

		multiply(d_weight + k, gradient, area, in, &right, groups * part / parts, groups * (part + 1) / parts);
	}
}

static void area_gradient(const struct gradient *gradient, const struct area *area)
{
	const struct conv *conv = gradient->conv;

	for (int r = 0; r < conv->kernel; r++)
		for (int s = 0; s < gradient->segments; s++) {
			ptrdiff_t at = r * gradient->line + (ptrdiff_t)s * gradient->taps;
			ptrdiff_t tap = (ptrdiff_t)r * conv->kernel * conv->in_c + (ptrdiff_t)s * gradient->taps;
			struct area copied = *area;

			if (gradient->strips) {
				gather_area(gradient, area, at);
				copied.in_pixel = gradient->kernels->tile_taps;
				copied.in_row = copied.in_pixel * area->cols;
			}
			segment_gradient(gradient->d_weight + tap * conv->out_c, gradient, &copied, area->in + at);
			if (gradient->strips)
				team_wait(gradient->team);
		}
}

/* All pixels of a 1 x 1 convolution are one row. */
static void row_gradient(const struct gradient *gradient, const float *d_out, size_t samples)
{
	const struct conv *conv = gradient->conv;
	int all = (int)samples * conv->out_h * conv->out_w, areas = (all + area_pixels(conv) - 1) / area_pixels(conv);

	for (int i = 0, at = 0; i < areas; i++) {
		struct area area = {.rows = 1,
				    .cols = (all - at) / (areas - i),
				    .in = gradient->in + (ptrdiff_t)at * conv->in_c,
				    .d_out = d_out + (ptrdiff_t)at * conv->out_c,
				    .in_pixel = conv->in_c,
				    .out_pixel = conv->out_c};

		area_gradient(gradient, &area);
		at += area.cols;
	}
}

/* Areas that are gathered may reach over samples. */
static void rows_gradient(const struct gradient *gradient, const float *d_out, size_t samples)
{
	const struct conv *conv = gradient->conv;
	int step = area_rows(conv), all = (int)samples * conv->out_h;

	for (int row = 0, left; row < all; row += left < step ? left : step) {
		struct area area = {.first = row,
				    .cols = conv->out_w,
				    .in = row_input(gradient, row),
				    .d_out = d_out + (ptrdiff_t)row * conv->out_w * conv->out_c,
				    .in_pixel = (ptrdiff_t)conv->stride * conv->in_c,
				    .in_row = conv->stride * gradient->line,
				    .out_pixel = conv->out_c,
				    .out_row = (ptrdiff_t)conv->out_w * conv->out_c};

		left = gradient->strips ? all - row : conv->out_h - row % conv->out_h;
		area.rows = left < step ? left : step;
		area_gradient(gradient, &area);
	}
}

/* The samples with zeros around them; the team shares them. */
static void frame_samples(float *framed, const float *in, const struct conv *conv, size_t samples, const struct team *team)
{
	for (int n = team_begin(team, (int)samples); n < team_end(team, (int)samples); n++)
		direct_copy_padded(framed + (size_t)n * direct_framed_size(conv, false), in + (size_t)n * conv_in_size(conv),
				   conv->in_h, conv->in_w, (size_t)conv->in_c * sizeof(*in), conv->pad, conv->pad, conv->pad);
	team_wait(team);
}

void direct_weight(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct conv_env *env,
		   size_t samples, float *shared, float *own, const struct team *team)
{
	struct gradient gradient = {.d_weight = d_weight,
				    .conv = conv,
				    .kernels = env->kernels,
				    .ahead = env->ahead,
				    .team = team,
				    .in = conv->pad > 0 ? shared : in,
				    .line = (ptrdiff_t)(conv->in_w + 2 * conv->pad) * conv->in_c,
				    .taps = segment_taps(conv),
				    .panel = own + framed_size(conv, samples) + strips_size(conv, env->kernels)};

	gradient.segments = conv->kernel * conv->in_c / gradient.taps;
	if (gathered(conv))
		gradient.strips = shared + framed_size(conv, samples);
	if (conv->pad > 0)
		frame_samples(shared, in, conv, samples, team);
	if (conv_is_pointwise(conv))
		row_gradient(&gradient, d_out, samples);
	else
		rows_gradient(&gradient, d_out, samples);
	team_wait(team);
}
