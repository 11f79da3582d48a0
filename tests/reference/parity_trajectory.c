/* Takes single training steps from states that tests/reference/trajectory.py left in a folder, on all ranks together:
 *
 *	mpirun -np P parity_trajectory FOLDER ARCH STEPS RATE MOMENTUM DECAY
 *
 * Every FOLDER/step-NN holds model.safetensors, optimizer.safetensors (the momentum) and batch.safetensors (batch.h), from which
 * the step starts. Rank 0 writes the weights and running statistics after it to updated.safetensors, the momentum to
 * updated_momentum.safetensors, and prints the mean loss; every rank writes the outputs of its ReLUs (relus.h) to
 * relu-RANK.safetensors. One shard per rank; batch norm over the whole batch. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "comm/agree.h"
#include "comm/exchange.h"
#include "comm/reduce.h"
#include "nn/kernels/gemm.h"
#include "nn/models/models.h"
#include "nn/models/network.h"
#include "nn/optim/optimizer.h"
#include "tests/reference/batch.h"
#include "tests/reference/relus.h"
#include "trainer/state/checkpoint.h"
#include "trainer/state/files.h"
#include "trainer/state/network_entries.h"

struct trajectory {
	struct comm *comm;
	struct exchange *exchange;
	struct reducer *reducer;
	const struct kernels *kernels;
	struct graph graph;
	struct network *network;
	struct network_entries model, momentum;
	float *velocity;
	struct optimizer optimizer;
	double rate;
};

static int widest(const struct graph *graph)
{
	int channels = 1;

	for (int i = 0; i < graph->buffer_count; i++)
		if (graph->buffers[i].shape[0] > channels)
			channels = graph->buffers[i].shape[0];
	return channels;
}

static enum nn_status create_network(struct trajectory *run, size_t global_batch)
{
	struct shards shards = comm_shards(run->comm, comm_size(run->comm));
	struct network_setup setup = {.threads = 1, .capacity = global_batch, .shards = shards, .training = true};
	enum nn_status status = kernels_select(&run->kernels, getenv("RESNET_ISA"), false);

	if (status == NN_OK)
		status = exchange_create(&run->exchange, run->comm, shards, EXCHANGE_GLOBAL, widest(&run->graph));
	if (status == NN_OK)
		status = reducer_create(&run->reducer, run->comm, shards, run->graph.parameters, REDUCE_OWN, false);
	if (status == NN_OK)
		setup.gradients = reducer_memory(run->reducer);
	setup.kernels = run->kernels;
	setup.exchange = setup.loss_exchange = exchange_statistics;
	setup.exchange_context = setup.loss_context = run->exchange;
	return status == NN_OK ? network_create(&run->network, &run->graph, &setup) : status;
}

static enum nn_status create(struct trajectory *run, const char *arch, const struct batch *batch)
{
	struct model_options options = {.arch = arch, .image_size = batch->size, .classes = batch->classes};
	enum nn_status status = model_build(&run->graph, &options);

	if (status == NN_OK)
		status = create_network(run, batch->samples);
	if (status == NN_OK)
		status = nn_alloc(&run->velocity, run->graph.parameters * sizeof(float));
	if (status == NN_OK)
		status = network_entries_init(&run->model, &run->graph, network_parameters(run->network),
					      network_statistics(run->network));
	return status == NN_OK ? network_entries_init(&run->momentum, &run->graph, run->velocity, NULL) : status;
}

static void destroy(struct trajectory *run)
{
	network_entries_release(&run->model);
	network_entries_release(&run->momentum);
	nn_free(run->velocity);
	network_destroy(run->network);
	reducer_destroy(run->reducer);
	exchange_destroy(run->exchange);
	graph_release(&run->graph);
}

static enum nn_status read_state(struct trajectory *run, struct batch *batch, const char *folder, const char *arch)
{
	char path[PATH_MAX];
	enum nn_status status = path_format(path, sizeof(path), "%s/batch.safetensors", folder);

	if (status == NN_OK)
		status = batch_read(batch, path);
	if (status == NN_OK && !run->network)
		status = create(run, arch, batch);
	if (status == NN_OK)
		status = checkpoint_load_model(folder, run->model.entries, run->model.count);
	return status == NN_OK ? checkpoint_load_optimizer(folder, run->momentum.entries, run->momentum.count) : status;
}

/* Collective; what may fail by itself is agreed on. */
static enum nn_status train_step(double *loss, struct trajectory *run, const struct batch *batch, const char *relus)
{
	struct batch_result result;
	const float *logits;
	size_t first, samples, image = (size_t)batch->size * (size_t)batch->size * 3;
	enum nn_status status;

