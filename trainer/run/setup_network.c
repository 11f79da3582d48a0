#include <stdio.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/covers.h"
#include "nn/core/alloc.h"
#include "trainer/run/internal.h"
#include "trainer/run/memory.h"
#include "trainer/run/threads.h"

static void timed_begin(void *context, double *rows, int channels, enum merge merge)
{
	struct timed_exchange *timed = context;
	double start = run_seconds();

	timed->begun = start;
	exchange_begin(timed->exchange, rows, channels, merge);
	*timed->seconds += run_seconds() - start;
}

/* The trace shows an exchange from its beginning on, with what this rank computes meanwhile. */
static enum nn_status timed_statistics(void *context, double *rows, int channels, enum merge merge)
{
	struct timed_exchange *timed = context;
	double start = run_seconds(), end;
	enum nn_status status = exchange_statistics(timed->exchange, rows, channels, merge);

	end = run_seconds();
	*timed->seconds += end - start;
	trace_add(timed->trace, TRACE_COMPUTE, timed->kind, timed->begun > 0 ? timed->begun : start, end, channels);
	timed->begun = 0;
	return status;
}

static enum nn_status build_graph(struct run *run)
{
	const struct options *options = &run->options;
	struct model_options model = {.arch = options->arch,
				      .image_size = options->image_size,
				      .classes = dataset_classes(run->train),
				      .shortcut = (enum shortcut)options->shortcut,
				      .stride_in = (enum stride_in)options->stride_in,
				      .zero_gamma = options->zero_gamma};

	if (model.classes < 2)
		return nn_error(NN_ERR_DATA, "%s has only one class; training needs two or more folders in train/", options->data);
	return model_build(&run->graph, &model);
}

/* The most samples that one rank gets of a batch: the rank with the most. */
static size_t largest_part(const struct run *run, size_t global_batch)
{
	size_t most = 1;

	for (int p = 0; p < comm_size(run->comm); p++) {
		struct shards shards = covers_shards(p, comm_size(run->comm), run->shards.count);
		size_t part = shards_samples(&shards, global_batch);

		most = part > most ? part : most;
	}
	return most;
}

static struct network_setup network_setup_for(struct run *run, size_t capacity)
{
	return (struct network_setup){.kernels = run->kernels,
				      .threads = run->threads,
				      .capacity = capacity,
				      .shards = run->shards,
				      .winograd = run->options.winograd,
				      .bf16 = run->options.precision == OPTION_BF16,
				      .bf16_gradients = run->options.gradient_dtype == OPTION_BF16,
				      .recompute = run->options.recompute,
				      .training = true,
				      .exchange = timed_statistics,
				      .exchange_begin = timed_begin,
				      .exchange_context = &run->statistics,
				      .loss_exchange = timed_statistics,
				      .loss_context = &run->totals};
}

/* Bytes that the run needs on this node with this global batch. */
static size_t node_bytes(struct run *run, size_t global_batch)
{
	size_t bytes = 0, capacity = largest_part(run, global_batch);
	struct network_setup setup = network_setup_for(run, capacity);

	if (network_plan_bytes(&bytes, &run->graph, &setup) != NN_OK)
		return SIZE_MAX;
	bytes += run->graph.parameters * sizeof(float) + loader_bytes(capacity + 1, run->options.image_size) +
		 run->split.train_count * 2 * sizeof(uint32_t);
	return bytes * (size_t)comm_node_ranks(run->comm) + saver_bytes(&run->graph); /* one rank of the job saves */
}

/* Says so when the batch would fit with recomputation. */
static void other_way(char text[64], struct run *run, size_t batch, size_t available)
{
	size_t needed;

	text[0] = '\0';
	if (run->options.recompute)
		return;
	run->options.recompute = true;
	needed = node_bytes(run, batch);
	run->options.recompute = false;
	if (needed <= available)
		snprintf(text, 64, ", or add --recompute on (%zu MiB)", needed >> 20);
}

/* Foresees running out of memory, and says which batch would fit. */
static enum nn_status check_memory(struct run *run)
{
	size_t available = memory_available(), batch = (size_t)run->options.global_batch, low = 0;
	size_t needed = node_bytes(run, batch);
	char other[64];

	if (available == 0 || needed <= available)
		return NN_OK;
	for (size_t high = batch; high - low > 1;) {
		size_t middle = low + (high - low) / 2;

		if (node_bytes(run, middle) <= available)
			low = middle;
		else
			high = middle;
	}
	other_way(other, run, batch, available);
	if (low == 0)
		return nn_error(NN_ERR_USAGE,
				"%s needs %zu MiB on host %s even with a batch of 1, and %zu MiB are free; use a smaller net or "
				"more nodes%s",
				run->options.arch, node_bytes(run, 1) >> 20, comm_host(run->comm), available >> 20, other);
	return nn_error(NN_ERR_USAGE,
			"--global-batch %zu needs %zu MiB on host %s, and %zu MiB are free; the largest batch that fits on these "
			"%d ranks is %zu%s",
			batch, needed >> 20, comm_host(run->comm), available >> 20, comm_size(run->comm), low, other);
}

