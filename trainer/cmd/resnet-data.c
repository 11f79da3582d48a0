/* resnet-data: draws, compares, packs and unpacks data sets. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/core/status.h"
#include "trainer/data/dataset.h"
#include "trainer/data/image_digest.h"
#include "trainer/data/packed_check.h"
#include "trainer/data/packed_write.h"
#include "trainer/data/synth.h"

enum key { KEY_TRAIN = 256, KEY_VAL, KEY_SEED, KEY_SIZE, KEY_SPLIT, KEY_PIECE, KEY_HELP, KEY_VERSION };

enum verb { VERB_NONE, VERB_SYNTH, VERB_DIGEST, VERB_PACK, VERB_UNPACK, VERB_VERIFY, VERB_STAT, VERBS };

static const struct {
	const char *name;
	int folders; /* that it takes */
} verbs[VERBS] = {
    [VERB_SYNTH] = {"synth", 1},   [VERB_DIGEST] = {"digest", 1}, [VERB_PACK] = {"pack", 2},
    [VERB_UNPACK] = {"unpack", 2}, [VERB_VERIFY] = {"verify", 1}, [VERB_STAT] = {"stat", 1},
};

static const char *const split_names[] = {[SPLIT_TRAIN] = "train", [SPLIT_VAL] = "val"};

struct command {
	enum verb verb;
	const char *paths[2];
	int path_count;
	struct synth_options options;
	int split;	      /* an enum data_split, or -1: both */
	uint64_t piece_bytes; /* of a packed set */
	bool given[VERBS];    /* an option of this verb was given */
	bool help;
	bool version;
	int at; /* the argument that argp looks at now */
	enum nn_status status;
};

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

static enum nn_status take_number(struct command *command, int key, const char *text)
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

static enum nn_status take_split(struct command *command, const char *text)
{
	command->given[VERB_DIGEST] = true;
	for (int split = SPLIT_TRAIN; split <= SPLIT_VAL; split++)
		if (strcmp(text, split_names[split]) == 0) {
			command->split = split;
			return NN_OK;
		}
	return nn_error(NN_ERR_USAGE, "--split %s: it is train or val", text);
}

static enum nn_status take_argument(struct command *command, const char *text)
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
	struct command *command = state->input;

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

static enum nn_status check(const struct command *command)
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

static enum nn_status parse(struct command *command, int argc, char **argv)
{
	error_t failed = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP | ARGP_IN_ORDER, NULL, command);

	if (command->status != NN_OK || command->help || command->version)
		return command->status;
	if (failed)
		return nn_error(NN_ERR_USAGE, "unknown or incomplete option '%s'; see --help",
				argv[command->at < argc ? command->at : argc - 1]);
	return check(command);
}

static enum nn_status run_synth(const struct command *command)
{
	bool made;
	const char *out = command->paths[0];
	enum nn_status status = synth_write(&made, out, &command->options);

	if (status == NN_OK && made)
		printf("%s: drawn, %zu training and %zu validation images of %d classes\n", out, command->options.train,
		       command->options.val, SYNTH_CLASSES);
	else if (status == NN_OK)
		printf("%s: already there with these options, left alone\n", out);
	return status;
}

static enum nn_status print_digests(const char *path, enum data_split split)
{
	struct dataset *dataset;
	struct image image = {0};
	enum nn_status status = dataset_open(&dataset, path, split);

	for (size_t i = 0; status == NN_OK && i < dataset_count(dataset); i++) {
		char digest[IMAGE_DIGEST_CHARS], name[DATASET_NAME_MAX], text[ESCAPE_BYTES(DATASET_NAME_MAX)];

		status = dataset_read(dataset, i, &image);
		if (status != NN_OK)
			break;
		image_digest(digest, dataset_class_name(dataset, dataset_label(dataset, i)), &image);
		dataset_file_name(dataset, i, name);
		escape_name(text, sizeof(text), name);
		printf("%s  %s\n", digest, text);
	}
	image_release(&image);
	dataset_close(dataset);
	return status;
}

static enum nn_status run_digest(const struct command *command)
{
	const char *path = command->paths[0];
	enum nn_status status;

	if (command->split >= 0)
		return print_digests(path, (enum data_split)command->split);
	if (!dataset_has_split(path, SPLIT_TRAIN))
		return print_digests(path, SPLIT_VAL);
	status = print_digests(path, SPLIT_TRAIN);
	if (status == NN_OK && dataset_has_split(path, SPLIT_VAL))
		status = print_digests(path, SPLIT_VAL);
	return status;
}

static enum nn_status print_facts(const char *folder, const char *split)
{
	struct packed_facts facts;
	enum nn_status status = packed_describe(&facts, folder, split);

	if (status == NN_OK)
		printf("%s: %" PRIu64 " images of %" PRIu64 " classes in %" PRIu64 " data file%s, %" PRIu64
		       " bytes; an image has %" PRIu64 " to %" PRIu64 "\n",
		       facts.split, facts.images, facts.classes, facts.pieces, facts.pieces == 1 ? "" : "s", facts.bytes,
		       facts.smallest, facts.largest);
	return status;
}

/* stat or verify, split by split. */
static enum nn_status look_into(const struct command *command)
{
	const char *folder = command->paths[0];
	enum nn_status status = NN_OK;
	int found = 0;

	for (int split = SPLIT_TRAIN; split <= SPLIT_VAL && status == NN_OK; split++) {
		const char *name = packed_split(folder, (enum data_split)split);

		if (!name)
			continue;
		found++;
		if (command->verb == VERB_VERIFY)
			status = packed_verify(folder, name);
		if (status == NN_OK)
			status = print_facts(folder, name);
	}
	if (found == 0)
		return nn_error(NN_ERR_DATA, "%s: no packed data set in this folder; check the path", folder);
	if (status == NN_OK && command->verb == VERB_VERIFY)
		printf("%s: every byte is as it was packed\n", folder);
	return status;
}

static enum nn_status run_pack(const struct command *command)
{
	const char *folder = command->paths[0], *out = command->paths[1];
	bool made;
	enum nn_status status = packed_write(&made, out, folder, command->piece_bytes);

	if (status == NN_OK)
		printf(made ? "%s: packed\n" : "%s: already there, left alone\n", out);
	return status;
}

static enum nn_status run(const struct command *command)
{
	if (command->help) {
		argp_help(&argp, stdout, ARGP_HELP_LONG | ARGP_HELP_USAGE | ARGP_HELP_DOC, (char[]){"resnet-data"});
		return NN_OK;
	}
	if (command->version) {
		puts("resnet-data " RESNET_VERSION);
		return NN_OK;
	}
	switch (command->verb) {
	case VERB_SYNTH:
		return run_synth(command);
	case VERB_DIGEST:
		return run_digest(command);
	case VERB_PACK:
		return run_pack(command);
	case VERB_UNPACK:
		return packed_unpack(command->paths[1], command->paths[0]);
	default:
		return look_into(command);
	}
}

int main(int argc, char **argv)
{
	struct command command = {
	    .options = {.train = 5000, .val = 1000, .seed = 0, .size = 32}, .split = -1, .piece_bytes = (uint64_t)1 << 30, .at = 1};
	enum nn_status status = parse(&command, argc, argv);

	if (status == NN_OK)
		status = run(&command);
	if (status == NN_OK && (fflush(stdout) != 0 || ferror(stdout)))
		status = nn_error(NN_ERR_IO, "cannot write to standard output: %s", strerror(errno));
	if (status != NN_OK)
		fprintf(stderr, "resnet-data: error: %s\n", nn_error_message());
	return nn_exit_code(status);
}
