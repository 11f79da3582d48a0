#include "trainer/bench/bench_comm.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/buckets.h"
#include "comm/exchange.h"
#include "comm/reduce.h"
#include "nn/core/alloc.h"
#include "nn/core/rng.h"
#include "nn/kernels/gemm.h"
#include "nn/models/network.h"
#include "nn/optim/optimizer.h"
#include "trainer/bench/timing.h"

enum { BUCKET_FLOATS = 1000000 }; /* resnet-train's default of 4 MB */

/* What goes between ranks in a step: sums of gradients after the backward pass or during it, and statistics; nothing; one of the
 * two. Where statistics do not, losses neither, each rank merges its own shards; where gradients do not, a copy of its partial
 * stands for the sum. Replicas then differ, which changes no times. */
enum kind { AFTER, DURING, LOCAL, GRADIENTS, STATISTICS, KINDS };

enum { FIELDS = 3 }; /* step, gradients, statistics */

struct bench_comm {
	const struct bench_options *options;
	struct comm *comm;
	const struct kernels *kernels;
	struct shards shards;
	struct graph graph;
	struct network *network;
	struct exchange *exchange; /* of batch norm */
	struct exchange *totals;   /* of losses, over all ranks */
	struct exchange *own;	   /* of both where they stay local */
	struct reducer *reducer;
	struct buckets *buckets[2]; /* of AFTER, of DURING */
	float *copy;		    /* of the gradient where it stays local, from `copied` on */
	size_t copied;
	float *velocity;
	float *images;
	int32_t *labels;
	size_t capacity;	      /* most local images */
	double *times[KINDS][FIELDS]; /* of each step */
	enum kind kind;		      /* of the step at hand */
	double gradients, statistics;
};

static bool sums_gradients(const struct bench_comm *bench)
{
	return bench->kind != LOCAL && bench->kind != STATISTICS;
}

static bool exchanges_statistics(const struct bench_comm *bench)
{
	return bench->kind != LOCAL && bench->kind != GRADIENTS;
}

static struct buckets *buckets_of(const struct bench_comm *bench)
{
	return bench->buckets[bench->kind != AFTER];
}

static enum nn_status timed(struct bench_comm *bench, struct exchange *exchange, double *rows, int channels, enum merge merge)
{
	double start = timing_now();
	enum nn_status status = exchange_statistics(exchanges_statistics(bench) ? exchange : bench->own, rows, channels, merge);

	bench->statistics += timing_now() - start;
	return status;
}

static void timed_begin(void *context, double *rows, int channels, enum merge merge)
{
	struct bench_comm *bench = context;
	double start = timing_now();

	exchange_begin(exchanges_statistics(bench) ? bench->exchange : bench->own, rows, channels, merge);
	bench->statistics += timing_now() - start;
}

static enum nn_status timed_exchange(void *context, double *rows, int channels, enum merge merge)
{
	struct bench_comm *bench = context;

	return timed(bench, bench->exchange, rows, channels, merge);
}

static enum nn_status timed_totals(void *context, double *rows, int channels, enum merge merge)
{
	struct bench_comm *bench = context;

	return timed(bench, bench->totals, rows, channels, merge);
}

static enum nn_status timed_ready(void *context, size_t offset, size_t count)
{
	struct bench_comm *bench = context;
	double start = timing_now();

	(void)count;
	if (sums_gradients(bench)) {
		buckets_ready(buckets_of(bench), offset);
	} else {
		memcpy(bench->copy + offset, reducer_memory(bench->reducer) + offset, (bench->copied - offset) * sizeof(float));
		bench->copied = offset;
	}
	bench->gradients += timing_now() - start;
	return NN_OK;
}

static enum nn_status build(struct bench_comm *bench)
{
	const struct bench_options *options = bench->options;
	enum nn_status status = kernels_select(&bench->kernels, options->isa, options->bf16);
	struct shards *shards = &bench->shards;

	gemm_init();
	*shards = comm_shards(bench->comm, options->shards > 0 ? options->shards : comm_size(bench->comm));
	bench->capacity =
	    shard_begin(shards->hi, shards->count, options->batch) - shard_begin(shards->lo, shards->count, options->batch);
	bench->capacity += bench->capacity == 0;
	return status == NN_OK ? bench_graph(&bench->graph, options) : status;
}