static enum nn_status create_exchanges(struct run *run)
{
	int channels = graph_widest_batchnorm(&run->graph);
	enum exchange_scope scope = (enum exchange_scope)run->options.sync_bn;
	enum nn_status status = exchange_create(&run->totals.exchange, run->comm, run->shards, EXCHANGE_GLOBAL, channels);

	run->statistics.seconds = &run->clock.statistics;
	run->totals.seconds = &run->clock.exchange;
	if (status == NN_OK)
		status = exchange_create(&run->statistics.exchange, run->comm, run->shards, scope, channels);
	if (status == NN_OK)
		status = nn_alloc(&run->all_ranks, (size_t)comm_size(run->comm) * sizeof(*run->all_ranks));
	if (status == NN_OK)
		status = nn_alloc(&run->rows,
				  (size_t)(run->shards.hi - run->shards.lo + 1) * (1 + 2 * (size_t)channels) * sizeof(double));
	return status;
}

int gradient_value_bytes(const struct run *run)
{
	return run->options.gradient_dtype == OPTION_BF16 && comm_nodes(run->comm) > 1 ? 2 : 4;
}

static enum nn_status create_buckets(struct run *run)
{
	bool overlap = run->options.overlap && comm_size(run->comm) > 1;
	bool messages = comm_nodes(run->comm) > 1 || run->options.allreduce == OPTION_ALLREDUCE_MPI;
	size_t most = (size_t)(run->options.bucket_mb * 1e6 / sizeof(float));
	enum nn_status status;

	if (overlap && messages && !comm_threads(run->comm)) {
		run_warn(run, "this MPI library grants no MPI_THREAD_MULTIPLE: gradients are summed without --overlap");
		overlap = false;
	}
	status = buckets_create(&run->buckets, run->reducer, run->graph.parameters, most, overlap);
	if (status != NN_OK)
		return status;
	run->sums = overlap ? TRACE_GRADIENTS : TRACE_COMPUTE;
	if (comm_size(run->comm) > 1)
		buckets_watch(run->buckets, watch_bucket, run);
	return NN_OK;
}

/* What ranks share comes first: each piece is agreed on by the ranks of a node. */
static enum nn_status create_network(struct run *run)
{
	const struct options *options = &run->options;
	struct network_setup setup = network_setup_for(run, run->capacity);
	enum nn_status status = reducer_create(&run->reducer, run->comm, run->shards, run->graph.parameters,
					       (enum reduce_algorithm)options->allreduce, options->gradient_dtype == OPTION_BF16);

	if (status == NN_OK)
		reducer_choose(run->reducer, &run->choice);
	if (status == NN_OK)
		status = create_exchanges(run);
	if (status == NN_OK) {
		setup.gradients = reducer_memory(run->reducer);
		status = network_create(&run->network, &run->graph, &setup);
	}
	if (status == NN_OK)
		status = create_buckets(run);
	if (status == NN_OK)
		status = nn_alloc(&run->velocity, run->graph.parameters * sizeof(float));
	if (status == NN_OK)
		status = network_entries_init(&run->model_entries, &run->graph, network_parameters(run->network),
					      network_statistics(run->network));
	if (status == NN_OK)
		status = network_entries_init(&run->velocity_entries, &run->graph, run->velocity, NULL);
	run->optimizer = (struct optimizer){.kind = (enum optimizer_kind)options->optimizer,
					    .momentum = options->momentum,
					    .nesterov = options->nesterov,
					    .weight_decay = options->weight_decay,
					    .decay_bn = options->decay_bn,
					    .trust = options->trust};
	return status;
}

enum nn_status setup_network(struct run *run)
{
	struct core_use use = core_use_find(run->comm);
	enum nn_status status;

	run->threads = run->options.threads > 0 ? run->options.threads : core_use_threads(use);
	status = binding_find(&run->binding, run->comm, use, run->threads);
	if (status != NN_OK)
		return status;
	if (run->options.shards == 0)
		run->options.shards = comm_size(run->comm);
	run->shards = comm_shards(run->comm, run->options.shards);
	run->capacity = largest_part(run, (size_t)run->options.global_batch);
	status = build_graph(run);
	if (status == NN_OK)
		status = check_memory(run);
	status = comm_agree(run->comm, status);
	if (status == NN_OK)
		status = tune_sums(run);
	if (status == NN_OK && run->master)
		introduce(run); /* the memory of a large network takes seconds */
	return status == NN_OK ? comm_agree(run->comm, create_network(run)) : status;
}
