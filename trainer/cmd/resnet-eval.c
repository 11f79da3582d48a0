/* resnet-eval: the error of a checkpoint on a data set, the classes it sees in pictures, or its digest. */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/agree.h"
#include "comm/world.h"
#include "nn/core/alloc.h"
#include "nn/kernels/gemm.h"
#include "trainer/run/evaluate.h"
#include "trainer/run/threads.h"
#include "trainer/run/trained.h"
#include "trainer/state/digest.h"

enum { OPTION_DATA = 'd', OPTION_DIGEST = 'g', OPTION_BATCH = 'b', OPTION_THREADS = 't', OPTION_SPLIT = 's', TOP = 5 };

struct arguments {
	const char *checkpoint;
	const char *data;
	bool digest;
	bool train_split;
	int batch;
	int threads;
	char **images;
	int image_count;
	char *text; /* for --help and --version */
	int at;	    /* the argument that argp looks at now */
	enum nn_status status;
};

static const struct argp_option argp_options[] = {
    {"data", OPTION_DATA, "DIR", 0, "evaluate on the validation (or test) images of this data set", 0},
    {"split", OPTION_SPLIT, "val|train", 0, "which images of --data (default val)", 0},
    {"digest", OPTION_DIGEST, NULL, 0, "print the digest of the weights", 0},
    {"batch", OPTION_BATCH, "N", 0, "images at a time on a rank (default 32); no effect on results", 0},
    {"threads", OPTION_THREADS, "N", 0, "threads of each rank (default: as many as it has cores)", 0},
    {0},
};

static enum nn_status usage(const char *what)
{
	return nn_error(NN_ERR_USAGE, "%s; see resnet-eval --help", what);
}

static enum nn_status take_count(int *count, const char *name, const char *text)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (*text == '\0' || *end != '\0' || errno != 0 || value < 1 || value > INT_MAX)
		return nn_error(NN_ERR_USAGE, "--%s %s: must be a whole number, at least 1; see resnet-eval --help", name, text);
	*count = (int)value;
	return NN_OK;
}

static enum nn_status take_split(bool *train, const char *text)
{
	*train = strcmp(text, "train") == 0;
	if (!*train && strcmp(text, "val") != 0)
		return nn_error(NN_ERR_USAGE, "--split %s: must be val or train", text);
	return NN_OK;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case OPTION_DATA:
		arguments->data = argument;
		break;
	case OPTION_SPLIT:
		arguments->status = take_split(&arguments->train_split, argument);
		break;
	case OPTION_DIGEST:
		arguments->digest = true;
		break;
	case OPTION_BATCH:
		arguments->status = take_count(&arguments->batch, "batch", argument);
		break;
	case OPTION_THREADS:
		arguments->status = take_count(&arguments->threads, "threads", argument);
		break;
	case ARGP_KEY_ARG:
		if (arguments->checkpoint)
			arguments->images[arguments->image_count++] = argument;
		else
			arguments->checkpoint = argument;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	arguments->at = state->next;
	return arguments->status == NN_OK ? 0 : EINVAL;
}

static const struct argp parser = {
    .options = argp_options,
    .parser = parse_option,
    .args_doc = "CHECKPOINT --data DIR\nCHECKPOINT IMAGE...\nCHECKPOINT --digest",
    .doc = "Evaluates a checkpoint: every image of a data set counted once, under mpirun too; or names what pictures show.\v"
	   "CHECKPOINT is a checkpoint folder (RUN/checkpoints/best) or a run folder (its latest).",
};

/* text = what --help or --version prints. */
static enum nn_status make_text(struct arguments *arguments, bool version)
{
	size_t size;
	FILE *stream = open_memstream(&arguments->text, &size);

	if (!stream)
		return nn_error(NN_ERR_MEMORY, "out of memory");
	if (version)
		fprintf(stream, "resnet-eval %s\n", RESNET_VERSION);
	else
		argp_help(&parser, stream, ARGP_HELP_STD_HELP & ~(unsigned)ARGP_HELP_EXIT_OK, (char *)(uintptr_t) "resnet-eval");
	fclose(stream);
	return NN_OK;
}

