/* nftw */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trainer/data/png.h"
#include "trainer/data/synth.h"

enum { PATH_BYTES = 4096, NAME_ROOM = 64, MARK_BYTES = 160, OPEN_FOLDERS = 8 };

/* The mark is a file in the set's folder: it says who made it and how. */
static const char mark_name[] = "synth.txt";
static const char mark_start[] = "resnet-data synth";

static enum nn_status check_options(const char *out, const struct synth_options *options)
{
	const size_t counts[] = {options->train, options->val};

	for (int i = 0; i < 2; i++)
		if (counts[i] < SYNTH_CLASSES || counts[i] > SYNTH_IMAGES_MAX)
			return nn_error(NN_ERR_USAGE, "%zu images asked for; choose from %d to %d in each split", counts[i],
					SYNTH_CLASSES, SYNTH_IMAGES_MAX);
	if (options->size < SYNTH_SIZE_MIN || options->size > SYNTH_SIZE_MAX)
		return nn_error(NN_ERR_USAGE, "size %d asked for; choose from %d to %d pixels", options->size, SYNTH_SIZE_MIN,
				SYNTH_SIZE_MAX);
	if (out[0] == 0 || strlen(out) >= PATH_BYTES - NAME_ROOM)
		return nn_error(NN_ERR_USAGE, "the output folder's name is empty or too long; choose another");
	return NN_OK;
}

static void format_mark(char mark[MARK_BYTES], const struct synth_options *options)
{
	snprintf(mark, MARK_BYTES, "%s: train %zu, val %zu, seed %llu, size %d, drawing 1\n", mark_start, options->train,
		 options->val, (unsigned long long)options->seed, options->size);
}

/* mark = the folder's mark; "" when it has none. */
static void read_mark(char mark[MARK_BYTES], const char *folder)
{
	char path[PATH_BYTES];
	FILE *file;
	size_t got = 0;

	snprintf(path, sizeof(path), "%s/%s", folder, mark_name);
	file = fopen(path, "re");
	if (file) {
		got = fread(mark, 1, MARK_BYTES - 1, file);
		fclose(file);
	}
	mark[got] = 0;
	if (strncmp(mark, mark_start, strlen(mark_start)) != 0)
		mark[0] = 0;
}

static enum nn_status write_mark(const char *folder, const char *mark)
{
	char path[PATH_BYTES];
	FILE *file;
	int failed;

	snprintf(path, sizeof(path), "%s/%s", folder, mark_name);
	file = fopen(path, "we");
	if (!file)
		return nn_error(NN_ERR_IO, "%s: cannot create: %s; check the folder and its rights", path, strerror(errno));
	failed = fputs(mark, file) < 0;
	if (fclose(file) != 0 || failed)
		return nn_error(NN_ERR_IO, "%s: cannot write: %s; check the free space", path, strerror(errno));
	return NN_OK;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return remove(path);
}

static int remove_folder(const char *path)
{
	return nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

static enum nn_status make_folder(const char *path)
{
	if (mkdir(path, 0777) != 0)
		return nn_error(NN_ERR_IO, "%s: cannot create the folder: %s; check the path and its rights", path,
				strerror(errno));
	return NN_OK;
}

/* Makes an empty folder, in place of what an interrupted call left there; anything else there is not touched. */
static enum nn_status make_fresh_folder(const char *path)
{
	char mark[MARK_BYTES];

	read_mark(mark, path);
	if (mark[0] ? remove_folder(path) != 0 : rmdir(path) != 0 && errno != ENOENT && errno != ENOTDIR)
		return nn_error(NN_ERR_USAGE, "%s: in the way and not removed: %s; move it away", path, strerror(errno));
	return make_folder(path);
}

static enum nn_status write_split(const char *folder, const char *split, size_t count, uint64_t key,
				  const struct synth_options *options)
{
	char path[PATH_BYTES];
	struct image image = {0};
	enum nn_status status;

	snprintf(path, sizeof(path), "%s/%s", folder, split);
	status = make_folder(path);
	for (int c = 0; status == NN_OK && c < SYNTH_CLASSES; c++) {
		snprintf(path, sizeof(path), "%s/%s/%s", folder, split, synth_class_name(c));
		status = make_folder(path);
	}
	for (size_t i = 0; status == NN_OK && i < count; i++) {
		int label = (int)(i % SYNTH_CLASSES);

		status = synth_draw(&image, label, options->size, rng_stream(options->seed, key, i));
		if (status != NN_OK)
			break;
		snprintf(path, sizeof(path), "%s/%s/%s/%04zu.png", folder, split, synth_class_name(label), i / SYNTH_CLASSES);
		status = png_write(path, &image);
	}
	image_release(&image);
	return status;
}

static enum nn_status write_set(const char *folder, const char *out, const char *mark, const struct synth_options *options)
{
	enum nn_status status = make_fresh_folder(folder);

	if (status != NN_OK)
		return status;
	status = write_mark(folder, mark);
	if (status == NN_OK)
		status = write_split(folder, "train", options->train, 0, options);
	if (status == NN_OK)
		status = write_split(folder, "val", options->val, 1, options);
	if (status == NN_OK && rename(folder, out) != 0)
		status = nn_error(NN_ERR_IO, "%s: cannot rename to %s: %s; check the rights", folder, out, strerror(errno));
	if (status != NN_OK)
		remove_folder(folder);
	return status;
}

enum nn_status synth_write(bool *made, const char *out, const struct synth_options *options)
{
	char folder[PATH_BYTES - NAME_ROOM], temporary[PATH_BYTES - NAME_ROOM + 4], mark[MARK_BYTES], found[MARK_BYTES];
	struct stat info;
	size_t length;
	enum nn_status status = check_options(out, options);

	*made = false;
	if (status != NN_OK)
		return status;
	snprintf(folder, sizeof(folder), "%s", out);
	for (length = strlen(folder); length > 1 && folder[length - 1] == '/'; length--)
		folder[length - 1] = 0;
	snprintf(temporary, sizeof(temporary), "%s.tmp", folder);
	format_mark(mark, options);
	if (lstat(folder, &info) == 0) {
		read_mark(found, folder);
		if (strcmp(found, mark) == 0)
			return NN_OK;
		if (!found[0])
			return nn_error(NN_ERR_USAGE, "%s exists and is no drawn data set; choose another folder", folder);
		found[strcspn(found, "\n")] = 0;
		return nn_error(NN_ERR_USAGE, "%s was made with other options (%s); choose another folder or remove it", folder,
				found);
	}
	status = write_set(temporary, folder, mark, options);
	*made = status == NN_OK;
	return status;
}
