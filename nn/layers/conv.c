/* Convolutions chunk by chunk: sources, sinks and threads around the two ways to compute them. */
#include "nn/layers/conv.h"

#include <omp.h>
#include <string.h>

#include "nn/layers/conv_internal.h"

enum nn_status conv_init(struct conv *conv, int in_h, int in_w, int in_c, int out_c, int kernel, int stride, int pad)
{
	int h = in_h + 2 * pad - kernel, w = in_w + 2 * pad - kernel;

	if (h < 0 || w < 0)
		return nn_error(NN_ERR_USAGE,
				"an input of %d x %d is too small for a %d x %d convolution with padding %d; use larger images",
				in_h, in_w, kernel, kernel, pad);
	*conv = (struct conv){in_h, in_w, in_c, h / stride + 1, w / stride + 1, out_c, kernel, stride, pad};
	return NN_OK;
}

bool conv_is_pointwise(const struct conv *conv)
{
	return conv->kernel == 1 && conv->stride == 1 && conv->pad == 0;
}

/* Most pixels in a part. */
enum { PART_PIXELS = 448 };

int conv_parts(const struct conv *conv)
{
	int pixels = conv->in_h * conv->in_w, parts = (pixels + PART_PIXELS - 1) / PART_PIXELS;

	while (conv_is_pointwise(conv) && pixels % parts && pixels / parts > PART_PIXELS / 4)
		parts++;
	return conv_is_pointwise(conv) && pixels % parts == 0 ? parts : 1;
}

struct conv conv_part(const struct conv *conv)
{
	struct conv part = *conv;
	int parts = conv_parts(conv);

	if (parts > 1) {
		part.in_h = part.out_h = 1;
		part.in_w = part.out_w = conv->in_h * conv->in_w / parts;
	}
	return part;
}

/* Wide layers on small images reuse the transformed weights, four times as many as the weights, too seldom. */
bool conv_winograd(const struct conv *conv)
{
	return conv->kernel == 3 && conv->stride == 1 && conv->pad == 1 && conv->in_c % 16 == 0 && conv->out_c % 16 == 0 &&
	       (double)conv->in_c * conv->out_c <= 16384.0 * winograd_tiles(conv);
}

/* Whether bf16 are multiplied as they are. Otherwise a chunk of them is computed with as floats, and the result rounded. */
static bool by_dot(const struct conv_env *env)
{
	return env->bf16 && env->kernels->bf16_products;
}

static bool widened(const struct conv_env *env)
{
	return env->bf16 && !env->kernels->bf16_products;
}

/* What a chunk is computed with. */
static struct conv_env computing(const struct conv_env *env)
{
	struct conv_env computing = *env;

	computing.bf16 = by_dot(env);
	return computing;
}

bool conv_by_winograd(const struct conv *conv, const struct conv_env *env)
{
	return env->winograd && !by_dot(env) && conv_winograd(conv);
}

static size_t in_size(const struct conv *conv)
{
	return (size_t)conv->in_h * (size_t)conv->in_w * (size_t)conv->in_c;
}

static size_t out_size(const struct conv *conv)
{
	return (size_t)conv->out_h * (size_t)conv->out_w * (size_t)conv->out_c;
}

/* Samples in a chunk: enough for full tiles and for long sums in the weight gradient, few enough to stay in the cache. */
enum { CHUNK_TILES = 28, CHUNK_PIXELS = 392, CHUNK_FLOATS = 1 << 20 };

static size_t chunk_samples(const struct conv *conv, const struct conv_env *env)
{
	int size = conv_by_winograd(conv, env) ? winograd_tiles(conv) : conv->out_h * conv->out_w;
	int wanted = conv_by_winograd(conv, env) ? CHUNK_TILES : CHUNK_PIXELS;

	size_t chunk = (size_t)((wanted + size - 1) / size), most = CHUNK_FLOATS / (in_size(conv) + out_size(conv));

	return chunk <= most ? chunk : most > 0 ? most : 1;
}

/* Where the chunk of one thread is, as it is computed with. */
struct part {
	const void *in, *d_out;
};

/* The parts of one thread's scratch, in floats: what sources make, then the same as floats with the result when values are widened.
 */
struct rooms {
	size_t chunk; /* samples */
	size_t in, d_out;
	size_t wide_in, wide_out;
	size_t work;
	size_t all;
};

/* Groups of pixels are read whole; the slack keeps that inside. Also a multiple of a cache line. */
static size_t with_slack(size_t size)
{
	return (size + 64 + 15) / 16 * 16;
}

/* Floats in which so many stored values have room. */
static size_t floats_for(const struct conv_env *env, size_t values)
{
	return (values * conv_values(env)->bytes + sizeof(float) - 1) / sizeof(float);
}

