#include "trainer/run/data_command.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/data/dataset.h"

enum key { KEY_TRAIN = 256, KEY_VAL, KEY_SEED, KEY_SIZE, KEY_SPLIT, KEY_PIECE, KEY_HELP, KEY_VERSION };

static const struct {
	const char *name;
	int folders; /* that it takes */
} verbs[VERBS] = {
    [VERB_SYNTH] = {"synth", 1},   [VERB_DIGEST] = {"digest", 1}, [VERB_PACK] = {"pack", 2},
    [VERB_UNPACK] = {"unpack", 2}, [VERB_VERIFY] = {"verify", 1}, [VERB_STAT] = {"stat", 1},
};

static const char *const split_names[] = {[SPLIT_TRAIN] = "train", [SPLIT_VAL] = "val"};

static const struct argp_option rows[] = {
    {.doc = "Options of synth:", .group = 1},
    {.name = "train", .key = KEY_TRAIN, .arg = "N", .doc = "training images (default 5000)", .group = 1},
    {.name = "val", .key = KEY_VAL, .arg = "N", .doc = "validation images (default 1000)", .group = 1},
    {.name = "seed", .key = KEY_SEED, .arg = "S", .doc = "another seed, other pictures (default 0)", .group = 1},
    {.name = "size", .key = KEY_SIZE, .arg = "N", .doc = "side of the pictures in pixels (default 32)", .group = 1},
    {.doc = "Options of digest:", .group = 2},
    {.name = "split", .key = KEY_SPLIT, .arg = "train|val", .doc = "only the training or the validation images", .group = 2},
    {.doc = "Options of pack:", .group = 3},
    {.name = "piece", .key = KEY_PIECE, .arg = "BYTES", .doc = "size of a data file (default 1073741824)", .group = 3},
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

static enum nn_status take_number(struct data_command *command, int key, const char *text)
{
	uint64_t number;

	command->given[key == KEY_PIECE ? VERB_PACK : VERB_SYNTH] = true;
	if (!read_number(&number, text, key == KEY_SEED ? UINT64_MAX : key == KEY_PIECE ? INT64_MAX : INT32_MAX))
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
	case KEY_PIECE:
		command->piece_bytes = number;
		break;
	default:
		command->options.size = (int)number;
		break;
	}
	return NN_OK;
}

static enum nn_status take_split(struct data_command *command, const char *text)
{
	command->given[VERB_DIGEST] = true;
	for (int split = SPLIT_TRAIN; split <= SPLIT_VAL; split++)
		if (strcmp(text, split_names[split]) == 0) {
			command->split = split;
			return NN_OK;
		}
	return nn_error(NN_ERR_USAGE, "--split %s: it is train or val", text);
}

static enum nn_status take_argument(struct data_command *command, const char *text)
{
	if (command->verb != VERB_NONE && command->path_count == verbs[command->verb].folders)
		return nn_error(NN_ERR_USAGE, "%s is enough, '%s' is one more; see --help",
				command->path_count == 1 ? "one folder" : "two folders", text);
	if (command->verb != VERB_NONE) {
		command->paths[command->path_count++] = text;
		return NN_OK;
	}
	for (int verb = VERB_NONE + 1; verb < VERBS; verb++)
		if (strcmp(text, verbs[verb].name) == 0) {
			command->verb = (enum verb)verb;
			return NN_OK;
		}
	return nn_error(NN_ERR_USAGE, "no command '%s'; there are synth, digest, pack, unpack, verify and stat, see --help", text);
}

static error_t take(int key, char *value, struct argp_state *state)
{
	struct data_command *command = state->input;

	switch (key) {
	case KEY_TRAIN:
	case KEY_VAL:
	case KEY_SEED:
	case KEY_SIZE:
	case KEY_PIECE:
		command->status = take_number(command, key, value);
		break;
	case KEY_SPLIT:
		command->status = take_split(command, value);
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
	command->at = state->next;
	return command->status == NN_OK ? 0 : EINVAL;
}

static const struct argp argp = {
    .options = rows,
    .parser = take,
    .args_doc = "synth OUT\ndigest DIR\npack DIR OUT\nunpack PACKED OUT\nverify PACKED\nstat PACKED",
    .doc =
	"synth draws a data set of ten shapes into the folder OUT: OUT/train/CLASS/NNNN.png and OUT/val/CLASS/NNNN.png. "
	"The same options give the same pictures everywhere. A finished OUT with the same options is left alone.\n\n"
	"digest prints a line per image of the data set DIR, in its order: a digest of class name, size and pixels, then the "
	"image's name. Copies of a data set as image folder and as CIFAR files have the same digests: compare "
	"`resnet-data digest DIR | cut -c 1-32 | sort`.\n\n"
	"pack writes the files of an image folder, as they are, into a few large files in the folder OUT, which --data takes in "
	"its "
	"place; unpack writes them out again. Interrupted, the same pack command goes on. verify reads all of a packed folder and "
	"finds any byte that has changed; stat says what it holds."
	"\vExit codes: 0 done; 2 usage, or OUT is something else; 3 DIR cannot be read; 5 OUT cannot be written.",
};

static enum nn_status check(const struct data_command *command)
{
	if (command->verb == VERB_NONE || command->path_count < verbs[command->verb].folders)
		return nn_error(NN_ERR_USAGE, "say what to do: resnet-data synth OUT, digest DIR, pack DIR OUT, unpack PACKED OUT, "
					      "verify PACKED or stat PACKED; see --help");
	for (int verb = VERB_NONE + 1; verb < VERBS; verb++)
		if (command->given[verb] && verb != (int)command->verb)
			return nn_error(NN_ERR_USAGE, "%s has no such option, %s has; see --help", verbs[command->verb].name,
					verbs[verb].name);
	return NN_OK;
}

enum nn_status data_command_parse(struct data_command *command, int argc, char **argv)
{
	error_t failed;

	*command = (struct data_command){
	    .options = {.train = 5000, .val = 1000, .seed = 0, .size = 32}, .split = -1, .piece_bytes = (uint64_t)1 << 30, .at = 1};
	failed = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP | ARGP_IN_ORDER, NULL, command);

	if (command->status != NN_OK || command->help || command->version)
		return command->status;
	if (failed)
		return nn_error(NN_ERR_USAGE, "unknown or incomplete option '%s'; see --help",
				argv[command->at < argc ? command->at : argc - 1]);
	return check(command);
}

void data_command_help(FILE *stream)
{
	argp_help(&argp, stream, ARGP_HELP_LONG | ARGP_HELP_USAGE | ARGP_HELP_DOC, (char[]){"resnet-data"});
}
