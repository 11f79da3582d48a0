/* Convolutions chunk by chunk: which way is taken, the memory that it needs, and the forward pass. conv_backward.c has the other.
 */
#include "nn/layers/conv.h"

#include <omp.h>

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

/* Most pixels in a part, unless a row has more. */
enum { PART_PIXELS = 224 };

/* Parts of a 1 x 1 convolution that leaves pixels out are whole rows; of others, any pixels. */
int conv_parts(const struct conv *conv)
{
	int pixels = conv->in_h * conv->in_w, parts = (pixels + PART_PIXELS - 1) / PART_PIXELS;
	int pieces = conv_is_pointwise(conv) ? pixels : conv->in_h % conv->stride == 0 ? conv->out_h : 1;

	if (conv->kernel > 1 || conv->pad > 0)
		return 1;
	if (parts > pieces)
		parts = pieces;
	while (pieces % parts && pixels / parts > PART_PIXELS / 4)
		parts++;
	return pieces % parts == 0 ? parts : 1;
}

struct conv conv_part(const struct conv *conv)
{
	struct conv part = *conv;
	int parts = conv_parts(conv);

	if (parts > 1 && conv_is_pointwise(conv)) {
		part.in_h = part.out_h = 1;
		part.in_w = part.out_w = conv->in_h * conv->in_w / parts;
	} else if (parts > 1) {
		part.in_h /= parts;
		part.out_h /= parts;
	}
	return part;
}

/* Layers that are wider still reuse the transformed weights too seldom. */
bool conv_winograd(const struct conv *conv)
{
	return conv->kernel == 3 && conv->stride == 1 && conv->pad == 1 && conv->in_c % 16 == 0 && conv->out_c % 16 == 0 &&
	       (double)conv->in_c * conv->out_c <= 65536.0 * winograd_tiles(conv);
}

bool conv_by_winograd(const struct conv *conv, const struct conv_env *env)
{
	return env->winograd && !conv_by_dot(env) && conv_winograd(conv) && !(conv_widened(env) && winograd_wide(conv));
}

bool conv_weight_by_winograd(const struct conv *conv, const struct conv_env *env)
{
	return conv_by_winograd(conv, env) && !winograd_wide(conv);
}

/* Samples in a chunk: enough for full tiles and for long sums in the weight gradient, few enough to stay in the cache together with
 * the next one. Wide layers of Winograd's algorithm want a whole block of tiles; 1 x 1 layers with a stride read more pixels than
 * they write. */
enum { CHUNK_TILES = 28, CHUNK_PIXELS = 196, CHUNK_FLOATS = 1 << 20 };

static size_t chunk_samples(const struct conv *conv, const struct conv_env *env)
{
	bool winograd = conv_by_winograd(conv, env);
	int size = winograd ? winograd_tiles(conv) : conv->kernel == 1 ? conv->in_h * conv->in_w : conv->out_h * conv->out_w;
	int wanted = !winograd ? CHUNK_PIXELS : winograd_wide(conv) ? winograd_block_tiles(conv) : CHUNK_TILES;
	size_t chunk = (size_t)((wanted + size - 1) / size), most = CHUNK_FLOATS / (conv_in_size(conv) + conv_out_size(conv));

	return chunk <= most ? chunk : most > 0 ? most : 1;
}

/* Floats in which so many stored values have room. */
static size_t floats_for(const struct conv_env *env, size_t values)
{
	return (values * conv_values(env)->bytes + sizeof(float) - 1) / sizeof(float);
}

static size_t work_size(const struct conv *conv, const struct conv_env *env, bool backward)
{
	struct conv_env compute = conv_computing(env);
	size_t chunk = chunk_samples(conv, env), window, weight = 0;

	if (conv_by_winograd(conv, env))
		window = winograd_work_size(conv);
	else
		window = floats_for(&compute, direct_framed_size(conv, backward) * chunk + conv_reach(conv));
	if (backward && conv_by_dot(env))
		weight = floats_for(env, dot_weight_size(conv, chunk));
	else if (backward && !conv_weight_by_winograd(conv, env))
		weight = direct_weight_size(conv, env->kernels, chunk);
	return window > weight ? window : weight;
}

struct conv_rooms conv_rooms(const struct conv *conv, const struct conv_env *env, bool backward)
{
	struct conv_rooms rooms = {.chunk = chunk_samples(conv, env)};

