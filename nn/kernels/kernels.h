/* The kernel table: the inner loops that are compiled once per instruction set and chosen at start.
 *
 * nn/kernels/set.inc holds the one source of all of them, in GCC vector extensions and plain C; set_portable.c, set_avx2.c,
 * set_neon.c and others compile it with other flags, vector lengths and tiles. Each output element is computed by the same chain of
 * operations whatever tile it falls in, so results depend on the instruction set but never on batch size, tiling or threads. */
#ifndef NN_KERNELS_KERNELS_H
#define NN_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/core/status.h"

enum { KERNEL_PIXELS_MAX = 14, KERNEL_TAPS_MAX = 12, KERNEL_VECTORS = 2 };

/* What becomes of a tile's sums before they are written: y = sum + bias (+ residual when not NULL), then ReLU when asked. bias
 * belongs to the tile's first channel; residual lies as out does, at the tile's first pixel and channel. */
struct tile_finish {
	const float *bias, *residual;
	bool relu;
};

/* Memory that a tile asks for while it computes: the line at address `at`, and `step` bytes further on with every step of the inner
 * loop. step 0: nothing; `at` is an address even so. */
struct prefetch {
	uintptr_t at;
	uintptr_t step;
};

/* A tile of a convolution's output: NP pixels x KB vectors of channels.
 * in: top left tap of the first pixel; for each of `rows` kernel rows, `taps` contiguous floats (kernel columns x input channels).
 * weight: rows * taps * (KB * vector) floats, output channel last. Strides in floats. accumulate: what is in out belongs to the
 * sums. finish may be NULL. */
typedef void (*conv_tile_fn)(float *out, const float *in, const float *weight, ptrdiff_t out_stride, ptrdiff_t pixel_stride,
			     ptrdiff_t row_stride, int rows, int taps, bool accumulate, const struct tile_finish *finish,
			     struct prefetch prefetch);

/* A tile of a convolution's weight gradient: NT input channels x KB vectors of output channels; d_weight += the sum over
 * rows x cols output pixels of in[tap] * d_out[channel]. Strides in floats. */
typedef void (*weight_tile_fn)(float *d_weight, const float *in, const float *d_out, ptrdiff_t weight_stride, ptrdiff_t in_pixel,
			       ptrdiff_t in_row, ptrdiff_t out_pixel, ptrdiff_t out_row, int rows, int cols,
			       struct prefetch prefetch);

/* Loops over stored values, which are floats or bf16: the upper halves of floats, as uint16_t. Computing is in float. */
struct pointwise {
	size_t bytes; /* of a value */

	/* mean[c], m2[c] over pixels of x (pixels, channels); pixels > 0. */
	void (*moments)(double *mean, double *m2, const void *x, size_t pixels, int channels);
	/* out = (x - mean) * scale + shift (+ residual when not NULL), then ReLU when asked; (pixels, channels). out may be
	 * residual. */
	void (*bn_forward)(void *out, const void *x, const void *residual, bool relu, const float *mean, const float *scale,
			   const float *shift, size_t pixels, int channels);
	/* With relu, d_out is first set to 0 where out is not positive, in place. Then sum[c] = sum of d_out and
	 * product[c] = sum of d_out * (x - mean) * inverse_std, in double over blocks of pixels. */
	void (*bn_backward_sums)(double *sum, double *product, void *d_out, const void *out, bool relu, const void *x,
				 const float *mean, const float *inverse_std, size_t pixels, int channels);
	/* d_x = (or += when accumulate) scale * (d_out - offset - (x - mean) * slope). */
	void (*bn_backward)(void *d_x, const void *d_out, const void *x, const float *mean, const float *scale, const float *offset,
			    const float *slope, bool accumulate, size_t pixels, int channels);

	/* out[i] += in[i]. */
	void (*add)(void *out, const void *in, size_t n);
	/* out[i] = max(x[i] + bias[i % channels], 0); bias NULL: none; n a multiple of channels. out may be x. */
	void (*bias_relu)(void *out, const void *x, const float *bias, bool relu, size_t n, int channels);
	/* d_x[i] = (or += when accumulate) d_out[i] where out[i] > 0. */
	void (*relu_backward)(void *d_x, const void *d_out, const void *out, bool accumulate, size_t n);

