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

static enum nn_status pack_split(struct packing *packing, enum data_split split)
{
	struct dataset *dataset;
	size_t next = 0;
	unsigned number = 0;
	enum nn_status status = dataset_open(&dataset, packing->folder, split);

	if (status != NN_OK)
		return status;
	packing->dataset = dataset;
	packing->source = dataset_digest(dataset);
	packing->split = split == SPLIT_TRAIN ? "train" : dataset_is_test(dataset) ? "test" : "val";
	if (split == SPLIT_VAL)
		remove_rest(packing->part, dataset_is_test(dataset) ? "val" : "test", 0);
	for (; next < dataset_count(dataset) && status == NN_OK; number++)
		if (!packed_piece_exists(&next, packing, number))
			status = packed_piece_write(&next, packing, number);
	if (status == NN_OK)
		remove_rest(packing->part, packing->split, number);
	dataset_close(dataset);
	return status;
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
static enum nn_status pack_into(const char *part, const char *folder, uint64_t piece_bytes)
{
	struct packing packing = {.folder = folder, .part = part, .piece_bytes = piece_bytes};
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
		if (dataset_has_split(folder, (enum data_split)split))
			status = pack_split(&packing, (enum data_split)split);
		else
			remove_split(part, (enum data_split)split);
	close(lock);
	return status;
}

/* *same: `out` is a packed folder whose splits have the names and labels of `folder`'s. */
static enum nn_status compare(bool *same, const char *out, const char *folder)
{
	enum nn_status status = NN_OK;

	*same = true;
	for (int split = SPLIT_TRAIN; split <= SPLIT_VAL && status == NN_OK && *same; split++) {
		struct dataset *ours = NULL, *theirs = NULL;
		bool have = dataset_has_split(folder, (enum data_split)split);

		*same = have == (packed_split(out, (enum data_split)split) != NULL);
		if (!*same || !have)
			continue;
		status = dataset_open(&ours, folder, (enum data_split)split);
		if (status == NN_OK)
			status = dataset_open(&theirs, out, (enum data_split)split);
		if (status == NN_OK)
			*same = dataset_digest(ours) == dataset_digest(theirs);
		dataset_close(ours);
		dataset_close(theirs);
	}
	return status;
}

enum nn_status packed_write(bool *made, const char *out, const char *folder, uint64_t piece_bytes)
{
	char part[PACKED_PATH];
	struct stat info;
	bool same;
	enum nn_status status = path_format(part, sizeof(part), "%s.part", out);

	*made = false;
	if (status == NN_OK && !dataset_is_folder(folder))
		status = nn_error(
		    NN_ERR_DATA,
		    "%s: no folder of images (train/CLASS/*, val/ or test/), which alone can be packed; check the path", folder);
	if (status != NN_OK)
		return status;
	if (lstat(out, &info) == 0) {
		status = compare(&same, out, folder);
		if (status == NN_OK && !same)
			status = nn_error(NN_ERR_USAGE, "%s exists and is not %s packed; choose another folder", out, folder);
		return status;
	}
	status = pack_into(part, folder, piece_bytes);
	if (status == NN_OK)
		status = file_rename(part, out);
	*made = status == NN_OK;
	return status;
}