	rooms.in = conv_slack(floats_for(env, rooms.chunk * conv_in_size(conv)));
	rooms.d_out = backward ? conv_slack(floats_for(env, rooms.chunk * conv_out_size(conv))) : 0;
	if (conv_widened(env)) {
		rooms.wide_in = conv_slack(rooms.chunk * conv_in_size(conv)) * (backward ? 2 : 1);
		rooms.wide_out = conv_slack(rooms.chunk * conv_out_size(conv));
	}
	rooms.work = conv_slack(work_size(conv, env, backward));
	rooms.all = rooms.in + rooms.d_out + rooms.wide_in + rooms.wide_out + rooms.work;
	return rooms;
}

size_t conv_packed_size(const struct conv *conv, const struct conv_env *env, bool backward)
{
	if (conv_by_dot(env))
		return floats_for(env, dot_packed_size(conv, backward));
	return conv_by_winograd(conv, env) ? winograd_packed_size(conv, backward)
					   : direct_packed_size(conv, env->kernels, backward);
}

size_t conv_scratch_size(const struct conv *conv, const struct conv_env *env, bool backward)
{
	size_t forward = conv_rooms(conv, env, false).all * (size_t)env->threads,
	       both = backward ? conv_backward_size(conv, env) : 0;

	return both > forward ? both : forward;
}

void conv_pack(void *packed, const float *weight, const float *scale, const struct conv *conv, const struct conv_env *env,
	       bool backward)
{
	if (conv_by_dot(env))
		dot_pack(packed, weight, conv, env->kernels, backward);
	else if (conv_by_winograd(conv, env))
		winograd_pack(packed, weight, scale, conv, env->kernels, backward);
	else
		direct_pack(packed, weight, scale, conv, env->kernels, backward);
}

/* One chunk; `room` is the thread's. */
static void forward_chunk(void *out, const void *in, const void *packed, const struct conv *conv, const struct conv_env *env,
			  size_t count, const struct conv_finish *finish, const struct conv_rooms *rooms, float *room)
{
	struct conv_env compute = conv_computing(env);
	float *wide = room + rooms->in + rooms->d_out, *work = wide + rooms->wide_in + rooms->wide_out;
	void *to = conv_widened(env) ? wide + rooms->wide_in : out;

	in = conv_operand(env, wide, in, count * conv_in_size(conv));
	if (conv_by_winograd(conv, env))
		winograd_forward(to, in, packed, conv, env, count, finish, work);
	else
		direct_forward(to, in, packed, conv, &compute, count, finish, work);
	if (conv_widened(env))
		env->kernels->narrow(out, to, count * conv_out_size(conv));
}

/* What a chunk will read and write. */
static void chunk_ahead(struct ahead *ahead, const void *out, const struct source *in, const struct conv *conv,
			const struct conv_env *env, const struct conv_finish *finish, size_t first, size_t count)
{
	size_t at = first * conv_out_size(conv), size = count * conv_out_size(conv);

	conv_ahead(ahead, in, env, first, count, conv_in_size(conv));
	ahead_add(ahead, stored(conv_values(env), out, at), size * conv_values(env)->bytes);
	if (finish->residual)
		ahead_add(ahead, finish->residual + at, size * sizeof(float));
}

void conv_forward(void *out, struct source in, const void *packed, const struct conv *conv, const struct conv_env *env,
		  size_t samples, struct conv_finish finish, struct sink sink)
{
	struct conv_rooms rooms = conv_rooms(conv, env, false);
	size_t threads = (size_t)env->threads, chunk = conv_least(rooms.chunk, (samples + threads - 1) / threads);
	int chunks = samples > 0 ? (int)((samples + chunk - 1) / chunk) : 0;

#pragma omp parallel num_threads(env->threads)
	{
		struct team team = {omp_get_thread_num(), omp_get_num_threads()};
		float *room = env->scratch + rooms.all * (size_t)team.rank;
		struct ahead ahead = {0};
		struct conv_env own = *env;

		own.ahead = &ahead;
		for (int i = team_begin(&team, chunks), end = team_end(&team, chunks); i < end; i++) {
			size_t first = (size_t)i * chunk, next = first + chunk, count = conv_least(chunk, samples - first);
			const void *from = conv_fetch(&in, env, room, first, count, conv_in_size(conv));
			struct conv_finish part = finish;

			ahead_clear(&ahead);
			if (i + 1 < end)
				chunk_ahead(&ahead, out, &in, conv, env, &finish, next, conv_least(chunk, samples - next));
			if (finish.residual)
				part.residual += first * conv_out_size(conv);
			forward_chunk(stored_into(conv_values(env), out, first * conv_out_size(conv)), from, packed, conv, &own,
				      count, finish.bias ? &part : NULL, &rooms, room);
			if (sink.done)
				sink.done(sink.context, from, first, count);
		}
	}
}
