#include "tests/unit/reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/rng.h"

enum { GUARD = 64 };

static const float guard_value = -12345.678f;

const struct kernels *reference_set(int i)
{
	for (int k = 0; kernels_all[k]; k++)
		if (kernels_usable(kernels_all[k]) && i-- == 0)
			return kernels_all[k];
	return NULL;
}

const struct kernels *reference_bf16_set(int i)
{
	static struct kernels asked[16];

	for (int k = 0; kernels_all[k]; k++) {
		if (!kernels_usable(kernels_all[k]))
			continue;
		if (i-- == 0)
			return kernels_all[k];
		if (kernels_all[k]->bf16_products || i-- > 0)
			continue;
		asked[k] = *kernels_all[k];
		asked[k].bf16_products = true;
		return &asked[k];
	}
	return NULL;
}

void *reference_alloc(size_t bytes)
{
	void *memory = calloc(1, bytes ? bytes : 1);

	if (!memory) {
		fprintf(stderr, "out of memory: a test asks for %zu bytes\n", bytes);
		exit(2);
	}
	return memory;
}

float *reference_values(size_t count, uint64_t seed)
{
	float *values = reference_alloc(count * sizeof(float));
	struct rng rng = rng_stream(seed, 0, 0);

	for (size_t i = 0; i < count; i++)
		values[i] = (float)(2 * rng_uniform(&rng) - 1);
	return values;
}

double *reference_doubles(const float *values, size_t count)
{
	double *doubles = reference_alloc(count * sizeof(double));

	for (size_t i = 0; i < count; i++)
		doubles[i] = (double)values[i];
	return doubles;
}

double reference_distance(const float *x, const double *y, size_t count)
{
	double worst = 0;

	for (size_t i = 0; i < count; i++) {
		double distance = fabs((double)x[i] - y[i]);

		if (!(distance <= worst))
			worst = isnan(distance) ? INFINITY : distance;
	}
	return worst;
}

double reference_largest(const double *x, size_t count)
{
	double size = 0;

	for (size_t i = 0; i < count; i++)
		size = fmax(size, fabs(x[i]));
	return size;
}

size_t reference_in_size(const struct conv *conv)
{
	return (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c;
}

size_t reference_out_size(const struct conv *conv)
{
	return (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c;
}

size_t reference_weight_size(const struct conv *conv)
{
	return (size_t)(conv->kernel * conv->kernel) * (size_t)conv->in_c * (size_t)conv->out_c;
}

bool same_bits(const void *x, const void *y, size_t bytes)
{
	return bytes == 0 || memcmp(x, y, bytes) == 0;
}

float *guard_alloc(size_t count)
{
	float *memory = reference_alloc((count + 2 * GUARD) * sizeof(float));

	for (size_t i = 0; i < count + 2 * GUARD; i++)
		memory[i] = i < GUARD || i >= GUARD + count ? guard_value : NAN;
	return memory + GUARD;
}

bool guard_intact(const float *values, size_t count)
{
	for (size_t i = 0; i < GUARD; i++)
		if (values[-1 - (ptrdiff_t)i] != guard_value || values[count + i] != guard_value)
			return false;
	return true;
}

void guard_free(float *values)
{
	free(values - GUARD);
}

/* One output pixel and one tap of a convolution: in and out point to the pixels, weight to the tap's (in_c, out_c). */
typedef void (*tap_fn)(double *restrict in, double *restrict weight, double *restrict out, const struct conv *shape);

static void tap_forward(double *restrict in, double *restrict weight, double *restrict out, const struct conv *shape)
{
	for (int c = 0; c < shape->in_c; c++, weight += shape->out_c)
		for (int k = 0; k < shape->out_c; k++)
			out[k] += in[c] * weight[k];
}

static void tap_data(double *restrict in, double *restrict weight, double *restrict out, const struct conv *shape)
{
	for (int c = 0; c < shape->in_c; c++, weight += shape->out_c)
		for (int k = 0; k < shape->out_c; k++)
			in[c] += out[k] * weight[k];
}

static void tap_weight(double *restrict in, double *restrict weight, double *restrict out, const struct conv *shape)
{
	for (int c = 0; c < shape->in_c; c++, weight += shape->out_c)
		for (int k = 0; k < shape->out_c; k++)
			weight[k] += in[c] * out[k];
}

/* All taps of output pixel `at` (counted over samples, rows and columns). */
static void pixel_taps(const struct reference_conv *conv, size_t at, tap_fn tap)
{
	const struct conv *s = &conv->shape;
	size_t pixels = (size_t)s->out_h * (size_t)s->out_w, n = at / pixels;
	int h = (int)(at % pixels) / s->out_w, w = (int)(at % pixels) % s->out_w;

	for (int r = 0; r < s->kernel; r++)
		for (int q = 0; q < s->kernel; q++) {
			int y = h * s->stride + r - s->pad, x = w * s->stride + q - s->pad;
			size_t pixel = (n * (size_t)s->in_h + (size_t)y) * (size_t)s->in_w + (size_t)x;

			if (y >= 0 && x >= 0 && y < s->in_h && x < s->in_w)
				tap(conv->in + pixel * (size_t)s->in_c,
				    conv->weight + (size_t)(r * s->kernel + q) * (size_t)s->in_c * (size_t)s->out_c,
				    conv->out + at * (size_t)s->out_c, s);
		}
}

static size_t out_pixels(const struct reference_conv *conv)
{
	return conv->samples * (size_t)conv->shape.out_h * (size_t)conv->shape.out_w;
}

void reference_conv_forward(const struct reference_conv *conv)
{
	memset(conv->out, 0, out_pixels(conv) * (size_t)conv->shape.out_c * sizeof(double));
	for (size_t at = 0; at < out_pixels(conv); at++)
		pixel_taps(conv, at, tap_forward);
}

void reference_conv_data(const struct reference_conv *conv)
{
	size_t in_pixels = conv->samples * (size_t)conv->shape.in_h * (size_t)conv->shape.in_w;

	memset(conv->in, 0, in_pixels * (size_t)conv->shape.in_c * sizeof(double));
	for (size_t at = 0; at < out_pixels(conv); at++)
		pixel_taps(conv, at, tap_data);
}

void reference_conv_weight(const struct reference_conv *conv)
{
	size_t taps = (size_t)conv->shape.kernel * (size_t)conv->shape.kernel;

	memset(conv->weight, 0, taps * (size_t)conv->shape.in_c * (size_t)conv->shape.out_c * sizeof(double));
	for (size_t at = 0; at < out_pixels(conv); at++)
		pixel_taps(conv, at, tap_weight);
}

double reference_loss(const double *logits, int label, int classes, double smoothing)
{
	double largest = logits[0], sum = 0, loss = 0;

	for (int k = 1; k < classes; k++)
		largest = fmax(largest, logits[k]);
	for (int k = 0; k < classes; k++)
		sum += exp(logits[k] - largest);
	for (int k = 0; k < classes; k++)
		loss -= ((k == label ? 1 - smoothing : 0) + smoothing / classes) * (logits[k] - largest - log(sum));
	return loss;
}
