#include "tests/unit/image_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

enum { ROW_BYTES = 4096 };

static int channels_of(int colour)
{
	return colour == PNG_COLOR_TYPE_RGB_ALPHA    ? 4
	       : colour == PNG_COLOR_TYPE_RGB	     ? 3
	       : colour == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
						     : 1;
}

static unsigned sample(const struct png_spec *spec, int x, int y, int c)
{
	unsigned value = (unsigned)(x * 37 + y * 101 + c * 59) * 977u + 5u;

	return value & ((1u << spec->depth) - 1u);
}

static uint8_t palette_value(unsigned index, int c)
{
	return (uint8_t)(index * 41 + (unsigned)c * 91 + 3);
}

uint8_t maker_png_rgb(const struct png_spec *spec, int x, int y, int c)
{
	unsigned value = sample(spec, x, y, spec->colour & PNG_COLOR_MASK_COLOR ? c : 0);

	if (spec->colour == PNG_COLOR_TYPE_PALETTE)
		return palette_value(sample(spec, x, y, 0), c);
	if (spec->depth == 16)
		return (uint8_t)(value / 257.0 + 0.5);
	return (uint8_t)(value * 255 / ((1u << spec->depth) - 1u));
}

static void set_tables(png_structp png, png_infop info, const struct png_spec *spec)
{
	png_color palette[256];
	png_byte alpha[4] = {0, 64, 128, 255};
	png_color_16 clear = {.gray = 1, .red = 1, .green = 2, .blue = 3};
	int colours = spec->depth < 8 ? 1 << spec->depth : 256;

	if (spec->colour == PNG_COLOR_TYPE_PALETTE) {
		for (int i = 0; i < colours; i++)
			palette[i] = (png_color){palette_value((unsigned)i, 0), palette_value((unsigned)i, 1),
						 palette_value((unsigned)i, 2)};
		png_set_PLTE(png, info, palette, colours);
	}
	if (spec->transparent)
		png_set_tRNS(png, info, alpha, colours < 4 ? colours : 4, &clear);
}

static void fill_row(uint8_t row[ROW_BYTES], const struct png_spec *spec, int y)
{
	int channels = channels_of(spec->colour);

	for (int x = 0; x < spec->width; x++)
		for (int c = 0; c < channels; c++) {
			unsigned value = sample(spec, x, y, c);

			if (spec->depth == 16)
				*row++ = (uint8_t)(value >> 8);
			*row++ = (uint8_t)value;
		}
}

void maker_png(struct encoded *file, const struct png_spec *spec)
{
	FILE *stream = open_memstream((char **)&file->bytes, &file->size);
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	int passes;

	png_init_io(png, stream);
	png_set_IHDR(png, info, (png_uint_32)spec->width, (png_uint_32)spec->height, spec->depth, spec->colour,
		     spec->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
		     PNG_FILTER_TYPE_DEFAULT);
	set_tables(png, info, spec);
	png_write_info(png, info);
	png_set_packing(png);
	passes = png_set_interlace_handling(png);
	for (int pass = 0; pass < passes; pass++)
		for (int y = 0; y < spec->height; y++) {
			uint8_t row[ROW_BYTES];

			fill_row(row, spec, y);
			png_write_row(png, row);
		}
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
	fclose(stream);
}

void maker_jpeg(struct encoded *file, const struct jpeg_spec *spec)
{
	struct jpeg_compress_struct codec;
	struct jpeg_error_mgr errors;
	int channels = spec->stored == JCS_GRAYSCALE ? 1 : spec->stored == JCS_CMYK || spec->stored == JCS_YCCK ? 4 : 3;
	uint8_t row[ROW_BYTES], *rows = row;
	unsigned long size = 0;

	file->bytes = NULL;
	codec.err = jpeg_std_error(&errors);
	jpeg_create_compress(&codec);
	jpeg_mem_dest(&codec, &file->bytes, &size);
	codec.image_width = (JDIMENSION)spec->width;
	codec.image_height = (JDIMENSION)spec->height;
	codec.input_components = channels;
	codec.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
	jpeg_set_defaults(&codec);
	jpeg_set_colorspace(&codec, (J_COLOR_SPACE)spec->stored);
	jpeg_set_quality(&codec, 100, TRUE);
	codec.write_Adobe_marker = spec->adobe;
	if (spec->progressive)
		jpeg_simple_progression(&codec);
	jpeg_start_compress(&codec, TRUE);
	for (int i = 0; i < spec->width * channels; i++)
		row[i] = (uint8_t)spec->values[i % channels];
	while (codec.next_scanline < codec.image_height)
		jpeg_write_scanlines(&codec, &rows, 1);
	jpeg_finish_compress(&codec);
	jpeg_destroy_compress(&codec);
	file->size = size;
}
