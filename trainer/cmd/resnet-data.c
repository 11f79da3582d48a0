/* resnet-data: draws, checks, compares, splits, packs and unpacks data sets. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "nn/core/status.h"
#include "trainer/data/dataset.h"
#include "trainer/data/dataset_check.h"
#include "trainer/data/image_digest.h"
#include "trainer/data/packed_check.h"
#include "trainer/data/packed_write.h"
#include "trainer/report/pack_progress.h"
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

/* The cores that this program may use. */
static int count_cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

static void print_line(const char *line)
{
	puts(line);
}

/* Adds to the images that were read, and to those of them that cannot be. Closes the data set. */
static enum nn_status check_images(size_t *images, size_t *unreadable, struct dataset *dataset, int threads)
{
	size_t bad;
	enum nn_status status = dataset_check(&bad, dataset, threads, print_line);

	*images += dataset_count(dataset);
	*unreadable += bad;
	dataset_close(dataset);
	return status;
}

static enum nn_status run_check(const struct data_command *command)
{
	const char *path = command->paths[0];
	size_t images = 0, unreadable = 0;
	int threads = command->threads ? command->threads : count_cores();
	struct dataset *dataset;
	enum nn_status status = NN_OK;
	bool found = false;

	for (int split = SPLIT_TRAIN; split <= SPLIT_VAL && status == NN_OK; split++) {
		if (!dataset_has_split(path, (enum data_split)split))
			continue;
		found = true;
		status = dataset_open(&dataset, path, (enum data_split)split);
		if (status == NN_OK)
			status = check_images(&images, &unreadable, dataset, threads);
	}
	if (!found) {
		status = dataset_open_classes(&dataset, path);
		if (status == NN_OK)
			status = check_images(&images, &unreadable, dataset, threads);
	}
	if (status == NN_OK && unreadable > 0)
		return nn_error(NN_ERR_DATA,
				"%zu of the %zu images in %s cannot be read; resnet-train leaves them out with --max-bad %zu",
				unreadable, images, path, unreadable);
	if (status == NN_OK)
		printf("%s: all %zu images can be read\n", path, images);
	return status;
}

static void print_colours(const struct packed_facts *facts)
{
	float mean[3], inverse_std[3], axes[3][3];

	colours_moments(mean, inverse_std, &facts->colours);
	colours_axes(axes, &facts->colours);
	printf("%s: mean %.4f %.4f %.4f, deviation %.4f %.4f %.4f", facts->split, (double)mean[0], (double)mean[1], (double)mean[2],
	       (double)(1 / inverse_std[0]), (double)(1 / inverse_std[1]), (double)(1 / inverse_std[2]));
	for (int i = 0; i < 3; i++)
		printf("%s(%.5f %.5f %.5f)", i == 0 ? ", colour axes " : " ", (double)axes[i][0], (double)axes[i][1],
		       (double)axes[i][2]);
	putchar('\n');
}

static enum nn_status print_facts(const char *folder, const char *split)
{
	struct packed_facts facts;
	enum nn_status status = packed_describe(&facts, folder, split);

	if (status != NN_OK)
		return status;
	printf("%s: %" PRIu64 " images of %" PRIu64 " classes in %" PRIu64 " data file%s, %" PRIu64 " bytes; an image has %" PRIu64
	       " to %" PRIu64 "\n",
	       facts.split, facts.images, facts.classes, facts.pieces, facts.pieces == 1 ? "" : "s", facts.bytes, facts.smallest,
	       facts.largest);
	if (facts.shorter_side)
		printf("%s: JPEGs with a shorter side of more than %u pixels were scaled to it, quality %u\n", facts.split,
		       facts.shorter_side, facts.quality);
	if (facts.readable < facts.images)
		printf("%s: %" PRIu64
		       " of the images cannot be decoded; resnet-data check names them, resnet-train leaves them out with "
		       "--max-bad\n",
		       facts.split, facts.images - facts.readable);
	if (facts.has_colours)
		print_colours(&facts);
	return NN_OK;
}

/* What a packed folder holds, split by split, after everything was read if `verify` is the command. */
static enum nn_status look_into(const struct data_command *command, const char *folder)
{
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
	struct pack_progress progress;
	const struct pack_options options = {.piece_bytes = command->piece_bytes,
					     .shrink = command->shrink,
					     .threads = command->threads ? command->threads : count_cores(),
					     .progress = pack_progress_show,
					     .context = &progress};
	bool made;
	enum nn_status status;

	pack_progress_init(&progress, stderr);
	status = packed_write(&made, out, folder, &options);
	pack_progress_end(&progress);
	if (status == NN_OK)
		status = look_into(command, out);
	if (status == NN_OK)
		printf(made ? "%s: packed\n" : "%s: already there, left alone\n", out);
	return status;
}

static enum nn_status run_split(const struct data_command *command)
{
	struct split_facts facts;
	const char *out = command->paths[1];
	enum nn_status status = split_write(&facts, out, command->paths[0], command->val, command->options.seed,
					    command->threads ? command->threads : count_cores());

	if (status == NN_OK)
		printf("%s: %zu training and %zu validation images of %d classes\n", out, facts.train, facts.val, facts.classes);
	if (status == NN_OK && facts.copied > 0)
		printf("%s: %zu files are copies, because they cannot be linked there\n", out, facts.copied);
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
	case VERB_CHECK:
		return run_check(command);
	case VERB_DIGEST:
		return run_digest(command);
	case VERB_PACK:
		return run_pack(command);
	case VERB_SPLIT:
		return run_split(command);
	case VERB_UNPACK:
		return packed_unpack(command->paths[1], command->paths[0]);
	default:
		return look_into(command, command->paths[0]);
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
