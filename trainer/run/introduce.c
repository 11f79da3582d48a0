/* What a user should know before the first step: who trains what, and what will be slow or odd. Rank 0 only. */
#include <stdio.h>

#include "comm/covers.h"
#include "nn/kernels/gemm.h"
#include "trainer/data/sampler.h"
#include "trainer/run/internal.h"

static const char *plural(long long count)
{
	return count == 1 ? "" : "s";
}

static const char *last_batch(const struct run *run)
{
	size_t batch = (size_t)run->options.global_batch, count = run->split.train_count;

	if (count % batch == 0)
		return "";
	return sampler_batch_size((size_t)run->length.steps_per_epoch - 1, count, batch) < batch ? ", the last one smaller"
												 : ", the rest is dropped";
}

/* Pixels of the smallest image that a batch norm sees. */
static int fewest_pixels(const struct graph *graph)
{
	int fewest = graph->nodes[0].h * graph->nodes[0].w;

	for (int i = 0; i < graph->node_count; i++)
		if (graph->nodes[i].op == OP_BATCHNORM && graph->nodes[i].h * graph->nodes[i].w < fewest)
			fewest = graph->nodes[i].h * graph->nodes[i].w;
	return fewest;
}

static size_t smallest_batch(const struct run *run)
{
	return sampler_batch_size((size_t)run->length.steps_per_epoch - 1, run->split.train_count,
				  (size_t)run->options.global_batch);
}

/* Ranks that get no image of a whole batch. */
static int idle_ranks(const struct run *run)
{
	int ranks = comm_size(run->comm), idle = 0;

	for (int p = 0; p < ranks; p++) {
		struct shards shards = covers_shards(p, ranks, run->shards.count);

		idle += shards_samples(&shards, (size_t)run->options.global_batch) == 0;
	}
	return idle;
}

/* A recipe for many epochs in a short run: the learning rate stays where it began. */
static bool never_falls(const struct run *run)
{
	const struct schedule *schedule = &run->schedule;

	return schedule->kind == SCHEDULE_STEP && schedule->milestone_count > 0 && run->options.steps == 0 &&
	       schedule->milestones[0] >= schedule->total_steps;
}

static void warn(struct run *run)
{
	int idle = idle_ranks(run);
	char text[1024];

	if (!has_validation(run) && run->options.eval_every > 0)
		run_warn(run,
			 "no validation images: %s has no folder val or test; --holdout N keeps N of the training images for that",
			 run->options.data);
	if (never_falls(run))
		run_warn(run, "the learning rate stays %g to the end: all --lr-milestones are after epoch %d", run->options.lr,
			 run->length.epochs);

	binding_warn(text, sizeof(text), &run->binding, comm_host_of(run->comm, run->binding.faulty_rank));
	if (text[0])
		run_warn(run, "%s", text);
	if (idle > 0)
		run_warn(
		    run,
		    "%d of %d ranks get no image of a batch of %d in %d shards; use fewer ranks, or a larger --global-batch and "
		    "--shards",
		    idle, comm_size(run->comm), run->options.global_batch, run->shards.count);
	if (smallest_batch(run) * (size_t)fewest_pixels(&run->graph) == 1)
		run_warn(run, "batch norm over a single value per channel has no variance; use larger batches or images, or "
			      "--drop-last");
}

void introduce(struct run *run)
{
	const struct options *options = &run->options;
	int ranks = comm_size(run->comm), nodes = comm_nodes(run->comm);
	char text[1024];

	printf("%s, %zu parameters, %zu training and %zu validation images of %d classes\n", options->arch, run->graph.parameters,
	       run->split.train_count, run->val ? dataset_count(run->val) : run->split.holdout_count, dataset_classes(run->train));
	printf("%d rank%s on %d node%s, %d thread%s each, %s, %d shard%s; %lld step%s of %d images an epoch%s\n", ranks,
	       plural(ranks), nodes, plural(nodes), run->threads, plural(run->threads), run->kernels->name, options->shards,
	       plural(options->shards), (long long)run->length.steps_per_epoch, plural(run->length.steps_per_epoch),
	       options->global_batch, last_batch(run));
	if (run->position.step > 0)
		printf("going on from step %lld in %s\n", (long long)run->position.step, options->out);
	binding_describe(text, sizeof(text), &run->binding);
	printf("%s\n", text);
	fflush(stdout);
	warn(run);
	run_note(run, "%s", text);
	binding_advise(text, sizeof(text), &run->binding);
	run_note(run, "all cores of such nodes: %s", text);
	tuning_describe(text, sizeof(text), run);
	run_note(run, "gradients are summed by: %s (tuning: %s)", text, run->tuned);
	run_note(run, "start: %s, %d ranks, %d threads, %s, %s, step %lld", options->arch, ranks, run->threads, run->kernels->name,
		 gemm_core(), (long long)run->position.step);
	if (run->val && dataset_is_test(run->val))
		run_note(run, "the data has a test folder and no validation folder: 'best' is the last checkpoint, not chosen on "
			      "the test set");
}
