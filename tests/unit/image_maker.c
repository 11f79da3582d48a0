#include "tests/unit/image_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

enum { ROW_BYTES = 4096, IHDR_END = 33, CHUNK_FRAME = 12, SCANS = 1 + 3 * (DCTSIZE2 - 1) };

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

static void put_uint32(uint8_t *bytes, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* The checksum of PNG, over a chunk's name and data. */
static uint32_t checksum(const uint8_t *bytes, size_t size)
{
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

void maker_add_chunk(struct encoded *file, const char name[4], const uint8_t *bytes, size_t size)
{
	uint8_t *longer = calloc(1, file->size + size + CHUNK_FRAME);
	uint8_t *chunk = longer + IHDR_END;

	memcpy(longer, file->bytes, IHDR_END);
	put_uint32(chunk, (uint32_t)size);
	memcpy(chunk + 4, name, 4);
	if (bytes)
		memcpy(chunk + 8, bytes, size);
	put_uint32(chunk + 8 + size, checksum(chunk + 4, size + 4));
	memcpy(chunk + size + CHUNK_FRAME, file->bytes + IHDR_END, file->size - IHDR_END);
	free(file->bytes);
	file->bytes = longer;
	file->size += size + CHUNK_FRAME;
}

void maker_claim_size(struct encoded *file, uint32_t width, uint32_t height)
{
	put_uint32(file->bytes + 16, width);
	put_uint32(file->bytes + 20, height);
	put_uint32(file->bytes + 29, checksum(file->bytes + 12, 17));
}

/* *count = scans that tell all of DC, then each coefficient of each component. */
static void list_scans(jpeg_scan_info scans[SCANS], int *count, int components)
{
	*count = 0;
	scans[(*count)++] = (jpeg_scan_info){.comps_in_scan = components, .component_index = {0, 1, 2}};
	for (int c = 0; c < components; c++)
		for (int k = 1; k < DCTSIZE2; k++)
			scans[(*count)++] = (jpeg_scan_info){.comps_in_scan = 1, .component_index = {c}, .Ss = k, .Se = k};
}

void maker_jpeg(struct encoded *file, const struct jpeg_spec *spec)
{
	struct jpeg_compress_struct codec;
	struct jpeg_error_mgr errors;
	jpeg_scan_info scans[SCANS];
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
	if (spec->many_scans) {
		list_scans(scans, &codec.num_scans, channels);
		codec.scan_info = scans;
	}
	jpeg_start_compress(&codec, TRUE);
	for (int i = 0; i < spec->width * channels; i++)
		row[i] = (uint8_t)spec->values[i % channels];
	while (codec.next_scanline < codec.image_height)
		jpeg_write_scanlines(&codec, &rows, 1);
	jpeg_finish_compress(&codec);
	jpeg_destroy_compress(&codec);
	file->size = size;
}
