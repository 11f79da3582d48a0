/* Convolution (cross-correlation) in NHWC, any kernel, stride and padding, without bias.
 *
 * Layout: activations (batch, h, w, channels); weight HWIO (kernel, kernel, in_c, out_c), output channel contiguous.
 * Every output element is a sum of chains of multiply-adds, over blocks of taps or, for the weight gradient, of pixels, in an order
 * that does not depend on batch, tiling or threads. Samples are spread over OpenMP threads. */
#ifndef NN_LAYERS_CONV_H
#define NN_LAYERS_CONV_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/core/status.h"
#include "nn/kernels/kernels.h"

struct conv {
	int in_h, in_w, in_c;
	int out_h, out_w, out_c;
	int kernel, stride, pad;
};

/* Fills in conv; out = (in + 2 pad - kernel) / stride + 1. Errors: NN_ERR_USAGE when the kernel exceeds the padded input. */
enum nn_status conv_init(struct conv *conv, int in_h, int in_w, int in_c, int out_c, int kernel, int stride, int pad);

/* Floats of packed weights, for the forward pass and for the data gradient. */
size_t conv_packed_size(const struct conv *conv, const struct kernels *kernels, bool backward);

/* Floats of scratch that conv_forward and conv_backward_data need, all threads together. */
size_t conv_scratch_size(const struct conv *conv, int threads);

/* Rearranges weight for conv_forward, or for conv_backward_data when `backward`. */
void conv_pack(float *packed, const float *weight, const struct conv *conv, const struct kernels *kernels, bool backward);

/* out (samples, out_h, out_w, out_c) = weight * in (samples, in_h, in_w, in_c). No overlap. */
void conv_forward(float *out, const float *in, const float *packed, const struct conv *conv, const struct kernels *kernels,
		  size_t samples, float *scratch, int threads);

/* d_in = (or += when accumulate) the gradient with respect to the input. `packed` comes from conv_pack(..., true). */
void conv_backward_data(float *d_in, const float *d_out, const float *packed, const struct conv *conv,
			const struct kernels *kernels, size_t samples, bool accumulate, float *scratch, int threads);

/* d_weight (HWIO) = the gradient with respect to the weight, summed over `samples`. */
void conv_backward_weight(float *d_weight, const float *in, const float *d_out, const struct conv *conv,
			  const struct kernels *kernels, size_t samples, int threads);

#endif
