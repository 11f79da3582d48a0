#include <math.h>
#include <string.h>

#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "trainer/data/sampler.h"
#include "trainer/run/internal.h"

static enum nn_status open_sets(struct run *run)
{
	const struct options *options = &run->options;
	enum nn_status status;

	if (!*options->data)
		return nn_error(NN_ERR_USAGE, "no data set; name a folder of images or CIFAR files with --data DIR");
	status = dataset_open(&run->train, options->data, SPLIT_TRAIN);
	if (status != NN_OK)
		return status;
	status = sample_split_init(&run->split, dataset_count(run->train), (size_t)options->holdout, options->seed);
	if (status != NN_OK || options->holdout > 0 || !dataset_has_split(options->data, SPLIT_VAL))
		return status;
	status = dataset_open(&run->val, options->data, SPLIT_VAL);
	return status == NN_OK ? dataset_check_classes(run->train, run->val) : status;
}

/* Steps of an epoch and of the run. */
static void work_out_length(struct run *run)
{
	const struct options *options = &run->options;
	int64_t steps = (int64_t)sampler_steps(run->split.train_count, (size_t)options->global_batch, options->drop_last);

	run->length.steps_per_epoch = steps;
	run->length.total_steps = options->steps > 0 ? options->steps : steps * options->epochs;
	run->length.epochs = (int)((run->length.total_steps + steps - 1) / steps);
}

static void work_out_schedule(struct run *run)
{
	const struct options *options = &run->options;
	double epoch = (double)run->length.steps_per_epoch;
	struct schedule *schedule = &run->schedule;

	*schedule = (struct schedule){.kind = (enum schedule_kind)options->lr_schedule,
				      .lr = options->lr,
				      .warmup_lr = options->warmup_lr,
				      .warmup_steps = llround(options->warmup_epochs * epoch),
				      .total_steps = run->length.total_steps,
				      .gamma = options->lr_gamma,
				      .power = options->lr_power,
				      .milestone_count = options->lr_milestones.count};
	for (int i = 0; i < schedule->milestone_count; i++)
		schedule->milestones[i] = llround(options->lr_milestones.values[i] * epoch);
}

enum nn_status setup_data(struct run *run)
{
	enum nn_status status = comm_agree(run->comm, open_sets(run));

	if (status == NN_OK)
		status = same_data(run);
	if (status != NN_OK)
		return status;
	work_out_length(run);
	work_out_schedule(run);
	run->augment.kind = (enum augment_kind)run->options.augment;
	run->augment.size = run->options.image_size;
	run->augment.eval_scale = run->augment.kind == AUGMENT_INCEPTION ? 256.0f / 224.0f : 1.0f;
	return NN_OK;
}

/* Exact sums over this rank's share of the training images: three sums, three sums of squares, the number of pixels. */
static enum nn_status sum_channels(int64_t totals[7], struct bad_images *mine, const struct run *run)
{
	size_t count = run->split.train_count, ranks = (size_t)comm_size(run->comm), rank = (size_t)comm_rank(run->comm);
	uint64_t sums[3] = {0}, squares[3] = {0}, pixels = 0;
	struct image image = {0};
	enum nn_status status = NN_OK;

	for (size_t i = rank * count / ranks; i < (rank + 1) * count / ranks && status == NN_OK; i++) {
		status = dataset_read(run->train, run->split.images[i], &image);
		if (status == NN_OK)
			augment_channel_sums(sums, squares, &pixels, &image);
		else if (status == NN_ERR_DATA && run->options.max_bad > 0)
			status = skip_note(mine, run, SPLIT_TRAIN, run->split.images[i], nn_error_message());
	}
	image_release(&image);
	for (int c = 0; c < 3; c++) {
		totals[c] = (int64_t)sums[c];
		totals[3 + c] = (int64_t)squares[c];
	}
	totals[6] = (int64_t)pixels;
	return status;
}

static enum nn_status measure_channels(struct run *run)
{
	struct bad_images mine = {0};
	int64_t totals[7];
	uint64_t sums[3], squares[3];
	enum nn_status status = sum_channels(totals, &mine, run);

	status = skip_share(run, &mine, status);
	if (status != NN_OK)
		return status;
	comm_sum_int64(run->comm, totals, 7);
	if (totals[6] == 0)
		return nn_error(NN_ERR_DATA, "none of the %zu training images can be read; log.txt names them",
				run->split.train_count);
	for (int c = 0; c < 3; c++) {
		sums[c] = (uint64_t)totals[c];
		squares[c] = (uint64_t)totals[3 + c];
	}
	augment_channel_moments(run->augment.mean, run->augment.inverse_std, sums, squares, (uint64_t)totals[6]);
	return NN_OK;
}

/* Reads {"mean": [..], "inverse_std": [..]}. */
static enum nn_status stored_channels(struct augment *augment, const struct resume_point *point)
{
	const json_t *stored = json_object_get(point->state, "normalization");
	const json_t *mean = json_object_get(stored, "mean"), *inverse_std = json_object_get(stored, "inverse_std");

	for (size_t c = 0; c < 3; c++) {
		const json_t *m = json_array_get(mean, c), *s = json_array_get(inverse_std, c);

		if (!json_is_number(m) || !json_is_number(s))
			return nn_error(NN_ERR_CHECKPOINT,
					"%s/state.json has no usable 'normalization'; resume from another checkpoint",
					point->folder);
		augment->mean[c] = (float)json_number_value(m);
		augment->inverse_std[c] = (float)json_number_value(s);
	}
	return NN_OK;
}

enum nn_status setup_normalization(struct run *run, const struct resume_point *point)
{
	static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f}; /* torchvision's for ImageNet */

	if (point->state)
		return comm_agree(run->comm, stored_channels(&run->augment, point));
	if (run->options.normalize == OPTION_NORMALIZE_CHANNEL)
		return measure_channels(run);
	for (int c = 0; c < 3; c++) {
		run->augment.mean[c] = mean[c];
		run->augment.inverse_std[c] = 1 / std[c];
	}
	return NN_OK;
}
