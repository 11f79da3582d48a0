/* The backward pass of a convolution: chunk after chunk, first the data gradient, then what the chunk adds to the weight gradient.
 *
 * Small weight gradients are summed in a few ranges of the samples, each by itself, so that a thread works alone on ranges of its
 * own: sharing a chunk, whose values then go from one processor's cache to another's, costs more than a narrow layer computes. For
 * large ones all threads share the work on one chunk. The ranges depend on the shape and the number of samples, and are added up in
 * their order: threads change no bits. */
#include <omp.h>
#include <string.h>

#include "nn/layers/conv_internal.h"

/* Most ranges, of which there are a power of two for even shares; floats in all of their gradients; least chunks in a range. */
enum { RANGES_MAX = 16, RANGES_FLOATS = 600000, RANGE_CHUNKS = 2 };

/* Where a chunk is, as it is computed with. */
struct part {
	const void *in, *d_out;
};

/* A backward pass under way. */
struct backward {
	const struct conv *conv;
	const struct conv_env *env;
	struct source d_out, in;
	struct sink sink;
	const void *packed;
	void *d_in;
	bool accumulate;
	bool weight; /* its gradient is wanted */
	struct conv_rooms rooms;
	float *scratch;	    /* rooms and */
	struct part *parts; /* parts of this thread, or of each thread of the team */
	bool *told;	    /* that the sink has seen all samples; for the first thread only */
	size_t until;	    /* so many samples are asked for ahead: this call's and those of the next ones */
};

void team_wait(const struct team *team)
{
	if (team->size > 1) {
#pragma omp barrier
	}
}

static size_t gradient_size(const struct conv *conv, const struct conv_env *env)
{
	return conv_weight_by_winograd(conv, env) ? winograd_gradient_size(conv) : conv_weight_size(conv);
}

static size_t ranges_most(const struct conv *conv, const struct conv_env *env)
{
	size_t most = conv_least(RANGES_MAX, RANGES_FLOATS / gradient_size(conv, env));

	return most > 1 ? most : 1;
}

static size_t ranges_of(const struct conv *conv, const struct conv_env *env, size_t samples)
{
	size_t most = conv_least(ranges_most(conv, env), samples / (RANGE_CHUNKS * conv_rooms(conv, env, true).chunk)), ranges = 1;

	while (2 * ranges <= most)
		ranges *= 2;
	return ranges;
}

static size_t parts_size(const struct conv_env *env)
{
	return conv_slack((size_t)env->threads * sizeof(struct part) / sizeof(float));
}

size_t conv_backward_size(const struct conv *conv, const struct conv_env *env)
{
	size_t ranges = ranges_most(conv, env), threads = conv_rooms(conv, env, true).all * (size_t)env->threads + parts_size(env);

	if (ranges == 1 && !conv_weight_by_winograd(conv, env))
		return threads;
	return threads + ranges * conv_slack(gradient_size(conv, env));
}

static float *room_of(const struct backward *pass, size_t part)
{
	return pass->scratch + part * pass->rooms.all;
}

static float *wide_of(const struct backward *pass, size_t part)
{
	return room_of(pass, part) + pass->rooms.in + pass->rooms.d_out;
}

static float *work_of(const struct backward *pass, size_t part)
{
	return wide_of(pass, part) + pass->rooms.wide_in + pass->rooms.wide_out;
}

/* A piece of a chunk: samples `from` .. `from` + count - 1 of those in room `part`. */
struct piece {
	size_t part, from, count;
};

/* d_in = (or +=) the data gradient of a piece; `wide` is where it is computed when values are widened. */
static void data_gradient(void *d_in, const void *d_out, float *wide, const struct backward *pass, size_t count, float *work)
{
	const struct conv *conv = pass->conv;
	const struct conv_env *env = pass->env;
	struct conv_env compute = conv_computing(env);
	size_t values = count * conv_in_size(conv);
	void *to = conv_widened(env) ? wide : d_in;

	if (conv_widened(env) && pass->accumulate)
		env->kernels->widen(to, d_in, values);
	if (conv_by_winograd(conv, env))
		winograd_data(to, d_out, pass->packed, conv, env, count, pass->accumulate, work);
	else
		direct_data(to, d_out, pass->packed, conv, &compute, count, pass->accumulate, work);
	if (conv_widened(env))
		env->kernels->narrow(d_in, to, values);
}

