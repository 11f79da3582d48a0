#include <math.h>

#include "comm/agree.h"
#include "trainer/data/sampler.h"
#include "trainer/run/internal.h"

void watch_bucket(void *context, bool begins, size_t count)
{
	struct run *run = context;
	struct run_clock *clock = &run->clock;
	double now = run_seconds();

	if (begins) {
		clock->sum_begin = now;
		return;
	}
	clock->sum_seconds += now - clock->sum_begin;
	clock->sum_values += (int64_t)count;
	trace_add(run->trace, run->sums, TRACE_BUCKET, clock->sum_begin, now, (int64_t)count * gradient_value_bytes(run));
}

/* Records what the computing thread has done since `begin`. Returns now. */
static double traced(struct run *run, enum trace_kind kind, double begin, int64_t value)
{
	double now = run_seconds();

	trace_add(run->trace, TRACE_COMPUTE, kind, begin, now, value);
	return now;
}

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
		double ready = traced(run, TRACE_GRADIENT_WAIT, start, 0);

		run->clock.exchange += ready - start;
		optimizer_step_range(network_parameters(run->network), run->velocity, reducer_total(run->reducer), &run->optimizer,
				     &run->graph, run->kernels, rate, run->threads, offset, count);
		start = traced(run, TRACE_OPTIMIZER, ready, (int64_t)count);
	}
}

static enum nn_status forward_backward(struct run *run, struct batch_result *result, const struct loader_batch *batch)
{
	const float *logits;
	double start = run_seconds();
	enum nn_status status = network_forward(&logits, run->network, batch->images, true);

	start = traced(run, TRACE_FORWARD, start, 0);
	if (status == NN_OK)
		status = network_loss_mixed(result, run->network, batch->labels, batch->other_labels, batch->shares,
					    run->options.label_smoothing);
	if (status == NN_OK && !isfinite(result->loss))
		status = nn_error(NN_ERR_NUMBER,
				  "the loss of step %lld is not finite; start again in another --out with a lower --lr or a "
				  "longer --warmup-epochs, or go on from an earlier checkpoint with --resume PATH --allow-change "
				  "lr,warmup-epochs",
				  (long long)run->position.step);
	start = traced(run, TRACE_LOSS, start, 0);
	if (status != NN_OK)
		return status;
	buckets_begin(run->buckets);
	status = network_backward(run->network, gradient_ready, run);
	traced(run, TRACE_BACKWARD, start, 0);
	return status;
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
	run->clock.steps++;
}

enum nn_status agree_on_batch(struct run *run, bool *left_out, enum nn_status status, const struct loader_batch *batch)
{
	int stop = (int)run_stop_wish(run), most = stop ? 1 + stop : batch->bad_count > 0;
	double start = run_seconds();

	status = comm_agree_most(run->comm, status, &most);
	run->clock.exchange += traced(run, TRACE_AGREE, start, 0) - start;
	run->stop = most > 1 ? (enum stop)(most - 1) : STOP_NONE;
	*left_out = most == 1;
	return status;
}

enum nn_status begin_batch(struct run *run, const struct loader_batch *batch, size_t step, bool left_out)
{
	size_t first, samples;
	size_t global_batch = sampler_batch_size(step, run->split.train_count, (size_t)run->options.global_batch);

	network_begin_batch(run->network, global_batch, &first, &samples);
	return left_out ? skip_batch(run, batch, global_batch) : NN_OK;
}

enum nn_status train_step(struct run *run, struct batch_result *result)
{
	struct loader_batch batch = {0};
	double begin = run_seconds();
	bool left_out;
	enum nn_status status = loader_next(run->loader, &batch);

	comm_at_step(run->comm, run->position.step + 1);
	run->clock.wait += traced(run, TRACE_DATA_WAIT, begin, 0) - begin;
	if (status == NN_OK && run->master)
		status = collect_save(run, false);
	status = agree_on_batch(run, &left_out, status, &batch);
	if (status != NN_OK || run->stop)
		return status;
	status = begin_batch(run, &batch, (size_t)run->position.epoch_step, left_out);
	if (status == NN_OK)
		status = forward_backward(run, result, &batch);
	loader_done(run->loader);
	if (status != NN_OK)
		return status;
	update(run);
	advance(run, result);
	run->clock.step_longest = fmax(run->clock.step_longest, traced(run, TRACE_STEP, begin, run->position.step) - begin);
	return NN_OK;
}
