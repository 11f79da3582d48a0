#include "trainer/data/image.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/core/alloc.h"
#include "trainer/data/jpeg.h"
#include "trainer/data/png.h"

enum { MAGIC_BYTES = 8, FIRST_BYTES = 16 << 20 };

/* Grows *buffer to at least `bytes`, keeping the first `kept` bytes. */
static enum nn_status grow(uint8_t **buffer, size_t *capacity, size_t bytes, size_t kept)
{
	void *larger;
	enum nn_status status;

	if (bytes <= *capacity)
		return NN_OK;
	status = nn_alloc(&larger, bytes);
	if (status != NN_OK)
		return status;
	if (kept)
		memcpy(larger, *buffer, kept);
	nn_free(*buffer);
	*buffer = larger;
	*capacity = bytes;
	return NN_OK;
}

enum nn_status image_set_size(struct image *image, int width, int height)
{
	image->width = width;
	image->height = height;
	return grow(&image->pixels, &image->capacity, (size_t)width * (size_t)height * 3, 0);
}

enum nn_status image_row(uint8_t **row, struct image *image, int y)
{
	size_t stride = (size_t)image->width * 3;
	size_t whole = stride * (size_t)image->height;
	size_t needed = stride * ((size_t)y + 1);
	enum nn_status status = NN_OK;

	if (needed > image->capacity) {
		size_t wanted = 2 * image->capacity;

		wanted = wanted > FIRST_BYTES ? wanted : FIRST_BYTES;
		wanted = wanted > needed ? wanted : needed;
		status = grow(&image->pixels, &image->capacity, wanted < whole ? wanted : whole, image->capacity);
	}
	*row = status == NN_OK ? image->pixels + needed - stride : NULL;
	return status;
}

enum nn_status image_check_size(const char *name, uint32_t width, uint32_t height)
{
	if (width == 0 || height == 0 || width > IMAGE_SIDE_MAX || height > IMAGE_SIDE_MAX ||
	    (uint64_t)width * height > IMAGE_PIXELS_MAX)
		return nn_error(NN_ERR_DATA,
				"%s: claims %u x %u pixels (allowed: 1 to %d a side, %d in all); remove it or scale it down", name,
				width, height, IMAGE_SIDE_MAX, IMAGE_PIXELS_MAX);
	return NN_OK;
}

/* The first bytes of a file that is no picture, as text for a message. */
static enum nn_status unknown_kind(const char *name, const uint8_t *bytes, size_t size)
{
	char text[4 * 4 + 1] = "";
	size_t used = 0;

	for (size_t i = 0; i < size && i < 4; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, isprint(bytes[i]) ? "%c" : "\\x%02x", bytes[i]);
	return nn_error(NN_ERR_DATA, "%s: not a PNG or JPEG image (first bytes '%s'); remove it or convert it", name, text);
}

/* Errors: NN_ERR_DATA when the first bytes belong to no picture. */
static enum nn_status check_kind(const char *name, const uint8_t *bytes, size_t size)
{
	if (size == 0)
		return nn_error(NN_ERR_DATA, "%s: zero bytes; remove it or copy it again", name);
	if (!png_is(bytes, size) && !jpeg_is(bytes, size))
		return unknown_kind(name, bytes, size);
	return NN_OK;
}

enum nn_status image_read_memory(struct image *image, const uint8_t *bytes, size_t size, const char *name)
{
	enum nn_status status = check_kind(name, bytes, size);

	if (status != NN_OK)
		return status;
	return png_is(bytes, size) ? png_read(image, bytes, size, name) : jpeg_read(image, bytes, size, name);
}

static enum nn_status read_bytes(int file, uint8_t *bytes, size_t size, uint64_t at, const char *path)
{
	while (size > 0) {
		ssize_t got = pread(file, bytes, size, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return nn_error(NN_ERR_DATA, "%s: cannot read: %s; check the file system", path, strerror(errno));
		if (got == 0)
			return nn_error(NN_ERR_DATA, "%s: became shorter while it was read; leave the data alone during training",
					path);
		bytes += got;
		at += (uint64_t)got;
		size -= (size_t)got;
	}
	return NN_OK;
}

enum nn_status image_load(struct image *image, int file, size_t size, uint64_t at, const char *path)
{
	enum nn_status status;

	if (size > IMAGE_FILE_MAX)
		return nn_error(NN_ERR_DATA, "%s: %zu bytes (allowed: %d); remove it or scale it down", path, size, IMAGE_FILE_MAX);
	status = grow(&image->encoded, &image->encoded_capacity, size, 0);
	return status == NN_OK ? read_bytes(file, image->encoded, size, at, path) : status;
}

/* Loads an open file into image->encoded; when it shall be a picture, another is refused after its first bytes. */
static enum nn_status load(struct image *image, size_t *size, int file, bool picture, const char *path)
{
	uint8_t magic[MAGIC_BYTES];
	struct stat info;
	size_t head;
	enum nn_status status = NN_OK;

	if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode))
		return nn_error(NN_ERR_DATA, "%s: not a regular file, as a picture is", path);
	*size = (size_t)info.st_size;
	head = *size < sizeof(magic) ? *size : sizeof(magic);
	if (picture)
		status = read_bytes(file, magic, head, 0, path);
	if (status == NN_OK && picture)
		status = check_kind(path, magic, head);
	return status == NN_OK ? image_load(image, file, *size, 0, path) : status;
}

static enum nn_status open_and_load(struct image *image, size_t *size, bool picture, const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	enum nn_status status;

	if (file < 0)
		return nn_error(NN_ERR_DATA, "%s: cannot open: %s; check that it exists and may be read", path, strerror(errno));
	status = load(image, size, file, picture, path);
	close(file);
	return status;
}

enum nn_status image_load_file(struct image *image, size_t *size, const char *path)
{
	return open_and_load(image, size, false, path);
}

enum nn_status image_read_file(struct image *image, const char *path)
{
	size_t size = 0;
	enum nn_status status = open_and_load(image, &size, true, path);

	return status == NN_OK ? image_read_memory(image, image->encoded, size, path) : status;
}

struct image_size image_full_size(const struct image *image)
{
	const struct image_reduction *reduction = image->reduction;

	if (!reduction || reduction->by == 1)
		return (struct image_size){image->width, image->height, 1};
	return (struct image_size){reduction->width, reduction->height, reduction->by};
}

void image_release(struct image *image)
{
	nn_free(image->pixels);
	nn_free(image->encoded);
	*image = (struct image){0};
}