	/* Max pooling: where in is larger than best, or not a number, best = in and index = tap. */
	void (*max_tap)(void *best, uint8_t *index, const void *in, int channels, uint8_t tap);
	/* d_in[tap_offset[index[c]] + c] += d_out[c]. */
	void (*unpool)(void *d_in, const void *d_out, const uint8_t *index, const ptrdiff_t *tap_offset, int channels);
	/* Average pooling: out += in; d_in += share * d_out. */
	void (*sum)(float *out, const void *in, int channels);
	void (*spread)(void *d_in, const float *d_out, float share, int channels);
};

/* Value i of an array of stored values. */
static inline const void *stored(const struct pointwise *pointwise, const void *values, size_t i)
{
	return (const char *)values + i * pointwise->bytes;
}

static inline void *stored_into(const struct pointwise *pointwise, void *values, size_t i)
{
	return (char *)values + i * pointwise->bytes;
}

/* Chains of multiply-adds in kernel_peaks. */
enum { PEAK_CHAINS = 12 };

/* For benchmarks: what the instruction set can do at most. n is a multiple of four vectors. */
struct kernel_peaks {
	/* x (PEAK_CHAINS, vector): `rounds` times x = x * scalar + summand, in registers. */
	void (*multiply_adds)(float *x, float scalar, size_t rounds);
	/* out = a + scalar * b. */
	void (*triad)(float *out, const float *a, const float *b, float scalar, size_t n);
	/* Reads x and returns its sum. */
	float (*read)(const float *x, size_t n);
	/* out = scalar. */
	void (*write)(float *out, float scalar, size_t n);
};

struct kernels {
	const char *name;
	int vector;	 /* floats in a vector */
	int tile_pixels; /* pixels in the largest convolution tile */
	int tile_taps;	 /* input channels in the largest weight-gradient tile */
	/* Bytes that tiles ask for in a step of their inner loop: so few that they do not wait for the processor's line buffers.
	 * With AVX-512 a training step of ResNet-50 took 2640 ms with none, 2556 with 16, 2509 with 32 and 2553 with 64. */
	int prefetch_step;

	conv_tile_fn conv_tile[KERNEL_VECTORS][KERNEL_PIXELS_MAX];   /* [KB - 1][NP - 1] */
	weight_tile_fn weight_tile[KERNEL_VECTORS][KERNEL_TAPS_MAX]; /* [KB - 1][NT - 1] */

	/* Copies taps of `pixels` pixels, `pixel_stride` floats apart, into strips of tile_taps floats per pixel, `strip` floats
	 * apart; the last strip's pixels may be filled in part. */
	void (*gather_taps)(float *strips, const float *in, ptrdiff_t pixel_stride, int pixels, int taps, ptrdiff_t strip);
	/* panel (pixels, width) = `channels` channels of each pixel, zeros behind; width is one or two vectors. */
	void (*gather_channels)(float *panel, const float *in, ptrdiff_t pixel_stride, int pixels, int channels, int width);

	/* Winograd's F(4 x 4, 3 x 3), see winograd.inc; channels are whole vectors. `line` is the distance in floats between rows
	 * of the image, `position` that between the 36 positions of a transformed tile. v (36, channels) = the transformed patch of
	 * 6 x 6 pixels at `in`. Bit i of rows and of columns tells which of them lie in the image; the others count as 0 and are
	 * not read. */
	void (*winograd_input)(float *v, const float *in, ptrdiff_t line, int channels, ptrdiff_t position, unsigned rows,
			       unsigned columns);
	/* out (rows, columns, channels), at most 4 x 4 pixels, = (or += when accumulate) the tile of the products m; finish may be
	 * NULL. */
	void (*winograd_output)(float *out, const float *m, ptrdiff_t line, int channels, ptrdiff_t position, int rows, int columns,
				bool accumulate, const struct tile_finish *finish);
	/* z (36, channels) = the transformed gradient of a tile of rows x columns pixels. */
	void (*winograd_gradient)(float *z, const float *d_out, ptrdiff_t line, int channels, ptrdiff_t position, int rows,
				  int columns);
	/* u (36, vector) = the transformed 3 x 3 taps of one vector of channels, times scale (vector) when not NULL; `tap` is the
	 * distance between taps. */
	void (*winograd_weight)(float *u, const float *weight, const float *scale, ptrdiff_t tap, ptrdiff_t position);
	/* d_weight (9, n) = the gradient that belongs to d_u (36, n); n is a multiple of the vector. */
	void (*winograd_weight_gradient)(float *d_weight, const float *d_u, size_t n);

