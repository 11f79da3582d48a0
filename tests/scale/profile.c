/* Measures what one node computes in a training step, and writes it as tests/scale/profile.h says.
 *   profile ARCH BATCH THREADS STEPS
 * Steps run in one process on made-up images; each event's time is its median over STEPS, after one that does not count. */
#include "tests/scale/profile.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "nn/core/alloc.h"
#include "nn/core/rng.h"
#include "nn/kernels/gemm.h"
#include "nn/models/models.h"
#include "nn/models/network.h"
#include "nn/optim/optimizer.h"

struct recorder {
	size_t batch;
	int threads, steps;
	const struct kernels *kernels;
	struct graph graph;
	struct network *network;
	float *velocity, *images;
	int32_t *labels;
	double *seconds; /* [PROFILE_EVENTS_MAX][steps] */
	int step;
	double last; /* when the event before ended */
	struct profile profile;
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static enum nn_status record(struct recorder *recorder, enum profile_kind kind, size_t value)
{
	struct profile *profile = &recorder->profile;
	int event = profile->count;

	if (event == PROFILE_EVENTS_MAX)
		return nn_error(NN_ERR_DATA, "a step has more than %d events", PROFILE_EVENTS_MAX);
	profile->events[event] = (struct profile_event){.kind = kind, .value = value};
	if (recorder->step >= 0)
		recorder->seconds[event * recorder->steps + recorder->step] = seconds_now() - recorder->last;
	profile->count++;
	recorder->last = seconds_now();
	return NN_OK;
}

/* With one shard there is nothing to merge. */
static enum nn_status record_exchange(void *context, double *rows, int channels, enum merge merge)
{
	struct recorder *recorder = context;

	(void)rows;
	if (channels > recorder->profile.max_channels)
		recorder->profile.max_channels = channels;
	return record(recorder, merge == MERGE_MOMENTS ? PROFILE_MOMENTS : PROFILE_SUMS, (size_t)channels);
}

static enum nn_status record_ready(void *context, size_t offset, size_t count)
{
	(void)count;
	return record(context, PROFILE_READY, offset);
}

static enum nn_status build(struct recorder *recorder, const char *arch)
{
	bool cifar = model_is_cifar(arch);
	struct model_options model = {.arch = arch, .image_size = cifar ? 32 : 224, .classes = cifar ? 10 : 1000};
	struct network_setup setup = {.threads = recorder->threads,
				      .capacity = recorder->batch,
				      .shards = {1, 0, 1},
				      .winograd = true,
				      .training = true,
				      .exchange = record_exchange,
				      .exchange_context = recorder,
				      .loss_exchange = record_exchange,
				      .loss_context = recorder};
	enum nn_status status = kernels_select(&recorder->kernels, getenv("RESNET_ISA"), false);

	gemm_init();
	setup.kernels = recorder->kernels;
	if (status == NN_OK)
		status = model_build(&recorder->graph, &model);
	if (status == NN_OK)
		status = network_create(&recorder->network, &recorder->graph, &setup);
	if (status == NN_OK)
		status = nn_alloc(&recorder->velocity, recorder->graph.parameters * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&recorder->images, recorder->batch * node_size(&recorder->graph.nodes[0]) * sizeof(float));
	if (status == NN_OK)
		status = nn_alloc(&recorder->labels, recorder->batch * sizeof(*recorder->labels));
	if (status == NN_OK)
		status = nn_alloc(&recorder->seconds, PROFILE_EVENTS_MAX * (size_t)recorder->steps * sizeof(double));
	return status;
}

static void fill(struct recorder *recorder)
{
	struct rng rng = rng_stream(0, 0, 0);

	graph_init_parameters(network_parameters(recorder->network), network_statistics(recorder->network), &recorder->graph, 0);
	for (size_t i = 0; i < recorder->batch * node_size(&recorder->graph.nodes[0]); i++)
		recorder->images[i] = (float)rng_normal(&rng);
	for (size_t i = 0; i < recorder->batch; i++)
		recorder->labels[i] = (int32_t)rng_below(&rng, (uint64_t)recorder->graph.classes);
}

static enum nn_status step(struct recorder *recorder)
{
	static const struct optimizer sgd = {.kind = OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 1e-4, .decay_bn = true};
	struct batch_result result;
	const float *logits;
	size_t first, samples;
	int count;
	enum nn_status status;

	recorder->profile.count = 0;
	recorder->last = seconds_now();
	network_begin_batch(recorder->network, recorder->batch, &first, &samples);
	status = network_forward(&logits, recorder->network, recorder->images, true);
	if (status == NN_OK)
		status = network_loss(&result, recorder->network, recorder->labels, 0);
	if (status == NN_OK)
		status = network_backward(recorder->network, record_ready, recorder);
	if (status != NN_OK)
		return status;
	optimizer_step(network_parameters(recorder->network), recorder->velocity, network_gradients(recorder->network, &count)[0],
		       &sgd, &recorder->graph, recorder->kernels, 0.01, recorder->threads);
	return record(recorder, PROFILE_UPDATE, 0);
}

static int increasing(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(struct recorder *recorder, const char *arch)
{
	const struct profile *profile = &recorder->profile;
	int steps = recorder->steps;

	printf("network %s %zu %d\n", arch, recorder->graph.parameters, profile->max_channels);
	for (int i = 0; i < profile->count; i++) {
		double *seconds = recorder->seconds + (size_t)i * (size_t)steps;

		qsort(seconds, (size_t)steps, sizeof(*seconds), increasing);
		printf("%s %zu %.9f\n", profile_words[profile->events[i].kind], profile->events[i].value,
		       (seconds[(steps - 1) / 2] + seconds[steps / 2]) / 2);
	}
}

int main(int argc, char **argv)
{
	static struct recorder recorder;
	enum nn_status status = NN_OK;

	if (argc == 5) {
		recorder.batch = strtoul(argv[2], NULL, 10);
		recorder.threads = atoi(argv[3]);
		recorder.steps = atoi(argv[4]);
	}
	if (recorder.batch < 1 || recorder.threads < 1 || recorder.steps < 1)
		status = nn_error(NN_ERR_USAGE, "usage: profile ARCH BATCH THREADS STEPS, numbers from 1 on");
	if (status == NN_OK)
		status = build(&recorder, argv[1]);
	if (status == NN_OK)
		fill(&recorder);
	for (recorder.step = -1; recorder.step < recorder.steps && status == NN_OK; recorder.step++)
		status = step(&recorder);
	if (status == NN_OK)
		print(&recorder, argv[1]);
	else
		fprintf(stderr, "profile: error: %s\n", nn_error_message());
	network_destroy(recorder.network);
	graph_release(&recorder.graph);
	nn_free(recorder.velocity);
	nn_free(recorder.images);
	nn_free(recorder.labels);
	nn_free(recorder.seconds);
	return nn_exit_code(status);
}
