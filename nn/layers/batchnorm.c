#include "nn/layers/batchnorm.h"

#include <math.h>
#include <omp.h>

static double *row_of(const struct context *context, const struct batchnorm *bn, size_t sample)
{
	return context->sample_rows + sample * (1 + 2 * (size_t)bn->channels);
}

static size_t part_pixels(const struct batchnorm *bn)
{
	return bn->pixels / bn->parts;
}

static size_t part_size(const struct batchnorm *bn)
{
	return part_pixels(bn) * (size_t)bn->channels;
}

void batchnorm_moments(const struct batchnorm *bn, const void *x, const struct context *context, size_t first, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		double *row = row_of(context, bn, first + n);

		row[0] = (double)part_pixels(bn);
		bn->pointwise->moments(row + 1, row + 1 + bn->channels, stored(bn->pointwise, x, n * part_size(bn)),
				       part_pixels(bn), bn->channels);
	}
}

void batchnorm_moments_all(struct batchnorm *bn, const void *x, const struct context *context)
{
	bn->parts = 1;
#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples * bn->parts; n++)
		batchnorm_moments(bn, stored(bn->pointwise, x, n * part_size(bn)), context, n, 1);
}

void batchnorm_apply(void *out, const struct batchnorm *bn, const void *x, const void *residual, bool relu, const float *mean,
		     const float *beta, size_t pixels)
{
	bn->pointwise->bn_forward(out, x, residual, relu, mean, bn->coefficients, beta, pixels, bn->channels);
}

void batchnorm_apply_all(void *out, const struct batchnorm *bn, const void *x, const void *residual, bool relu, const float *mean,
			 const float *beta, const struct context *context)
{
	size_t size = bn->pixels * (size_t)bn->channels;

#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples; n++)
		batchnorm_apply(stored_into(bn->pointwise, out, n * size), bn, stored(bn->pointwise, x, n * size),
				residual ? stored(bn->pointwise, residual, n * size) : NULL, relu, mean, beta, bn->pixels);
}

/* running = (1 - momentum) running + momentum * batch value. */
static void update_running(float *running_mean, float *running_var, const double *total, int channels, double momentum)
{
	double count = total[0];
	double unbias = count > 1 ? 1 / (count - 1) : 1 / count;

	for (int c = 0; c < channels; c++) {
		double mean = total[1 + c], variance = total[1 + channels + c] * unbias;

		running_mean[c] = (float)((1 - momentum) * (double)running_mean[c] + momentum * mean);
		running_var[c] = (float)((1 - momentum) * (double)running_var[c] + momentum * variance);
	}
}

void batchnorm_gather(const struct batchnorm *bn, const struct context *context, enum merge merge)
{
	context_gather(context, bn->channels, bn->parts, merge);
}

enum nn_status batchnorm_merge(float *running_mean, float *running_var, struct batchnorm *bn, const float *gamma,
			       const struct context *context)
{
	const double *total;
	enum nn_status status = context_total(&total, context, bn->channels, MERGE_MOMENTS);

	if (status != NN_OK || total[0] == 0)
		return status;
	for (int c = 0; c < bn->channels; c++) {
		bn->mean[c] = (float)total[1 + c];
		bn->inverse_std[c] = (float)(1 / sqrt(total[1 + bn->channels + c] / total[0] + BATCHNORM_EPS));
		bn->coefficients[c] = gamma[c] * bn->inverse_std[c];
	}
	update_running(running_mean, running_var, total, bn->channels,
		       context->momentum > 0 ? context->momentum : BATCHNORM_MOMENTUM);
	return NN_OK;
}

enum nn_status batchnorm_train(void *out, float *running_mean, float *running_var, struct batchnorm *bn, const void *x,
			       const void *residual, bool relu, const float *gamma, const float *beta,
			       const struct context *context)
{
	enum nn_status status;

	batchnorm_moments_all(bn, x, context);
	batchnorm_gather(bn, context, MERGE_MOMENTS);
	status = batchnorm_merge(running_mean, running_var, bn, gamma, context);
	if (status == NN_OK)
		batchnorm_apply_all(out, bn, x, residual, relu, bn->mean, beta, context);
	return status;
}

void batchnorm_eval_scale(struct batchnorm *bn, const float *gamma, const float *running_var)
{
	for (int c = 0; c < bn->channels; c++)
		bn->coefficients[c] = (float)((double)gamma[c] / sqrt((double)running_var[c] + BATCHNORM_EPS));
}

