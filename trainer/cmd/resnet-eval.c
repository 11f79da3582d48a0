/* resnet-eval: the error of a checkpoint on a data set, the classes it sees in pictures, or its digest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/world.h"
#include "nn/core/alloc.h"
#include "nn/kernels/gemm.h"
#include "trainer/run/eval_arguments.h"
#include "trainer/run/evaluate.h"
#include "trainer/run/threads.h"
#include "trainer/run/trained.h"
#include "trainer/state/digest.h"
#include "trainer/state/file_writer.h"
#include "trainer/state/safetensors.h"

enum { TOP = 5, WATCHDOG_SECONDS = 300 };

/* Data classes must be those of the training, by name and order. */
static enum nn_status check_classes(const struct trained *trained, const struct dataset *dataset)
{
	char name[DATASET_CLASS_TEXT];

	for (int i = 0; i < dataset_classes(dataset); i++) {
		dataset_class_text(name, dataset, i);
		if (i >= trained->graph.classes || strcmp(trained_class(trained, i), name) != 0)
			return nn_error(NN_ERR_DATA,
					"class '%s' of the data is not class %d of the checkpoint (%s); name the data set it was "
					"trained on",
					name, i, trained_class(trained, i));
	}
	return NN_OK;
}

/* Names, labels and their number, as of resnet-train. */
static enum nn_status same_images(struct comm *comm, const struct dataset *dataset)
{
	uint64_t seen[] = {dataset_count(dataset), dataset_digest(dataset)};

	return comm_same(comm, seen, sizeof(seen), "data set (copy the data there again)");
}

static enum nn_status can_write(const char *path)
{
	struct file_writer writer;
	enum nn_status status = file_writer_open(&writer, path);

	if (status == NN_OK)
		file_writer_abandon(&writer);
	return status;
}

/* Makes room for the scores of all images, when they are wanted, and sees that rank 0 can write them, before hours of work. */
static enum nn_status want_scores(struct evaluator *evaluator, size_t classes, const struct eval_arguments *arguments, bool writes)
{
	size_t bytes = evaluator->count * classes * sizeof(float);
	enum nn_status status = NN_OK;

	if (!arguments->scores)
		return NN_OK;
	if (writes)
		status = can_write(arguments->scores);
	if (status == NN_OK)
		status = nn_alloc(&evaluator->logits, bytes);
	return status == NN_OK ? nn_alloc(&evaluator->probabilities, bytes) : status;
}

static enum nn_status write_scores(const struct evaluator *evaluator, int classes, const char *path)
{
	int64_t count = (int64_t)evaluator->count, *labels;
	struct tensor_entry entries[] = {
	    {.name = "logits", .dims = 2, .shape = {count, classes}, .type = TENSOR_F32, .values = evaluator->logits},
	    {.name = "probabilities", .dims = 2, .shape = {count, classes}, .type = TENSOR_F32, .values = evaluator->probabilities},
	    {.name = "labels", .dims = 1, .shape = {count}, .type = TENSOR_I64},
	};
	enum nn_status status = nn_alloc(&labels, evaluator->count * sizeof(*labels));

	if (status != NN_OK)
		return status;
	for (size_t i = 0; i < evaluator->count; i++)
		labels[i] = dataset_label(evaluator->dataset, i);
	entries[2].values = labels;
	status = safetensors_write(path, entries, 3, NULL);
	nn_free(labels);
	return status;
}

/* What rank 0 does with the result. */
static enum nn_status report(const struct evaluation *result, const struct evaluator *evaluator, int classes,
			     const struct eval_arguments *arguments)
{
	printf("images %lld  loss %.6f  error %.2f %%  top-5 error %.2f %%  (%lld and %lld wrong)\n", (long long)result->images,
	       result->loss, 100 * (double)result->wrong / (double)result->images,
	       100 * (double)result->wrong_top5 / (double)result->images, (long long)result->wrong, (long long)result->wrong_top5);
	return arguments->scores ? write_scores(evaluator, classes, arguments->scores) : NN_OK;
}

static enum nn_status evaluate_data(struct trained *trained, struct comm *comm, const struct kernels *kernels,
				    const struct eval_arguments *arguments, int threads)
{
	struct dataset *dataset;
	struct evaluation result;
	enum nn_status status = dataset_open(&dataset, arguments->data, arguments->train_split ? SPLIT_TRAIN : SPLIT_VAL);
	struct evaluator evaluator = {.network = trained->network,
				      .kernels = kernels,
				      .augment = &trained->augment,
				      .dataset = dataset,
				      .batch = (size_t)arguments->batch,
				      .loader_threads = 1,
				      .protocol = arguments->protocol,
				      .threads = threads};
	int classes = trained->graph.classes;

	if (status == NN_OK)
		status = check_classes(trained, dataset);
	evaluator.count = status == NN_OK ? dataset_count(dataset) : 0;
	if (status == NN_OK)
		status = want_scores(&evaluator, (size_t)classes, arguments, comm_rank(comm) == 0);
	status = comm_agree(comm, status);
	if (status == NN_OK)
		status = same_images(comm, dataset);
	if (status == NN_OK)
		status = evaluation_run(&result, &evaluator, comm);
	if (status == NN_OK)
		status = comm_agree(comm, comm_rank(comm) == 0 ? report(&result, &evaluator, classes, arguments) : NN_OK);
	nn_free(evaluator.logits);
	nn_free(evaluator.probabilities);
	dataset_close(dataset);
	return status;
}

