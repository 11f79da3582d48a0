/* Batch normalisation over (batch, h, w), with the addition of a residual and the ReLU that follow it in residual nets.
 * Source: Ioffe and Szegedy 2015, algorithms 1 and 2; merging by Chan, Golub, LeVeque 1983. eps 1e-5, momentum 0.1, running
 * variance unbiased, as torch.nn.BatchNorm2d. Statistics are merged over all shards in double. */
#ifndef NN_LAYERS_BATCHNORM_H
#define NN_LAYERS_BATCHNORM_H

#include <stdbool.h>

#include "nn/layers/context.h"

#define BATCHNORM_EPS	   1e-5
#define BATCHNORM_MOMENTUM 0.1

/* Saved by the forward pass for the backward pass: (channels) each. coefficients is room for two more. */
struct batchnorm {
	int channels;
	size_t pixels; /* of one sample */
	float *mean;
	float *inverse_std;
	float *coefficients; /* 2 * channels floats of scratch */
	size_t parts;	     /* rows in which the statistics of one sample are gathered, each of pixels / parts pixels */
	const struct pointwise *pointwise; /* kernels->fp32 or bf16: how x, out, residual and their gradients are stored */
};

/* out = relu((x - mean) / std * gamma + beta + residual) with the batch's statistics, over (samples, pixels, channels); residual
 * may be NULL. Updates running_mean and running_var; over a single value per channel the biased variance is taken (it is 0).
 * Collective when context has an exchange. */
enum nn_status batchnorm_train(void *out, float *running_mean, float *running_var, struct batchnorm *bn, const void *x,
			       const void *residual, bool relu, const float *gamma, const float *beta,
			       const struct context *context);

/* The same with the running statistics. Not collective. */
void batchnorm_eval(void *out, struct batchnorm *bn, const void *x, const void *residual, bool relu, const float *gamma,
		    const float *beta, const float *running_mean, const float *running_var, const struct context *context);

/* First half of the backward pass: masks d_out by the ReLU in place (d_out is then the residual's gradient too) and leaves
 * bn->parts rows per sample (pixels, sum of d_out, sum of d_out * xhat) in context->sample_rows: the gradients of beta and gamma.
 */
void batchnorm_backward_sums(void *d_out, const struct batchnorm *bn, const void *out, bool relu, const void *x,
			     const struct context *context);

/* The same for a batch norm with ReLU and without residual whose output is no more: each part of it is made anew in `rooms`, which
 * has space for one part for each thread. To be called before batchnorm_backward_merge. */
void batchnorm_backward_sums_again(void *d_out, const struct batchnorm *bn, void *rooms, const void *x, const float *beta,
				   const struct context *context);

/* Second half, behind batchnorm_gather: merges those rows over all shards, then d_x = (or += when accumulate) the gradient; d_x may
 * be d_out. Overwrites nothing of sample_rows. Collective when context has an exchange. */
enum nn_status batchnorm_backward_data(void *d_x, struct batchnorm *bn, const void *d_out, const void *x, const float *gamma,
				       bool accumulate, const struct context *context);

/* The same in parts, for layers that hold samples first .. first + count - 1 in the cache: x, out, residual, d_out and d_x point at
 * these samples. One thread may work on some samples while others work on others; each sample's bits are those of the functions
 * above. With bn->parts > 1 a sample means a part of one. The ..._all functions take everything, spread over threads. In the order
 * of their use: */

/* Leaves each sample's moments in context->sample_rows. */
void batchnorm_moments(const struct batchnorm *bn, const void *x, const struct context *context, size_t first, size_t count);

void batchnorm_moments_all(struct batchnorm *bn, const void *x, const struct context *context);

/* Begins to merge them over all shards, or, with MERGE_SUM, the rows of the backward pass. batchnorm_merge, or
 * batchnorm_backward_merge, must follow; in between there is time for other work. Collective when context has an exchange. */
void batchnorm_gather(const struct batchnorm *bn, const struct context *context, enum merge merge);

/* Merges moments, sets mean, inverse_std and scale, and updates the running statistics. Collective when context has an exchange. */
enum nn_status batchnorm_merge(float *running_mean, float *running_var, struct batchnorm *bn, const float *gamma,
			       const struct context *context);

/* Sets the scale from the running variance instead. */
void batchnorm_eval_scale(struct batchnorm *bn, const float *gamma, const float *running_var);

/* Sets what evaluation does to x, x * scale + bias: scale is then the first `channels` of coefficients and bias the others. */
void batchnorm_fold(struct batchnorm *bn, const float *gamma, const float *beta, const float *running_mean,
		    const float *running_var);

/* out = relu((x - mean) * scale + beta + residual) for so many pixels; mean is bn->mean or the running one. out may be x or
 * residual. */
void batchnorm_apply(void *out, const struct batchnorm *bn, const void *x, const void *residual, bool relu, const float *mean,
		     const float *beta, size_t pixels);

void batchnorm_apply_all(void *out, const struct batchnorm *bn, const void *x, const void *residual, bool relu, const float *mean,
			 const float *beta, const struct context *context);

/* First half of the backward pass. */
void batchnorm_sums(void *d_out, const struct batchnorm *bn, const void *out, bool relu, const void *x,
		    const struct context *context, size_t first, size_t count);

/* Merges the rows, behind batchnorm_gather, for batchnorm_gradient; batchnorm_apply cannot be called after this. Collective when
 * context has an exchange. */
enum nn_status batchnorm_backward_merge(struct batchnorm *bn, const float *gamma, const struct context *context);

/* Second half, for so many pixels. */
void batchnorm_gradient(void *d_x, const struct batchnorm *bn, const void *d_out, const void *x, bool accumulate, size_t pixels);

#endif
