#include "trainer/run/data_command.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/data/dataset.h"

enum key {
	KEY_FIRST = 256,
	KEY_TRAIN = KEY_FIRST,
	KEY_VAL,
	KEY_SEED,
	KEY_SIZE,
	KEY_SPLIT,
	KEY_PIECE,
	KEY_SIDE,
	KEY_QUALITY,
	KEY_THREADS,
	KEY_LAST = KEY_THREADS, /* of those that belong to verbs */
	KEY_HELP,
	KEY_VERSION
};

enum { THREADS_MAX = 1024, QUALITY = 90 };

static const struct {
	const char *name;
	int folders; /* that it takes */
} verbs[VERBS] = {
    [VERB_SYNTH] = {"synth", 1},   [VERB_DIGEST] = {"digest", 1}, [VERB_PACK] = {"pack", 2},   [VERB_UNPACK] = {"unpack", 2},
    [VERB_VERIFY] = {"verify", 1}, [VERB_STAT] = {"stat", 1},	  [VERB_SPLIT] = {"split", 2}, [VERB_CHECK] = {"check", 1},
};

/* Bits: the verbs that have the option, and the largest number that it takes. */
static const struct {
	unsigned verbs;
	uint64_t most;
} options[KEY_LAST - KEY_FIRST + 1] = {
    [KEY_TRAIN - KEY_FIRST] = {1u << VERB_SYNTH, INT32_MAX},
    [KEY_VAL - KEY_FIRST] = {1u << VERB_SYNTH | 1u << VERB_SPLIT, UINT32_MAX},
    [KEY_SEED - KEY_FIRST] = {1u << VERB_SYNTH | 1u << VERB_SPLIT, UINT64_MAX},
    [KEY_SIZE - KEY_FIRST] = {1u << VERB_SYNTH, INT32_MAX},
    [KEY_SPLIT - KEY_FIRST] = {1u << VERB_DIGEST, 0},
    [KEY_PIECE - KEY_FIRST] = {1u << VERB_PACK, INT64_MAX},
    [KEY_SIDE - KEY_FIRST] = {1u << VERB_PACK, IMAGE_SIDE_MAX},
    [KEY_QUALITY - KEY_FIRST] = {1u << VERB_PACK, 100},
    [KEY_THREADS - KEY_FIRST] = {1u << VERB_PACK | 1u << VERB_SPLIT | 1u << VERB_CHECK, THREADS_MAX},
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
    {.name = "shorter-side",
     .key = KEY_SIDE,
     .arg = "N",
     .doc = "JPEGs whose shorter side is longer are scaled to it and encoded again (default: every file stays as it is)",
     .group = 3},
    {.name = "quality", .key = KEY_QUALITY, .arg = "Q", .doc = "of those, 1 to 100 (default 90)", .group = 3},
    {.name = "threads",
     .key = KEY_THREADS,
     .arg = "N",
     .doc = "that read files, also of check, and of split from a packed DIR (default: the cores); the result is the same",
     .group = 3},
    {.doc = "Options of split: --val N or P% images for validation (default 10%), --seed S for others (default 0)", .group = 4},
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

static const char *name_of(int key)
{
	const struct argp_option *row = rows;

	while (row->key != key)
		row++;
	return row->name;
}

static enum nn_status take_number(struct data_command *command, int key, const char *text)
{
	uint64_t number, most = options[key - KEY_FIRST].most;
	int least = key > KEY_PIECE;

	if (!read_number(&number, text, most) || number < (uint64_t)least)
		return nn_error(NN_ERR_USAGE, "--%s %s: must be a whole number from %d to %" PRIu64 "; see --help", name_of(key),
				text, least, most);
	switch (key) {
	case KEY_TRAIN:
		command->options.train = (size_t)number;
		break;
	case KEY_SEED:
		command->options.seed = number;
		break;
	case KEY_PIECE:
		command->piece_bytes = number;
		break;
	case KEY_SIDE:
		command->shrink.shorter_side = (int)number;
		break;
	case KEY_QUALITY:
		command->shrink.quality = (int)number;
		break;
	case KEY_THREADS:
		command->threads = (int)number;
		break;
	default:
		command->options.size = (int)number;
		break;
	}
	return NN_OK;
}

static enum nn_status take_split(struct data_command *command, const char *text)
{
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
	return nn_error(NN_ERR_USAGE,
			"no command '%s'; there are synth, check, digest, split, pack, unpack, verify and stat, see --help", text);
}

static error_t take(int key, char *value, struct argp_state *state)
{
	struct data_command *command = state->input;

	if (key >= KEY_FIRST && key <= KEY_LAST)
		command->given |= 1u << (key - KEY_FIRST);
	switch (key) {
	case KEY_TRAIN:
	case KEY_SEED:
	case KEY_SIZE:
	case KEY_PIECE:
	case KEY_SIDE:
	case KEY_QUALITY:
	case KEY_THREADS:
		command->status = take_number(command, key, value);
		break;
	case KEY_VAL:
		command->val_text = value;
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
    .args_doc = "synth OUT\ncheck DIR\ndigest DIR\nsplit DIR OUT\npack DIR OUT\nunpack PACKED OUT\nverify PACKED\nstat PACKED",
    .doc = "synth draws a data set of ten shapes into the folder OUT: OUT/train/CLASS/NNNN.png and OUT/val/CLASS/NNNN.png. "
	   "The same options give the same pictures everywhere. A finished OUT with the same options is left alone.\n\n"
	   "check reads every image of DIR, a data set or DIR/CLASS/*, and names each that cannot be read.\n\n"
	   "digest prints a line per image of the data set DIR, in its order: a digest of class name, size and pixels, then the "
	   "image's name. Copies of a data set as image folder and as CIFAR files have the same digests: compare "
	   "`resnet-data digest DIR | cut -c 1-32 | sort`.\n\n"
	   "split divides the training images of DIR, at random and class by class, into training and validation: --val 10% of "
	   "them, or "
	   "--val N. Of an image folder, DIR/train/CLASS/* or DIR/CLASS/*, OUT/train and OUT/val hold hard links; a packed folder "
	   "gives a "
	   "packed OUT.\n\n"
	   "pack writes the files of an image folder, as they are, into a few large files in the folder OUT, which --data takes in "
	   "its place; with --shorter-side, large JPEGs become smaller. unpack writes them out again. Interrupted, the same pack "
	   "command "
	   "goes on. verify reads all of a packed folder and finds any byte that has changed; stat says what it holds."
	   "\vExit codes: 0 done; 2 usage, or OUT is something else; 3 DIR cannot be read; 5 OUT cannot be written.",
};

/* --val is a number of images, or for split a share of them. */
static enum nn_status read_val(struct data_command *command)
{
	const char *text = command->val_text;
	uint64_t number;
	char *end;
	double percent;

	if (!text)
		return NN_OK;
	if (read_number(&number, text, options[KEY_VAL - KEY_FIRST].most)) {
		command->options.val = (size_t)number;
		command->val = (struct split_size){.count = number};
		return NN_OK;
	}
	percent = strtod(text, &end);
	if (command->verb != VERB_SPLIT || text[0] < '0' || text[0] > '9' || strcmp(end, "%") != 0 ||
	    !(percent > 0 && percent < 100))
		return nn_error(NN_ERR_USAGE, "--val %s is not a whole number%s; see --help", text,
				command->verb == VERB_SPLIT ? " and no share between 0% and 100%" : " in range");
	command->val = (struct split_size){.share = percent / 100};
	return NN_OK;
}

static enum nn_status check(struct data_command *command)
{
	if (command->verb != VERB_NONE && command->path_count < verbs[command->verb].folders)
		return nn_error(NN_ERR_USAGE, "%s wants %s%s; see --help", verbs[command->verb].name,
				verbs[command->verb].folders == 1 ? "a folder" : "two folders",
				command->path_count == 1 ? ", and there is one" : "");
	if (command->verb == VERB_NONE)
		return nn_error(
		    NN_ERR_USAGE,
		    "say what to do: resnet-data synth OUT, check DIR, digest DIR, split DIR OUT, pack DIR OUT, unpack PACKED OUT, "
		    "verify PACKED or stat PACKED; see --help");
	for (int key = KEY_FIRST; key <= KEY_LAST; key++) {
		unsigned owners = options[key - KEY_FIRST].verbs;
		int owner = VERB_NONE + 1;

		while (!(owners >> owner & 1))
			owner++;
		if ((command->given >> (key - KEY_FIRST) & 1) && !(owners >> command->verb & 1))
			return nn_error(NN_ERR_USAGE, "%s has no such option, %s has; see --help", verbs[command->verb].name,
					verbs[owner].name);
	}
	if (command->shrink.quality && !command->shrink.shorter_side)
		return nn_error(NN_ERR_USAGE, "--quality is that of files which --shorter-side makes; give both");
	if (command->shrink.shorter_side && !command->shrink.quality)
		command->shrink.quality = QUALITY;
	return read_val(command);
}

enum nn_status data_command_parse(struct data_command *command, int argc, char **argv)
{
	error_t failed;

	*command = (struct data_command){.options = {.train = 5000, .val = 1000, .seed = 0, .size = 32},
					 .split = -1,
					 .piece_bytes = (uint64_t)1 << 30,
					 .val = {.share = 0.1},
					 .at = 1};
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
