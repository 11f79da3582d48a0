#include <math.h>

#include "comm/agree.h"
#include "trainer/data/sampler.h"
#include "trainer/run/internal.h"

/* A gradient_ready_fn: the finished range grows towards the front. */
static enum nn_status gradient_ready(void *context, size_t offset, size_t count)
{
	struct run *run = context;
	double start = run_seconds();

	(void)count;
	buckets_ready(run->buckets, offset);
	run->clock.exchange += run_seconds() - start;
	return NN_OK;
}

/* Updates the parameters bucket by bucket, as their gradients come in from the other ranks. */
static void update(struct run *run)
{
	double rate = schedule_rate(&run->schedule, run->position.step), start = run_seconds();
	size_t offset, count;

	while (buckets_next(&offset, &count, run->buckets)) {
		run->clock.exchange += run_seconds() - start;
		optimizer_step_range(network_parameters(run->network), run->velocity, reducer_total(run->reducer), &run->optimizer,
				     &run->graph, run->kernels, rate, run->threads, offset, count);
		start = run_seconds();
	}
}

static enum nn_status forward_backward(struct run *run, struct batch_result *result, const struct loader_batch *batch)
{
	const float *logits;
	enum nn_status status = network_forward(&logits, run->network, batch->images, true);

	if (status == NN_OK)
		status = network_loss_mixed(result, run->network, batch->labels, batch->other_labels, batch->shares,
					    run->options.label_smoothing);
	if (status == NN_OK && !isfinite(result->loss))
		status = nn_error(NN_ERR_NUMBER,
				  "the loss of step %lld is not finite; use a lower --lr or a longer --warmup-epochs, then start "
				  "the same command again to go on from the last checkpoint",
				  (long long)run->position.step);
	if (status == NN_OK)
		buckets_begin(run->buckets);
	return status == NN_OK ? network_backward(run->network, gradient_ready, run) : status;
}

static void advance(struct run *run, const struct batch_result *result)
{
	struct position *position = &run->position;

	position->step++;
	position->epoch_step++;
	position->samples += (int64_t)result->samples;
	position->loss_sum += result->loss;
	position->wrong_sum += result->wrong;
	position->sample_sum += result->samples;
	run->clock.images += (int64_t)result->samples;
}

enum nn_status train_step(struct run *run, struct batch_result *result)
{
	size_t first, samples;
	struct loader_batch batch = {0};
	double begin = run_seconds(), start = begin;
	int stop = (int)run_stop_wish(run);
	enum nn_status status = loader_next(run->loader, &batch);

	comm_at_step(run->comm, run->position.step + 1);
	run->clock.wait += run_seconds() - start;
	if (status == NN_OK && run->master)
		status = collect_save(run, false);
	start = run_seconds();
	status = comm_agree_most(run->comm, status, &stop);
	run->clock.exchange += run_seconds() - start;
	run->stop = (enum stop)stop;
	if (status != NN_OK || run->stop)
		return status;
	network_begin_batch(
	    run->network,
	    sampler_batch_size((size_t)run->position.epoch_step, run->split.train_count, (size_t)run->options.global_batch), &first,
	    &samples);
	status = forward_backward(run, result, &batch);
	loader_done(run->loader);
	if (status != NN_OK)
		return status;
	update(run);
	advance(run, result);
	run->clock.step_longest = fmax(run->clock.step_longest, run_seconds() - begin);
	return NN_OK;
}
