#include "trainer/bench/bench_arguments.h"

#include <argp.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum key {
	KEY_ARCH = 256,
	KEY_BATCH,
	KEY_THREADS,
	KEY_SIZE,
	KEY_ITERATIONS,
	KEY_SHARDS,
	KEY_SYNC,
	KEY_GRADIENT,
	KEY_DATA,
	KEY_AUGMENT,
	KEY_REDUCED,
	KEY_WINOGRAD,
	KEY_PRECISION,
	KEY_JSON,
	KEY_HELP,
	KEY_VERSION
};

static const struct argp_option rows[] = {
    {.name = "arch", .key = KEY_ARCH, .arg = "NAME", .doc = "the network (default resnet20); resnet-train --help lists them"},
    {.name = "batch", .key = KEY_BATCH, .arg = "N", .doc = "images in a step (default 128)"},
    {.name = "threads", .key = KEY_THREADS, .arg = "N", .doc = "threads to compute with (default 1)"},
    {.name = "image-size",
     .key = KEY_SIZE,
     .arg = "N",
     .doc = "side of the images in pixels (default 32 for CIFAR nets, else 224; 224 for data)"},
    {.name = "iterations", .key = KEY_ITERATIONS, .arg = "N", .doc = "steps to time, after one that is not (default 9)"},
    {.name = "shards", .key = KEY_SHARDS, .arg = "V", .doc = "with `step` and `comm`: logical shards (default: one a rank)"},
    {.name = "winograd", .key = KEY_WINOGRAD, .arg = "on|off", .doc = "as in resnet-train (default on)"},
    {.name = "precision", .key = KEY_PRECISION, .arg = "fp32|bf16", .doc = "as in resnet-train (default fp32)"},
    {.name = "sync-bn",
     .key = KEY_SYNC,
     .arg = "global|off",
     .doc = "with `comm`: batch norm statistics of all ranks (default), or of each rank alone"},
    {.name = "gradient-dtype", .key = KEY_GRADIENT, .arg = "fp32|bf16", .doc = "with `comm`: as in resnet-train (default fp32)"},
    {.name = "data",
     .key = KEY_DATA,
     .arg = "DIR",
     .doc = "with `data`: the folder, of which the first 512 training images are read"},
    {.name = "augment",
     .key = KEY_AUGMENT,
     .arg = "none|cifar|inception|paper",
     .doc = "with `data`: how they are varied (default inception)"},
    {.name = "reduced-decode", .key = KEY_REDUCED, .doc = "with `data`: as resnet-train's option"},
    {.name = "json", .key = KEY_JSON, .doc = "print a JSON object"},
    {.name = "help", .key = KEY_HELP, .doc = "print this text", .group = -1},
    {.name = "version", .key = KEY_VERSION, .doc = "print the version", .group = -1},
    {0},
};

static enum nn_status take_number(struct bench_arguments *arguments, int key, const char *text)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (end == text || *end || errno || number < 1 || number > INT32_MAX)
		return nn_error(NN_ERR_USAGE, "'%s' is not a whole number of at least 1; see resnet-bench --help", text);
	switch (key) {
	case KEY_BATCH:
		arguments->options.batch = (size_t)number;
		break;
	case KEY_THREADS:
		arguments->options.threads = (int)number;
		break;
	case KEY_SIZE:
		arguments->options.image_size = (int)number;
		break;
	case KEY_SHARDS:
		arguments->options.shards = (int)number;
		break;
	default:
		arguments->options.iterations = (int)number;
		break;
	}
	return NN_OK;
}

static enum nn_status take_switch(bool *value, const char *text)
{
	*value = strcmp(text, "on") == 0;
	if (!*value && strcmp(text, "off") != 0)
		return nn_error(NN_ERR_USAGE, "'%s' is neither on nor off; see resnet-bench --help", text);
	return NN_OK;
}

static enum nn_status take_augment(struct bench_arguments *arguments, const char *text)
{
	static const char *const words[] = {"none", "cifar", "inception", "paper"};

	for (int i = AUGMENT_NONE; i <= AUGMENT_PAPER; i++)
		if (strcmp(words[i], text) == 0) {
			arguments->data.augment = (enum augment_kind)i;
			return NN_OK;
		}
	return nn_error(NN_ERR_USAGE, "--augment %s: must be none, cifar, inception or paper", text);
}

static const char *const command_names[] = {"step", "eval", "comm", "data", "layers", "peaks"};

static enum nn_status take_command(struct bench_arguments *arguments, const char *text)
{
	int i = 0;

	while (i < BENCH_NONE && strcmp(command_names[i], text) != 0)
		i++;
	if (i == BENCH_NONE || arguments->command != BENCH_NONE)
		return nn_error(NN_ERR_USAGE,
				"'%s' is not expected; say resnet-bench step, eval, comm, data, layers or peaks, once", text);
	arguments->command = (enum bench_command)i;
	arguments->options.train = arguments->command != BENCH_EVAL;
	return NN_OK;
}

static enum nn_status take_sync(bool *value, const char *text)
{
	*value = strcmp(text, "global") == 0;
	if (!*value && strcmp(text, "off") != 0)
		return nn_error(NN_ERR_USAGE, "--sync-bn %s: must be global or off; see resnet-bench --help", text);
	return NN_OK;
}

static enum nn_status take_type(bool *bf16, const char *option, const char *text)
{
	*bf16 = strcmp(text, "bf16") == 0;
	if (!*bf16 && strcmp(text, "fp32") != 0)
		return nn_error(NN_ERR_USAGE, "%s %s: must be fp32 or bf16; see resnet-bench --help", option, text);
	return NN_OK;
}

