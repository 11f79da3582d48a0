#include "trainer/run/evaluate.h"

#include <math.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "nn/layers/loss.h"
#include "trainer/data/loader.h"
#include "trainer/run/look.h"
#include "trainer/run/sample_order.h"

/* What scoring one batch needs. */
struct scratch {
	double *losses;
	int *ranks;
	struct scores scores;
	double *sums; /* of scores */
};

static int classes_of(const struct evaluator *evaluator)
{
	return network_graph(evaluator->network)->classes;
}

static bool one_view(const struct evaluator *evaluator)
{
	return evaluator->protocol.kind == PROTOCOL_SINGLE && !evaluator->protocol.flip;
}

static void count_error(struct evaluation *evaluation, int rank)
{
	evaluation->wrong += rank > 0;
	evaluation->wrong_top5 += rank >= 5;
}

/* Finished scores of image `index` of the set go where the caller wants them. */
static void keep_scores(const struct evaluator *evaluator, const struct scores *scores, size_t index)
{
	size_t classes = (size_t)classes_of(evaluator);

	for (size_t k = 0; evaluator->logits && k < classes; k++) {
		evaluator->logits[index * classes + k] = (float)scores->logits[k];
		evaluator->probabilities[index * classes + k] = (float)scores->probabilities[k];
	}
}

/* Finished scores of an image: its loss, and its error. */
static float judge(struct evaluation *evaluation, const struct evaluator *evaluator, const struct scores *scores, int32_t label,
		   size_t index)
{
	double loss;
	int rank;

	scores_judge(&loss, &rank, scores, label, evaluator->kernels, classes_of(evaluator));
	count_error(evaluation, rank);
	keep_scores(evaluator, scores, index);
	return (float)loss;
}

/* A batch with one view of each image; the loss straight from the logits. */
static void score_batch(struct evaluation *evaluation, float *losses, struct scratch *scratch, const float *logits,
			const struct loader_batch *batch, const struct evaluator *evaluator, size_t index)
{
	int classes = classes_of(evaluator);

	loss_softmax(scratch->losses, scratch->ranks, NULL, logits, batch->labels, evaluator->kernels, classes, 0, 1,
		     batch->samples);
	for (size_t n = 0; n < batch->samples; n++) {
		losses[n] = (float)scratch->losses[n];
		count_error(evaluation, scratch->ranks[n]);
		if (!evaluator->logits)
			continue;
		scores_clear(&scratch->scores, classes);
		scores_add(&scratch->scores, logits + n * (size_t)classes, evaluator->kernels, classes);
		keep_scores(evaluator, &scratch->scores, index + n);
	}
}

/* One view's logits; the image is judged after its last one. */
static void score_view(struct evaluation *evaluation, float *losses, struct scratch *scratch, const float *logits,
		       const struct loader_batch *batch, const struct evaluator *evaluator, size_t view, size_t index)
{
	size_t views = (size_t)views_count(&evaluator->protocol), n = view / views;
	int classes = classes_of(evaluator);

	if (view % views == 0)
		scores_clear(&scratch->scores, classes);
	scores_add(&scratch->scores, logits, evaluator->kernels, classes);
	if (view % views != views - 1)
		return;
	scores_finish(&scratch->scores, classes);
	losses[n] = judge(evaluation, evaluator, &scratch->scores, batch->labels[n], index + n);
}

/* Images index .. index + samples - 1 of the set, which `batch` holds. */
static enum nn_status run_batch(struct evaluation *evaluation, float *losses, struct scratch *scratch,
				const struct evaluator *evaluator, const struct loader_batch *batch, size_t index)
{
	size_t views = batch->samples * (size_t)views_count(&evaluator->protocol), side = (size_t)evaluator->augment->size;
	size_t classes = (size_t)classes_of(evaluator);
	enum nn_status status = NN_OK;

	for (size_t done = 0; done < views && status == NN_OK;) {
		size_t part = views - done < evaluator->batch ? views - done : evaluator->batch;
		const float *logits;

		network_begin_samples(evaluator->network, part);
		status = network_forward(&logits, evaluator->network, batch->images + done * side * side * 3, false);
		if (status == NN_OK && one_view(evaluator))
			score_batch(evaluation, losses, scratch, logits, batch, evaluator, index);
		for (size_t i = 0; i < part && status == NN_OK && !one_view(evaluator); i++)
			score_view(evaluation, losses, scratch, logits + i * classes, batch, evaluator, done + i, index);
		done += part;
	}
	return status;
}

static int asked_to_stop(struct evaluation *evaluation, const struct evaluator *evaluator)
{
	evaluation->interrupted = evaluator->interrupted ? evaluator->interrupted(evaluator->context) : 0;
	return evaluation->interrupted;
}

