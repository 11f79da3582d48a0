#include "nn/layers/batchnorm.h"

#include <math.h>

static double *row_of(const struct context *context, const struct batchnorm *bn, size_t sample)
{
	return context->sample_rows + sample * (1 + 2 * (size_t)bn->channels);
}

static void sample_moments(const struct batchnorm *bn, const float *x, const struct context *context)
{
	size_t size = bn->pixels * (size_t)bn->channels;

#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples; n++) {
		double *row = row_of(context, bn, n);

		row[0] = (double)bn->pixels;
		context->kernels->moments(row + 1, row + 1 + bn->channels, x + n * size, bn->pixels, bn->channels);
	}
}

static void apply(float *out, const struct batchnorm *bn, const float *x, const float *residual, bool relu, const float *mean,
		  const float *scale, const float *shift, const struct context *context)
{
	size_t size = bn->pixels * (size_t)bn->channels;

#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples; n++)
		context->kernels->bn_forward(out + n * size, x + n * size, residual ? residual + n * size : NULL, relu, mean, scale,
					     shift, bn->pixels, bn->channels);
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

enum nn_status batchnorm_train(float *out, float *running_mean, float *running_var, struct batchnorm *bn, const float *x,
			       const float *residual, bool relu, const float *gamma, const float *beta,
			       const struct context *context)
{
	const double *total;
	float *scale = bn->coefficients;
	enum nn_status status;

	sample_moments(bn, x, context);
	status = context_merge(&total, context, bn->channels, MERGE_MOMENTS);
	if (status != NN_OK || total[0] == 0)
		return status;
	for (int c = 0; c < bn->channels; c++) {
		bn->mean[c] = (float)total[1 + c];
		bn->inverse_std[c] = (float)(1 / sqrt(total[1 + bn->channels + c] / total[0] + BATCHNORM_EPS));
		scale[c] = gamma[c] * bn->inverse_std[c];
	}
	update_running(running_mean, running_var, total, bn->channels,
		       context->momentum > 0 ? context->momentum : BATCHNORM_MOMENTUM);
	apply(out, bn, x, residual, relu, bn->mean, scale, beta, context);
	return NN_OK;
}

void batchnorm_eval(float *out, const struct batchnorm *bn, const float *x, const float *residual, bool relu, const float *gamma,
		    const float *beta, const float *running_mean, const float *running_var, const struct context *context)
{
	float *scale = bn->coefficients;

	for (int c = 0; c < bn->channels; c++)
		scale[c] = (float)((double)gamma[c] / sqrt((double)running_var[c] + BATCHNORM_EPS));
	apply(out, bn, x, residual, relu, running_mean, scale, beta, context);
}

void batchnorm_backward_sums(float *d_out, const struct batchnorm *bn, const float *out, bool relu, const float *x,
			     const struct context *context)
{
	size_t size = bn->pixels * (size_t)bn->channels;

#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples; n++) {
		double *row = row_of(context, bn, n);

		row[0] = (double)bn->pixels;
		context->kernels->bn_backward_sums(row + 1, row + 1 + bn->channels, d_out + n * size, relu ? out + n * size : NULL,
						   relu, x + n * size, bn->mean, bn->inverse_std, bn->pixels, bn->channels);
	}
}

enum nn_status batchnorm_backward_data(float *d_x, struct batchnorm *bn, const float *d_out, const float *x, const float *gamma,
				       bool accumulate, const struct context *context)
{
	size_t size = bn->pixels * (size_t)bn->channels;
	const double *total;
	float *offset = bn->coefficients, *slope = bn->coefficients + bn->channels;
	float *scale = bn->inverse_std; /* not needed after this */
	enum nn_status status = context_merge(&total, context, bn->channels, MERGE_SUM);

	if (status != NN_OK || total[0] == 0)
		return status;
	for (int c = 0; c < bn->channels; c++) {
		offset[c] = (float)(total[1 + c] / total[0]);
		slope[c] = (float)(total[1 + bn->channels + c] / total[0] * (double)bn->inverse_std[c]);
		scale[c] *= gamma[c];
	}
#pragma omp parallel for schedule(static) num_threads(context->threads)
	for (size_t n = 0; n < context->samples; n++)
		context->kernels->bn_backward(d_x + n * size, d_out + n * size, x + n * size, bn->mean, scale, offset, slope,
					      accumulate, bn->pixels, bn->channels);
	return NN_OK;
}
