#include "trainer/data/png.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the signature and the IHDR chunk, and where IHDR holds the size. */
enum { SIGNATURE = 8, HEADER = 33, IHDR_NAME = 12, IHDR_WIDTH = 16, IHDR_HEIGHT = 20 };

struct source {
	const uint8_t *bytes;
	size_t left;
	const char *name;
	char message[160];
};

bool png_is(const uint8_t *bytes, size_t size)
{
	return size >= SIGNATURE && png_sig_cmp(bytes, 0, SIGNATURE) == 0;
}

static void on_error(png_structp png, png_const_charp text)
{
	struct source *source = png_get_error_ptr(png);

	snprintf(source->message, sizeof(source->message), "%s", text);
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

static void on_read(png_structp png, png_bytep out, size_t count)
{
	struct source *source = png_get_io_ptr(png);

	if (count > source->left)
		png_error(png, "truncated");
	memcpy(out, source->bytes, count);
	source->bytes += count;
	source->left -= count;
}

/* Texts, profiles and the like mean nothing here. They are passed over unread: a few compressed bytes of them can unpack to
 * megabytes, and honest ones can be longer than libpng's limit. What is left, palette and transparent colours, has 1 KiB. */
static void pass_over_metadata(png_structp png)
{
	static const char names[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0"
				    "sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0tIME\0zTXt";

	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep)names, sizeof(names) / 5);
	png_set_chunk_malloc_max(png, IMAGE_FILE_MAX);
}

/* Whatever the file holds, rows come out as RGB8. */
static int ask_for_rgb8(png_structp png, png_infop info)
{
	int colour = png_get_color_type(png, info);
	int passes = png_set_interlace_handling(png);

	if (colour == PNG_COLOR_TYPE_PALETTE)
		png_set_palette_to_rgb(png);
	if (colour == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) < 8)
		png_set_expand_gray_1_2_4_to_8(png);
	if (!(colour & PNG_COLOR_MASK_COLOR))
		png_set_gray_to_rgb(png);
	png_set_scale_16(png);
	png_set_strip_alpha(png);
	png_read_update_info(png, info);
	return passes;
}

static enum nn_status read_pixels(struct image *image, png_structp png, png_infop info, const struct source *source)
{
	if (setjmp(png_jmpbuf(png)))
		return nn_error(NN_ERR_DATA, "%s: damaged PNG (%s); remove it or copy it again", source->name, source->message);
	png_read_info(png, info);
	for (int pass = ask_for_rgb8(png, info); pass > 0; pass--)
		for (int y = 0; y < image->height; y++) {
			uint8_t *row;
			enum nn_status status = image_row(&row, image, y);

			if (status != NN_OK)
				return status;
			png_read_row(png, row, NULL);
		}
	png_read_end(png, NULL);
	return NN_OK;
}

/* Takes the size from the IHDR chunk, which comes first in every PNG, before libpng sees the file. */
static enum nn_status read_size(struct image *image, const uint8_t *bytes, size_t size, const char *name)
{
	enum nn_status status;

	if (size < HEADER)
		return nn_error(NN_ERR_DATA, "%s: truncated PNG (%zu bytes); remove it or copy it again", name, size);
	if (memcmp(bytes + IHDR_NAME, "IHDR", 4) != 0)
		return nn_error(NN_ERR_DATA, "%s: damaged PNG (no IHDR chunk); remove it or copy it again", name);
	status = image_check_size(name, png_get_uint_32(bytes + IHDR_WIDTH), png_get_uint_32(bytes + IHDR_HEIGHT));
	if (status != NN_OK)
		return status;
	image->width = (int)png_get_uint_32(bytes + IHDR_WIDTH);
	image->height = (int)png_get_uint_32(bytes + IHDR_HEIGHT);
	return NN_OK;
}

enum nn_status png_read(struct image *image, const uint8_t *bytes, size_t size, const char *name)
{
	struct source source = {.bytes = bytes, .left = size, .name = name};
	png_structp png = NULL;
	png_infop info = NULL;
	enum nn_status status = read_size(image, bytes, size, name);

	if (status != NN_OK)
		return status;
	png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, on_error, on_warning);
	if (png)
		info = png_create_info_struct(png);
	if (info) {
		png_set_read_fn(png, &source, on_read);
		pass_over_metadata(png);
		status = read_pixels(image, png, info, &source);
	} else {
		status = nn_error(NN_ERR_MEMORY, "%s: out of memory for the PNG decoder", name);
	}
	png_destroy_read_struct(&png, &info, NULL);
	return status;
}
