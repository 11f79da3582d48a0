/* The source of every kernel set. The including .c file defines
 *   SET_NAME      the name, a bare word
 *   VECTOR        floats in a vector
 *   TILE_PIXELS   pixels in the largest convolution tile (6 or 14)
 *   TILE_TAPS     input channels in the largest weight-gradient tile (6 or 12)
 * and is compiled with that instruction set's flags and -ffp-contract=fast, which turns a * b + c into one FMA. */
#include "nn/kernels/kernels.h"

#include <string.h>

typedef float vec __attribute__((vector_size(4 * VECTOR), aligned(4), may_alias));

static inline vec load(const float *p)
{
	return *(const vec *)p;
}

static inline void store(float *p, vec v)
{
	*(vec *)p = v;
}

#define R1(M)  M(0)
#define R2(M)  R1(M) M(1)
#define R3(M)  R2(M) M(2)
#define R4(M)  R3(M) M(3)
#define R5(M)  R4(M) M(4)
#define R6(M)  R5(M) M(5)
#define R7(M)  R6(M) M(6)
#define R8(M)  R7(M) M(7)
#define R9(M)  R8(M) M(8)
#define R10(M) R9(M) M(9)
#define R11(M) R10(M) M(10)
#define R12(M) R11(M) M(11)
#define R13(M) R12(M) M(12)
#define R14(M) R13(M) M(13)

/* Accumulators are named variables, not an array: gcc 12 spills an array to memory. */
#define ZERO_1(p) vec a##p##_0 = {0};
#define ZERO_2(p) vec a##p##_0 = {0}, a##p##_1 = {0};

/* Pixel p is read from the pointer of its group of four, so that few registers hold addresses. */
#define PIXEL_OF(p)   (group[(p) / 4][((p) % 4) * pixel_stride])
#define CONV_FMA_1(p) a##p##_0 += PIXEL_OF(p) * w0;
#define CONV_FMA_2(p)                                                                                                              \
	{                                                                                                                          \
		float b = PIXEL_OF(p);                                                                                             \
		a##p##_0 += b * w0;                                                                                                \
		a##p##_1 += b * w1;                                                                                                \
	}