static size_t work_size(const struct conv *conv, const struct conv_env *env, bool backward)
{
	struct conv_env compute = computing(env);
	size_t chunk = chunk_samples(conv, env), window, weight = 0;

	if (conv_by_winograd(conv, env))
		return winograd_work_size(conv);
	window = floats_for(&compute, direct_framed_size(conv, backward) * chunk + conv_reach(conv));
	if (backward && by_dot(env))
		weight = floats_for(env, dot_weight_size(conv, chunk));
	else if (backward)
		weight = direct_weight_size(conv, env->kernels, chunk);
	return window > weight ? window : weight;
}

static struct rooms rooms_of(const struct conv *conv, const struct conv_env *env, bool backward)
{
	struct rooms rooms = {.chunk = chunk_samples(conv, env)};

	rooms.in = with_slack(floats_for(env, rooms.chunk * in_size(conv)));
	rooms.d_out = backward ? with_slack(floats_for(env, rooms.chunk * out_size(conv))) : 0;
	if (widened(env)) {
		rooms.wide_in = with_slack(rooms.chunk * in_size(conv)) * (backward ? 2 : 1);
		rooms.wide_out = with_slack(rooms.chunk * out_size(conv));
	}
	rooms.work = with_slack(work_size(conv, env, backward));
	rooms.all = rooms.in + rooms.d_out + rooms.wide_in + rooms.wide_out + rooms.work;
	return rooms;
}

size_t conv_packed_size(const struct conv *conv, const struct conv_env *env, bool backward)
{
	if (by_dot(env))
		return floats_for(env, dot_packed_size(conv, backward));
	return conv_by_winograd(conv, env) ? winograd_packed_size(conv, backward)
					   : direct_packed_size(conv, env->kernels, backward);
}

size_t conv_scratch_size(const struct conv *conv, const struct conv_env *env, bool backward)
{
	size_t threads = (size_t)env->threads, forward = rooms_of(conv, env, false).all * threads, both;

	if (!backward)
		return forward;
	both = rooms_of(conv, env, true).all * threads + with_slack(threads * sizeof(struct part) / sizeof(float)) +
	       (conv_by_winograd(conv, env) ? winograd_gradient_size(conv) : 0);
	return both > forward ? both : forward;
}

void conv_pack(void *packed, const float *weight, const struct conv *conv, const struct conv_env *env, bool backward)
{
	if (by_dot(env))
		dot_pack(packed, weight, conv, env->kernels, backward);
	else if (conv_by_winograd(conv, env))
		winograd_pack(packed, weight, conv, env->kernels, backward);
	else
		direct_pack(packed, weight, conv, env->kernels, backward);
}

static const void *source_get(const struct source *source, const struct conv_env *env, void *room, size_t first, size_t count,
			      size_t size)
{
	return source->make ? source->make(source->context, room, first, count)
			    : stored(conv_values(env), source->values, first * size);
}

