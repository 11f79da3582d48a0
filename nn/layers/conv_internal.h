/* The two ways to compute a convolution, shared by conv.c with its parts; not for others.
 *
 * All of them work on `samples` consecutive samples that `in`, `out` and the gradients point at. Those for the weight gradient are
 * called by every thread of a team, which shares the work; the others by one thread. */
#ifndef NN_LAYERS_CONV_INTERNAL_H
#define NN_LAYERS_CONV_INTERNAL_H

#include "nn/layers/conv.h"

/* Whether pixels can be taken as one long line: a 1 x 1 convolution that leaves none out. */
bool conv_is_pointwise(const struct conv *conv);

/* Channels are packed in panels of two vectors; the last panel is one vector wide when that is enough. */
int conv_panel_vectors(int channels_left, int vector);

/* ---- direct: conv_pack.c, conv_window.c, conv_weight.c ---- */

/* The data gradient is computed for each of the stride x stride phases of the input grid. Taps of phase a: kernel rows a,
 * a + stride, ... */
int direct_phase_taps(const struct conv *conv, int phase);
size_t direct_panels_size(int channels, int vector, size_t taps);
size_t direct_packed_size(const struct conv *conv, const struct kernels *kernels, bool backward);
void direct_pack(float *packed, const float *weight, const struct conv *conv, const struct kernels *kernels, bool backward);

/* Floats of one sample with zeros around it; `padded` is room for as many as there are samples. */
size_t direct_padded_size(const struct conv *conv, bool backward);
void direct_forward(float *out, const float *in, const float *packed, const struct conv *conv, const struct kernels *kernels,
		    size_t samples, float *padded);
void direct_data(float *d_in, const float *d_out, const float *packed, const struct conv *conv, const struct kernels *kernels,
		 size_t samples, bool accumulate, float *padded);
/* d_weight +=. Both rooms have direct_weight_size floats: one that the team shares, and one of each thread (which may be the same
 * for one of them). */
size_t direct_weight_size(const struct conv *conv, const struct kernels *kernels);
void direct_weight(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct kernels *kernels,
		   size_t samples, float *shared, float *own);

/* ---- Winograd: winograd.c ---- */

int winograd_tiles(const struct conv *conv); /* of one sample */
size_t winograd_packed_size(const struct conv *conv, bool backward);
void winograd_pack(float *packed, const float *weight, const struct conv *conv, const struct kernels *kernels, bool backward);

/* Floats of `work`: a block of transformed tiles, before and after the products. */
size_t winograd_work_size(const struct conv *conv);
void winograd_forward(float *out, const float *in, const float *packed, const struct conv *conv, const struct kernels *kernels,
		      size_t samples, float *work);
void winograd_data(float *d_in, const float *d_out, const float *packed, const struct conv *conv, const struct kernels *kernels,
		   size_t samples, bool accumulate, float *work);
/* d_transformed (36, in_c, out_c) +=; winograd_finish makes d_weight of it. */
void winograd_weight(float *d_transformed, const float *in, const float *d_out, const struct conv *conv,
		     const struct kernels *kernels, size_t samples, float *work);
size_t winograd_gradient_size(const struct conv *conv);
void winograd_finish(float *d_weight, const float *d_transformed, const struct conv *conv, const struct kernels *kernels);

#endif
