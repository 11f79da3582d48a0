#include "trainer/data/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

/* A progressive file may hold any number of scans, and each costs the time of the whole picture; real ones have about ten.
 * The shortest code of a block of 64 pixels has one bit, which makes 512 pixels a byte; the rest is room for odd subsampling. */
enum { SCANS_MAX = 100, PIXELS_PER_BYTE_MAX = 8192 };

struct reader {
	struct jpeg_error_mgr errors; /* first: the library hands back a pointer to it */
	struct jpeg_progress_mgr progress;
	struct jpeg_decompress_struct codec;
	jmp_buf jump;
	char message[JMSG_LENGTH_MAX];
};

bool jpeg_is(const uint8_t *bytes, size_t size)
{
	return size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0;
}

static void on_error(j_common_ptr codec)
{
	struct reader *reader = (struct reader *)(void *)codec->err;

	codec->err->format_message(codec, reader->message);
	longjmp(reader->jump, 1);
}

/* Negative levels are warnings. Those after which pixels are made up end the reading. */
static void on_message(j_common_ptr codec, int level)
{
	if (level >= 0)
		return;
	switch (codec->err->msg_code) {
	case JWRN_JPEG_EOF:
	case JWRN_HIT_MARKER:
	case JWRN_HUFF_BAD_CODE:
	case JWRN_ARITH_BAD_CODE:
	case JWRN_MUST_RESYNC:
	case JWRN_BOGUS_PROGRESSION:
		on_error(codec);
		break;
	default:
		break;
	}
}

static void on_output(j_common_ptr codec)
{
	(void)codec;
}

/* Called for every row of blocks. */
static void on_progress(j_common_ptr codec)
{
	struct reader *reader = (struct reader *)(void *)codec->err;

	if (reader->codec.input_scan_number > SCANS_MAX) {
		snprintf(reader->message, sizeof(reader->message), "more than %d scans", SCANS_MAX);
		longjmp(reader->jump, 1);
	}
}

/* The decoder of progressive files allocates all that the header claims before it looks at the data. */
static enum nn_status check_claim(const char *name, uint32_t width, uint32_t height, size_t size)
{
	enum nn_status status = image_check_size(name, width, height);

	if (status == NN_OK && (uint64_t)width * height / PIXELS_PER_BYTE_MAX > size)
		return nn_error(NN_ERR_DATA, "%s: damaged JPEG (claims %u x %u pixels in %zu bytes); remove it or copy it again",
				name, width, height, size);
	return status;
}

/* a b / 255, rounded. */
static unsigned scale_255(unsigned a, unsigned b)
{
	unsigned product = a * b + 128;

	return (product + (product >> 8)) >> 8;
}

/* Inks to light: light left by an ink is 255 - ink, times the light left by black. */
static void cmyk_to_rgb(uint8_t *rgb, const uint8_t *cmyk, int width, bool inverted)
{
	unsigned flip = inverted ? 0 : 255;

	for (int x = 0; x < width; x++) {
		unsigned black = cmyk[4 * x + 3] ^ flip;

		for (int c = 0; c < 3; c++)
			rgb[3 * x + c] = (uint8_t)(black - scale_255((cmyk[4 * x + c] ^ flip) ^ 255, black));
	}
}

static enum nn_status read_rows(struct image *image, struct jpeg_decompress_struct *codec)
{
	bool inks = codec->out_color_space == JCS_CMYK;
	JSAMPARRAY inked = NULL;

	if (inks)
		inked = codec->mem->alloc_sarray((j_common_ptr)codec, JPOOL_IMAGE, codec->output_width * 4, 1);
	while (codec->output_scanline < codec->output_height) {
		uint8_t *row;
		enum nn_status status = image_row(&row, image, (int)codec->output_scanline);

		if (status != NN_OK)
			return status;
		jpeg_read_scanlines(codec, inks ? inked : &row, 1);
		if (inks)
			cmyk_to_rgb(row, inked[0], image->width, codec->saw_Adobe_marker);
	}
	return NN_OK;
}

/* Reduces as the caller of the reading wishes; the picture's size becomes what the codec then gives, rounded up. */
static void reduce(struct image *image, struct jpeg_decompress_struct *codec)
{
	struct image_reduction *reduction = image->reduction;

	reduction->width = image->width;
	reduction->height = image->height;
	reduction->by = reduction->choose(reduction->context, image->width, image->height);
	codec->scale_num = 1;
	codec->scale_denom = (unsigned)reduction->by;
	jpeg_calc_output_dimensions(codec);
	image->width = (int)codec->output_width;
	image->height = (int)codec->output_height;
}

static enum nn_status read_image(struct image *image, struct reader *reader, const uint8_t *bytes, size_t size, const char *name)
{
	struct jpeg_decompress_struct *codec = &reader->codec;
	enum nn_status status;

	if (setjmp(reader->jump))
		return nn_error(NN_ERR_DATA, "%s: damaged JPEG (%s); remove it or copy it again", name, reader->message);
	jpeg_create_decompress(codec);
	codec->progress = &reader->progress;
	jpeg_mem_src(codec, bytes, size);
	jpeg_read_header(codec, TRUE);
	status = check_claim(name, codec->image_width, codec->image_height, size);
	if (status != NN_OK)
		return status;
	image->width = (int)codec->image_width;
	image->height = (int)codec->image_height;
	if (codec->jpeg_color_space == JCS_CMYK || codec->jpeg_color_space == JCS_YCCK)
		codec->out_color_space = JCS_CMYK;
	else
		codec->out_color_space = JCS_RGB;
	if (image->reduction)
		reduce(image, codec);
	jpeg_start_decompress(codec);
	status = read_rows(image, codec);
	if (status == NN_OK)
		jpeg_finish_decompress(codec);
	return status;
}

enum nn_status jpeg_read(struct image *image, const uint8_t *bytes, size_t size, const char *name)
{
	struct reader reader = {.message = ""};
	enum nn_status status;

	reader.codec.err = jpeg_std_error(&reader.errors);
	reader.errors.error_exit = on_error;
	reader.errors.emit_message = on_message;
	reader.errors.output_message = on_output;
	reader.progress.progress_monitor = on_progress;
	status = read_image(image, &reader, bytes, size, name);
	jpeg_destroy_decompress(&reader.codec);
	return status;
}