static enum nn_status create_exchanges(struct bench_comm *bench)
{
	enum exchange_scope scope = bench->options->sync_bn ? EXCHANGE_GLOBAL : EXCHANGE_OFF;
	int channels = graph_widest_batchnorm(&bench->graph);
	enum nn_status status = exchange_create(&bench->exchange, bench->comm, bench->shards, scope, channels);

	if (status == NN_OK)
		status = exchange_create(&bench->totals, bench->comm, bench->shards, EXCHANGE_GLOBAL, 1);
	return status == NN_OK ? exchange_create(&bench->own, bench->comm, bench->shards, EXCHANGE_OFF, channels) : status;
}

static enum nn_status allocate_times(struct bench_comm *bench)
{
	enum nn_status status = NN_OK;

	for (int kind = 0; kind < KINDS; kind++)
		for (int i = 0; i < FIELDS && status == NN_OK; i++)
			status = nn_alloc(&bench->times[kind][i], (size_t)bench->options->iterations * sizeof(double));
	return status;
}

/* What ranks share comes first, what this rank can fail at alone after it. */
static enum nn_status allocate(struct bench_comm *bench)
{
	const struct bench_options *options = bench->options;
	size_t parameters = bench->graph.parameters, image = node_size(&bench->graph.nodes[0]);
	struct network_setup setup = {.kernels = bench->kernels,
				      .threads = options->threads,
				      .capacity = bench->capacity,
				      .shards = bench->shards,
				      .winograd = options->winograd,
				      .bf16 = options->bf16,
				      .bf16_gradients = options->bf16_gradients,
				      .training = true,
				      .exchange = timed_exchange,
				      .exchange_begin = timed_begin,
				      .exchange_context = bench,
				      .loss_exchange = timed_totals,
				      .loss_context = bench};
	enum nn_status status =
	    reducer_create(&bench->reducer, bench->comm, bench->shards, parameters, REDUCE_OWN, options->bf16_gradients);

	if (status == NN_OK)
		status = create_exchanges(bench);
	if (status == NN_OK) {
		setup.gradients = reducer_memory(bench->reducer);
		status = network_create(&bench->network, &bench->graph, &setup);
	}
	for (int on = 0; on < 2 && status == NN_OK; on++)
		status = buckets_create(&bench->buckets[on], bench->reducer, parameters, BUCKET_FLOATS,
					on && bench_comm_overlaps(bench->comm));
	if (status == NN_OK)
		status = allocate_times(bench);
	if (status == NN_OK)
		status = nn_alloc(&bench->copy, parameters * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&bench->velocity, parameters * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&bench->images, bench->capacity * image * sizeof(float));
	return status == NN_OK ? nn_alloc(&bench->labels, bench->capacity * sizeof(*bench->labels)) : status;
}

/* Images and labels of its own for each rank. Labels that are all alike would be learnt in a few steps, and the tiny gradients of
 * then take another time to compute. */
static void fill(struct bench_comm *bench)
{
	struct rng rng = rng_stream(0, 0, (uint64_t)comm_rank(bench->comm));

	graph_init_parameters(network_parameters(bench->network), network_statistics(bench->network), &bench->graph, 0);
	for (size_t i = 0; i < bench->capacity * node_size(&bench->graph.nodes[0]); i++)
		bench->images[i] = (float)rng_normal(&rng);
	for (size_t i = 0; i < bench->capacity; i++)
		bench->labels[i] = (int32_t)rng_below(&rng, (uint64_t)bench->graph.classes);
}

static void update_range(struct bench_comm *bench, const float *gradients, size_t offset, size_t count)
{
	static const struct optimizer sgd = {.kind = OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 1e-4, .decay_bn = true};

	optimizer_step_range(network_parameters(bench->network), bench->velocity, gradients, &sgd, &bench->graph, bench->kernels,
			     0.01, bench->options->threads, offset, count);
}

static void update(struct bench_comm *bench)
{
	double start = timing_now();
	size_t offset, count;

	if (!sums_gradients(bench)) {
		update_range(bench, bench->copy, 0, bench->graph.parameters);
		return;
	}
	while (buckets_next(&offset, &count, buckets_of(bench))) {
		bench->gradients += timing_now() - start;
		update_range(bench, reducer_total(bench->reducer), offset, count);
		start = timing_now();
	}
}

