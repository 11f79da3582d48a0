/* Max and average pooling in NHWC, and the subsampling of shortcut A. */
#ifndef NN_LAYERS_POOL_H
#define NN_LAYERS_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "nn/layers/conv.h"

/* out (samples, out_h, out_w, c) = the largest of each window of in (samples, in_h, in_w, c); index = its tap r * kernel + s, the
 * first one on ties. Padding never wins. A NaN wins. kernel <= 15. */
void maxpool_forward(float *out, uint8_t *index, const float *in, const struct conv *shape, size_t samples, int threads);

/* d_in = the gradient. */
void maxpool_backward(float *d_in, const float *d_out, const uint8_t *index, const struct conv *shape, size_t samples, int threads);

/* Adaptive average: cell i of n covers rows floor(i in / n) .. ceil((i+1) in / n) - 1, as torch's AdaptiveAvgPool2d. */
struct avgpool {
	int in_h, in_w, channels;
	int cells; /* on a side; 1 is the global average */
};
void avgpool_forward(float *out, const float *in, const struct avgpool *shape, size_t samples, int threads);
void avgpool_backward(float *d_in, const float *d_out, const struct avgpool *shape, size_t samples, int threads);

/* Shortcut A of He et al. 2015, section 3.3: out (samples, out_h, out_w, out_c) = every stride-th pixel of in, zeros in the
 * channels from in_c on. Backward: d_in += (the caller clears it when nothing came before). */
void subsample_forward(float *out, const float *in, const struct conv *shape, size_t samples, int threads);
void subsample_backward(float *d_in, const float *d_out, const struct conv *shape, size_t samples, int threads);

#endif
