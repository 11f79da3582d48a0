#include "trainer/data/folder_writer.h"
#include "trainer/data/packed_write.h"
#include "trainer/data/split.h"
#include "trainer/state/files.h"

enum { PIECE_BYTES = 1 << 30 };

/* The training images: those of a data set, or of a folder that has nothing but CLASS/FILE. */
static enum nn_status open_whole(struct dataset **whole, const char *folder)
{
	enum nn_status status;

	if (dataset_has_split(folder, SPLIT_TRAIN) || dataset_has_split(folder, SPLIT_VAL))
		status = dataset_open(whole, folder, SPLIT_TRAIN);
	else
		status = dataset_open_classes(whole, folder);
	if (status == NN_OK && !dataset_has_files(*whole))
		return nn_error(NN_ERR_DATA,
				"%s: its images are no files that could be split; resnet-train --holdout N divides them", folder);
	return status;
}

static enum nn_status link_part(struct split_facts *facts, struct folder_writer *writer, const char *folder,
				const struct dataset *whole, const uint32_t *images, const struct dataset *part)
{
	char before[DATASET_NAME_MAX], name[DATASET_NAME_MAX], from[FOLDER_WRITER_PATH];
	enum nn_status status = NN_OK;

	for (size_t i = 0; i < dataset_count(part) && status == NN_OK; i++) {
		bool linked = true;

		dataset_file_name(whole, images[i], before);
		dataset_file_name(part, i, name);
		status = path_format(from, sizeof(from), "%s/%s", folder, before);
		if (status == NN_OK)
			status = folder_writer_link(&linked, writer, name, from);
		facts->copied += !linked;
	}
	return status;
}

static enum nn_status link_all(struct split_facts *facts, const char *out, const char *folder, const struct dataset *whole,
			       const struct split_choice *choice, const struct dataset *const sets[2])
{
	struct folder_writer writer;
	enum nn_status status = folder_writer_begin(&writer, out);

	if (status == NN_OK)
		status = link_part(facts, &writer, folder, whole, choice->train, sets[SPLIT_TRAIN]);
	if (status == NN_OK)
		status = link_part(facts, &writer, folder, whole, choice->val, sets[SPLIT_VAL]);
	if (status == NN_OK)
		status = folder_writer_end(&writer);
	folder_writer_release(&writer);
	return status;
}

static enum nn_status write_parts(struct split_facts *facts, const char *out, const char *folder, const struct dataset *whole,
				  const struct split_choice *choice, int threads)
{
	const struct pack_options options = {.piece_bytes = PIECE_BYTES, .threads = threads};
	struct dataset *sets[2] = {NULL, NULL};
	bool made;
	enum nn_status status = dataset_open_subset(&sets[SPLIT_TRAIN], whole, choice->train, choice->train_count, "train");

	if (status == NN_OK)
		status = dataset_open_subset(&sets[SPLIT_VAL], whole, choice->val, choice->val_count, "val");
	if (status == NN_OK && dataset_is_packed(folder))
		status = packed_write_sets(&made, out, (const struct dataset *const *)sets, folder, &options);
	else if (status == NN_OK)
		status = link_all(facts, out, folder, whole, choice, (const struct dataset *const *)sets);
	dataset_close(sets[SPLIT_TRAIN]);
	dataset_close(sets[SPLIT_VAL]);
	return status;
}

enum nn_status split_write(struct split_facts *facts, const char *out, const char *folder, struct split_size size, uint64_t seed,
			   int threads)
{
	struct dataset *whole = NULL;
	struct split_choice choice = {0};
	enum nn_status status = open_whole(&whole, folder);

	*facts = (struct split_facts){0};
	if (status == NN_OK)
		status = split_choose(&choice, whole, size, seed);
	if (status == NN_OK) {
		facts->train = choice.train_count;
		facts->val = choice.val_count;
		facts->classes = dataset_classes(whole);
		status = write_parts(facts, out, folder, whole, &choice, threads);
	}
	split_choice_release(&choice);
	dataset_close(whole);
	return status;
}
