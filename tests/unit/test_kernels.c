/* Every kernel set that this processor can run, against plain double loops. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

/* One shape with random data. Tolerances below hold for values of this size: |x| < 1 but for an offset of 3 in x. */
struct shape_case {
	const struct kernels *set;
	size_t pixels, n;
	int channels;
	float *x, *residual, *d_out;	     /* (pixels, channels) */
	float *mean, *scale, *shift, *slope; /* (channels) */
};

typedef void (*case_fn)(const struct shape_case *shape);

static void run_case(const struct kernels *set, size_t pixels, int channels, case_fn check)
{
	size_t c = (size_t)channels, n = pixels * c;
	struct shape_case shape = {set,
				   pixels,
				   n,
				   channels,
				   reference_values(n, 1),
				   reference_values(n, 2),
				   reference_values(n, 3),
				   reference_values(c, 4),
				   reference_values(c, 5),
				   reference_values(c, 6),
				   reference_values(c, 7)};

	for (size_t i = 0; i < n; i++)
		shape.x[i] += 3;
	check(&shape);
	free(shape.x);
	free(shape.residual);
	free(shape.d_out);
	free(shape.mean);
	free(shape.scale);
	free(shape.shift);
	free(shape.slope);
}

/* Every tail length, and pixel counts around the blocks of 64. */
static void each_case(case_fn check)
{
	for (int s = 0; reference_set(s); s++)
		for (int channels = 1; channels <= 2 * reference_set(s)->vector + 3; channels++)
			for (size_t pixels = 1; pixels <= 129; pixels += pixels == 70 ? 57 : 1)
				run_case(reference_set(s), pixels, channels, check);
}

static void check_moments(const struct shape_case *shape)
{
	size_t channels = (size_t)shape->channels;
	double *mean = reference_alloc(channels * sizeof(double)), *m2 = reference_alloc(channels * sizeof(double));
	double worst = 0;

	shape->set->fp32.moments(mean, m2, shape->x, shape->pixels, shape->channels);
	for (size_t c = 0; c < channels; c++) {
		double wanted = 0, squares = 0;

		for (size_t i = c; i < shape->n; i += channels)
			wanted += (double)shape->x[i] / (double)shape->pixels;
		for (size_t i = c; i < shape->n; i += channels)
			squares += ((double)shape->x[i] - wanted) * ((double)shape->x[i] - wanted);
		worst = fmax(worst, fabs(mean[c] - wanted));
		worst = fmax(worst, fabs(m2[c] - squares) / (double)shape->pixels);
	}
	CU_ASSERT(worst < 1e-6);
	free(mean);
	free(m2);
}

static void moments_match_double_on_every_tail(void)
{
	each_case(check_moments);
}

static void check_bn_forward(const struct shape_case *shape)
{
	float *out = guard_alloc(shape->n);
	double *wanted = reference_alloc(shape->n * sizeof(double));

	for (int kind = 0; kind < 8; kind++) { /* bit 0: ReLU, bit 1: residual, bit 2: written over the residual */
		const float *residual = kind & 4 ? out : shape->residual;
		bool relu = kind & 1;

		if (kind == 4 || kind == 5)
			continue;
		for (size_t i = 0; i < shape->n; i++) {
			size_t c = i % (size_t)shape->channels;
			double y =
			    ((double)shape->x[i] - (double)shape->mean[c]) * (double)shape->scale[c] + (double)shape->shift[c];

			y += kind & 2 ? (double)shape->residual[i] : 0;
			wanted[i] = relu ? fmax(y, 0) : y;
		}
		memcpy(out, shape->residual, shape->n * sizeof(float));
		shape->set->fp32.bn_forward(out, shape->x, kind & 2 ? residual : NULL, relu, shape->mean, shape->scale,
					    shape->shift, shape->pixels, shape->channels);
		CU_ASSERT(reference_distance(out, wanted, shape->n) < 2e-6);
	}
	CU_ASSERT(guard_intact(out, shape->n));
	guard_free(out);
	free(wanted);
}

static void bn_forward_matches_double_with_and_without_residual_and_relu(void)
{
	each_case(check_bn_forward);
}

