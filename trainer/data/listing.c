#include "trainer/data/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum kind { KIND_NONE, KIND_FILE, KIND_FOLDER, KIND_OTHER };

/* One open folder and the entry reached. */
struct listing {
	const char *path;
	DIR *stream;
	const char *name;
	enum kind kind;
	int reason; /* errno of an entry that cannot be looked at, else 0 */
};

static enum nn_status listing_open(struct listing *listing, const char *path)
{
	*listing = (struct listing){.path = path, .stream = opendir(path)};
	if (!listing->stream)
		return nn_error(NN_ERR_DATA, "%s: cannot open the folder: %s; check %s", path, strerror(errno),
				errno == ENOENT ? "the path" : "its rights");
	return NN_OK;
}

/* The kind of an entry; file systems may leave it out, and links do not tell it. */
static enum kind kind_of(struct listing *listing, const struct dirent *entry)
{
	struct stat info;

	listing->reason = 0;
	if (entry->d_type == DT_REG)
		return KIND_FILE;
	if (entry->d_type == DT_DIR)
		return KIND_FOLDER;
	if (fstatat(dirfd(listing->stream), entry->d_name, &info, 0) != 0) {
		listing->reason = errno;
		return KIND_OTHER;
	}
	return S_ISREG(info.st_mode) ? KIND_FILE : S_ISDIR(info.st_mode) ? KIND_FOLDER : KIND_OTHER;
}

/* Moves to the next entry; KIND_NONE at the end. */
static enum nn_status listing_next(struct listing *listing)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(listing->stream);
		if (!entry && errno)
			return nn_error(NN_ERR_DATA, "%s: cannot read the folder: %s; check the file system", listing->path,
					strerror(errno));
	} while (entry && entry->d_name[0] == '.');
	listing->name = entry ? entry->d_name : NULL;
	listing->kind = entry ? kind_of(listing, entry) : KIND_NONE;
	return NN_OK;
}

static enum nn_status neither(const struct listing *listing)
{
	return nn_error(NN_ERR_DATA, "%s/%s: neither a file nor a folder nor a link to one (%s); remove it", listing->path,
			listing->name, listing->reason ? strerror(listing->reason) : "a device, pipe or socket");
}

enum nn_status listing_folders(struct names *folders, size_t *files, const char *path)
{
	struct listing listing;
	enum nn_status status = listing_open(&listing, path);

	*files = 0;
	if (status != NN_OK)
		return status;
	status = listing_next(&listing);
	while (status == NN_OK && listing.kind != KIND_NONE) {
		if (listing.kind == KIND_FOLDER)
			status = names_add(folders, listing.name);
		else if (listing.kind == KIND_FILE)
			(*files)++;
		else
			status = neither(&listing);
		if (status == NN_OK)
			status = listing_next(&listing);
	}
	closedir(listing.stream);
	return status;
}

enum nn_status listing_files(struct names *files, const char *path)
{
	struct listing listing;
	enum nn_status status = listing_open(&listing, path);

	if (status != NN_OK)
		return status;
	status = listing_next(&listing);
	while (status == NN_OK && listing.kind != KIND_NONE) {
		if (listing.kind == KIND_FILE)
			status = names_add(files, listing.name);
		else if (listing.kind == KIND_FOLDER)
			status = nn_error(NN_ERR_DATA, "%s/%s: folder inside a class; a class holds image files only, move it away",
					  path, listing.name);
		else
			status = neither(&listing);
		if (status == NN_OK)
			status = listing_next(&listing);
	}
	closedir(listing.stream);
	return status;
}