static void print_top(const char *file, double *probabilities, const struct trained *trained)
{
	printf("%s\n", file);
	for (int i = 0; i < TOP && i < trained->graph.classes; i++) {
		int best = 0;

		for (int k = 1; k < trained->graph.classes; k++)
			if (probabilities[k] > probabilities[best])
				best = k;
		printf("  %6.2f %%  %s\n", 100 * probabilities[best], trained_class(trained, best));
		probabilities[best] = -1;
	}
}

/* Says what is wrong with a picture among several; the others are looked at all the same. */
static enum nn_status pass_over(int *unreadable)
{
	fflush(stdout);
	fprintf(stderr, "resnet-eval: warning: %s\n", nn_error_message());
	++*unreadable;
	return NN_OK;
}

/* Rank 0 alone; the others have nothing to do. */
static enum nn_status classify(struct trained *trained, const struct kernels *kernels, const struct eval_arguments *arguments,
			       int threads)
{
	double *probabilities;
	int unreadable = 0;
	enum nn_status status = nn_alloc(&probabilities, (size_t)trained->graph.classes * sizeof(*probabilities));

	for (int i = 0; i < arguments->image_count && status == NN_OK; i++) {
		status = trained_classify(probabilities, trained, kernels, &arguments->protocol, threads, arguments->images[i]);
		if (status == NN_OK)
			print_top(arguments->images[i], probabilities, trained);
		else if (status == NN_ERR_DATA && arguments->image_count > 1)
			status = pass_over(&unreadable);
	}
	nn_free(probabilities);
	if (status == NN_OK && unreadable > 0)
		return nn_error(NN_ERR_DATA, "%d of the %d pictures cannot be read", unreadable, arguments->image_count);
	return status;
}

/* Rank 0 looks, for a training job may save another one meanwhile. */
static enum nn_status find_checkpoint(char folder[PATH_MAX], struct comm *comm, const char *path)
{
	char warning[1024] = "";
	enum nn_status status =
	    comm_agree(comm, comm_rank(comm) == 0 ? trained_find(folder, warning, sizeof(warning), path) : NN_OK);

	if (*warning)
		fprintf(stderr, "resnet-eval: warning: %s\n", warning);
	if (status == NN_OK)
		comm_broadcast(comm, folder, PATH_MAX, 0);
	return status;
}

static enum nn_status work(struct comm *comm, const struct eval_arguments *arguments)
{
	struct trained trained;
	const struct kernels *kernels;
	char folder[PATH_MAX] = "", digest[DIGEST_CHARS];
	struct core_use use = core_use_find(comm);
	int threads = arguments->threads ? arguments->threads : core_use_threads(use);
	enum nn_status status = comm_agree(comm, kernels_select(&kernels, getenv("RESNET_ISA"), true));

	gemm_init();
	memset(&trained, 0, sizeof(trained));
	if (status == NN_OK)
		status = find_checkpoint(folder, comm, arguments->checkpoint);
	if (status == NN_OK)
		status = comm_agree(comm, trained_open(&trained, folder, kernels, (size_t)arguments->batch, threads));
	if (status == NN_OK)
		status = comm_agree(comm, digest_weights(digest, trained.entries.entries, trained.entries.count));
	if (status == NN_OK)
		status = comm_same(comm, digest, sizeof(digest), "checkpoint (name a folder that all hosts share)");
	if (status == NN_OK && arguments->digest && comm_rank(comm) == 0)
		puts(digest);
	comm_watch(comm, 0, NULL); /* what follows may take long, and one rank longer than others */
	if (status == NN_OK && arguments->data)
		status = evaluate_data(&trained, comm, kernels, arguments, threads);
	if (status == NN_OK)
		status = comm_agree(comm, comm_rank(comm) == 0 ? classify(&trained, kernels, arguments, threads) : NN_OK);
	comm_watch(comm, WATCHDOG_SECONDS, NULL);
	trained_close(&trained);
	return status;
}

static void print_error(const struct comm *comm)
{
	if (comm_size(comm) > 1 && comm_failed_rank(comm) >= 0)
		fprintf(stderr, "resnet-eval: error: %s (rank %d)\n", nn_error_message(), comm_failed_rank(comm));
	else
		fprintf(stderr, "resnet-eval: error: %s\n", nn_error_message());
}

int main(int argc, char **argv)
{
	struct comm *comm;
	struct eval_arguments arguments = {0};
	enum nn_status status = comm_create(&comm, &argc, &argv);

	if (status != NN_OK) {
		fprintf(stderr, "resnet-eval: error: %s\n", nn_error_message());
		return nn_exit_code(status);
	}
	status = comm_agree(comm, eval_arguments_parse(&arguments, argc, argv));
	if (status == NN_OK && arguments.text) {
		if (comm_rank(comm) == 0)
			fputs(arguments.text, stdout);
	} else if (status == NN_OK) {
		comm_watch(comm, WATCHDOG_SECONDS, NULL);
		status = work(comm, &arguments);
	}
	fflush(stdout);
	if (status != NN_OK && comm_rank(comm) == 0)
		print_error(comm);
	free(arguments.text);
	comm_destroy(comm);
	return nn_exit_code(status);
}
