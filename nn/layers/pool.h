/* Max and average pooling in NHWC, and the subsampling of shortcut A. */
#ifndef NN_LAYERS_POOL_H
#define NN_LAYERS_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "nn/layers/conv.h"

/* Values are stored as `pointwise` says: kernels->fp32 or kernels->bf16. */

enum { MAXPOOL_KERNEL_MAX = 15 };

/* out (samples, out_h, out_w, c) = the largest of each window of in (samples, in_h, in_w, c); index = its tap r * kernel + s, the
 * first one on ties. Padding never wins. A NaN wins. kernel <= MAXPOOL_KERNEL_MAX. */
void maxpool_forward(void *out, uint8_t *index, const void *in, const struct conv *shape, const struct pointwise *pointwise,
		     size_t samples, int threads);

/* d_in = the gradient. */
void maxpool_backward(void *d_in, const void *d_out, const uint8_t *index, const struct conv *shape,
		      const struct pointwise *pointwise, size_t samples, int threads);

/* Adaptive average: cell i of n covers rows floor(i in / n) .. ceil((i+1) in / n) - 1, as torch's AdaptiveAvgPool2d. The averages
 * are floats. */
struct avgpool {
	int in_h, in_w, channels;
	int cells; /* on a side; 1 is the global average */
};
void avgpool_forward(float *out, const void *in, const struct avgpool *shape, const struct pointwise *pointwise, size_t samples,
		     int threads);
void avgpool_backward(void *d_in, const float *d_out, const struct avgpool *shape, const struct pointwise *pointwise,
		      size_t samples, int threads);

/* Shortcut A of He et al. 2015, section 3.3: out (samples, out_h, out_w, out_c) = every stride-th pixel of in, zeros in the
 * channels from in_c on. Backward: d_in += (the caller clears it when nothing came before). */
void subsample_forward(void *out, const void *in, const struct conv *shape, const struct pointwise *pointwise, size_t samples,
		       int threads);
void subsample_backward(void *d_in, const void *d_out, const struct conv *shape, const struct pointwise *pointwise, size_t samples,
			int threads);

#endif
