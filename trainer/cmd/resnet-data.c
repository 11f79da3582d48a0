/* resnet-data: makes data sets. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/status.h"
#include "trainer/data/synth.h"

enum key { KEY_TRAIN = 256, KEY_VAL, KEY_SEED, KEY_SIZE, KEY_HELP, KEY_VERSION };

struct command {
	const char *out;
	struct synth_options options;
	bool named; /* the command's name was given */
	bool help;
	bool version;
	enum nn_status status;
};

static const struct argp_option rows[] = {
    {.name = "train", .key = KEY_TRAIN, .arg = "N", .doc = "training images (default 5000)"},
    {.name = "val", .key = KEY_VAL, .arg = "N", .doc = "validation images (default 1000)"},
    {.name = "seed", .key = KEY_SEED, .arg = "S", .doc = "another seed, other pictures (default 0)"},
    {.name = "size", .key = KEY_SIZE, .arg = "N", .doc = "side of the pictures in pixels (default 32)"},
    {.name = "help", .key = KEY_HELP, .doc = "print this text", .group = -1},
    {.name = "version", .key = KEY_VERSION, .doc = "print the version", .group = -1},
    {0},
};

/* *number = the text as a whole number. False when it is none, or larger than `most`. */
static bool read_number(uint64_t *number, const char *text, uint64_t most)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0 && *number <= most;
}

static enum nn_status take_number(struct command *command, int key, const char *text)
{
	uint64_t number;

	if (!read_number(&number, text, key == KEY_SEED ? UINT64_MAX : INT32_MAX))
		return nn_error(NN_ERR_USAGE, "'%s' is not a whole number in range; see --help", text);
	switch (key) {
	case KEY_TRAIN:
		command->options.train = (size_t)number;
		break;
	case KEY_VAL:
		command->options.val = (size_t)number;
		break;
	case KEY_SEED:
		command->options.seed = number;
		break;
	default:
		command->options.size = (int)number;
		break;
	}
	return NN_OK;
}

static enum nn_status take_argument(struct command *command, const char *text)
{
	if (!command->named && strcmp(text, "synth") != 0)
		return nn_error(NN_ERR_USAGE, "no command '%s'; the only one is synth, see --help", text);
	if (command->out)
		return nn_error(NN_ERR_USAGE, "one output folder is enough, '%s' is a second; see --help", text);
	if (command->named)
		command->out = text;
	command->named = true;
	return NN_OK;
}

static error_t take(int key, char *value, struct argp_state *state)
{
	struct command *command = state->input;

	switch (key) {
	case KEY_TRAIN:
	case KEY_VAL:
	case KEY_SEED:
	case KEY_SIZE:
		command->status = take_number(command, key, value);
		break;
	case ARGP_KEY_ARG:
		command->status = take_argument(command, value);
		break;
	case KEY_HELP:
		command->help = true;
		break;
	case KEY_VERSION:
		command->version = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return command->status == NN_OK ? 0 : EINVAL;
}

static const struct argp argp = {
    .options = rows,
    .parser = take,
    .args_doc = "synth OUT",
    .doc = "Draws a data set of ten shapes into the folder OUT: OUT/train/CLASS/NNNN.png and OUT/val/CLASS/NNNN.png. "
	   "The same options give the same pictures everywhere. A finished OUT with the same options is left alone."
	   "\vExit codes: 0 done; 2 usage, or OUT is something else; 5 OUT cannot be written.",
};

static enum nn_status parse(struct command *command, int argc, char **argv)
{
	int refused = argc;
	error_t failed = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP, &refused, command);

	if (command->status != NN_OK || command->help || command->version)
		return command->status;
	if (failed)
		return nn_error(NN_ERR_USAGE, "unknown or incomplete option '%s'; see --help",
				argv[refused < argc ? refused : argc - 1]);
	if (!command->out)
		return nn_error(NN_ERR_USAGE, "say what to do: resnet-data synth OUT; see --help");
	return NN_OK;
}

static enum nn_status run(const struct command *command)
{
	bool made;
	enum nn_status status;

	if (command->help) {
		argp_help(&argp, stdout, ARGP_HELP_LONG | ARGP_HELP_USAGE | ARGP_HELP_DOC, (char[]){"resnet-data"});
		return NN_OK;
	}
	if (command->version) {
		puts("resnet-data " RESNET_VERSION);
		return NN_OK;
	}
	status = synth_write(&made, command->out, &command->options);
	if (status == NN_OK && made)
		printf("%s: drawn, %zu training and %zu validation images of %d classes\n", command->out, command->options.train,
		       command->options.val, SYNTH_CLASSES);
	else if (status == NN_OK)
		printf("%s: already there with these options, left alone\n", command->out);
	return status;
}

int main(int argc, char **argv)
{
	struct command command = {.options = {.train = 5000, .val = 1000, .seed = 0, .size = 32}};
	enum nn_status status = parse(&command, argc, argv);

	if (status == NN_OK)
		status = run(&command);
	if (status == NN_OK && fflush(stdout) != 0)
		status = nn_error(NN_ERR_IO, "cannot write to standard output: %s", strerror(errno));
	if (status != NN_OK)
		fprintf(stderr, "resnet-data: error: %s\n", nn_error_message());
	return nn_exit_code(status);
}
