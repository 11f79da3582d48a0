/* Convolution (cross-correlation) in NHWC, any kernel, stride and padding, without bias.
 *
 * Layout: activations (batch, h, w, channels); weight HWIO (kernel, kernel, in_c, out_c), output channel contiguous.
 * Samples are worked on in chunks that fit the cache: the layers before and behind a convolution make a chunk's input just before
 * it is read and use its output just after it was written, instead of passing over memory once more.
 * Values are floats, or bf16 with sums in float and results rounded to nearest even (env->bf16). Where the kernel set has products
 * of bf16, weights are rounded too and multiplied so; elsewhere a chunk is computed as floats, by Winograd's algorithm too.
 * Every output element is a sum of chains of multiply-adds, over blocks of taps or, for the weight gradient, of pixels, in an order
 * that depends on the layer's shape but not on batch, tiling or threads; a weight gradient's also on the number of samples. */
#ifndef NN_LAYERS_CONV_H
#define NN_LAYERS_CONV_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/core/status.h"
#include "nn/kernels/kernels.h"
#include "nn/layers/ahead.h"

struct conv {
	int in_h, in_w, in_c;
	int out_h, out_w, out_c;
	int kernel, stride, pad;
};

/* What convolutions are computed with. */
struct conv_env {
	const struct kernels *kernels;
	int threads;
	bool winograd;	     /* allowed, where conv_winograd says so */
	bool bf16;	     /* activations and their gradients are stored as bf16 */
	float *scratch;	     /* conv_scratch_size floats */
	struct ahead *ahead; /* inside conv_forward and conv_backward: the thread's; NULL elsewhere */
	size_t behind;	     /* samples with which conv_backward is called next: what they need is asked for by then */
};

/* Samples that a convolution reads: they lie at `values`, or are made when they are wanted. */
struct source {
	const void *values;
	/* Returns where samples first .. first + count - 1 are: in `room` (as many samples), or elsewhere. NULL: use values. */
	const void *(*make)(void *context, void *room, size_t first, size_t count);
	void *context;
	/* Adds what make reads, and writes outside of `room`. NULL: nothing worth while. */
	void (*ahead)(void *context, struct ahead *ahead, size_t first, size_t count);
};

/* What is done with samples first .. first + count - 1 just after they were written; `in` is what the source of the
 * convolution's input gave for them. done NULL: nothing. */
struct sink {
	void (*done)(void *context, const void *in, size_t first, size_t count);
	void *context;
	/* Adds what done reads beyond these and `in`. NULL: nothing, as always in conv_forward. */
	void (*ahead)(void *context, struct ahead *ahead, size_t first, size_t count);
	/* In conv_backward: called once, by its caller's thread, when done has been called for all samples; where that can be,
	 * before what the last of them add to the weight gradient is computed. NULL: nothing. */
	void (*all_done)(void *context);
};

/* What becomes of floats before they are written: output + bias (+ residual when not NULL), then ReLU when asked. bias (out_c)
 * NULL: nothing. residual (samples, out_h, out_w, out_c) may not be the output. */
struct conv_finish {
	const float *bias, *residual;
	bool relu;
};

/* Fills in conv; out = (in + 2 pad - kernel) / stride + 1. Errors: NN_ERR_USAGE when the kernel exceeds the padded input. */
enum nn_status conv_init(struct conv *conv, int in_h, int in_w, int in_c, int out_c, int kernel, int stride, int pad);

/* How many parts a sample is cut into: more than one for 1 x 1 convolutions of large images, where neighbouring layers can then
 * work on less than a sample at a time. Depends on nothing but the shape. */
int conv_parts(const struct conv *conv);

/* The shape of one part: the convolution of `samples` samples is this one of samples * conv_parts samples. */
struct conv conv_part(const struct conv *conv);

/* Whether Winograd's algorithm is taken for this shape when it is allowed: where it is faster and its rounding error, about 1e-5 of
 * the largest output against 1e-6, buys that speed. Depends on nothing but the shape. */
bool conv_winograd(const struct conv *conv);

/* Whether it is taken with this environment: not where bf16 are multiplied as they are, nor with other bf16 in wide layers on
 * small images, whose transformed weights would take more memory than bf16 saves there (38 MB for 512 x 512 channels). The
 * weight gradient of those layers is a direct one even so: it would go through the gradient of the transformed weights for every
 * few samples. */
bool conv_by_winograd(const struct conv *conv, const struct conv_env *env);
bool conv_weight_by_winograd(const struct conv *conv, const struct conv_env *env);

/* Values behind a bf16 input or gradient that may be read, though not used. */
size_t conv_reach(const struct conv *conv);

/* Floats of memory for packed weights, for the forward pass and for the data gradient. */
size_t conv_packed_size(const struct conv *conv, const struct conv_env *env, bool backward);

/* Floats of scratch that conv_forward, and conv_backward when `backward`, need. */
size_t conv_scratch_size(const struct conv *conv, const struct conv_env *env, bool backward);

/* Rearranges weight for conv_forward, or for the data gradient when `backward`. scale (out_c) multiplies the forward pass's weights
 * of floats; NULL: it does not. */
void conv_pack(void *packed, const float *weight, const float *scale, const struct conv *conv, const struct conv_env *env,
	       bool backward);

/* out (samples, out_h, out_w, out_c) = weight * in (samples, in_h, in_w, in_c). No overlap. The source and the sink are called by
 * several threads at a time, each for other samples. */
void conv_forward(void *out, struct source in, const void *packed, const struct conv *conv, const struct conv_env *env,
		  size_t samples, struct conv_finish finish, struct sink sink);

/* The gradients over samples first .. first + samples - 1:
 * d_in = (or += when accumulate) that with respect to the input; NULL: not wanted. `packed` comes from conv_pack(..., true).
 * d_weight (HWIO) = that with respect to the weight, summed over these samples; NULL: not wanted.
 * d_in and what the sources count from is sample 0. The sink is called for samples of d_in. */
void conv_backward(float *d_weight, void *d_in, struct source d_out, struct source in, const void *packed, const struct conv *conv,
		   const struct conv_env *env, size_t first, size_t samples, bool accumulate, struct sink sink);

#endif
