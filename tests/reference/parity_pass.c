/* Runs a network on the weights and images that a Python program left in a folder, and writes what it computed there:
 *
 *	parity_pass FOLDER ARCH SHORTCUT STRIDE_IN PASSES
 *
 * in:  model.safetensors with torchvision's names, batch.safetensors (batch.h); SHORTCUT default|A|B|C, STRIDE_IN 3x3|1x1
 * out: updated.safetensors, the weights and running statistics after PASSES forward passes in train mode; logits.safetensors, of
 *      an evaluation with them. With PASSES > 0 one more pass in train mode: relu.safetensors, the outputs (n, h, w, c) of all
 *      ReLUs in forward order; gradient.safetensors; the mean loss on stdout. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/kernels/gemm.h"
#include "nn/models/models.h"
#include "nn/models/network.h"
#include "tests/reference/batch.h"
#include "tests/reference/relus.h"
#include "trainer/state/checkpoint.h"
#include "trainer/state/files.h"
#include "trainer/state/network_entries.h"

struct run {
	const char *folder;
	bool winograd;
	struct batch batch;
	struct graph graph;
	struct network *network;
	struct network_entries entries;
};

static enum nn_status write_file(const struct run *run, const char *name, const struct tensor_entry *entries, int count)
{
	char path[PATH_MAX];
	enum nn_status status = path_format(path, sizeof(path), "%s/%s", run->folder, name);

	return status == NN_OK ? safetensors_write(path, entries, count, NULL) : status;
}

static enum nn_status create(struct run *run, const struct model_options *options)
{
	struct network_setup setup = {.threads = (int)sysconf(_SC_NPROCESSORS_ONLN),
				      .capacity = run->batch.samples,
				      .shards = {1, 0, 1},
				      .winograd = run->winograd,
				      .training = true};
	enum nn_status status = kernels_select(&setup.kernels, getenv("RESNET_ISA"), false);

	if (status == NN_OK)
		status = model_build(&run->graph, options);
	if (status == NN_OK)
		status = network_create(&run->network, &run->graph, &setup);
	if (status == NN_OK)
		status = network_entries_init(&run->entries, &run->graph, network_parameters(run->network),
					      network_statistics(run->network));
	return status == NN_OK ? checkpoint_load_model(run->folder, run->entries.entries, run->entries.count) : status;
}

static enum nn_status train_passes(struct run *run, int passes)
{
	const float *logits;
	size_t first, samples;
	enum nn_status status = NN_OK;

	for (int i = 0; i < passes && status == NN_OK; i++) {
		network_begin_batch(run->network, run->batch.samples, &first, &samples);
		status = network_forward(&logits, run->network, run->batch.images, true);
		run->entries.batches++;
	}
	return status == NN_OK ? write_file(run, "updated.safetensors", run->entries.entries, run->entries.count) : status;
}

static enum nn_status evaluate(struct run *run)
{
	struct tensor_entry entry = {.name = "logits", .dims = 2, .shape = {(int64_t)run->batch.samples, run->graph.classes}};
	const float *logits;
	enum nn_status status;

	network_begin_samples(run->network, run->batch.samples);
	status = network_forward(&logits, run->network, run->batch.images, false);
	if (status != NN_OK)
		return status;
	status = nn_alloc(&entry.values, tensor_entry_count(&entry) * sizeof(float));
	if (status == NN_OK) {
		memcpy(entry.values, logits, tensor_entry_count(&entry) * sizeof(float));
		status = write_file(run, "logits.safetensors", &entry, 1);
	}
	nn_free(entry.values);
	return status;
}

static enum nn_status gradient(struct run *run)
{
	struct network_entries entries = {0};
	struct batch_result result = {0};
	const float *logits;
	size_t first, samples;
	char path[PATH_MAX];
	int count;
	enum nn_status status = path_format(path, sizeof(path), "%s/relu.safetensors", run->folder);

	network_begin_batch(run->network, run->batch.samples, &first, &samples);
	if (status == NN_OK)
		status = network_forward(&logits, run->network, run->batch.images, true);
	if (status == NN_OK)
		status = relus_write(run->network, path);
	if (status == NN_OK)
		status = network_loss(&result, run->network, run->batch.labels, 0);
	if (status == NN_OK)
		status = network_backward(run->network, NULL, NULL);
	if (status == NN_OK)
		status = network_entries_init(&entries, &run->graph, network_gradients(run->network, &count)[0], NULL);
	if (status == NN_OK)
		status = write_file(run, "gradient.safetensors", entries.entries, entries.count);
	network_entries_release(&entries);
	printf("%.17g\n", result.loss / result.samples);
	return status;
}

static enum nn_status parity_run(struct run *run, struct model_options *options, int passes)
{
	char path[PATH_MAX];
	enum nn_status status = path_format(path, sizeof(path), "%s/batch.safetensors", run->folder);

	if (status == NN_OK)
		status = batch_read(&run->batch, path);
	options->image_size = run->batch.size;
	options->classes = run->batch.classes;
	if (status == NN_OK)
		status = create(run, options);
	if (status == NN_OK)
		status = train_passes(run, passes);
	if (status == NN_OK)
		status = evaluate(run);
	return status == NN_OK && passes > 0 ? gradient(run) : status;
}

int main(int argc, char **argv)
{
	struct run run = {0};
	struct model_options options = {0};
	enum nn_status status;

	if (argc != 6 && !(argc == 7 && strcmp(argv[6], "winograd") == 0)) {
		fprintf(stderr, "usage: parity_pass FOLDER ARCH SHORTCUT STRIDE_IN PASSES [winograd]\n");
		return 2;
	}
	gemm_init();
	run.folder = argv[1];
	run.winograd = argc == 7;
	options.arch = argv[2];
	options.shortcut = argv[3][0] == 'd' ? SHORTCUT_DEFAULT : (enum shortcut)(SHORTCUT_A + argv[3][0] - 'A');
	options.stride_in = strcmp(argv[4], "1x1") == 0 ? STRIDE_IN_1X1 : STRIDE_IN_3X3;
	status = parity_run(&run, &options, (int)strtol(argv[5], NULL, 10));
	if (status != NN_OK)
		fprintf(stderr, "parity_pass: error: %s\n", nn_error_message());
	network_entries_release(&run.entries);
	network_destroy(run.network);
	graph_release(&run.graph);
	batch_release(&run.batch);
	return nn_exit_code(status);
}
