/* The two ways to compute a convolution, shared by conv.c with its parts; not for others.
 *
 * All of them work on `samples` consecutive samples that `in`, `out` and the gradients point at. Those for the weight gradient are
 * called by every thread of a team, which shares the work; the others by one thread. */
#ifndef NN_LAYERS_CONV_INTERNAL_H
#define NN_LAYERS_CONV_INTERNAL_H

#include "nn/layers/conv.h"

/* Threads of an OpenMP region that share work: the number of this one, and how many there are. The region has no others, unless a
 * thread is alone. */
struct team {
	int rank, size;
};

/* Of n items those from team_begin to team_end - 1 are this thread's. */
static inline int team_begin(const struct team *team, int n)
{
	return (int)((long)n * team->rank / team->size);
}

static inline int team_end(const struct team *team, int n)
{
	return (int)((long)n * (team->rank + 1) / team->size);
}

/* Returns when all of the team have come here. */
void team_wait(const struct team *team);

/* ---- chunks: conv.c, conv_backward.c ---- */

static inline size_t conv_in_size(const struct conv *conv)
{
	return (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c;
}

static inline size_t conv_out_size(const struct conv *conv)
{
	return (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c;
}

static inline size_t conv_weight_size(const struct conv *conv)
{
	return (size_t)(conv->kernel * conv->kernel) * (size_t)conv->in_c * (size_t)conv->out_c;
}

static inline size_t conv_least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Whether bf16 are multiplied as they are. Otherwise a chunk of them is computed with as floats, and the result rounded. */
static inline bool conv_by_dot(const struct conv_env *env)
{
	return env->bf16 && env->kernels->bf16_products;
}

static inline bool conv_widened(const struct conv_env *env)
{
	return env->bf16 && !env->kernels->bf16_products;
}

/* What a chunk is computed with. */
static inline struct conv_env conv_computing(const struct conv_env *env)
{
	struct conv_env computing = *env;

	computing.bf16 = conv_by_dot(env);
	return computing;
}

/* Groups of pixels are read whole; the slack keeps that inside. Also a multiple of a cache line. */
static inline size_t conv_slack(size_t size)
{
	return (size + 64 + 15) / 16 * 16;
}

/* The parts of one thread's scratch, in floats: what sources make, then the same as floats with the result when values are widened.
 */
struct conv_rooms {
	size_t chunk; /* samples */
	size_t in, d_out;
	size_t wide_in, wide_out;
	size_t work;
	size_t all;
};

struct conv_rooms conv_rooms(const struct conv *conv, const struct conv_env *env, bool backward);

/* Floats of scratch for the backward pass. */
size_t conv_backward_size(const struct conv *conv, const struct conv_env *env);

/* Whether pixels can be taken as one long line: a 1 x 1 convolution that leaves none out. */
bool conv_is_pointwise(const struct conv *conv);

/* Channels are packed in panels of two vectors; the last panel is one vector wide when that is enough. */
int conv_panel_vectors(int channels_left, int vector);

/* How the values of activations are stored. */
static inline const struct pointwise *conv_values(const struct conv_env *env)
{
	return env->bf16 ? &env->kernels->bf16 : &env->kernels->fp32;
}

/* What a source gives for samples first .. first + count - 1 of `size` values each. */
static inline const void *conv_fetch(const struct source *source, const struct conv_env *env, void *room, size_t first,
				     size_t count, size_t size)
{
	return source->make ? source->make(source->context, room, first, count)
			    : stored(conv_values(env), source->values, first * size);
}

/* What a source reads for these samples. */
static inline void conv_ahead(struct ahead *ahead, const struct source *source, const struct conv_env *env, size_t first,
			      size_t count, size_t size)
{
	if (source->ahead)
		source->ahead(source->context, ahead, first, count);
	else if (!source->make)
		ahead_add(ahead, stored(conv_values(env), source->values, first * size), count * size * conv_values(env)->bytes);
}

/* The n values to compute with: in `room` when they have to be made wider. */
static inline const void *conv_operand(const struct conv_env *env, float *room, const void *values, size_t n)
{
	if (!conv_widened(env))
		return values;
	env->kernels->widen(room, values, n);
	return room;
}

/* Most rows of a kernel; and the taps that products of bf16 take together. */
enum { DIRECT_KERNEL_MAX = 16, DOT_STEP = 32 };

/* A window of a convolution: which taps, over which (padded) input, and where its output pixels go. The forward pass is one of
 * these; the data gradient is one for each of the stride x stride phases of the input grid. */
struct window {
	ptrdiff_t pixel_stride;	       /* of the input, in values, between neighbouring output pixels */
	ptrdiff_t row_stride;	       /* between kernel rows */
	ptrdiff_t line_stride;	       /* between output rows */
	ptrdiff_t out_pixel, out_line; /* of the output */
	int rows, taps;		       /* kernel rows, and contiguous values in each */
	int out_h, out_w, out_c;
	bool accumulate;
	size_t samples;
	size_t in_sample, out_sample;	  /* between samples */
	const struct conv_finish *finish; /* NULL: nothing */
	const float *out;		  /* where finish->residual lies beside */
	struct ahead *ahead;		  /* as in struct conv_env */
};

/* ---- direct: conv_pack.c, conv_pad.c, conv_window.c, conv_weight.c ---- */

/* The data gradient is computed for each of the stride x stride phases of the input grid. Taps of phase a: kernel rows a,
 * a + stride, ... */
int direct_phase_taps(const struct conv *conv, int phase);

/* First and last output position q, in units of the stride, whose input position stride q + phase - pad lies inside [0, size). */
int direct_phase_first(const struct conv *conv, int phase);
int direct_phase_last(const struct conv *conv, int phase, int size);

/* Zero rows (or columns) around d_out that the phases reach into: before the first and behind the last. */
int direct_pad_before(const struct conv *conv);
int direct_pad_behind(const struct conv *conv, int in_size, int out_size);

/* to (h + before + behind_h, w + before + behind_w, bytes) = from (h, w, bytes) with zeros around it. */
void direct_copy_padded(void *to, const void *from, int h, int w, size_t bytes, int before, int behind_h, int behind_w);
size_t direct_panels_size(int channels, int vector, size_t taps);
size_t direct_packed_size(const struct conv *conv, const struct kernels *kernels, bool backward);
/* to[k * to_row + c] = from[c * from_row + k] for c < channels and k < count. */
void direct_transpose(float *to, ptrdiff_t to_row, const float *from, ptrdiff_t from_row, int channels, int count,
		      const struct kernels *kernels);
void direct_pack(float *packed, const float *weight, const float *scale, const struct conv *conv, const struct kernels *kernels,
		 bool backward);

/* Values of one sample with the zeros around it that a pass needs. */
size_t direct_framed_size(const struct conv *conv, bool backward);

/* `room` has space for as many framed samples as there are samples, and DOT_STEP values more. finish belongs to these samples;
 * NULL: nothing, as always with bf16. */
void direct_forward(void *out, const void *in, const void *packed, const struct conv *conv, const struct conv_env *env,
		    size_t samples, const struct conv_finish *finish, void *room);
void direct_data(void *d_in, const void *d_out, const void *packed, const struct conv *conv, const struct conv_env *env,
		 size_t samples, bool accumulate, void *room);
/* d_weight +=. Both rooms have direct_weight_size floats: one that the team shares, and one of each thread (which may be the same
 * for one of them). */
size_t direct_weight_size(const struct conv *conv, const struct kernels *kernels, size_t samples);
void direct_weight(float *d_weight, const float *in, const float *d_out, const struct conv *conv, const struct conv_env *env,
		   size_t samples, float *shared, float *own, const struct team *team);

/* ---- direct, of bf16: conv_dot.c, conv_dot_weight.c; sizes in bf16 ---- */

size_t dot_panels_size(int channels, int lines, int taps);
size_t dot_packed_size(const struct conv *conv, bool backward);
void dot_pack(uint16_t *packed, const float *weight, const struct conv *conv, const struct kernels *kernels, bool backward);
void dot_window(uint16_t *out, const uint16_t *in, const uint16_t *packed, const struct window *w, const struct kernels *kernels);
/* d_weight +=. The team shares the room of dot_weight_size values. */
size_t dot_weight_size(const struct conv *conv, size_t samples);
void dot_weight(float *d_weight, const uint16_t *in, const uint16_t *d_out, const struct conv *conv, const struct kernels *kernels,
		size_t samples, uint16_t *shared, const struct team *team);

/* ---- Winograd: winograd.c ---- */

int winograd_tiles(const struct conv *conv); /* of one sample */
/* Whether the transformed weights, four times as many as the weights, are reused by few tiles of a sample. */
bool winograd_wide(const struct conv *conv);
int winograd_block_tiles(const struct conv *conv); /* that are worked on together */
size_t winograd_packed_size(const struct conv *conv, bool backward);
void winograd_pack(float *packed, const float *weight, const float *scale, const struct conv *conv, const struct kernels *kernels,
		   bool backward);

/* Floats of `work`: a block of transformed tiles, before and after the products. */
size_t winograd_work_size(const struct conv *conv);
void winograd_forward(float *out, const float *in, const float *packed, const struct conv *conv, const struct conv_env *env,
		      size_t samples, const struct conv_finish *finish, float *work);
void winograd_data(float *d_in, const float *d_out, const float *packed, const struct conv *conv, const struct conv_env *env,
		   size_t samples, bool accumulate, float *work);
/* d_transformed (36, in_c, out_c) +=; winograd_finish makes d_weight of it. */
void winograd_weight(float *d_transformed, const float *in, const float *d_out, const struct conv *conv, const struct conv_env *env,
		     size_t samples, float *work, const struct team *team);
size_t winograd_gradient_size(const struct conv *conv);
void winograd_finish(float *d_weight, const float *d_transformed, const struct conv *conv, const struct kernels *kernels);

#endif
