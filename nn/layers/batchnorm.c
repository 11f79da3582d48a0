#include "nn/layers/batchnorm.h"

#include <math.h>

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

void batchnorm_moments(const struct batchnorm *bn, const float *x, const struct context *context, size_t first, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		double *row = row_of(context, bn, first + n);

		row[0] = (double)part_pixels(bn);
		context->kernels->moments(row + 1, row + 1 + bn->channels, x + n * part_size(bn), part_pixels(bn), bn->channels);
	}
}

void batchnorm_moments_all(struct batchnorm *bn, const float *x, const struct context *context)
{
	bn->parts = 1;
#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples * bn->parts; n++)
		batchnorm_moments(bn, x + n * part_size(bn), context, n, 1);
}

void batchnorm_apply(float *out, const struct batchnorm *bn, const float *x, const float *residual, bool relu, const float *mean,
		     const float *beta, const struct kernels *kernels, size_t pixels)
{
	kernels->bn_forward(out, x, residual, relu, mean, bn->coefficients, beta, pixels, bn->channels);
}

void batchnorm_apply_all(float *out, const struct batchnorm *bn, const float *x, const float *residual, bool relu,
			 const float *mean, const float *beta, const struct context *context)
{
	size_t size = bn->pixels * (size_t)bn->channels;

#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples; n++)
		batchnorm_apply(out + n * size, bn, x + n * size, residual ? residual + n * size : NULL, relu, mean, beta,
				context->kernels, bn->pixels);
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

enum nn_status batchnorm_merge(float *running_mean, float *running_var, struct batchnorm *bn, const float *gamma,
			       const struct context *context)
{
	const double *total;
	enum nn_status status = context_merge(&total, context, bn->channels, bn->parts, MERGE_MOMENTS);

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

enum nn_status batchnorm_train(float *out, float *running_mean, float *running_var, struct batchnorm *bn, const float *x,
			       const float *residual, bool relu, const float *gamma, const float *beta,
			       const struct context *context)
{
	enum nn_status status;

	batchnorm_moments_all(bn, x, context);
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

void batchnorm_eval(float *out, struct batchnorm *bn, const float *x, const float *residual, bool relu, const float *gamma,
		    const float *beta, const float *running_mean, const float *running_var, const struct context *context)
{
	batchnorm_eval_scale(bn, gamma, running_var);
	batchnorm_apply_all(out, bn, x, residual, relu, running_mean, beta, context);
}

void batchnorm_sums(float *d_out, const struct batchnorm *bn, const float *out, bool relu, const float *x,
		    const struct context *context, size_t first, size_t count)
{
	size_t size = part_size(bn);

	for (size_t n = 0; n < count; n++) {
		double *row = row_of(context, bn, first + n);

		row[0] = (double)part_pixels(bn);
		context->kernels->bn_backward_sums(row + 1, row + 1 + bn->channels, d_out + n * size, relu ? out + n * size : NULL,
						   relu, x + n * size, bn->mean, bn->inverse_std, part_pixels(bn), bn->channels);
	}
}

void batchnorm_backward_sums(float *d_out, const struct batchnorm *bn, const float *out, bool relu, const float *x,
			     const struct context *context)
{
	size_t size = part_size(bn);

#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples * bn->parts; n++)
		batchnorm_sums(d_out + n * size, bn, relu ? out + n * size : NULL, relu, x + n * size, context, n, 1);
}

enum nn_status batchnorm_backward_merge(struct batchnorm *bn, const float *gamma, const struct context *context)
{
	const double *total;
	float *offset = bn->coefficients, *slope = bn->coefficients + bn->channels;
	enum nn_status status = context_merge(&total, context, bn->channels, bn->parts, MERGE_SUM);

	if (status != NN_OK || total[0] == 0)
		return status;
	for (int c = 0; c < bn->channels; c++) {
		offset[c] = (float)(total[1 + c] / total[0]);
		slope[c] = (float)(total[1 + bn->channels + c] / total[0] * (double)bn->inverse_std[c]);
		bn->inverse_std[c] *= gamma[c]; /* from here on the scale of the gradient */
	}
	return NN_OK;
}

void batchnorm_gradient(float *d_x, const struct batchnorm *bn, const float *d_out, const float *x, bool accumulate,
			const struct kernels *kernels, size_t pixels)
{
	kernels->bn_backward(d_x, d_out, x, bn->mean, bn->inverse_std, bn->coefficients, bn->coefficients + bn->channels,
			     accumulate, pixels, bn->channels);
}

enum nn_status batchnorm_backward_data(float *d_x, struct batchnorm *bn, const float *d_out, const float *x, const float *gamma,
				       bool accumulate, const struct context *context)
{
	size_t size = bn->pixels * (size_t)bn->channels;
	enum nn_status status = batchnorm_backward_merge(bn, gamma, context);

	if (status != NN_OK)
		return status;
#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples; n++)
		batchnorm_gradient(d_x + n * size, bn, d_out + n * size, x + n * size, accumulate, context->kernels, bn->pixels);
	return NN_OK;
}