/* What a piece will read and write; `from` counts from sample `first`. */
static void piece_ahead(const struct backward *pass, const struct piece *piece, size_t first)
{
	const struct conv_env *env = pass->env;
	struct ahead *ahead = env->ahead;
	size_t at = first + piece->from, in_size = conv_in_size(pass->conv);

	if (piece->count == 0)
		return;
	conv_ahead(ahead, &pass->in, env, at, piece->count, in_size);
	conv_ahead(ahead, &pass->d_out, env, at, piece->count, conv_out_size(pass->conv));
	if (pass->sink.ahead)
		pass->sink.ahead(pass->sink.context, ahead, at, piece->count);
	if (pass->d_in)
		ahead_add(ahead, stored(conv_values(env), pass->d_in, at * in_size),
			  piece->count * in_size * conv_values(env)->bytes);
}

/* Fetches a piece of a chunk whose first sample is `first`, and computes its data gradient. The pieces of a chunk lie behind each
 * other, as a source's samples do. */
static void data_piece(const struct backward *pass, const struct piece *piece, size_t first, float *work)
{
	const struct conv *conv = pass->conv;
	const struct conv_env *env = pass->env;
	size_t in_size = conv_in_size(conv), out_size = conv_out_size(conv), at = first + piece->from;
	float *room = room_of(pass, piece->part), *wide = wide_of(pass, piece->part), *wide_out = wide + pass->rooms.wide_in;
	const void *source =
	    conv_fetch(&pass->in, env, stored_into(conv_values(env), room, piece->from * in_size), at, piece->count, in_size);
	const void *d_source =
	    conv_fetch(&pass->d_out, env, stored_into(conv_values(env), room + pass->rooms.in, piece->from * out_size), at,
		       piece->count, out_size);
	const void *in = conv_operand(env, wide + piece->from * in_size, source, piece->count * in_size);
	const void *d_out = conv_operand(env, wide_out + piece->from * out_size, d_source, piece->count * out_size);

	if (piece->from == 0)
		pass->parts[piece->part] = (struct part){in, d_out};
	if (!pass->d_in)
		return;
	data_gradient(stored_into(conv_values(env), pass->d_in, at * in_size), d_out,
		      wide + pass->rooms.wide_in / 2 + piece->from * in_size, pass, piece->count, work);
	if (pass->sink.done)
		pass->sink.done(pass->sink.context, source, at, piece->count);
}

/* This thread's share of as many chunks as the team has threads; of fewer, each is cut into pieces. Counts from the first chunk. */
static struct piece share_of(const struct backward *pass, const struct team *team, size_t samples)
{
	size_t chunk = pass->rooms.chunk, size = (size_t)team->size, rank = (size_t)team->rank;
	size_t parts = samples > 0 ? conv_least(size, (samples + chunk - 1) / chunk) : 1, pieces = size / parts;
	size_t part = rank / pieces, number = rank % pieces;
	size_t count = part < parts ? conv_least(chunk, samples - part * chunk) : 0;
	struct piece piece = {part, count * number / pieces, 0};

	piece.count = count * (number + 1) / pieces - piece.from;
	return piece;
}

/* Samples first .. end - 1 are left, of which this step takes `step`. */
static void data_share(const struct backward *pass, const struct team *team, size_t first, size_t end, size_t step)
{
	size_t chunk = pass->rooms.chunk, next = first + conv_least(step, end - first);
	struct piece piece = share_of(pass, team, next - first), then = share_of(pass, team, conv_least(step, pass->until - next));

	ahead_clear(pass->env->ahead);
	piece_ahead(pass, &then, next + then.part * chunk);
	if (piece.count > 0)
		data_piece(pass, &piece, first + piece.part * chunk, work_of(pass, (size_t)team->rank));
}

/* Adds the weight gradient of the chunk in room `part`; the team shares it. */
static void weight_chunk(float *gradient, const struct backward *pass, const struct team *team, size_t part, size_t count)
{
	const struct part *from = &pass->parts[part];

	if (conv_by_dot(pass->env))
		dot_weight(gradient, from->in, from->d_out, pass->conv, pass->env->kernels, count, (void *)work_of(pass, 0), team);
	else if (conv_weight_by_winograd(pass->conv, pass->env))
		winograd_weight(gradient, from->in, from->d_out, pass->conv, pass->env, count, work_of(pass, 0), team);
	else
		direct_weight(gradient, from->in, from->d_out, pass->conv, pass->env, count, work_of(pass, 0),
			      work_of(pass, (size_t)team->rank), team);
}