	/* Values kept as floats, and as bf16. */
	struct pointwise fp32, bf16;

	/* out[i] = in[i] as bf16, rounded to nearest even. */
	void (*narrow)(uint16_t *out, const float *in, size_t n);
	/* out[i] = in[i] as a float. */
	void (*widen)(float *out, const uint16_t *in, size_t n);
	/* x[i] = the nearest bf16, as a float. */
	void (*round)(float *x, size_t n);

	/* Convolutions of bf16 are computed by dot: it is an instruction, not made of multiply-adds, or it was asked for. */
	bool bf16_products;
	/* Products of bf16 with sums in float, see dot.inc. dot_begin goes before and dot_end after them, in each thread.
	 * c (tiles * 16, columns * 16) = the sum over lines and steps of a (tiles * 16, 32) times b (32, columns * 16).
	 * a[tile]: the first of 16 rows that lie a_row elements apart; steps follow each other, lines are a_line apart. All 16 rows
	 * are read. b: for every line, step and column a block of 16 pairs of rows x 16 columns, element [pair][column][row of the
	 * pair]. tiles * columns is at most 4, columns at most 2. */
	void (*dot)(float *c, const uint16_t *const *a, const uint16_t *b, ptrdiff_t a_row, ptrdiff_t a_line, int lines, int steps,
		    int tiles, int columns);
	void (*dot_begin)(void);
	void (*dot_end)(void);
	/* out = (or += when accumulate) the first rows and channels of c, rounded. */
	void (*dot_store)(uint16_t *out, const float *c, ptrdiff_t out_row, ptrdiff_t c_row, int rows, int channels,
			  bool accumulate);
	/* out += the first rows and channels of c. */
	void (*dot_add)(float *out, const float *c, ptrdiff_t out_row, ptrdiff_t c_row, int rows, int channels);
	/* One block of b from 32 rows: columns `at` .. at + 15 of each. */
	void (*interleave)(uint16_t *b, const uint16_t *const *rows, ptrdiff_t at);
	/* out (16 rows, 16 pairs) = the transpose of 16 rows of 16 pairs, of floats as well. */
	void (*transpose)(uint16_t *out, ptrdiff_t out_row, const uint16_t *const *rows);

	/* v = momentum v + g + decay w;  w -= rate (nesterov ? g + decay w + momentum v : v), for n elements. */
	void (*sgd)(float *w, float *v, const float *g, float rate, float momentum, float decay, bool nesterov, size_t n);
	/* v = momentum v + rate (g + decay w);  w -= v. */
	void (*lars)(float *w, float *v, const float *g, float rate, float momentum, float decay, size_t n);
	/* Sum of squares in double, in one fixed order. */
	double (*sum_squares)(const float *x, size_t n);

	/* Own exp and log, so that losses do not depend on the C library; relative error below 1e-15. exp is 0 below -700 and
	 * infinite above 709. */
	double (*exp)(double x);
	double (*log)(double x);

	struct kernel_peaks peak;
};

/* The sets that were compiled in, best first, ended by NULL. */
extern const struct kernels *const kernels_all[];

/* Whether this processor can run the set. */
bool kernels_usable(const struct kernels *set);

/* *out = the named set ("portable", "avx2", "avx512", "avx512bf16", "amx", "neon"), or for NULL or "" the best usable one.
 * avx512bf16 and amx differ from avx512 in products of bf16 only, and count when `bf16`. A processor without AVX512-BF16 has
 * "avx512bf16" too, when it is named: its best set, with products that give the instruction's bits. Errors: NN_ERR_USAGE when the
 * name is unknown or the processor lacks it. Not to be called by two threads at a time. */
enum nn_status kernels_select(const struct kernels **out, const char *name, bool bf16);

#endif
