#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "trainer/data/png.h"

/* Fixed, so that the bytes do not follow libpng's defaults. */
enum { COMPRESSION = 6 };

static void on_error(png_structp png, png_const_charp text)
{
	(void)text;
	png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

/* False when libpng or the file refuses. */
static bool write_pixels(png_structp png, png_infop info, const struct image *image)
{
	if (setjmp(png_jmpbuf(png)))
		return false;
	png_set_IHDR(png, info, (png_uint_32)image->width, (png_uint_32)image->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_set_compression_level(png, COMPRESSION);
	png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_SUB);
	png_write_info(png, info);
	for (int y = 0; y < image->height; y++)
		png_write_row(png, image->pixels + (size_t)y * (size_t)image->width * 3);
	png_write_end(png, NULL);
	return true;
}

enum nn_status png_write(const char *path, const struct image *image)
{
	FILE *file = fopen(path, "wbe");
	png_structp png = NULL;
	png_infop info = NULL;
	bool written = false;

	if (!file)
		return nn_error(NN_ERR_IO, "%s: cannot create: %s; check the folder and its rights", path, strerror(errno));
	png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
	if (png)
		info = png_create_info_struct(png);
	if (info) {
		png_init_io(png, file);
		written = write_pixels(png, info, image);
	}
	png_destroy_write_struct(&png, &info);
	if (fclose(file) != 0 || !written)
		return nn_error(NN_ERR_IO, "%s: cannot write: %s; check the free space", path, strerror(errno));
	return NN_OK;
}
