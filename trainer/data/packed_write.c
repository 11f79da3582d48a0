#include "trainer/data/packed_write.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/data/dataset.h"
#include "trainer/data/packed.h"
#include "trainer/data/packed_piece.h"
#include "trainer/state/files.h"

/* Removes pieces from `number` on, which an interrupted call with other settings left. */
static void remove_rest(const char *part, const char *split, unsigned number)
{
	static const char *const endings[] = {"index", "data", "index.tmp", "data.tmp"};
	char path[PACKED_PATH];
	bool removed = true;

	for (; removed; number++) {
		removed = false;
		for (int i = 0; i < 4; i++)
			if (packed_path(path, part, split, number, endings[i]) == NN_OK && unlink(path) == 0)
				removed = true;
	}
}

/* Writes the pieces that are not there yet, from image `next` on. */
static enum nn_status write_pieces(struct packing *packing, size_t next, unsigned number)
{
	struct packed_feed *feed;
	enum nn_status status =
	    packed_feed_create(&feed, packing->dataset, &packing->options->shrink, next, packing->options->threads);

	for (; next < dataset_count(packing->dataset) && status == NN_OK; number++)
		status = packed_piece_write(&next, packing, feed, number);
	packed_feed_destroy(feed);
	if (status == NN_OK)
		remove_rest(packing->part, packing->split, number);
	return status;
}

static enum nn_status pack_split(const char *part, const struct dataset *dataset, enum data_split split,
				 const struct pack_options *options)
{
	struct packing packing = {.part = part,
				  .split = split == SPLIT_TRAIN	      ? "train"
					   : dataset_is_test(dataset) ? "test"
								      : "val",
				  .dataset = dataset,
				  .source = dataset_digest(dataset),
				  .options = options};
	size_t next = 0;
	unsigned number = 0;

	if (split == SPLIT_VAL)
		remove_rest(part, dataset_is_test(dataset) ? "val" : "test", 0);
	while (next < dataset_count(dataset) && packed_piece_exists(&next, &packing, number))
		number++;
	return write_pieces(&packing, next, number);
}

/* A split that the folder no longer has. */
static void remove_split(const char *part, enum data_split split)
{
	if (split == SPLIT_TRAIN) {
		remove_rest(part, "train", 0);
	} else {
		remove_rest(part, "val", 0);
		remove_rest(part, "test", 0);
	}
}

/* Packs all splits into OUT.part, whose lock keeps other packers out. */
static enum nn_status pack_into(const char *part, const struct dataset *const sets[2], const struct pack_options *options)
{
	enum nn_status status = folder_create(part);
	int lock;

	if (status != NN_OK)
		return status;
	lock = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0)
		return file_failed("open", part);
	if (flock(lock, LOCK_EX | LOCK_NB) != 0)
		status = nn_error(NN_ERR_USAGE, "%s: another program packs there; wait for it", part);
	for (int split = SPLIT_TRAIN; split <= SPLIT_VAL && status == NN_OK; split++)
		if (sets[split])
			status = pack_split(part, sets[split], (enum data_split)split, options);
		else
			remove_split(part, (enum data_split)split);
	close(lock);
	return status;
}

/* *same: the split of `out` has the names, labels and shrinking that were asked for. */
static enum nn_status compare_split(bool *same, const char *out, const struct dataset *ours, enum data_split split,
				    const struct shrink *shrink)
{
	struct packed packed;
	struct dataset *theirs;
	enum nn_status status = dataset_open(&theirs, out, split);

	if (status != NN_OK)
		return status;
	*same = dataset_digest(ours) == dataset_digest(theirs);
	dataset_close(theirs);
	status = packed_open(&packed, out, packed_split(out, split));
	if (status == NN_OK)
		*same = *same && packed.pieces[0].shorter_side == (uint32_t)shrink->shorter_side &&
			packed.pieces[0].quality == (uint32_t)shrink->quality;
	packed_close(&packed);
	return status;
}

static enum nn_status compare(bool *same, const char *out, const struct dataset *const sets[2], const struct shrink *shrink)
{
	enum nn_status status = NN_OK;

	*same = true;
	for (int split = SPLIT_TRAIN; split <= SPLIT_VAL && status == NN_OK && *same; split++) {
		*same = (sets[split] != NULL) == (packed_split(out, (enum data_split)split) != NULL);
		if (*same && sets[split])
			status = compare_split(same, out, sets[split], (enum data_split)split, shrink);
	}
	return status;
}

enum nn_status packed_write_sets(bool *made, const char *out, const struct dataset *const sets[2], const char *folder,
				 const struct pack_options *options)
{
	char part[PACKED_PATH];
	struct stat info;
	bool same;
	enum nn_status status = path_format(part, sizeof(part), "%s.part", out);

	*made = false;
	if (status != NN_OK)
		return status;
	if (lstat(out, &info) == 0) {
		status = compare(&same, out, sets, &options->shrink);
		if (status == NN_OK && !same)
			status =
			    nn_error(NN_ERR_USAGE, "%s exists and is not %s packed like this; choose another folder", out, folder);
		return status;
	}
	status = pack_into(part, sets, options);
	if (status == NN_OK)
		status = file_rename(part, out);
	*made = status == NN_OK;
	return status;
}

enum nn_status packed_write(bool *made, const char *out, const char *folder, const struct pack_options *options)
{
	struct dataset *sets[2] = {NULL, NULL};
	enum nn_status status = NN_OK;

	*made = false;
	for (int split = SPLIT_TRAIN; split <= SPLIT_VAL && status == NN_OK; split++)
		if (dataset_has_split(folder, (enum data_split)split))
			status = dataset_open(&sets[split], folder, (enum data_split)split);
	if (status == NN_OK && (!sets[0] || !dataset_has_files(sets[0])) && (!sets[1] || !dataset_has_files(sets[1])))
		status = nn_error(NN_ERR_DATA,
				  "%s: no folder of images (train/CLASS/*, val/ or test/) and no packed one, which alone can be "
				  "packed; check the path",
				  folder);
	if (status == NN_OK)
		status = packed_write_sets(made, out, (const struct dataset *const *)sets, folder, options);
	dataset_close(sets[0]);
	dataset_close(sets[1]);
	return status;
}
