/* Evaluation of a training run's validation images. */
#include <math.h>

#include "comm/agree.h"
#include "trainer/run/evaluate.h"
#include "trainer/run/internal.h"

bool has_validation(const struct run *run)
{
	return run->val || run->split.holdout_count > 0;
}

static int wants_to_stop(void *run)
{
	return (int)run_stop_wish(run);
}

static struct evaluator evaluator_for(struct run *run, struct protocol protocol)
{
	return (struct evaluator){.network = run->network,
				  .kernels = run->kernels,
				  .augment = &run->augment,
				  .dataset = run->val ? run->val : run->train,
				  .images = run->val ? NULL : run->split.images + run->split.train_count,
				  .count = run->val ? dataset_count(run->val) : run->split.holdout_count,
				  .batch = run->capacity,
				  .loader_threads = run->options.loader_threads,
				  .protocol = protocol,
				  .threads = run->threads,
				  .interrupted = wants_to_stop,
				  .context = run};
}

enum nn_status evaluate(struct run *run)
{
	struct evaluation evaluation;
	struct evaluator evaluator = evaluator_for(run, (struct protocol){PROTOCOL_SINGLE, false});
	double start = run_seconds(), end;
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
	end = run_seconds();
	pause_clock(run, end - start);
	trace_add(run->trace, TRACE_COMPUTE, TRACE_EVALUATION, start, end, run->position.step);
	return status;
}

static struct protocol final_protocol(const struct run *run)
{
	return (struct protocol){(enum protocol_kind)run->options.final_protocol, run->options.final_flip};
}

bool final_evaluation_due(const struct run *run)
{
	bool asked = run->options.final_protocol != OPTION_PROTOCOL_SINGLE || run->options.final_flip;

	return asked && has_validation(run);
}

static double percent(int64_t part, int64_t whole)
{
	return 100 * (double)part / (double)whole;
}

/* The evaluation's line and event, on rank 0. An event that the disk does not take waits: the end event tries again. */
static enum nn_status tell_final(struct run *run, const struct evaluation *evaluation, const struct protocol *protocol,
				 double seconds)
{
	struct metrics_final event = {.protocol = protocol_names[protocol->kind],
				      .flip = protocol->flip,
				      .step = run->position.step,
				      .val_loss = evaluation->loss,
				      .val_error = percent(evaluation->wrong, evaluation->images),
				      .val_error_top5 = percent(evaluation->wrong_top5, evaluation->images),
				      .val_images = evaluation->images,
				      .seconds = seconds};
	enum nn_status status = metrics_write_final(&run->metrics, &event);

	run_say(run, "%s%s: validation error %.2f %%, top-5 %.2f %%, loss %.4f", event.protocol, event.flip ? " with flips" : "",
		event.val_error, event.val_error_top5, event.val_loss);
	return status == NN_ERR_IO ? NN_OK : status;
}

enum nn_status evaluate_finally(struct run *run)
{
	struct evaluation evaluation;
	struct protocol protocol = final_protocol(run);
	struct evaluator evaluator = evaluator_for(run, protocol);
	double start = run_seconds();
	enum nn_status status = skip_evaluate(&evaluation, run, &evaluator);

	trace_add(run->trace, TRACE_COMPUTE, TRACE_EVALUATION, start, run_seconds(), run->position.step);
	if (status != NN_OK)
		return status; /* agreed, with the rank that failed */
	run->stop = (enum stop)evaluation.interrupted;
	if (run->stop)
		return NN_OK;
	return comm_agree(run->comm, run->master ? tell_final(run, &evaluation, &protocol, run_seconds() - start) : NN_OK);
}