static error_t take(int key, char *value, struct argp_state *state)
{
	struct bench_arguments *arguments = state->input;

	switch (key) {
	case KEY_ARCH:
		arguments->options.arch = value;
		break;
	case KEY_BATCH:
	case KEY_THREADS:
	case KEY_SIZE:
	case KEY_ITERATIONS:
	case KEY_SHARDS:
		arguments->status = take_number(arguments, key, value);
		break;
	case KEY_WINOGRAD:
		arguments->status = take_switch(&arguments->options.winograd, value);
		break;
	case KEY_PRECISION:
		arguments->status = take_type(&arguments->options.bf16, "--precision", value);
		break;
	case KEY_SYNC:
		arguments->status = take_sync(&arguments->options.sync_bn, value);
		arguments->sync_given = true;
		break;
	case KEY_GRADIENT:
		arguments->status = take_type(&arguments->options.bf16_gradients, "--gradient-dtype", value);
		arguments->gradient_given = true;
		break;
	case KEY_DATA:
		arguments->data.path = value;
		break;
	case KEY_REDUCED:
		arguments->data.reduced_decode = true;
		break;
	case KEY_AUGMENT:
		arguments->status = take_augment(arguments, value);
		break;
	case KEY_JSON:
		arguments->json = true;
		break;
	case KEY_HELP:
		arguments->help = true;
		break;
	case KEY_VERSION:
		arguments->version = true;
		break;
	case ARGP_KEY_ARG:
		arguments->status = take_command(arguments, value);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return arguments->status == NN_OK ? 0 : EINVAL;
}

static const struct argp argp = {
    .options = rows,
    .parser = take,
    .args_doc = "step|eval|comm|layers|peaks\ndata --data DIR",
    .doc =
	"Times whole training steps (forward, loss, backward, optimiser) or forward passes of evaluation, in one process, on "
	"made-up images in memory; or one thread that reads and augments training images. Prints the median time of a step, images "
	"per second, GFLOP/s, the bytes that have to be moved at least and the process's peak memory.\n"
	"`mpirun resnet-bench comm` times steps of all ranks, --batch images over all of them, with gradients summed after the "
	"backward pass, during it, and not at all, every rank then taking copies of its own values for the sums over ranks, of "
	"batch norm statistics too. The share of a step that goes beyond the last kind is exposed communication; beside it stands "
	"what the thread that computes waits for gradients and for statistics, and what is exposed during the backward pass when "
	"only the one or only the other go between ranks. All are medians over steps, each step being that of "
	"its slowest rank.\n"
	"`peaks` measures what the machine can do at most: multiply-adds in registers and passes over memory, on one thread and "
	"on --threads. `layers` times each shape of convolution in the network alone, beside these ceilings.\v"
	"GFLOP/s count convolutions and linear layers, a multiply-add as two: the forward pass, and in training as much again for "
	"the gradient of the data (the first layer has none) and of the weights; Winograd's algorithm needs fewer and counts as "
	"many. RESNET_ISA=portable|avx2|avx512|avx512bf16|amx, or neon, chooses the kernels.\n\nExit codes: 0 done; 2 usage, or "
	"not enough memory; 3 the images of `data`; 7 a rank of `comm` was lost.",
};

char *bench_arguments_help(bool version)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	if (version)
		fprintf(stream, "resnet-bench %s\n", RESNET_VERSION);
	else
		argp_help(&argp, stream, ARGP_HELP_LONG | ARGP_HELP_USAGE | ARGP_HELP_DOC, (char[]){"resnet-bench"});
	fclose(stream);
	return text;
}

static enum nn_status check(const struct bench_arguments *arguments)
{
	if (arguments->command == BENCH_NONE)
		return nn_error(NN_ERR_USAGE,
				"say what to time: resnet-bench step, eval, comm, data, layers or peaks; see resnet-bench --help");
	if ((arguments->command == BENCH_DATA) != (arguments->data.path != NULL))
		return nn_error(NN_ERR_USAGE, "--data DIR belongs to resnet-bench data, and it to --data; see resnet-bench --help");
	if (arguments->sync_given && arguments->command != BENCH_COMM)
		return nn_error(NN_ERR_USAGE, "--sync-bn belongs to resnet-bench comm; see resnet-bench --help");
	if (arguments->gradient_given && arguments->command != BENCH_COMM)
		return nn_error(NN_ERR_USAGE, "--gradient-dtype belongs to resnet-bench comm; see resnet-bench --help");
	if (arguments->options.shards > 0 && arguments->command != BENCH_COMM && arguments->command != BENCH_STEP)
		return nn_error(NN_ERR_USAGE, "--shards belongs to resnet-bench step and comm; see resnet-bench --help");
	return NN_OK;
}

enum nn_status bench_arguments_parse(struct bench_arguments *arguments, int argc, char **argv)
{
	int refused = argc;
	error_t failed;

	*arguments = (struct bench_arguments){
	    .command = BENCH_NONE,
	    .data = {.augment = AUGMENT_INCEPTION, .images = 512},
	    .options = {.arch = "resnet20", .batch = 128, .threads = 1, .winograd = true, .iterations = 9, .sync_bn = true}};
	failed = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP | ARGP_IN_ORDER, &refused, arguments);
	if (arguments->status != NN_OK || arguments->help || arguments->version)
		return arguments->status;
	if (failed)
		return nn_error(NN_ERR_USAGE, "unknown or incomplete option '%s'; see resnet-bench --help",
				argv[refused < argc ? refused : argc - 1]);
	return check(arguments);
}
