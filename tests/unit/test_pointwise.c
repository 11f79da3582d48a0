/* The kernels that see an array without its shape, exp and log, and the choice of a set. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/rng.h"
#include "tests/unit/reference.h"
#include "tests/unit/suites.h"

/* Arrays of one length with random values, and an output between guards. */
struct arrays {
	const struct kernels *set;
	size_t n;
	float *x, *y, *z, *out;
	double *wanted;
};

typedef void (*arrays_fn)(struct arrays *arrays);

static void each_length(arrays_fn check)
{
	for (int s = 0; reference_set(s); s++)
		for (size_t n = 1; n <= 4 * (size_t)reference_set(s)->vector + 3; n++) {
			struct arrays a = {reference_set(s),
					   n,
					   reference_values(n, 1),
					   reference_values(n, 2),
					   reference_values(n, 3),
					   guard_alloc(n),
					   reference_alloc(n * sizeof(double))};

			check(&a);
			CU_ASSERT(guard_intact(a.out, n));
			free(a.x);
			free(a.y);
			free(a.z);
			guard_free(a.out);
			free(a.wanted);
		}
}

static void check_add(struct arrays *a)
{
	for (size_t i = 0; i < a->n; i++) {
		a->out[i] = a->x[i];
		a->wanted[i] = (double)(a->x[i] + a->y[i]);
	}
	a->set->fp32.add(a->out, a->y, a->n);
	CU_ASSERT(reference_distance(a->out, a->wanted, a->n) == 0);
}

static void add_is_exact_on_every_tail(void)
{
	each_length(check_add);
}

/* All combinations of bias and ReLU, for every number of channels that divides n; also in place. */
static void check_bias_relu(struct arrays *a)
{
	for (size_t channels = 1; channels <= a->n; channels++)
		for (int kind = 0; kind < 4 && a->n % channels == 0; kind++) {
			const float *bias = kind & 2 ? a->y : NULL;

			for (size_t i = 0; i < a->n; i++) {
				float value = a->x[i] + (bias ? bias[i % channels] : 0);

				a->wanted[i] = (double)(kind & 1 && value < 0 ? 0 : value);
			}
			a->set->fp32.bias_relu(a->out, a->x, bias, kind & 1, a->n, (int)channels);
			CU_ASSERT(reference_distance(a->out, a->wanted, a->n) == 0);
			memcpy(a->out, a->x, a->n * sizeof(float));
			a->set->fp32.bias_relu(a->out, a->out, bias, kind & 1, a->n, (int)channels);
			CU_ASSERT(reference_distance(a->out, a->wanted, a->n) == 0);
		}
	for (size_t i = 0; i < a->n; i++)
		a->out[i] = NAN;
	a->set->fp32.bias_relu(a->out, a->out, NULL, true, a->n, (int)a->n);
	for (size_t i = 0; i < a->n; i++)
		CU_ASSERT(isnan(a->out[i]));
}

static void bias_relu_is_exact_and_lets_nan_pass(void)
{
	each_length(check_bias_relu);
}

static void check_relu_backward(struct arrays *a)
{
	a->y[0] = 0; /* at the kink the gradient is 0 */
	for (size_t i = 0; i < a->n; i++)
		a->wanted[i] = a->y[i] > 0 ? (double)a->x[i] : 0;
	a->set->fp32.relu_backward(a->out, a->x, a->y, false, a->n);
	CU_ASSERT(reference_distance(a->out, a->wanted, a->n) == 0);
	for (size_t i = 0; i < a->n; i++) {
		a->out[i] = a->z[i];
		a->wanted[i] = (double)(a->z[i] + (a->y[i] > 0 ? a->x[i] : 0));
	}
	a->set->fp32.relu_backward(a->out, a->x, a->y, true, a->n);
	CU_ASSERT(reference_distance(a->out, a->wanted, a->n) == 0);
}

static void relu_backward_is_exact_also_added(void)
{
	each_length(check_relu_backward);
}

/* x: weights, y: velocity, z: gradient. */
static void check_sgd(struct arrays *a)
{
	const double rate = 0.125, momentum = 0.875, decay = 0.25;

	for (int nesterov = 0; nesterov < 2; nesterov++) {
		float *v = reference_alloc(a->n * sizeof(float));

		for (size_t i = 0; i < a->n; i++) {
			double d = (double)a->z[i] + decay * (double)a->x[i];
			double wanted_v = momentum * (double)a->y[i] + d;

			a->wanted[i] = (double)a->x[i] - rate * (nesterov ? d + momentum * wanted_v : wanted_v);
		}
		memcpy(a->out, a->x, a->n * sizeof(float));
		memcpy(v, a->y, a->n * sizeof(float));
		a->set->sgd(a->out, v, a->z, (float)rate, (float)momentum, (float)decay, nesterov, a->n);
		CU_ASSERT(reference_distance(a->out, a->wanted, a->n) < 5e-7);
		for (size_t i = 0; i < a->n; i++)
			a->wanted[i] = momentum * (double)a->y[i] + (double)a->z[i] + decay * (double)a->x[i];
		CU_ASSERT(reference_distance(v, a->wanted, a->n) < 5e-7);
		free(v);
	}
}

static void sgd_follows_its_formula_with_momentum_decay_and_nesterov(void)
{
	each_length(check_sgd);
}