static enum nn_status parse(struct arguments *arguments, int argc, char **argv)
{
	/* Names of images move to the front of argv, over what has been read. */
	*arguments = (struct arguments){.batch = 32, .at = 1, .images = argv + 1};
	for (int i = 1; i < argc; i++) {
		bool version = strcmp(argv[i], "--version") == 0;

		if (version || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0)
			return make_text(arguments, version);
	}
	if (argp_parse(&parser, argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_IN_ORDER, NULL, arguments) != 0)
		return arguments->status != NN_OK
			   ? arguments->status
			   : nn_error(NN_ERR_USAGE, "unknown or incomplete option '%s'; see resnet-eval --help",
				      argv[arguments->at < argc ? arguments->at : argc - 1]);
	if (!arguments->checkpoint)
		return usage("no checkpoint named");
	if (!arguments->data && !arguments->digest && arguments->image_count == 0)
		return usage("nothing to do: give --data DIR, pictures or --digest");
	return NN_OK;
}

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

static enum nn_status evaluate_data(struct trained *trained, struct comm *comm, const struct kernels *kernels,
				    const struct arguments *arguments)
{
	struct dataset *dataset;
	struct evaluation result;
	enum nn_status status = dataset_open(&dataset, arguments->data, arguments->train_split ? SPLIT_TRAIN : SPLIT_VAL);
	struct evaluator evaluator = {.network = trained->network,
				      .kernels = kernels,
				      .augment = &trained->augment,
				      .dataset = dataset,
				      .batch = (size_t)arguments->batch,
				      .loader_threads = 1};

	if (status == NN_OK)
		status = check_classes(trained, dataset);
	status = comm_agree(comm, status);
	if (status == NN_OK) {
		evaluator.count = dataset_count(dataset);
		status = evaluation_run(&result, &evaluator, comm);
	}
	if (status == NN_OK && comm_rank(comm) == 0)
		printf("images %lld  loss %.6f  error %.2f %%  top-5 error %.2f %%  (%lld and %lld wrong)\n",
		       (long long)result.images, result.loss, 100 * (double)result.wrong / (double)result.images,
		       100 * (double)result.wrong_top5 / (double)result.images, (long long)result.wrong,
		       (long long)result.wrong_top5);
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

/* Rank 0 alone; the others have nothing to do. */
static enum nn_status classify(struct trained *trained, const struct kernels *kernels, const struct arguments *arguments)
{
	double *probabilities;
	enum nn_status status = nn_alloc(&probabilities, (size_t)trained->graph.classes * sizeof(*probabilities));

	for (int i = 0; i < arguments->image_count && status == NN_OK; i++) {
		status = trained_classify(probabilities, trained, kernels, arguments->images[i]);
		if (status == NN_OK)
			print_top(arguments->images[i], probabilities, trained);
	}
	nn_free(probabilities);
	return status;
}

static enum nn_status work(struct comm *comm, const struct arguments *arguments)
{
	struct trained trained;
	const struct kernels *kernels;
	char warning[1024] = "", digest[DIGEST_CHARS];
	struct core_use use = core_use_find(comm);
	int threads = arguments->threads ? arguments->threads : core_use_threads(use);
	enum nn_status status = kernels_select(&kernels, getenv("RESNET_ISA"));

	gemm_init();
	memset(&trained, 0, sizeof(trained));
	if (status == NN_OK)
		status = trained_open(&trained, warning, sizeof(warning), arguments->checkpoint, kernels, (size_t)arguments->batch,
				      threads);
	status = comm_agree(comm, status);
	if (*warning && comm_rank(comm) == 0)
		fprintf(stderr, "resnet-eval: warning: %s\n", warning);
	if (status == NN_OK && arguments->digest) {
		status = comm_agree(comm, digest_weights(digest, trained.entries.entries, trained.entries.count));
		if (status == NN_OK && comm_rank(comm) == 0)
			puts(digest);
	}
	if (status == NN_OK && arguments->data)
		status = evaluate_data(&trained, comm, kernels, arguments);
	if (status == NN_OK)
		status = comm_agree(comm, comm_rank(comm) == 0 ? classify(&trained, kernels, arguments) : NN_OK);
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
	struct arguments arguments = {0};
	enum nn_status status = comm_create(&comm, &argc, &argv);

	if (status != NN_OK) {
		fprintf(stderr, "resnet-eval: error: %s\n", nn_error_message());
		return nn_exit_code(status);
	}
	status = comm_agree(comm, parse(&arguments, argc, argv));
	if (status == NN_OK && arguments.text) {
		if (comm_rank(comm) == 0)
			fputs(arguments.text, stdout);
	} else if (status == NN_OK) {
		status = work(comm, &arguments);
	}
	fflush(stdout);
	if (status != NN_OK && comm_rank(comm) == 0)
		print_error(comm);
	free(arguments.text);
	comm_destroy(comm);
	return nn_exit_code(status);
}
