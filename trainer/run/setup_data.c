#include <math.h>

#include "comm/agree.h"
#include "trainer/data/sampler.h"
#include "trainer/data/views.h"
#include "trainer/run/internal.h"

static enum nn_status open_sets(struct run *run)
{
	const struct options *options = &run->options;
	enum nn_status status;

	if (!*options->data)
		return nn_error(NN_ERR_USAGE, "no data set; name a folder of images or CIFAR files with --data DIR");
	if (options->normalize == OPTION_NORMALIZE_PIXEL_MEAN && options->image_size > PIXEL_MEAN_SIDE_MAX)
		return nn_error(NN_ERR_USAGE,
				"--normalize pixel-mean takes pictures of up to %d pixels, and --image-size is %d; use channel",
				PIXEL_MEAN_SIDE_MAX, options->image_size);
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
	const double *jitter = run->options.color_jitter.values;
	const struct protocol last = {(enum protocol_kind)run->options.final_protocol, run->options.final_flip};
	enum nn_status status = protocol_check(&last);

	if (status == NN_OK)
		status = comm_agree(run->comm, open_sets(run));

	if (status == NN_OK)
		status = same_data(run);
	if (status != NN_OK)
		return status;
	work_out_length(run);
	work_out_schedule(run);
	run->augment.kind = (enum augment_kind)run->options.augment;
	run->augment.size = run->options.image_size;
	run->augment.jitter = (struct jitter){jitter[0], jitter[1], jitter[2], jitter[3]};
	run->augment.reduced_decode = run->options.reduced_decode;
	run->augment.erasing = run->options.random_erasing;
	run->augment.eval_scale =
	    run->augment.kind == AUGMENT_INCEPTION || run->augment.kind == AUGMENT_PAPER ? 256.0f / 224.0f : 1.0f;
	return NN_OK;
}

/* What the options want; what the checkpoint has already is not measured again. */
static struct normalization_parts wanted_parts(const struct options *options, const struct normalization_parts *found)
{
	return (struct normalization_parts){
	    .channels = options->normalize != OPTION_NORMALIZE_IMAGENET && !found->channels,
	    .pixel_mean = options->normalize == OPTION_NORMALIZE_PIXEL_MEAN && !found->pixel_mean,
	    .colour_axes = options->augment == OPTION_AUGMENT_PAPER && !found->colour_axes,
	};
}

/* Images that this rank could not read while measuring. */
struct unread {
	struct run *run;
	struct bad_images mine;
};

static enum nn_status note_unread(void *context, uint32_t image)
{
	struct unread *unread = context;

	return skip_note(&unread->mine, unread->run, SPLIT_TRAIN, image, nn_error_message());
}

static enum nn_status measure(struct run *run, struct normalization_parts wanted)
{
	struct unread unread = {.run = run};
	struct normalization_images images = {.dataset = run->train,
					      .images = run->split.images,
					      .count = run->split.train_count,
					      .leave_out = run->options.max_bad > 0 ? note_unread : NULL,
					      .context = &unread};
	enum nn_status status = normalization_measure(&run->augment, &run->pixel_mean, wanted, run->comm, &images);

	return skip_share(run, &unread.mine, status);
}

enum nn_status setup_normalization(struct run *run, const struct resume_point *point)
{
	static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f}; /* torchvision's for ImageNet */
	struct normalization_parts found = {.channels = false}, wanted;
	struct augment *augment = &run->augment;
	enum nn_status status = NN_OK;

	for (int c = 0; c < 3; c++) {
		augment->normal.mean[c] = mean[c];
		augment->normal.inverse_std[c] = 1 / std[c];
	}
	if (point->state)
		status = comm_agree(run->comm, normalization_read(augment, &run->pixel_mean, &found, point->state, point->folder));
	if (run->options.normalize != OPTION_NORMALIZE_PIXEL_MEAN)
		augment->normal.pixel_mean = NULL; /* changed, and allowed to be */
	wanted = wanted_parts(&run->options, &found);
	if (status == NN_OK && (wanted.channels || wanted.pixel_mean || wanted.colour_axes))
		status = measure(run, wanted);
	return status;
}