#define CONV_STORE_1(p) store(out + p * out_stride, a##p##_0);
#define CONV_STORE_2(p)                                                                                                            \
	store(out + p * out_stride, a##p##_0);                                                                                     \
	store(out + p * out_stride + VECTOR, a##p##_1);
#define CONV_ADD_1(p) a##p##_0 += load(out + p * out_stride);
#define CONV_ADD_2(p)                                                                                                              \
	a##p##_0 += load(out + p * out_stride);                                                                                    \
	a##p##_1 += load(out + p * out_stride + VECTOR);
#define WEIGHTS_1 vec w0 = load(weight);
#define WEIGHTS_2 vec w0 = load(weight), w1 = load(weight + VECTOR);

#define CONV_TILE(np, kb)                                                                                                          \
	static void conv_tile_##np##_##kb(float *out, const float *in, const float *weight, ptrdiff_t out_stride,                  \
					  ptrdiff_t pixel_stride, ptrdiff_t row_stride, int rows, int taps, bool accumulate)       \
	{                                                                                                                          \
		R##np(ZERO_##kb) for (int r = 0; r < rows; r++)                                                                    \
		{                                                                                                                  \
			const float *group[4] = {in, in + 4 * pixel_stride, in + 8 * pixel_stride, in + 12 * pixel_stride};        \
			for (int t = 0; t < taps; t++) {                                                                           \
				WEIGHTS_##kb R##np(CONV_FMA_##kb) weight += kb * VECTOR;                                           \
				group[0]++;                                                                                        \
				group[1]++;                                                                                        \
				group[2]++;                                                                                        \
				group[3]++;                                                                                        \
			}                                                                                                          \
			in += row_stride;                                                                                          \
		}                                                                                                                  \
		if (accumulate) {                                                                                                  \
			R##np(CONV_ADD_##kb)                                                                                       \
		}                                                                                                                  \
		R##np(CONV_STORE_##kb)                                                                                             \
	}

#define GRAD_FMA_1(t) a##t##_0 += x[t] * d0;
#define GRAD_FMA_2(t)                                                                                                              \
	{                                                                                                                          \
		float b = x[t];                                                                                                    \
		a##t##_0 += b * d0;                                                                                                \
		a##t##_1 += b * d1;                                                                                                \
	}
#define GRADS_1		vec d0 = load(d);
#define GRADS_2		vec d0 = load(d), d1 = load(d + VECTOR);
#define GRAD_STORE_1(t) store(d_weight + t * weight_stride, load(d_weight + t * weight_stride) + a##t##_0);
#define GRAD_STORE_2(t)                                                                                                            \
	GRAD_STORE_1(t)                                                                                                            \
	store(d_weight + t * weight_stride + VECTOR, load(d_weight + t * weight_stride + VECTOR) + a##t##_1);

#define WEIGHT_TILE(nt, kb)                                                                                                        \
	static void weight_tile_##nt##_##kb(float *d_weight, const float *in, const float *d_out, ptrdiff_t weight_stride,         \
					    ptrdiff_t in_pixel, ptrdiff_t in_row, ptrdiff_t out_pixel, ptrdiff_t out_row,          \
					    int rows, int cols)                                                                    \
	{                                                                                                                          \
		R##nt(ZERO_##kb) for (int r = 0; r < rows; r++)                                                                    \
		{                                                                                                                  \
			const float *x = in + r * in_row, *d = d_out + r * out_row;                                                \
			for (int c = 0; c < cols; c++, x += in_pixel, d += out_pixel) {                                            \
				GRADS_##kb R##nt(GRAD_FMA_##kb)                                                                    \
			}                                                                                                          \
		}                                                                                                                  \
		R##nt(GRAD_STORE_##kb)                                                                                             \
	}

#define BOTH(FAMILY, n) FAMILY(n, 1) FAMILY(n, 2)
/* clang-format off */
BOTH(CONV_TILE, 1) BOTH(CONV_TILE, 2) BOTH(CONV_TILE, 3) BOTH(CONV_TILE, 4) BOTH(CONV_TILE, 5) BOTH(CONV_TILE, 6)
BOTH(WEIGHT_TILE, 1) BOTH(WEIGHT_TILE, 2) BOTH(WEIGHT_TILE, 3) BOTH(WEIGHT_TILE, 4) BOTH(WEIGHT_TILE, 5) BOTH(WEIGHT_TILE, 6)
#if TILE_PIXELS == 14
BOTH(CONV_TILE, 7) BOTH(CONV_TILE, 8) BOTH(CONV_TILE, 9) BOTH(CONV_TILE, 10)
BOTH(CONV_TILE, 11) BOTH(CONV_TILE, 12) BOTH(CONV_TILE, 13) BOTH(CONV_TILE, 14)
#define CONV_LIST(kb)                                                                                                              \
	conv_tile_1_##kb, conv_tile_2_##kb, conv_tile_3_##kb, conv_tile_4_##kb, conv_tile_5_##kb, conv_tile_6_##kb,                \
	    conv_tile_7_##kb, conv_tile_8_##kb, conv_tile_9_##kb, conv_tile_10_##kb, conv_tile_11_##kb, conv_tile_12_##kb,         \
	    conv_tile_13_##kb, conv_tile_14_##kb
#else
#define CONV_LIST(kb)                                                                                                              \
	conv_tile_1_##kb, conv_tile_2_##kb, conv_tile_3_##kb, conv_tile_4_##kb, conv_tile_5_##kb, conv_tile_6_##kb
#endif
#if TILE_TAPS == 12
BOTH(WEIGHT_TILE, 7) BOTH(WEIGHT_TILE, 8) BOTH(WEIGHT_TILE, 9) BOTH(WEIGHT_TILE, 10) BOTH(WEIGHT_TILE, 11) BOTH(WEIGHT_TILE, 12)
#define WEIGHT_LIST(kb)                                                                                                            \
	weight_tile_1_##kb, weight_tile_2_##kb, weight_tile_3_##kb, weight_tile_4_##kb, weight_tile_5_##kb, weight_tile_6_##kb,    \
	    weight_tile_7_##kb, weight_tile_8_##kb, weight_tile_9_##kb, weight_tile_10_##kb, weight_tile_11_##kb,                  \
	    weight_tile_12_##kb
#else
#define WEIGHT_LIST(kb)                                                                                                            \
	weight_tile_1_##kb, weight_tile_2_##kb, weight_tile_3_##kb, weight_tile_4_##kb, weight_tile_5_##kb, weight_tile_6_##kb
#endif

/* Sums run in float inside a block of pixels and in double over blocks: plain float sums cost 4x in the gradient's error. */
enum { BLOCK_PIXELS = 64 };
/* clang-format on */

/* Copies `channels` of the pixel's row into a vector with zeros behind; whole vectors take the fast path. */
static inline vec load_channels(const float *p, int channels)
{
	float lanes[VECTOR] = {0};

	if (channels >= VECTOR)
		return load(p);
	memcpy(lanes, p, (size_t)channels * sizeof(float));
	return load(lanes);
}

/* Mean and M2 of one block for one vector of channels, merged into the running ones (which hold `before` pixels). */
static inline void moments_block(double *mean, double *m2, const float *x, size_t before, int pixels, int stride, int channels)
{
	vec sum = {0}, shift, first = {0}, second = {0};
	float inverse = 1.0f / (float)pixels;
	double share = (double)pixels / (double)(before + (size_t)pixels);
	double weight = (double)before * share;
	float deviation[VECTOR], square[VECTOR], centre[VECTOR];

	for (int p = 0; p < pixels; p++)
		sum += load_channels(x + (ptrdiff_t)p * stride, channels);
	shift = sum * inverse;
	for (int p = 0; p < pixels; p++) {
		vec d = load_channels(x + (ptrdiff_t)p * stride, channels) - shift;

		first += d;
		second += d * d;
	}
	store(deviation, first * inverse);
	store(square, second - first * first * inverse);
	store(centre, shift);
	for (int c = 0; c < (channels < VECTOR ? channels : VECTOR); c++) {
		double delta = (double)centre[c] + (double)deviation[c] - mean[c];

		mean[c] += delta * share;
		m2[c] += (double)square[c] + delta * delta * weight;
	}
}

static void moments(double *mean, double *m2, const float *x, size_t pixels, int channels)
{
	memset(mean, 0, (size_t)channels * sizeof(*mean));
	memset(m2, 0, (size_t)channels * sizeof(*m2));
	for (size_t p = 0; p < pixels; p += BLOCK_PIXELS) {
		int block = pixels - p < BLOCK_PIXELS ? (int)(pixels - p) : BLOCK_PIXELS;

		for (int c = 0; c < channels; c += VECTOR)
			moments_block(mean + c, m2 + c, x + p * (size_t)channels + c, p, block, channels, channels - c);
	}
}

/* The loops below are plain C: the flags become constants by inlining, and the compiler makes vectors of the inner loop.
 * A ReLU is written so that a NaN passes through and is seen in the loss. */
#define INLINE static inline __attribute__((always_inline))

INLINE void bn_rows(float *out, const float *x, const float *residual, bool add, bool relu, const float *restrict mean,
		    const float *restrict scale, const float *restrict shift, size_t pixels, int channels)
{
	for (size_t p = 0; p < pixels; p++, out += channels, x += channels, residual += add ? channels : 0)
#pragma omp simd
		for (int c = 0; c < channels; c++) {
			float y = (x[c] - mean[c]) * scale[c] + shift[c];

			if (add)
				y += residual[c];
			out[c] = relu && y < 0 ? 0 : y;
		}
}

static void bn_forward(float *out, const float *x, const float *residual, bool relu, const float *mean, const float *scale,
		       const float *shift, size_t pixels, int channels)
{
	if (residual && relu)
		bn_rows(out, x, residual, true, true, mean, scale, shift, pixels, channels);
	else if (residual)
		bn_rows(out, x, residual, true, false, mean, scale, shift, pixels, channels);
	else if (relu)
		bn_rows(out, x, x, false, true, mean, scale, shift, pixels, channels);
	else
		bn_rows(out, x, x, false, false, mean, scale, shift, pixels, channels);
}

INLINE void bn_sums_block(double *sum, double *product, float *d_out, const float *out, bool relu, const float *x, vec mean,
			  vec inverse_std, int pixels, int stride)
{
	vec first = {0}, second = {0};
	float lanes[2][VECTOR];

	for (int p = 0; p < pixels; p++, x += stride, d_out += stride, out += stride) {
		vec d = load(d_out);

		if (relu) {
			float masked[VECTOR];

			for (int c = 0; c < VECTOR; c++)
				masked[c] = out[c] > 0 ? d_out[c] : 0;
			d = load(masked);
			store(d_out, d);
		}
		first += d;
		second += d * ((load(x) - mean) * inverse_std);
	}
	store(lanes[0], first);
	store(lanes[1], second);
	for (int c = 0; c < VECTOR; c++) {
		sum[c] += (double)lanes[0][c];
		product[c] += (double)lanes[1][c];
	}
}

/* The same for channels that do not fill a vector. */
static void bn_sums_tail(double *sum, double *product, float *d_out, const float *out, bool relu, const float *x, const float *mean,
			 const float *inverse_std, int pixels, int stride, int channels)
{
	for (int c = 0; c < channels; c++) {
		float first = 0, second = 0;

		for (int p = 0; p < pixels; p++) {
			ptrdiff_t at = (ptrdiff_t)p * stride + c;

			if (relu && !(out[at] > 0))
				d_out[at] = 0;
			first += d_out[at];
			second += d_out[at] * ((x[at] - mean[c]) * inverse_std[c]);
		}
		sum[c] += (double)first;
		product[c] += (double)second;
	}
}

static void bn_backward_sums(double *sum, double *product, float *d_out, const float *out, bool relu, const float *x,
			     const float *mean, const float *inverse_std, size_t pixels, int channels)
{
	memset(sum, 0, (size_t)channels * sizeof(*sum));
	memset(product, 0, (size_t)channels * sizeof(*product));
	for (size_t p = 0; p < pixels; p += BLOCK_PIXELS) {
		int block = pixels - p < BLOCK_PIXELS ? (int)(pixels - p) : BLOCK_PIXELS;
		int c = 0;

		for (; c + VECTOR <= channels; c += VECTOR) {
			size_t at = p * (size_t)channels + (size_t)c;

			if (relu)
				bn_sums_block(sum + c, product + c, d_out + at, out + at, true, x + at, load(mean + c),
					      load(inverse_std + c), block, channels);
			else
				bn_sums_block(sum + c, product + c, d_out + at, d_out + at, false, x + at, load(mean + c),
					      load(inverse_std + c), block, channels);
		}
		if (c < channels) {
			size_t at = p * (size_t)channels + (size_t)c;

			bn_sums_tail(sum + c, product + c, d_out + at, relu ? out + at : d_out + at, relu, x + at, mean + c,
				     inverse_std + c, block, channels, channels - c);
		}
	}
}

INLINE void bn_backward_rows(float *d_x, const float *d_out, const float *x, const float *restrict mean,
			     const float *restrict scale, const float *restrict offset, const float *restrict slope,
			     bool accumulate, size_t pixels, int channels)
{
	for (size_t p = 0; p < pixels; p++, d_x += channels, d_out += channels, x += channels)
#pragma omp simd
		for (int c = 0; c < channels; c++) {
			float d = scale[c] * (d_out[c] - offset[c] - (x[c] - mean[c]) * slope[c]);

			d_x[c] = accumulate ? d_x[c] + d : d;
		}
}

static void bn_backward(float *d_x, const float *d_out, const float *x, const float *mean, const float *scale, const float *offset,
			const float *slope, bool accumulate, size_t pixels, int channels)
{
	if (accumulate)
		bn_backward_rows(d_x, d_out, x, mean, scale, offset, slope, true, pixels, channels);
	else
		bn_backward_rows(d_x, d_out, x, mean, scale, offset, slope, false, pixels, channels);
}

static void add(float *restrict out, const float *restrict in, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] += in[i];
}

