#include "trainer/run/eval_arguments.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPTION_DATA = 'd',
	OPTION_DIGEST = 'g',
	OPTION_BATCH = 'b',
	OPTION_THREADS = 't',
	OPTION_SPLIT = 's',
	OPTION_PROTOCOL = 'p',
	OPTION_FLIP = 'f',
	OPTION_SCORES = 'o'
};

static const struct argp_option argp_options[] = {
    {"data", OPTION_DATA, "DIR", 0, "evaluate on the validation (or test) images of this data set", 0},
    {"split", OPTION_SPLIT, "val|train", 0, "which images of --data (default val)", 0},
    {"digest", OPTION_DIGEST, NULL, 0, "print the digest of the weights", 0},
    {"protocol", OPTION_PROTOCOL, "single|10-crop|multi-scale", 0,
     "how each image is shown: its central crop (default); ten crops; whole, at five scales. Softmax is averaged", 0},
    {"flip", OPTION_FLIP, NULL, 0, "show each image mirrored too", 0},
    {"scores", OPTION_SCORES, "FILE", 0,
     "with --data: write logits and probabilities (averaged over views) and labels of all images as safetensors", 0},
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

static enum nn_status take_protocol(enum protocol_kind *kind, const char *text)
{
	for (int i = 0; protocol_names[i]; i++)
		if (strcmp(protocol_names[i], text) == 0) {
			*kind = (enum protocol_kind)i;
			return NN_OK;
		}
	return nn_error(NN_ERR_USAGE, "--protocol %s: must be single, 10-crop or multi-scale", text);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct eval_arguments *arguments = state->input;

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
	case OPTION_PROTOCOL:
		arguments->status = take_protocol(&arguments->protocol.kind, argument);
		break;
	case OPTION_FLIP:
		arguments->protocol.flip = true;
		break;
	case OPTION_SCORES:
		arguments->scores = argument;
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
static enum nn_status make_text(struct eval_arguments *arguments, bool version)
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

enum nn_status eval_arguments_parse(struct eval_arguments *arguments, int argc, char **argv)
{
	/* Names of images move to the front of argv, over what has been read. */
	*arguments = (struct eval_arguments){.batch = 32, .at = 1, .images = argv + 1};
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
	if (arguments->scores && !arguments->data)
		return usage("--scores needs --data DIR");
	return protocol_check(&arguments->protocol);
}
