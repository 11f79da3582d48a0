#include <math.h>

#include "comm/agree.h"
#include "trainer/data/sampler.h"
#include "trainer/run/internal.h"

/* Gradients are summed over ranks in buckets of at least this many floats, from the back of the network to the front. */
enum { BUCKET_FLOATS = 1 << 20 };

static void sum_bucket(struct run *run)
{
	int count;
	double start = run_seconds();

	reducer_sum(run->reducer, network_gradients(run->network, &count), run->bucket_begin, run->bucket_end - run->bucket_begin);
	run->bucket_end = run->bucket_begin;
	run->clock.exchange += run_seconds() - start;
}

/* A gradient_ready_fn: the finished range grows towards the front. */
static enum nn_status gradient_ready(void *context, size_t offset, size_t count)
{
	struct run *run = context;

	(void)count;
	run->bucket_begin = offset;
	if (run->bucket_end - offset >= BUCKET_FLOATS || offset == 0)
		sum_bucket(run);
	return NN_OK;
}

static enum nn_status forward_backward(struct run *run, struct batch_result *result, const struct loader_batch *batch)
{
	const float *logits;
	enum nn_status status = network_forward(&logits, run->network, batch->images, true);

	if (status == NN_OK)
		status = network_loss(result, run->network, batch->labels, run->options.label_smoothing);
	if (status == NN_OK && !isfinite(result->loss))
		status = nn_error(NN_ERR_NUMBER,
				  "the loss of step %lld is not finite; use a lower --lr or a longer --warmup-epochs, then start "
				  "the same command again to go on from the last checkpoint",
				  (long long)run->position.step);
	run->bucket_end = run->graph.parameters;
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

/* Agrees on how the ranks' batches came, on a wish to stop, and on whether some rank left images out. */
static enum nn_status agree_on_batch(struct run *run, bool *left_out, enum nn_status status, const struct loader_batch *batch)
{
	int stop = (int)run_stop_wish(run), most = stop ? 1 + stop : batch->bad_count > 0;
	double start = run_seconds();

	status = comm_agree_most(run->comm, status, &most);
	run->clock.exchange += run_seconds() - start;
	run->stop = most > 1 ? (enum stop)(most - 1) : STOP_NONE;
	*left_out = most == 1;
	return status;
}

/* Lays the batch over the shards of all ranks. */
static enum nn_status begin_batch(struct run *run, const struct loader_batch *batch, bool left_out)
{
	size_t first, samples,
	    global_batch =
		sampler_batch_size((size_t)run->position.epoch_step, run->split.train_count, (size_t)run->options.global_batch);

	network_begin_batch(run->network, global_batch, &first, &samples);
	return left_out ? skip_batch(run, batch, global_batch) : NN_OK;
}

enum nn_status train_step(struct run *run, struct batch_result *result)
{
	struct loader_batch batch = {0};
	double begin = run_seconds();
	bool left_out;
	int count;
	enum nn_status status = loader_next(run->loader, &batch);

	run->clock.wait += run_seconds() - begin;
	if (status == NN_OK && run->master)
		status = collect_save(run, false);
	status = agree_on_batch(run, &left_out, status, &batch);
	if (status != NN_OK || run->stop)
		return status;
	status = begin_batch(run, &batch, left_out);
	if (status == NN_OK)
		status = forward_backward(run, result, &batch);
	loader_done(run->loader);
	if (status != NN_OK)
		return status;
	optimizer_step(network_parameters(run->network), run->velocity, network_gradients(run->network, &count)[0], &run->optimizer,
		       &run->graph, run->kernels, schedule_rate(&run->schedule, run->position.step), run->threads);
	advance(run, result);
	run->clock.step_longest = fmax(run->clock.step_longest, run_seconds() - begin);
	return NN_OK;
}