static void bias_relu(float *out, const float *x, const float *bias, bool relu, size_t n, int channels)
{
	for (size_t i = 0; i < n; i += (size_t)channels, out += channels, x += channels)
#pragma omp simd
		for (int c = 0; c < channels; c++) {
			float y = x[c] + (bias ? bias[c] : 0);

			out[c] = relu && y < 0 ? 0 : y;
		}
}

static void relu_backward(float *d_x, const float *d_out, const float *out, bool accumulate, size_t n)
{
	if (accumulate)
#pragma omp simd
		for (size_t i = 0; i < n; i++)
			d_x[i] += out[i] > 0 ? d_out[i] : 0;
	else
#pragma omp simd
		for (size_t i = 0; i < n; i++)
			d_x[i] = out[i] > 0 ? d_out[i] : 0;
}

static void sgd(float *restrict w, float *restrict v, const float *restrict g, float rate, float momentum, float decay,
		bool nesterov, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float d = g[i] + decay * w[i];

		v[i] = momentum * v[i] + d;
		w[i] -= rate * (nesterov ? d + momentum * v[i] : v[i]);
	}
}

static void lars(float *restrict w, float *restrict v, const float *restrict g, float rate, float momentum, float decay, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		v[i] = momentum * v[i] + rate * (g[i] + decay * w[i]);
		w[i] -= v[i];
	}
}