static void check_lars(struct arrays *a)
{
	const double rate = 0.125, momentum = 0.875, decay = 0.25;
	float *v = reference_alloc(a->n * sizeof(float));

	memcpy(a->out, a->x, a->n * sizeof(float));
	memcpy(v, a->y, a->n * sizeof(float));
	a->set->lars(a->out, v, a->z, (float)rate, (float)momentum, (float)decay, a->n);
	for (size_t i = 0; i < a->n; i++)
		a->wanted[i] = momentum * (double)a->y[i] + rate * ((double)a->z[i] + decay * (double)a->x[i]);
	CU_ASSERT(reference_distance(v, a->wanted, a->n) < 5e-7);
	for (size_t i = 0; i < a->n; i++)
		a->wanted[i] = (double)a->x[i] - a->wanted[i];
	CU_ASSERT(reference_distance(a->out, a->wanted, a->n) < 5e-7);
	free(v);
}

static void lars_follows_its_formula(void)
{
	each_length(check_lars);
}

static void check_sum_squares(struct arrays *a)
{
	double sum = 0;

	for (size_t i = 0; i < a->n; i++)
		sum += (double)a->x[i] * (double)a->x[i];
	CU_ASSERT_DOUBLE_EQUAL(a->set->sum_squares(a->x, a->n), sum, 1e-14 * sum);
	a->out[0] = 0;
}

static void sum_squares_is_summed_in_double(void)
{
	each_length(check_sum_squares);
}

static void exp_agrees_with_libm(void)
{
	for (int s = 0; reference_set(s); s++) {
		const struct kernels *set = reference_set(s);
		struct rng rng = rng_stream(1, 0, 0);
		double worst = 0;

		for (int i = 0; i < 100000; i++) {
			double x = (rng_uniform(&rng) * 1409 - 700) * (i % 4 ? 1 : 1e-3);

			worst = fmax(worst, fabs(set->exp(x) / exp(x) - 1));
		}
		CU_ASSERT(worst < 1e-15);
		CU_ASSERT_EQUAL(set->exp(0), 1);
		CU_ASSERT_EQUAL(set->exp(-0.0), 1);
		CU_ASSERT_EQUAL(set->exp(-INFINITY), 0);
		CU_ASSERT_EQUAL(set->exp(-DBL_MAX), 0);
		CU_ASSERT_EQUAL(set->exp(DBL_MIN), 1);
		CU_ASSERT_EQUAL(set->exp(INFINITY), INFINITY);
		CU_ASSERT_EQUAL(set->exp(710), INFINITY);
		CU_ASSERT(isfinite(set->exp(709)));
		CU_ASSERT(set->exp(-700) > 0);
		CU_ASSERT(isnan(set->exp(NAN)));
	}
}

static void log_agrees_with_libm(void)
{
	static const double special[] = {DBL_MIN,	    DBL_MIN / 2, 1e-310, 0x1p-1074, DBL_MAX, 0x1.fffffffffffffp-1,
					 1.4142135623730951};

	for (int s = 0; reference_set(s); s++) {
		const struct kernels *set = reference_set(s);
		struct rng rng = rng_stream(2, 0, 0);
		double worst = 0;

		for (int i = 0; i < 100000; i++) {
			double x = i % 2 ? ldexp(1 + rng_uniform(&rng), i % 2045 - 1022) : 1 + 0.5 * (rng_uniform(&rng) - 0.5);

			worst = fmax(worst, fabs(set->log(x) / log(x) - 1));
		}
		for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
			worst = fmax(worst, fabs(set->log(special[i]) / log(special[i]) - 1));
		CU_ASSERT(worst < 1e-15);
		CU_ASSERT_EQUAL(set->log(1), 0);
		CU_ASSERT_EQUAL(set->log(0), -INFINITY);
		CU_ASSERT_EQUAL(set->log(INFINITY), INFINITY);
		CU_ASSERT(isnan(set->log(-1)));
		CU_ASSERT(isnan(set->log(NAN)));
	}
}

static void select_gives_the_best_or_the_named_set(void)
{
	const struct kernels *set;

	CU_ASSERT_EQUAL(kernels_select(&set, "", true), NN_OK);
	CU_ASSERT_PTR_EQUAL(set, reference_set(0));
	CU_ASSERT_EQUAL(kernels_select(&set, NULL, true), NN_OK);
	CU_ASSERT_PTR_EQUAL(set, reference_set(0));
	for (int i = 0; kernels_all[i]; i++)
		if (kernels_usable(kernels_all[i])) {
			CU_ASSERT_EQUAL(kernels_select(&set, kernels_all[i]->name, true), NN_OK);
			CU_ASSERT_PTR_EQUAL(set, kernels_all[i]);
		} else if (strcmp(kernels_all[i]->name, "avx512bf16") != 0) {
			CU_ASSERT_EQUAL(kernels_select(&set, kernels_all[i]->name, true), NN_ERR_USAGE);
			CU_ASSERT_PTR_NULL(set);
			CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), kernels_all[i]->name));
		}
	CU_ASSERT_EQUAL(kernels_select(&set, "avx512bf16", true), NN_OK);
	CU_ASSERT_STRING_EQUAL(set->name, "avx512bf16");
	CU_ASSERT(set->bf16_products);
	CU_ASSERT_EQUAL(kernels_select(&set, "sse9", true), NN_ERR_USAGE);
	CU_ASSERT_PTR_NULL(set);
	CU_ASSERT_PTR_NOT_NULL(strstr(nn_error_message(), "sse9"));
}

void suite_pointwise(void)
{
	static const struct test_row rows[] = {
	    TEST(add_is_exact_on_every_tail),
	    TEST(bias_relu_is_exact_and_lets_nan_pass),
	    TEST(relu_backward_is_exact_also_added),
	    TEST(sgd_follows_its_formula_with_momentum_decay_and_nesterov),
	    TEST(lars_follows_its_formula),
	    TEST(sum_squares_is_summed_in_double),
	    TEST(exp_agrees_with_libm),
	    TEST(log_agrees_with_libm),
	    TEST(select_gives_the_best_or_the_named_set),
	};

	ADD_SUITE("pointwise", rows);
}
