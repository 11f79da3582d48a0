#include "trainer/bench/bench_comm.h"

#include <stdbool.h>
#include <stdint.h>

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

struct bench_comm {
	const struct bench_options *options;
	struct comm *comm;
	const struct kernels *kernels;
	struct shards shards;
	struct graph graph;
	struct network *network;
	struct exchange *exchange; /* of batch norm */
	struct exchange *totals;   /* of losses, over all ranks */
	struct reducer *reducer;
	struct buckets *buckets[2]; /* overlap off, on */
	float *velocity;
	float *images;
	int32_t *labels;
	double *times[2][3]; /* of each step: the fields of a row */
	bool overlap;	     /* of the step at hand */
	double gradients, statistics;
};

static enum nn_status timed(struct bench_comm *bench, struct exchange *exchange, double *rows, int channels, enum merge merge)
{
	double start = timing_now();
	enum nn_status status = exchange_statistics(exchange, rows, channels, merge);

	bench->statistics += timing_now() - start;
	return status;
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
	buckets_ready(bench->buckets[bench->overlap], offset);
	bench->gradients += timing_now() - start;
	return NN_OK;
}

static int widest(const struct graph *graph)
{
	int channels = 1;

	for (int i = 0; i < graph->buffer_count; i++)
		channels = graph->buffers[i].shape[0] > channels ? graph->buffers[i].shape[0] : channels;
	return channels;
}

static enum nn_status build(struct bench_comm *bench)
{
	enum nn_status status = kernels_select(&bench->kernels, bench->options->isa, bench->options->bf16);

	gemm_init();
	bench->shards = comm_shards(bench->comm, comm_size(bench->comm));
	return status == NN_OK ? bench_graph(&bench->graph, bench->options) : status;
}

/* What ranks share comes first, what this rank can fail at alone after it. */
static enum nn_status allocate(struct bench_comm *bench)
{
	const struct bench_options *options = bench->options;
	size_t parameters = bench->graph.parameters, ranks = (size_t)comm_size(bench->comm);
	size_t capacity = (options->batch + ranks - 1) / ranks, image = node_size(&bench->graph.nodes[0]);
	struct network_setup setup = {.kernels = bench->kernels,
				      .threads = options->threads,
				      .capacity = capacity,
				      .shards = bench->shards,
				      .winograd = options->winograd,
				      .bf16 = options->bf16,
				      .training = true,
				      .exchange = timed_exchange,
				      .exchange_context = bench,
				      .loss_exchange = timed_totals,
				      .loss_context = bench};
	enum nn_status status = reducer_create(&bench->reducer, bench->comm, bench->shards, parameters, REDUCE_OWN, false);

	if (status == NN_OK)
		status = exchange_create(&bench->exchange, bench->comm, bench->shards,
					 options->sync_bn ? EXCHANGE_GLOBAL : EXCHANGE_OFF, widest(&bench->graph));
	if (status == NN_OK)
		status = exchange_create(&bench->totals, bench->comm, bench->shards, EXCHANGE_GLOBAL, 1);
	if (status == NN_OK) {
		setup.gradients = reducer_memory(bench->reducer);
		status = network_create(&bench->network, &bench->graph, &setup);
	}
	for (int on = 0; on < 2 && status == NN_OK; on++) {
		status = buckets_create(&bench->buckets[on], bench->reducer, parameters, BUCKET_FLOATS, on);
		for (int i = 0; i < 3 && status == NN_OK; i++)
			status = nn_alloc(&bench->times[on][i], (size_t)options->iterations * sizeof(double));
	}
	if (status == NN_OK)
		status = nn_alloc(&bench->velocity, parameters * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&bench->images, capacity * image * sizeof(float));
	return status == NN_OK ? nn_alloc(&bench->labels, capacity * sizeof(*bench->labels)) : status;
}

/* Images and labels of its own for each rank. Labels that are all alike would be learnt in a few steps, and the tiny gradients of
 * then take another time to compute. */
static void fill(struct bench_comm *bench)
{
	struct rng rng = rng_stream(0, 0, (uint64_t)comm_rank(bench->comm));
	size_t ranks = (size_t)comm_size(bench->comm);
	size_t capacity = (bench->options->batch + ranks - 1) / ranks;

	graph_init_parameters(network_parameters(bench->network), network_statistics(bench->network), &bench->graph, 0);
	for (size_t i = 0; i < capacity * node_size(&bench->graph.nodes[0]); i++)
		bench->images[i] = (float)rng_normal(&rng);
	for (size_t i = 0; i < capacity; i++)
		bench->labels[i] = (int32_t)rng_below(&rng, (uint64_t)bench->graph.classes);
}

static void update(struct bench_comm *bench)
{
	static const struct optimizer sgd = {.kind = OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 1e-4, .decay_bn = true};
	double start = timing_now();
	size_t offset, count;

	while (buckets_next(&offset, &count, bench->buckets[bench->overlap])) {
		bench->gradients += timing_now() - start;
		optimizer_step_range(network_parameters(bench->network), bench->velocity, reducer_total(bench->reducer), &sgd,
				     &bench->graph, bench->kernels, 0.01, bench->options->threads, offset, count);
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
	buckets_begin(bench->buckets[bench->overlap]);
	if (status == NN_OK)
		status = network_backward(bench->network, timed_ready, bench);
	update(bench);
	return status;
}

/* One step that is not timed, then pairs of steps without and with overlap. */
static enum nn_status time_steps(struct bench_comm *bench)
{
	enum nn_status status = step(bench);

	for (int i = 0; i < 2 * bench->options->iterations && status == NN_OK; i++) {
		double **times, start;

		bench->overlap = i % 2;
		times = bench->times[bench->overlap];
		comm_barrier(bench->comm);
		start = timing_now();
		status = step(bench);
		times[0][i / 2] = timing_now() - start;
		times[1][i / 2] = bench->gradients;
		times[2][i / 2] = bench->statistics;
	}
	return status;
}

static double median_of_slowest(struct bench_comm *bench, double *seconds)
{
	return comm_max_double(bench->comm, timing_median(seconds, (size_t)bench->options->iterations));
}

static void destroy(struct bench_comm *bench)
{
	for (int on = 0; on < 2; on++) {
		buckets_destroy(bench->buckets[on]);
		for (int i = 0; i < 3; i++)
			nn_free(bench->times[on][i]);
	}
	network_destroy(bench->network);
	exchange_destroy(bench->exchange);
	exchange_destroy(bench->totals);
	reducer_destroy(bench->reducer);
	graph_release(&bench->graph);
	nn_free(bench->velocity);
	nn_free(bench->images);
	nn_free(bench->labels);
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
	for (int on = 0; on < 2 && status == NN_OK; on++)
		result->overlap[on] = (struct bench_comm_row){.step = median_of_slowest(&bench, bench.times[on][0]),
							      .gradients = median_of_slowest(&bench, bench.times[on][1]),
							      .statistics = median_of_slowest(&bench, bench.times[on][2])};
	if (status == NN_OK) {
		result->isa = bench.kernels->name;
		result->flops = bench_flops(&bench.graph, true);
		result->peak_bytes = (size_t)comm_max_double(comm, (double)timing_peak_bytes());
	}
	destroy(&bench);
	return status;
}