void batchnorm_fold(struct batchnorm *bn, const float *gamma, const float *beta, const float *running_mean,
		    const float *running_var)
{
	float *bias = bn->coefficients + bn->channels;

	batchnorm_eval_scale(bn, gamma, running_var);
	for (int c = 0; c < bn->channels; c++)
		bias[c] = (float)((double)beta[c] - (double)running_mean[c] * (double)bn->coefficients[c]);
}

void batchnorm_eval(void *out, struct batchnorm *bn, const void *x, const void *residual, bool relu, const float *gamma,
		    const float *beta, const float *running_mean, const float *running_var, const struct context *context)
{
	batchnorm_eval_scale(bn, gamma, running_var);
	batchnorm_apply_all(out, bn, x, residual, relu, running_mean, beta, context);
}

void batchnorm_sums(void *d_out, const struct batchnorm *bn, const void *out, bool relu, const void *x,
		    const struct context *context, size_t first, size_t count)
{
	size_t size = part_size(bn);

	for (size_t n = 0; n < count; n++) {
		double *row = row_of(context, bn, first + n);

		row[0] = (double)part_pixels(bn);
		bn->pointwise->bn_backward_sums(row + 1, row + 1 + bn->channels, stored_into(bn->pointwise, d_out, n * size),
						relu ? stored(bn->pointwise, out, n * size) : NULL, relu,
						stored(bn->pointwise, x, n * size), bn->mean, bn->inverse_std, part_pixels(bn),
						bn->channels);
	}
}

void batchnorm_backward_sums(void *d_out, const struct batchnorm *bn, const void *out, bool relu, const void *x,
			     const struct context *context)
{
	size_t size = part_size(bn);

#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples * bn->parts; n++)
		batchnorm_sums(stored_into(bn->pointwise, d_out, n * size), bn, relu ? stored(bn->pointwise, out, n * size) : NULL,
			       relu, stored(bn->pointwise, x, n * size), context, n, 1);
}

void batchnorm_backward_sums_again(void *d_out, const struct batchnorm *bn, void *rooms, const void *x, const float *beta,
				   const struct context *context)
{
	size_t size = part_size(bn);

#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples * bn->parts; n++) {
		void *out = stored_into(bn->pointwise, rooms, (size_t)omp_get_thread_num() * size);
		const void *part = stored(bn->pointwise, x, n * size);

		batchnorm_apply(out, bn, part, NULL, true, bn->mean, beta, part_pixels(bn));
		batchnorm_sums(stored_into(bn->pointwise, d_out, n * size), bn, out, true, part, context, n, 1);
	}
}

enum nn_status batchnorm_backward_merge(struct batchnorm *bn, const float *gamma, const struct context *context)
{
	const double *total;
	float *offset = bn->coefficients, *slope = bn->coefficients + bn->channels;
	enum nn_status status = context_total(&total, context, bn->channels, MERGE_SUM);

	if (status != NN_OK || total[0] == 0)
		return status;
	for (int c = 0; c < bn->channels; c++) {
		offset[c] = (float)(total[1 + c] / total[0]);
		slope[c] = (float)(total[1 + bn->channels + c] / total[0] * (double)bn->inverse_std[c]);
		bn->inverse_std[c] *= gamma[c]; /* from here on the scale of the gradient */
	}
	return NN_OK;
}

void batchnorm_gradient(void *d_x, const struct batchnorm *bn, const void *d_out, const void *x, bool accumulate, size_t pixels)
{
	bn->pointwise->bn_backward(d_x, d_out, x, bn->mean, bn->inverse_std, bn->coefficients, bn->coefficients + bn->channels,
				   accumulate, pixels, bn->channels);
}

enum nn_status batchnorm_backward_data(void *d_x, struct batchnorm *bn, const void *d_out, const void *x, const float *gamma,
				       bool accumulate, const struct context *context)
{
	size_t size = bn->pixels * (size_t)bn->channels;
	enum nn_status status = batchnorm_backward_merge(bn, gamma, context);

	if (status != NN_OK)
		return status;
#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples; n++)
		batchnorm_gradient(stored_into(bn->pointwise, d_x, n * size), bn, stored(bn->pointwise, d_out, n * size),
				   stored(bn->pointwise, x, n * size), accumulate, bn->pixels);
	return NN_OK;
}