static void tell_all_done(const struct backward *pass)
{
	if (pass->sink.all_done && !*pass->told)
		pass->sink.all_done(pass->sink.context);
	*pass->told = true;
}

/* Both gradients over samples first .. end - 1; `gradient` is that of the weight, transformed or not. `last`: behind this range all
 * samples have been worked on. */
static void run_range(float *gradient, const struct backward *pass, const struct team *team, size_t first, size_t end, bool last)
{
	size_t chunk = pass->rooms.chunk, step = chunk * (size_t)team->size;

	if (pass->weight && team->rank == 0)
		memset(gradient, 0, gradient_size(pass->conv, pass->env) * sizeof(*gradient));
	for (size_t at = first; at < end; at += step) {
		size_t samples = conv_least(step, end - at);

		data_share(pass, team, at, end, step);
		team_wait(team);
		if (last && at + samples == end && team->rank == 0)
			tell_all_done(pass);
		for (size_t from = 0; pass->weight && from < samples; from += chunk)
			weight_chunk(gradient, pass, team, from / chunk, conv_least(chunk, samples - from));
		team_wait(team);
	}
}

/* gradients[0] += all others, in their order, `apart` floats apart. The team shares the values. */
static void add_ranges(float *gradients, size_t ranges, size_t apart, const struct backward *pass, const struct team *team)
{
	int n = (int)gradient_size(pass->conv, pass->env), from = team_begin(team, n), to = team_end(team, n);

	for (size_t i = 1; i < ranges; i++)
		pass->env->kernels->fp32.add(gradients + from, gradients + i * apart + from, (size_t)(to - from));
}

/* One thread's part: ranges of its own, or its share of all of them when there are more threads. */
static void run_thread(float *gradients, const struct backward *pass, size_t ranges, size_t first, size_t samples)
{
	struct team all = {omp_get_thread_num(), omp_get_num_threads()}, team = all;
	struct backward own = *pass;
	struct ahead ahead = {0};
	struct conv_env env = *pass->env;
	size_t apart = conv_slack(gradient_size(pass->conv, pass->env)), from = 0, to = ranges;

	env.ahead = &ahead;
	own.env = &env;
	if (ranges >= (size_t)all.size) {
		team = (struct team){0, 1};
		own.scratch = room_of(pass, (size_t)all.rank);
		own.parts += all.rank;
		from = (size_t)team_begin(&all, (int)ranges);
		to = (size_t)team_end(&all, (int)ranges);
	}
	for (size_t i = from; i < to; i++)
		run_range(gradients + i * apart, &own, &team, first + samples * i / ranges, first + samples * (i + 1) / ranges,
			  i + 1 == ranges && team.size == all.size);
	if (pass->weight && ranges > 1) {
		team_wait(&all);
		add_ranges(gradients, ranges, apart, pass, &all);
	}
}

void conv_backward(float *d_weight, void *d_in, struct source d_out, struct source in, const void *packed, const struct conv *conv,
		   const struct conv_env *env, size_t first, size_t samples, bool accumulate, struct sink sink)
{
	bool told = false;
	struct backward pass = {.conv = conv,
				.env = env,
				.d_out = d_out,
				.in = in,
				.sink = sink,
				.packed = packed,
				.d_in = d_in,
				.accumulate = accumulate,
				.weight = d_weight != NULL,
				.told = &told,
				.rooms = conv_rooms(conv, env, true),
				.until = first + samples + env->behind,
				.scratch = env->scratch};
	float *shared = env->scratch + pass.rooms.all * (size_t)env->threads, *gradients = shared + parts_size(env);
	size_t ranges = ranges_of(conv, env, samples);
	bool transformed = conv_weight_by_winograd(conv, env);

	pass.parts = (struct part *)(void *)shared;
	if (ranges == 1 && !transformed)
		gradients = d_weight;
#pragma omp parallel num_threads(env->threads)
	run_thread(gradients, &pass, ranges, first, samples);
	tell_all_done(&pass);
	if (d_weight && transformed)
		winograd_finish(d_weight, gradients, conv, env->kernels);
	else if (d_weight && ranges > 1)
		memcpy(d_weight, gradients, conv_weight_size(conv) * sizeof(*d_weight));
}
