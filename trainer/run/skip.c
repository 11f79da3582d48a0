/* --max-bad: leaving out images that cannot be read. In training a sample is missing from its batch; an evaluation is made again
 * without the images that failed in it. */
#include <stdio.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "trainer/run/internal.h"

enum nn_status skip_note(struct bad_images *mine, const struct run *run, enum data_split split, uint32_t index, const char *message)
{
	struct bad_image image = {.split = (int32_t)split, .index = index, .rank = comm_rank(run->comm)};

	/* One more than may be left out is enough to end the run. */
	if (mine->count > (size_t)run->options.max_bad)
		return NN_OK;
	snprintf(image.message, sizeof(image.message), "%s", message);
	return bad_images_add(mine, &image);
}

enum nn_status skip_share(struct run *run, struct bad_images *mine, enum nn_status status)
{
	size_t before = run->bad.count;

	status = bad_images_share(&run->bad, run->comm, mine, status, (size_t)run->options.max_bad);
	for (size_t i = before; i < run->bad.count; i++)
		run_note(run, "left out: %s", run->bad.list[i].message);
	bad_images_release(mine);
	return status;
}

enum nn_status skip_batch(struct run *run, const struct loader_batch *batch, size_t global_batch)
{
	struct bad_images mine = {0};
	int64_t missing = (int64_t)batch->bad_count;
	enum nn_status status = NN_OK;

	for (size_t i = batch->bad_count; i-- > 0;) {
		network_leave_out(run->network, batch->bad[i].position);
		if (status == NN_OK)
			status = skip_note(&mine, run, SPLIT_TRAIN, batch->bad[i].index, batch->bad[i].message);
	}
	status = skip_share(run, &mine, status);
	comm_sum_int64(run->comm, &missing, 1);
	if (status == NN_OK && missing == (int64_t)global_batch)
		return nn_error(NN_ERR_DATA, "none of the %zu images of the batch after step %lld can be read; log.txt names them",
				global_batch, (long long)run->position.step);
	network_set_global_samples(run->network, global_batch - (size_t)missing);
	return status;
}

static enum data_split split_of(const struct run *run, const struct evaluator *evaluator)
{
	return evaluator->dataset == run->val ? SPLIT_VAL : SPLIT_TRAIN;
}

/* *images = those of the evaluator's images that are not left out. */
static enum nn_status list_readable(uint32_t **images, size_t *count, const struct run *run, const struct evaluator *evaluator)
{
	enum nn_status status = nn_alloc(images, evaluator->count * sizeof(**images));

	*count = 0;
	for (size_t i = 0; i < evaluator->count && status == NN_OK; i++) {
		uint32_t index = evaluator->images ? evaluator->images[i] : (uint32_t)i;

		if (!bad_images_have(&run->bad, split_of(run, evaluator), index))
			(*images)[(*count)++] = index;
	}
	if (status == NN_OK && *count == 0)
		return nn_error(NN_ERR_DATA, "none of the %zu validation images can be read; log.txt names them", evaluator->count);
	return status;
}

/* Tries to read the evaluator's images, each on one rank, and adds those that fail to the run's list. */
static enum nn_status find_unreadable(struct run *run, const struct evaluator *evaluator)
{
	size_t ranks = (size_t)comm_size(run->comm), rank = (size_t)comm_rank(run->comm), count = evaluator->count;
	struct bad_images mine = {0};
	struct image image = {0};
	enum nn_status status = NN_OK;

	for (size_t i = rank * count / ranks; i < (rank + 1) * count / ranks && status == NN_OK; i++) {
		status = dataset_read(evaluator->dataset, evaluator->images[i], &image);
		if (status == NN_ERR_DATA)
			status = skip_note(&mine, run, split_of(run, evaluator), evaluator->images[i], nn_error_message());
	}
	image_release(&image);
	return skip_share(run, &mine, status);
}

/* *again: some image failed, and those that fail are now left out. */
static enum nn_status evaluate_once(struct evaluation *evaluation, bool *again, struct run *run, const struct evaluator *all)
{
	struct evaluator evaluator = *all;
	uint32_t *images = NULL;
	enum nn_status status = comm_agree(run->comm, list_readable(&images, &evaluator.count, run, all));

	*again = false;
	evaluator.images = images;
	if (status == NN_OK) {
		status = evaluation_run(evaluation, &evaluator, run->comm);
		if (status == NN_ERR_DATA) {
			status = find_unreadable(run, &evaluator);
			*again = status == NN_OK;
		}
	}
	nn_free(images);
	return status;
}

enum nn_status skip_evaluate(struct evaluation *evaluation, struct run *run, const struct evaluator *evaluator)
{
	enum { ATTEMPTS = 3 };
	bool again = true;
	enum nn_status status = NN_OK;

	if (run->options.max_bad == 0)
		return evaluation_run(evaluation, evaluator, run->comm);
	for (int i = 0; again && i < ATTEMPTS; i++)
		status = evaluate_once(evaluation, &again, run, evaluator);
	if (again)
		return nn_error(NN_ERR_DATA, "validation images fail and can be read a moment later; check the disk they are on");
	return status;
}

void skip_tell(struct run *run)
{
	if (run->bad.count == 0)
		return;
	run_warn(run, "%zu image%s could not be read and %s left out:", run->bad.count, run->bad.count == 1 ? "" : "s",
		 run->bad.count == 1 ? "was" : "were");
	for (size_t i = 0; i < run->bad.count; i++)
		run_warn(run, "left out: %s", run->bad.list[i].message);
}