/* The values to compute with: in `room` when they have to be made wider. */
static const void *operand(const struct conv_env *env, float *room, const void *values, size_t n)
{
	if (!widened(env))
		return values;
	env->kernels->widen(room, values, n);
	return room;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* One chunk; `room` is the thread's. */
static void forward_chunk(void *out, const void *in, const void *packed, const struct conv *conv, const struct conv_env *env,
			  size_t count, const struct rooms *rooms, float *room)
{
	struct conv_env compute = computing(env);
	float *wide = room + rooms->in + rooms->d_out, *work = wide + rooms->wide_in + rooms->wide_out;
	void *to = widened(env) ? wide + rooms->wide_in : out;

	in = operand(env, wide, in, count * in_size(conv));
	if (conv_by_winograd(conv, env))
		winograd_forward(to, in, packed, conv, env->kernels, count, work);
	else
		direct_forward(to, in, packed, conv, &compute, count, work);
	if (widened(env))
		env->kernels->narrow(out, to, count * out_size(conv));
}

void conv_forward(void *out, struct source in, const void *packed, const struct conv *conv, const struct conv_env *env,
		  size_t samples, struct sink sink)
{
	struct rooms rooms = rooms_of(conv, env, false);
	size_t threads = (size_t)env->threads, chunk = least(rooms.chunk, (samples + threads - 1) / threads);

#pragma omp parallel for schedule(static) num_threads(env->threads)
	for (size_t first = 0; first < samples; first += chunk) {
		size_t count = least(chunk, samples - first);
		float *room = env->scratch + rooms.all * (size_t)omp_get_thread_num();
		void *to = stored_into(conv_values(env), out, first * out_size(conv));
		const void *from = source_get(&in, env, room, first, count, in_size(conv));

		forward_chunk(to, from, packed, conv, env, count, &rooms, room);
		if (sink.done)
			sink.done(sink.context, from, first, count);
	}
}

/* A backward pass under way. */
struct backward {
	const struct conv *conv;
	const struct conv_env *env;
	struct source d_out, in;
	struct sink sink;
	const void *packed;
	void *d_in;
	bool accumulate;
	struct rooms rooms;
	struct part *parts;   /* of each thread */
	float *d_transformed; /* Winograd's weight gradient */
};

static float *room_of(const struct backward *pass, size_t part)
{
	return pass->env->scratch + part * pass->rooms.all;
}

static float *wide_of(const struct backward *pass, size_t part)
{
	return room_of(pass, part) + pass->rooms.in + pass->rooms.d_out;
}

static float *work_of(const struct backward *pass, size_t part)
{
	return wide_of(pass, part) + pass->rooms.wide_in + pass->rooms.wide_out;
}

/* d_in = (or +=) the data gradient of `count` samples. */
static void data_gradient(void *d_in, const struct backward *pass, size_t part, size_t count)
{
	const struct conv *conv = pass->conv;
	const struct conv_env *env = pass->env;
	struct conv_env compute = computing(env);
	size_t values = count * in_size(conv);
	void *to = widened(env) ? wide_of(pass, part) + pass->rooms.wide_in / 2 : d_in;

	if (widened(env) && pass->accumulate)
		env->kernels->widen(to, d_in, values);
	if (conv_by_winograd(conv, env))
		winograd_data(to, pass->parts[part].d_out, pass->packed, conv, env->kernels, count, pass->accumulate,
			      work_of(pass, part));
	else
		direct_data(to, pass->parts[part].d_out, pass->packed, conv, &compute, count, pass->accumulate,
			    work_of(pass, part));
	if (widened(env))
		env->kernels->narrow(d_in, to, values);
}

/* Fetches chunk `part` of the team's chunks and computes its data gradient. */
static void data_chunk(const struct backward *pass, size_t part, size_t first, size_t count)
{
	const struct conv *conv = pass->conv;
	const struct conv_env *env = pass->env;
	float *room = room_of(pass, part), *wide = wide_of(pass, part);
	const void *in = source_get(&pass->in, env, room, first, count, in_size(conv));
	const void *d_out = source_get(&pass->d_out, env, room + pass->rooms.in, first, count, out_size(conv));

	pass->parts[part].in = operand(env, wide, in, count * in_size(conv));
	pass->parts[part].d_out = operand(env, wide + pass->rooms.wide_in, d_out, count * out_size(conv));
	if (!pass->d_in)
		return;
	data_gradient(stored_into(conv_values(env), pass->d_in, first * in_size(conv)), pass, part, count);
	if (pass->sink.done)
		pass->sink.done(pass->sink.context, in, first, count);
}

/* Adds the weight gradient of one chunk; called by the whole team. */
static void weight_chunk(float *d_weight, const struct backward *pass, size_t part, size_t count)
{
	const struct part *from = &pass->parts[part];

	if (by_dot(pass->env))
		dot_weight(d_weight, from->in, from->d_out, pass->conv, pass->env->kernels, count, (void *)work_of(pass, 0));
	else if (conv_by_winograd(pass->conv, pass->env))
		winograd_weight(pass->d_transformed, from->in, from->d_out, pass->conv, pass->env->kernels, count,
				work_of(pass, 0));
	else
		direct_weight(d_weight, from->in, from->d_out, pass->conv, pass->env->kernels, count, work_of(pass, 0),
			      work_of(pass, (size_t)omp_get_thread_num()));
}

/* Each thread of the team takes a chunk; then all of them share the weight gradient of chunk after chunk. */
static void run_backward(float *d_weight, const struct backward *pass, size_t first, size_t end)
{
	size_t chunk = pass->rooms.chunk, team = (size_t)pass->env->threads, step = chunk * team;

#pragma omp parallel num_threads(pass->env->threads)
	for (size_t at = first; at < end; at += step) {
		size_t parts = least(team, (end - at + chunk - 1) / chunk);

#pragma omp for schedule(static, 1)
		for (size_t part = 0; part < parts; part++)
			data_chunk(pass, part, at + part * chunk, least(chunk, end - at - part * chunk));
		for (size_t part = 0; d_weight && part < parts; part++)
			weight_chunk(d_weight, pass, part, least(chunk, end - at - part * chunk));
#pragma omp barrier
	}
}

void conv_backward(float *d_weight, void *d_in, struct source d_out, struct source in, const void *packed, const struct conv *conv,
		   const struct conv_env *env, size_t first, size_t samples, bool accumulate, struct sink sink)
{
	struct backward pass = {.conv = conv,
				.env = env,
				.d_out = d_out,
				.in = in,
				.sink = sink,
				.packed = packed,
				.d_in = d_in,
				.accumulate = accumulate,
				.rooms = rooms_of(conv, env, true)};
	float *shared = env->scratch + pass.rooms.all * (size_t)env->threads;
	bool gathered = d_weight && conv_by_winograd(conv, env);

	pass.parts = (struct part *)(void *)shared;
	pass.d_transformed = shared + with_slack((size_t)env->threads * sizeof(struct part) / sizeof(float));
	if (d_weight)
		memset(d_weight, 0,
		       (size_t)(conv->kernel * conv->kernel) * (size_t)conv->in_c * (size_t)conv->out_c * sizeof(float));
	if (gathered)
		memset(pass.d_transformed, 0, winograd_gradient_size(conv) * sizeof(float));
	run_backward(d_weight, &pass, first, first + samples);
	if (gathered)
		winograd_finish(d_weight, pass.d_transformed, conv, env->kernels);
}
