/* resnet-bench: how fast this machine computes training steps and forward passes, and reads images, and what communication costs.
 */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/world.h"
#include "nn/core/status.h"
#include "trainer/bench/bench.h"
#include "trainer/bench/bench_comm.h"
#include "trainer/bench/bench_data.h"

enum key {
	KEY_ARCH = 256,
	KEY_BATCH,
	KEY_THREADS,
	KEY_SIZE,
	KEY_ITERATIONS,
	KEY_DATA,
	KEY_AUGMENT,
	KEY_REDUCED,
	KEY_WINOGRAD,
	KEY_PRECISION,
	KEY_JSON,
	KEY_HELP,
	KEY_VERSION
};

struct command {
	struct bench_options options;
	struct bench_data_options data;
	bool reads; /* the command is `data` */
	bool named; /* the command's name was given */
	bool comm;  /* resnet-bench comm */
	bool json;
	bool help;
	bool version;
	enum nn_status status;
};

static const struct argp_option rows[] = {
    {.name = "arch", .key = KEY_ARCH, .arg = "NAME", .doc = "the network (default resnet20); resnet-train --help lists them"},
    {.name = "batch", .key = KEY_BATCH, .arg = "N", .doc = "images in a step (default 128)"},
    {.name = "threads", .key = KEY_THREADS, .arg = "N", .doc = "threads to compute with (default 1)"},
    {.name = "image-size",
     .key = KEY_SIZE,
     .arg = "N",
     .doc = "side of the images in pixels (default 32 for CIFAR nets, else 224)"},
    {.name = "iterations", .key = KEY_ITERATIONS, .arg = "N", .doc = "steps to time, after one that is not (default 9)"},
    {.name = "winograd", .key = KEY_WINOGRAD, .arg = "on|off", .doc = "as in resnet-train (default on)"},
    {.name = "precision", .key = KEY_PRECISION, .arg = "fp32|bf16", .doc = "as in resnet-train (default fp32)"},
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

static enum nn_status take_number(struct command *command, int key, const char *text)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (end == text || *end || errno || number < 1 || number > INT32_MAX)
		return nn_error(NN_ERR_USAGE, "'%s' is not a whole number of at least 1; see resnet-bench --help", text);
	switch (key) {
	case KEY_BATCH:
		command->options.batch = (size_t)number;
		break;
	case KEY_THREADS:
		command->options.threads = (int)number;
		break;
	case KEY_SIZE:
		command->options.image_size = (int)number;
		break;
	default:
		command->options.iterations = (int)number;
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

static enum nn_status take_augment(struct command *command, const char *text)
{
	static const char *const words[] = {"none", "cifar", "inception", "paper"};

	for (int i = AUGMENT_NONE; i <= AUGMENT_PAPER; i++)
		if (strcmp(words[i], text) == 0) {
			command->data.augment = (enum augment_kind)i;
			return NN_OK;
		}
	return nn_error(NN_ERR_USAGE, "--augment %s: must be none, cifar, inception or paper", text);
}

static enum nn_status take_command(struct command *command, const char *text)
{
	command->options.train = strcmp(text, "step") == 0;
	command->reads = strcmp(text, "data") == 0;
	command->comm = strcmp(text, "comm") == 0;
	if (command->named || (!command->options.train && !command->reads && !command->comm && strcmp(text, "eval") != 0))
		return nn_error(NN_ERR_USAGE, "'%s' is not expected; say resnet-bench step, eval, data or comm, once", text);
	command->named = true;
	return NN_OK;
}

static error_t take(int key, char *value, struct argp_state *state)
{
	struct command *command = state->input;

	switch (key) {
	case KEY_ARCH:
		command->options.arch = value;
		break;
	case KEY_BATCH:
	case KEY_THREADS:
	case KEY_SIZE:
	case KEY_ITERATIONS:
		command->status = take_number(command, key, value);
		break;
	case KEY_WINOGRAD:
		command->status = take_switch(&command->options.winograd, value);
		break;
	case KEY_PRECISION:
		command->options.bf16 = strcmp(value, "bf16") == 0;
		if (!command->options.bf16 && strcmp(value, "fp32") != 0)
			command->status = nn_error(NN_ERR_USAGE, "--precision %s: must be fp32 or bf16", value);
		break;
	case KEY_DATA:
		command->data.path = value;
		break;
	case KEY_REDUCED:
		command->data.reduced_decode = true;
		break;
	case KEY_AUGMENT:
		command->status = take_augment(command, value);
		break;
	case KEY_JSON:
		command->json = true;
		break;
	case KEY_HELP:
		command->help = true;
		break;
	case KEY_VERSION:
		command->version = true;
		break;
	case ARGP_KEY_ARG:
		command->status = take_command(command, value);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return command->status == NN_OK ? 0 : EINVAL;
}

static const struct argp argp = {
    .options = rows,
    .parser = take,
    .args_doc = "step|eval|comm\ndata --data DIR",
    .doc =
	"Times whole training steps (forward, loss, backward, optimiser) or forward passes of evaluation, in one process, on "
	"made-up images in memory; or one thread that reads and augments training images. Prints the median time of a step, images "
	"per second, GFLOP/s and the process's peak memory.\n"
	"`mpirun resnet-bench comm` times steps of all ranks, --batch images over all of them, with gradients summed after the "
	"backward pass and during it: what each rank waits for gradients and for batch norm statistics, the slowest rank's "
	"medians.\v"
	"GFLOP/s count convolutions and linear layers, a multiply-add as two: the forward pass, and in training as much again for "
	"the gradient of the data (the first layer has none) and of the weights. RESNET_ISA=portable|avx2|avx512 chooses the "
	"kernels.\n\nExit codes: 0 done; 2 usage, or not enough memory.",
};

static enum nn_status parse(struct command *command, int argc, char **argv)
{
	int refused = argc;
	error_t failed = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP, &refused, command);

	if (command->status != NN_OK || command->help || command->version)
		return command->status;
	if (failed)
		return nn_error(NN_ERR_USAGE, "unknown or incomplete option '%s'; see resnet-bench --help",
				argv[refused < argc ? refused : argc - 1]);
	if (!command->named)
		return nn_error(NN_ERR_USAGE, "say what to time: resnet-bench step, eval, data or comm; see resnet-bench --help");
	if (command->reads != (command->data.path != NULL))
		return nn_error(NN_ERR_USAGE, "--data DIR belongs to resnet-bench data, and it to --data; see resnet-bench --help");
	return NN_OK;
}

/* No text needs escaping: the network's name is one that exists. */
static void print_json(const struct bench_options *options, const struct bench_result *result)
{
	printf("{\"program\": \"resnet-bench\", \"mode\": \"%s\", \"arch\": \"%s\", \"batch\": %zu, \"image_size\": %d, "
	       "\"threads\": %d, "
	       "\"isa\": \"%s\", \"iterations\": %d, \"median_ms\": %.3f, \"min_ms\": %.3f, \"images_per_second\": %.3f, "
	       "\"gflops\": %.3f, \"peak_mib\": %.1f}\n",
	       options->train ? "step" : "eval", options->arch, options->batch, result->image_size, options->threads, result->isa,
	       options->iterations, 1e3 * result->median_seconds, 1e3 * result->least_seconds, result->images_per_second,
	       result->gflops, (double)result->peak_bytes / 1048576);
}

static void print_row(const struct bench_options *options, const struct bench_result *result)
{
	printf("%-14s %s  batch %zu  %d px  %d thread%s  %s  %10.2f ms (min %.2f)  %9.2f images/s  %7.1f GFLOP/s  %6.0f MiB\n",
	       options->arch, options->train ? "step" : "eval", options->batch, result->image_size, options->threads,
	       options->threads == 1 ? "" : "s", result->isa, 1e3 * result->median_seconds, 1e3 * result->least_seconds,
	       result->images_per_second, result->gflops, (double)result->peak_bytes / 1048576);
}

/* Reading images on one thread. */
static enum nn_status run_data(const struct command *command)
{
	struct bench_data_options options = command->data;
	struct bench_data_result result;
	enum nn_status status;

	options.image_size = command->options.image_size > 0 ? command->options.image_size : 224;
	options.iterations = command->options.iterations;
	status = bench_data_run(&result, &options);
	if (status != NN_OK)
		return status;
	if (command->json)
		printf("{\"program\": \"resnet-bench\", \"mode\": \"data\", \"images\": %zu, \"image_size\": %d, "
		       "\"median_ms\": %.3f, \"decode_ms\": %.3f, \"images_per_second\": %.2f}\n",
		       result.images, options.image_size, 1e3 * result.median_seconds / (double)result.images,
		       1e3 * result.decode_seconds / (double)result.images, result.images_per_second);
	else
		printf("data  %zu images to %d px  %.3f ms an image, %.3f of them reading and decoding  %.1f images/s per core\n",
		       result.images, options.image_size, 1e3 * result.median_seconds / (double)result.images,
		       1e3 * result.decode_seconds / (double)result.images, result.images_per_second);
	return NN_OK;
}

static void print_comm(const struct command *command, const struct comm *comm, const struct bench_comm_result *result)
{
	for (int on = 0; on < 2; on++) {
		const struct bench_comm_row *row = &result->overlap[on];

		if (command->json)
			printf(
			    "{\"program\": \"resnet-bench\", \"mode\": \"comm\", \"arch\": \"%s\", \"batch\": %zu, \"ranks\": %d, "
			    "\"nodes\": %d, \"threads\": %d, \"isa\": \"%s\", \"overlap\": %s, \"median_ms\": %.3f, "
			    "\"gradients_ms\": %.3f, \"statistics_ms\": %.3f}\n",
			    command->options.arch, command->options.batch, comm_size(comm), comm_nodes(comm),
			    command->options.threads, result->isa, on ? "true" : "false", 1e3 * row->step, 1e3 * row->gradients,
			    1e3 * row->statistics);
		else
			printf("%-14s comm  batch %zu  %d ranks on %d nodes  overlap %-3s  step %10.2f ms  gradients %9.2f ms "
			       "(%4.1f %%)  "
			       "statistics %9.2f ms (%4.1f %%)\n",
			       command->options.arch, command->options.batch, comm_size(comm), comm_nodes(comm), on ? "on" : "off",
			       1e3 * row->step, 1e3 * row->gradients, 100 * row->gradients / row->step, 1e3 * row->statistics,
			       100 * row->statistics / row->step);
	}
}

/* On every rank; rank 0 prints. Leaves the program here, when MPI has ended. */
static _Noreturn void run_comm(const struct command *command, int argc, char **argv)
{
	struct bench_comm_result result;
	struct comm *comm;
	enum nn_status status = comm_create(&comm, &argc, &argv);
	bool speaks = status != NN_OK || comm_rank(comm) == 0;

	if (status == NN_OK)
		status = bench_comm_run(&result, comm, &command->options);
	if (status == NN_OK && speaks)
		print_comm(command, comm, &result);
	if (status != NN_OK && speaks)
		fprintf(stderr, "resnet-bench: error: %s\n", nn_error_message());
	comm_destroy(comm);
	exit(nn_exit_code(status));
}

static enum nn_status run(const struct command *command)
{
	struct bench_result result;
	enum nn_status status;

	if (command->help) {
		argp_help(&argp, stdout, ARGP_HELP_LONG | ARGP_HELP_USAGE | ARGP_HELP_DOC, (char[]){"resnet-bench"});
		return NN_OK;
	}
	if (command->version) {
		puts("resnet-bench " RESNET_VERSION);
		return NN_OK;
	}
	if (command->reads)
		return run_data(command);
	status = bench_run(&result, &command->options);
	if (status != NN_OK)
		return status;
	if (command->json)
		print_json(&command->options, &result);
	else
		print_row(&command->options, &result);
	return NN_OK;
}

int main(int argc, char **argv)
{
	struct command command = {
	    .data = {.augment = AUGMENT_INCEPTION, .images = 512},
	    .options = {
		.arch = "resnet20", .batch = 128, .threads = 1, .winograd = true, .iterations = 9, .isa = getenv("RESNET_ISA")}};
	enum nn_status status = parse(&command, argc, argv);

	if (status == NN_OK && command.comm && !command.help && !command.version)
		run_comm(&command, argc, argv);
	if (status == NN_OK)
		status = run(&command);
	if (status == NN_OK && fflush(stdout) != 0)
		status = nn_error(NN_ERR_IO, "cannot write to standard output: %s", strerror(errno));
	if (status != NN_OK)
		fprintf(stderr, "resnet-bench: error: %s\n", nn_error_message());
	return nn_exit_code(status);
}
