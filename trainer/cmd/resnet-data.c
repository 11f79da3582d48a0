/* resnet-data: draws, compares, packs and unpacks data sets. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "nn/core/status.h"
#include "trainer/data/dataset.h"
#include "trainer/data/image_digest.h"
#include "trainer/data/packed_check.h"
#include "trainer/data/packed_write.h"
#include "trainer/run/data_command.h"

static enum nn_status run_synth(const struct data_command *command)
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

static enum nn_status run_digest(const struct data_command *command)
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
static enum nn_status look_into(const struct data_command *command)
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

static enum nn_status run_pack(const struct data_command *command)
{
	const char *folder = command->paths[0], *out = command->paths[1];
	bool made;
	enum nn_status status = packed_write(&made, out, folder, command->piece_bytes);

	if (status == NN_OK)
		printf(made ? "%s: packed\n" : "%s: already there, left alone\n", out);
	return status;
}

static enum nn_status run(const struct data_command *command)
{
	if (command->help) {
		data_command_help(stdout);
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
	struct data_command command;
	enum nn_status status = data_command_parse(&command, argc, argv);

	if (status == NN_OK)
		status = run(&command);
	if (status == NN_OK && (fflush(stdout) != 0 || ferror(stdout)))
		status = nn_error(NN_ERR_IO, "cannot write to standard output: %s", strerror(errno));
	if (status != NN_OK)
		fprintf(stderr, "resnet-data: error: %s\n", nn_error_message());
	return nn_exit_code(status);
}