static enum nn_status step(struct bench_comm *bench)
{
	struct batch_result result;
	const float *logits;
	size_t first, samples;
	enum nn_status status;

	bench->gradients = bench->statistics = 0;
	network_begin_batch(bench->network, bench->options->batch, &first, &samples);
	status = network_forward(&logits, bench->network, bench->images, true);
	if (status == NN_OK)
		status = network_loss(&result, bench->network, bench->labels, 0);
	if (sums_gradients(bench))
		buckets_begin(buckets_of(bench));
	bench->copied = bench->graph.parameters;
	if (status == NN_OK)
		status = network_backward(bench->network, timed_ready, bench);
	update(bench);
	return status;
}

/* One step that is not timed, then one of each kind after the other. */
static enum nn_status time_steps(struct bench_comm *bench)
{
	enum nn_status status = step(bench);

	for (int i = 0; i < KINDS * bench->options->iterations && status == NN_OK; i++) {
		double **times, start;

		bench->kind = (enum kind)(i % KINDS);
		times = bench->times[bench->kind];
		comm_barrier(bench->comm);
		start = timing_now();
		status = step(bench);
		times[0][i / KINDS] = timing_now() - start;
		times[1][i / KINDS] = bench->gradients;
		times[2][i / KINDS] = bench->statistics;
	}
	return status;
}

static double median_of_slowest(struct bench_comm *bench, double *seconds)
{
	for (int i = 0; i < bench->options->iterations; i++)
		seconds[i] = comm_max_double(bench->comm, seconds[i]);
	return timing_median(seconds, (size_t)bench->options->iterations);
}

static void destroy(struct bench_comm *bench)
{
	for (int on = 0; on < 2; on++)
		buckets_destroy(bench->buckets[on]);
	for (int kind = 0; kind < KINDS; kind++)
		for (int i = 0; i < FIELDS; i++)
			nn_free(bench->times[kind][i]);
	network_destroy(bench->network);
	exchange_destroy(bench->exchange);
	exchange_destroy(bench->totals);
	exchange_destroy(bench->own);
	reducer_destroy(bench->reducer);
	graph_release(&bench->graph);
	nn_free(bench->copy);
	nn_free(bench->velocity);
	nn_free(bench->images);
	nn_free(bench->labels);
}

static double exposed(const struct bench_comm_result *result, double step)
{
	return (step - result->local) / step;
}

static void summarise(struct bench_comm_result *result, struct bench_comm *bench)
{
	result->local = median_of_slowest(bench, bench->times[LOCAL][0]);
	result->exposed_gradients = exposed(result, median_of_slowest(bench, bench->times[GRADIENTS][0]));
	result->exposed_statistics = exposed(result, median_of_slowest(bench, bench->times[STATISTICS][0]));
	for (int on = 0; on < 2; on++) {
		struct bench_comm_row *row = &result->overlap[on];

		row->step = median_of_slowest(bench, bench->times[on][0]);
		row->gradients = median_of_slowest(bench, bench->times[on][1]);
		row->statistics = median_of_slowest(bench, bench->times[on][2]);
		row->exposed = exposed(result, row->step);
	}
	result->isa = bench->kernels->name;
	result->flops = bench_flops(&bench->graph, true);
	result->peak_bytes = (size_t)comm_max_double(bench->comm, (double)timing_peak_bytes());
}

bool bench_comm_overlaps(const struct comm *comm)
{
	return comm_nodes(comm) == 1 || comm_threads(comm);
}

enum nn_status bench_comm_run(struct bench_comm_result *result, struct comm *comm, const struct bench_options *options)
{
	struct bench_comm bench = {.options = options, .comm = comm};
	enum nn_status status = comm_agree(comm, build(&bench));

	if (status == NN_OK)
		status = comm_agree(comm, allocate(&bench));
	if (status == NN_OK) {
		fill(&bench);
		status = time_steps(&bench);
	}
	if (status == NN_OK)
		summarise(result, &bench);
	destroy(&bench);
	return status;
}