static void check_bn_sums(const struct shape_case *shape, bool relu)
{
	size_t channels = (size_t)shape->channels;
	double *sum = reference_alloc(channels * sizeof(double)), *product = reference_alloc(channels * sizeof(double));
	double *masked = reference_doubles(shape->d_out, shape->n), worst = 0;
	float *d_out = guard_alloc(shape->n);

	memcpy(d_out, shape->d_out, shape->n * sizeof(float));
	for (size_t i = 0; relu && i < shape->n; i++)
		if (!(shape->residual[i] > 0))
			masked[i] = 0;
	shape->set->fp32.bn_backward_sums(sum, product, d_out, relu ? shape->residual : NULL, relu, shape->x, shape->mean,
					  shape->scale, shape->pixels, shape->channels);
	for (size_t c = 0; c < channels; c++) {
		for (size_t i = c; i < shape->n; i += channels) {
			sum[c] -= masked[i];
			product[c] -= masked[i] * ((double)shape->x[i] - (double)shape->mean[c]) * (double)shape->scale[c];
		}
		worst = fmax(worst, fmax(fabs(sum[c]), fabs(product[c])));
	}
	CU_ASSERT(worst < 1e-6 + 2e-7 * (double)shape->pixels);
	CU_ASSERT(reference_distance(d_out, masked, shape->n) == 0);
	CU_ASSERT(guard_intact(d_out, shape->n));
	free(sum);
	free(product);
	free(masked);
	guard_free(d_out);
}

static void check_bn_backward_sums(const struct shape_case *shape)
{
	check_bn_sums(shape, false);
	check_bn_sums(shape, true);
}

static void bn_backward_sums_match_double_and_mask_the_gradient(void)
{
	each_case(check_bn_backward_sums);
}

static void check_bn_backward(const struct shape_case *shape)
{
	float *d_x = guard_alloc(shape->n), *in_place = reference_alloc(shape->n * sizeof(float));
	double *wanted = reference_alloc(shape->n * sizeof(double));

	for (size_t i = 0; i < shape->n; i++) {
		size_t c = i % (size_t)shape->channels;

		wanted[i] = (double)shape->d_out[i] - (double)shape->shift[c];
		wanted[i] -= ((double)shape->x[i] - (double)shape->mean[c]) * (double)shape->slope[c];
		wanted[i] *= (double)shape->scale[c];
	}
	shape->set->fp32.bn_backward(d_x, shape->d_out, shape->x, shape->mean, shape->scale, shape->shift, shape->slope, false,
				     shape->pixels, shape->channels);
	CU_ASSERT(reference_distance(d_x, wanted, shape->n) < 4e-6);
	memcpy(in_place, shape->d_out, shape->n * sizeof(float));
	shape->set->fp32.bn_backward(in_place, in_place, shape->x, shape->mean, shape->scale, shape->shift, shape->slope, false,
				     shape->pixels, shape->channels);
	CU_ASSERT(same_bits(in_place, d_x, shape->n * sizeof(float)));

	memcpy(d_x, shape->residual, shape->n * sizeof(float));
	for (size_t i = 0; i < shape->n; i++)
		wanted[i] += (double)shape->residual[i];
	shape->set->fp32.bn_backward(d_x, shape->d_out, shape->x, shape->mean, shape->scale, shape->shift, shape->slope, true,
				     shape->pixels, shape->channels);
	CU_ASSERT(reference_distance(d_x, wanted, shape->n) < 4e-6);
	CU_ASSERT(guard_intact(d_x, shape->n));
	guard_free(d_x);
	free(in_place);
	free(wanted);
}

static void bn_backward_matches_double_also_in_place_and_added(void)
{
	each_case(check_bn_backward);
}

static void batchnorm_of_nan_is_nan_behind_a_relu(void)
{
	float x[3 * 35], zero[35] = {0}, out[3 * 35];

	for (int i = 0; i < 3 * 35; i++)
		x[i] = NAN;
	for (int s = 0; reference_set(s); s++)
		for (int channels = 1; channels <= 35; channels++) {
			memset(out, 0, sizeof(out));
			reference_set(s)->fp32.bn_forward(out, x, NULL, true, zero, zero, zero, 3, channels);
			for (int i = 0; i < 3 * channels; i++)
				CU_ASSERT(isnan(out[i]));
		}
}

void suite_kernels(void)
{
	static const struct test_row rows[] = {
	    TEST(moments_match_double_on_every_tail),
	    TEST(bn_forward_matches_double_with_and_without_residual_and_relu),
	    TEST(bn_backward_sums_match_double_and_mask_the_gradient),
	    TEST(bn_backward_matches_double_also_in_place_and_added),
	    TEST(batchnorm_of_nan_is_nan_behind_a_relu),
	};

	ADD_SUITE("kernels", rows);
}
