#include "trainer/run/evaluate.h"

#include <math.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "nn/layers/loss.h"
#include "trainer/run/internal.h"

/* Losses and true ranks of the images that one batch holds. */
struct scratch {
	double *losses;
	int *ranks;
};

static void score_batch(struct evaluation *evaluation, float *losses, const struct scratch *scratch, const float *logits,
			const struct loader_batch *batch, const struct evaluator *evaluator)
{
	loss_softmax(scratch->losses, scratch->ranks, NULL, logits, batch->labels, evaluator->kernels,
		     network_graph(evaluator->network)->classes, 0, 1, batch->samples);
	for (size_t n = 0; n < batch->samples; n++) {
		losses[n] = (float)scratch->losses[n];
		evaluation->wrong += scratch->ranks[n] > 0;
		evaluation->wrong_top5 += scratch->ranks[n] >= 5;
	}
}

/* Images [begin, end) of the set; losses[i] belongs to image begin + i. */
static enum nn_status score_range(struct evaluation *evaluation, float *losses, const struct scratch *scratch,
				  const struct evaluator *evaluator, size_t begin, size_t end)
{
	struct sample_range range = {evaluator->images, begin, end, evaluator->batch};
	struct loader_setup setup = {.dataset = evaluator->dataset,
				     .augment = evaluator->augment,
				     .capacity = evaluator->batch,
				     .threads = evaluator->loader_threads,
				     .source = sample_range_next,
				     .source_context = &range};
	struct loader *loader;
	enum nn_status status = loader_create(&loader, &setup);

	for (size_t done = 0; done < end - begin && status == NN_OK;) {
		struct loader_batch batch;
		const float *logits;

		evaluation->interrupted = evaluator->interrupted ? evaluator->interrupted(evaluator->context) : 0;
		if (evaluation->interrupted)
			break;
		status = loader_next(loader, &batch);
		if (status != NN_OK)
			break;
		network_begin_samples(evaluator->network, batch.samples);
		status = network_forward(&logits, evaluator->network, batch.images, false);
		if (status == NN_OK)
			score_batch(evaluation, losses + done, scratch, logits, &batch, evaluator);
		done += batch.samples;
		loader_done(loader);
	}
	loader_destroy(loader);
	return status;
}

/* Each rank adds zeros where others hold values, so the sums are exact; the mean is taken in the order of the images. */
static void combine(struct evaluation *evaluation, struct comm *comm, float *losses, size_t count)
{
	int64_t wrong[2] = {evaluation->wrong, evaluation->wrong_top5};
	double sum = 0;

	if (comm) {
		comm_sum_int64(comm, wrong, 2);
		comm_sum_float(comm, losses, count);
	}
	for (size_t i = 0; i < count; i++)
		sum += (double)losses[i];
	*evaluation = (struct evaluation){(int64_t)count, wrong[0], wrong[1], sum / (double)count, 0};
}

enum nn_status evaluation_run(struct evaluation *evaluation, const struct evaluator *evaluator, struct comm *comm)
{
	size_t ranks = comm ? (size_t)comm_size(comm) : 1, rank = comm ? (size_t)comm_rank(comm) : 0, count = evaluator->count;
	size_t begin = rank * count / ranks, end = (rank + 1) * count / ranks;
	struct scratch scratch = {0};
	float *losses = NULL;
	enum nn_status status = nn_alloc(&losses, count * sizeof(*losses));

	*evaluation = (struct evaluation){0};
	if (status == NN_OK)
		status = nn_alloc(&scratch.losses, evaluator->batch * sizeof(*scratch.losses));
	if (status == NN_OK)
		status = nn_alloc(&scratch.ranks, evaluator->batch * sizeof(*scratch.ranks));
	if (status == NN_OK && end > begin)
		status = score_range(evaluation, losses + begin, &scratch, evaluator, begin, end);
	if (comm)
		status = comm_agree_most(comm, status, &evaluation->interrupted);
	if (status == NN_OK && !evaluation->interrupted)
		combine(evaluation, comm, losses, count);
	nn_free(losses);
	nn_free(scratch.losses);
	nn_free(scratch.ranks);
	return status;
}

static int wants_to_stop(void *run)
{
	return (int)run_stop_wish(run);
}

enum nn_status evaluate(struct run *run)
{
	struct evaluation evaluation;
	struct evaluator evaluator = {.network = run->network,
				      .kernels = run->kernels,
				      .augment = &run->augment,
				      .dataset = run->val ? run->val : run->train,
				      .images = run->val ? NULL : run->split.images + run->split.train_count,
				      .count = run->val ? dataset_count(run->val) : run->split.holdout_count,
				      .batch = run->capacity,
				      .loader_threads = run->options.loader_threads,
				      .interrupted = wants_to_stop,
				      .context = run};
	double start = run_seconds();
	enum nn_status status = average_statistics(run);

	if (status == NN_OK)
		status = skip_evaluate(&evaluation, run, &evaluator);
	if (status == NN_OK)
		run->stop = (enum stop)evaluation.interrupted;
	if (status == NN_OK && !run->stop) {
		run->position.val_images = evaluation.images;
		run->position.val_loss = evaluation.loss;
		run->position.val_error = 100 * (double)evaluation.wrong / (double)evaluation.images;
		run->position.val_error_top5 = 100 * (double)evaluation.wrong_top5 / (double)evaluation.images;
	}
	run->clock.paused += run_seconds() - start;
	return status;
}