static double sum_squares(const float *x, size_t n)
{
	double lanes[8] = {0};
	double sum = 0;
	size_t i = 0;

	for (; i + 8 <= n; i += 8)
		for (int l = 0; l < 8; l++)
			lanes[l] += (double)x[i + (size_t)l] * (double)x[i + (size_t)l];
	for (; i < n; i++)
		lanes[0] += (double)x[i] * (double)x[i];
	for (int l = 0; l < 8; l++)
		sum += lanes[l];
	return sum;
}

static double power_of_two(int exponent)
{
	uint64_t bits = (uint64_t)(exponent + 1023) << 52;
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* exp(x) = 2^k exp(r), |r| <= ln 2 / 2, by Taylor's series to r^13. */
static double own_exp(double x)
{
	double k, r, sum = 1;

	if (x != x)
		return x;
	if (x > 709.0)
		return (double)__builtin_inff();
	if (x < -700.0)
		return 0;
	k = (double)(long long)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
	r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
	for (int i = 13; i > 0; i--)
		sum = 1 + sum * r / i;
	return sum * power_of_two((int)k);
}

/* log(x) = k ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), m in [sqrt(1/2), sqrt(2)). */
static double own_log(double x)
{
	uint64_t bits;
	int k = 0;
	double m, s, square, sum = 0;

	if (!(x > 0) || x > 1.7976931348623157e308)
		return x == 0 ? -(double)__builtin_inff() : x > 0 ? x : (double)__builtin_nanf("");
	if (x < 2.2250738585072014e-308) { /* subnormal */
		x *= 0x1p54;
		k = -54;
	}
	memcpy(&bits, &x, sizeof(bits));
	k += (int)(bits >> 52) - 1023;
	bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
	memcpy(&m, &bits, sizeof(m));
	if (m >= 1.4142135623730951) {
		m *= 0.5;
		k++;
	}
	s = (m - 1) / (m + 1);
	square = s * s;
	for (int i = 23; i >= 1; i -= 2)
		sum = sum * square + 1.0 / i;
	return (double)k * 1.90821492927058770002e-10 + (2 * s * sum + (double)k * 6.93147180369123816490e-01);
}

#define TO_TEXT(name) #name
#define TEXT(name)    TO_TEXT(name)
#define JOIN2(a, b)   a##b
#define JOIN(a, b)    JOIN2(a, b)

extern const struct kernels JOIN(kernels_, SET_NAME);
const struct kernels JOIN(kernels_, SET_NAME) = {
    .name = TEXT(SET_NAME),
    .vector = VECTOR,
    .tile_pixels = TILE_PIXELS,
    .tile_taps = TILE_TAPS,
    .conv_tile = {{CONV_LIST(1)}, {CONV_LIST(2)}},
    .weight_tile = {{WEIGHT_LIST(1)}, {WEIGHT_LIST(2)}},
    .moments = moments,
    .bn_forward = bn_forward,
    .bn_backward_sums = bn_backward_sums,
    .bn_backward = bn_backward,
    .add = add,
    .bias_relu = bias_relu,
    .relu_backward = relu_backward,
    .sgd = sgd,
    .lars = lars,
    .sum_squares = sum_squares,
    .exp = own_exp,
    .log = own_log,
};