/* Images [begin, end) of the set by crops; losses[i] belongs to image begin + i. */
static enum nn_status score_range(struct evaluation *evaluation, float *losses, struct scratch *scratch,
				  const struct evaluator *evaluator, size_t begin, size_t end)
{
	size_t views = (size_t)views_count(&evaluator->protocol);
	size_t capacity = evaluator->batch > views ? evaluator->batch / views : 1;
	struct sample_range range = {evaluator->images, begin, end, capacity};
	struct loader_setup setup = {.dataset = evaluator->dataset,
				     .augment = evaluator->augment,
				     .protocol = evaluator->protocol,
				     .capacity = capacity,
				     .threads = evaluator->loader_threads,
				     .source = sample_range_next,
				     .source_context = &range};
	struct loader *loader;
	enum nn_status status = loader_create(&loader, &setup);

	for (size_t done = 0; done < end - begin && status == NN_OK;) {
		struct loader_batch batch;

		if (asked_to_stop(evaluation, evaluator))
			break;
		status = loader_next(loader, &batch);
		if (status != NN_OK)
			break;
		status = run_batch(evaluation, losses + done, scratch, evaluator, &batch, begin + done);
		done += batch.samples;
		loader_done(loader);
	}
	loader_destroy(loader);
	return status;
}

/* The same by whole pictures, one at a time. */
static enum nn_status score_whole(struct evaluation *evaluation, float *losses, struct scratch *scratch,
				  const struct evaluator *evaluator, size_t begin, size_t end)
{
	struct look look = {evaluator->network,	 evaluator->kernels, evaluator->augment,
			    evaluator->protocol, evaluator->batch,   evaluator->threads};
	struct augment_scratch buffers = {0};
	struct image image = {0};
	enum nn_status status = NN_OK;

	for (size_t i = begin; i < end && status == NN_OK && !asked_to_stop(evaluation, evaluator); i++) {
		size_t number = evaluator->images ? evaluator->images[i] : i;

		status = dataset_read(evaluator->dataset, number, &image);
		if (status == NN_OK)
			status = look_at_image(&scratch->scores, &look, &image, &buffers);
		if (status == NN_OK)
			losses[i - begin] =
			    judge(evaluation, evaluator, &scratch->scores, dataset_label(evaluator->dataset, number), i);
	}
	image_release(&image);
	augment_scratch_release(&buffers);
	return status;
}

/* Each rank adds zeros where others hold values, so the sums are exact; the mean is taken in the order of the images. */
static void combine(struct evaluation *evaluation, const struct evaluator *evaluator, struct comm *comm, float *losses)
{
	size_t count = evaluator->count;
	int64_t wrong[2] = {evaluation->wrong, evaluation->wrong_top5};
	double sum = 0;

	if (comm) {
		comm_sum_int64(comm, wrong, 2);
		comm_sum_float(comm, losses, count);
	}
	if (comm && evaluator->logits) {
		comm_sum_float(comm, evaluator->logits, count * (size_t)classes_of(evaluator));
		comm_sum_float(comm, evaluator->probabilities, count * (size_t)classes_of(evaluator));
	}
	for (size_t i = 0; i < count; i++)
		sum += (double)losses[i];
	*evaluation = (struct evaluation){(int64_t)count, wrong[0], wrong[1], sum / (double)count, 0};
}

static enum nn_status scratch_init(struct scratch *scratch, const struct evaluator *evaluator)
{
	size_t classes = (size_t)classes_of(evaluator);
	enum nn_status status = nn_alloc(&scratch->losses, evaluator->batch * sizeof(*scratch->losses));

	if (status == NN_OK)
		status = nn_alloc(&scratch->ranks, evaluator->batch * sizeof(*scratch->ranks));
	if (status == NN_OK)
		status = nn_alloc(&scratch->sums, 2 * classes * sizeof(*scratch->sums));
	scratch->scores = (struct scores){.logits = scratch->sums, .probabilities = scratch->sums + classes};
	return status;
}

static void scratch_release(struct scratch *scratch)
{
	nn_free(scratch->losses);
	nn_free(scratch->ranks);
	nn_free(scratch->sums);
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
		status = scratch_init(&scratch, evaluator);
	if (status == NN_OK && evaluator->protocol.kind == PROTOCOL_MULTI_SCALE)
		status = score_whole(evaluation, losses + begin, &scratch, evaluator, begin, end);
	else if (status == NN_OK && end > begin)
		status = score_range(evaluation, losses + begin, &scratch, evaluator, begin, end);
	if (comm)
		status = comm_agree_most(comm, status, &evaluation->interrupted);
	if (status == NN_OK && !evaluation->interrupted)
		combine(evaluation, evaluator, comm, losses);
	nn_free(losses);
	scratch_release(&scratch);
	return status;
}