	network_begin_batch(run->network, batch->samples, &first, &samples);
	status = network_forward(&logits, run->network, batch->images + first * image, true);
	if (status == NN_OK)
		status = relus_write(run->network, relus);
	status = comm_agree(run->comm, status);
	if (status == NN_OK)
		status = network_loss(&result, run->network, batch->labels + first, 0);
	if (status == NN_OK)
		status = network_backward(run->network, NULL, NULL);
	if (status != NN_OK)
		return status;
	reducer_sum(run->reducer, 0, run->graph.parameters);
	optimizer_step(network_parameters(run->network), run->velocity, reducer_total(run->reducer), &run->optimizer, &run->graph,
		       run->kernels, run->rate, 1);
	run->model.batches++;
	*loss = result.loss / result.samples;
	return NN_OK;
}

static enum nn_status write_state(const struct trajectory *run, const char *folder)
{
	char path[PATH_MAX];
	enum nn_status status = path_format(path, sizeof(path), "%s/updated.safetensors", folder);

	if (comm_rank(run->comm) != 0)
		return NN_OK;
	if (status == NN_OK)
		status = safetensors_write(path, run->model.entries, run->model.count, NULL);
	if (status == NN_OK)
		status = path_format(path, sizeof(path), "%s/updated_momentum.safetensors", folder);
	return status == NN_OK ? safetensors_write(path, run->momentum.entries, run->momentum.count, NULL) : status;
}

static enum nn_status run_step(struct trajectory *run, const char *folder, const char *arch)
{
	struct batch batch = {0};
	char relus[PATH_MAX];
	double loss = 0;
	enum nn_status status = path_format(relus, sizeof(relus), "%s/relu-%04d.safetensors", folder, comm_rank(run->comm));

	if (status == NN_OK)
		status = read_state(run, &batch, folder, arch);
	status = comm_agree(run->comm, status);
	if (status == NN_OK)
		status = train_step(&loss, run, &batch, relus);
	if (status == NN_OK)
		status = comm_agree(run->comm, write_state(run, folder));
	if (status == NN_OK && comm_rank(run->comm) == 0)
		printf("%.17g\n", loss);
	batch_release(&batch);
	return status;
}

int main(int argc, char **argv)
{
	struct trajectory run = {.optimizer = {.kind = OPTIMIZER_SGD, .decay_bn = true}};
	char folder[PATH_MAX];
	enum nn_status status = comm_create(&run.comm, &argc, &argv);

	if (status != NN_OK || argc != 7) {
		fprintf(stderr, "usage: parity_trajectory FOLDER ARCH STEPS RATE MOMENTUM DECAY\n");
		return 2;
	}
	gemm_init();
	run.rate = strtod(argv[4], NULL);
	run.optimizer.momentum = strtod(argv[5], NULL);
	run.optimizer.weight_decay = strtod(argv[6], NULL);
	for (int i = 0; i < strtol(argv[3], NULL, 10) && status == NN_OK; i++) {
		status = path_format(folder, sizeof(folder), "%s/step-%02d", argv[1], i);
		if (status == NN_OK)
			status = run_step(&run, folder, argv[2]);
	}
	if (status != NN_OK && comm_rank(run.comm) == 0)
		fprintf(stderr, "parity_trajectory: error: %s\n", nn_error_message());
	destroy(&run);
	comm_destroy(run.comm);
	return nn_exit_code(status);
}
