#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "nn/core/alloc.h"
#include "tests/unit/image_maker.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/data/image.h"
#include "trainer/data/png.h"

static bool message_has(const char *text)
{
	return strstr(nn_error_message(), text) != NULL;
}

static void check_png(struct image *image, const struct png_spec *spec)
{
	struct encoded file;

	maker_png(&file, spec);
	CU_ASSERT_EQUAL_FATAL(image_read_memory(image, file.bytes, file.size, "made.png"), NN_OK);
	CU_ASSERT_EQUAL(image->width, spec->width);
	CU_ASSERT_EQUAL(image->height, spec->height);
	for (int y = 0; y < spec->height; y++)
		for (int x = 0; x < spec->width; x++)
			for (int c = 0; c < 3; c++)
				CU_ASSERT_EQUAL(image->pixels[(y * spec->width + x) * 3 + c], maker_png_rgb(spec, x, y, c));
	free(file.bytes);
}

static void every_kind_of_png_becomes_rgb(void)
{
	static const struct {
		int colour;
		bool may_be_clear;
		int depths[6];
	} kinds[] = {
	    {PNG_COLOR_TYPE_GRAY, true, {1, 2, 4, 8, 16}}, {PNG_COLOR_TYPE_RGB, true, {8, 16}},
	    {PNG_COLOR_TYPE_PALETTE, true, {1, 2, 4, 8}},  {PNG_COLOR_TYPE_GRAY_ALPHA, false, {8, 16}},
	    {PNG_COLOR_TYPE_RGB_ALPHA, false, {8, 16}},
	};
	struct image image = {0};

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (const int *depth = kinds[k].depths; *depth; depth++)
			for (int interlaced = 0; interlaced < 2; interlaced++)
				for (int clear = 0; clear <= kinds[k].may_be_clear; clear++) {
					check_png(&image, &(struct png_spec){13, 11, kinds[k].colour, *depth, interlaced, clear});
					check_png(&image, &(struct png_spec){1, 1, kinds[k].colour, *depth, interlaced, clear});
				}
	image_release(&image);
}

/* Every prefix fails, and every file with one byte changed does at least no harm. */
static void damage(const struct encoded *file)
{
	struct image image = {0};
	uint8_t *copy;

	for (size_t size = 0; size < file->size; size++) {
		copy = malloc(size + 1);
		memcpy(copy, file->bytes, size);
		CU_ASSERT_EQUAL(image_read_memory(&image, copy, size, "cut"), NN_ERR_DATA);
		CU_ASSERT(message_has("cut: "));
		free(copy);
	}
	copy = malloc(file->size + 1);
	for (size_t i = 0; i < file->size; i++)
		for (int bit = 0; bit < 8; bit++) {
			enum nn_status status;

			memcpy(copy, file->bytes, file->size);
			copy[i] = (uint8_t)(copy[i] ^ 1 << bit);
			status = image_read_memory(&image, copy, file->size, "flipped");
			CU_ASSERT(status == NN_OK || status == NN_ERR_DATA);
		}
	free(copy);
	image_release(&image);
}

static void a_png_cut_anywhere_is_an_error(void)
{
	for (int interlaced = 0; interlaced < 2; interlaced++) {
		struct encoded file;

		maker_png(&file, &(struct png_spec){9, 7, PNG_COLOR_TYPE_RGB, 8, interlaced, false});
		damage(&file);
		free(file.bytes);
	}
}

static void a_jpeg_cut_anywhere_is_an_error(void)
{
	for (int progressive = 0; progressive < 2; progressive++) {
		struct encoded file;

		maker_jpeg(&file, &(struct jpeg_spec){19, 17, JCS_YCbCr, false, progressive, false, {200, 100, 50}});
		damage(&file);
		free(file.bytes);
	}
}

static void a_jpeg_of_any_colour_space_becomes_rgb(void)
{
	static const struct {
		struct jpeg_spec spec;
		int rgb[3];
	} cases[] = {
	    {{20, 9, JCS_GRAYSCALE, false, false, false, {77}}, {77, 77, 77}},
	    {{20, 9, JCS_YCbCr, false, false, false, {200, 100, 50}}, {200, 100, 50}},
	    {{20, 9, JCS_YCbCr, false, true, false, {10, 240, 120}}, {10, 240, 120}},
	    {{20, 9, JCS_RGB, true, false, false, {200, 100, 50}}, {200, 100, 50}},
	    {{20, 9, JCS_CMYK, true, false, false, {200, 100, 50, 220}}, {173, 86, 43}},
	    {{20, 9, JCS_YCCK, true, false, false, {200, 100, 50, 220}}, {173, 86, 43}},
	    {{20, 9, JCS_YCCK, true, true, false, {255, 0, 255, 255}}, {255, 0, 255}},
	    {{20, 9, JCS_CMYK, false, false, false, {200, 100, 50, 35}}, {47, 134, 177}},
	};
	struct image image = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct encoded file;

		maker_jpeg(&file, &cases[i].spec);
		CU_ASSERT_EQUAL_FATAL(image_read_memory(&image, file.bytes, file.size, "made.jpg"), NN_OK);
		CU_ASSERT(image.width == 20 && image.height == 9);
		for (int p = 0; p < 20 * 9 * 3; p++)
			CU_ASSERT(abs(image.pixels[p] - cases[i].rgb[p % 3]) <= 2);
		free(file.bytes);
	}
	image_release(&image);
}

static void put_uint32(uint8_t *bytes, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void a_claim_of_a_huge_size_fails_at_once(void)
{
	uint8_t header[45] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
	struct image image = {0};
	long before = nn_alloc_count();

	put_uint32(header + 16, 100000);
	put_uint32(header + 20, 100000);
	header[24] = 8;
	header[25] = PNG_COLOR_TYPE_RGB;
	CU_ASSERT_EQUAL(image_read_memory(&image, header, sizeof(header), "huge.png"), NN_ERR_DATA);
	CU_ASSERT(message_has("huge.png: claims 100000 x 100000 pixels"));
	put_uint32(header + 16, 20000);
	put_uint32(header + 20, 20000);
	CU_ASSERT_EQUAL(image_read_memory(&image, header, sizeof(header), "large.png"), NN_ERR_DATA);
	CU_ASSERT(message_has("claims 20000 x 20000 pixels"));
	CU_ASSERT_EQUAL(nn_alloc_count(), before);
}

static void memory_follows_what_is_decoded_not_what_is_claimed(void)
{
	struct encoded file;
	struct image image = {0};

	maker_png(&file, &(struct png_spec){9, 7, PNG_COLOR_TYPE_RGB, 8, false, false});
	maker_claim_size(&file, 13000, 13000);
	CU_ASSERT_EQUAL(image_read_memory(&image, file.bytes, file.size, "claim.png"), NN_ERR_DATA);
	CU_ASSERT(message_has("Not enough image data"));
	CU_ASSERT(image.capacity <= 16 << 20);
	free(file.bytes);
	image_release(&image);
}

static void files_are_told_apart_by_their_first_bytes(void)
{
	char folder[SCRATCH_PATH], path[SCRATCH_PATH + 32];
	struct encoded file;
	struct image image = {0};

	scratch_make(folder);
	maker_jpeg(&file, &(struct jpeg_spec){8, 8, JCS_GRAYSCALE, false, false, false, {77}});
	scratch_write(folder, "photo.png", file.bytes, file.size);
	scratch_write(folder, "film.png", "GIF89a......", 12);
	scratch_write(folder, "nothing.png", "", 0);
	free(file.bytes);
	snprintf(path, sizeof(path), "%s/photo.png", folder);
	CU_ASSERT_EQUAL(image_read_file(&image, path), NN_OK);
	CU_ASSERT_EQUAL(image.width, 8);
	snprintf(path, sizeof(path), "%s/film.png", folder);
	CU_ASSERT_EQUAL(image_read_file(&image, path), NN_ERR_DATA);
	CU_ASSERT(message_has("/film.png: not a PNG or JPEG image (first bytes 'GIF8'); remove it or convert it"));
	snprintf(path, sizeof(path), "%s/nothing.png", folder);
	CU_ASSERT_EQUAL(image_read_file(&image, path), NN_ERR_DATA);
	CU_ASSERT(message_has("/nothing.png: zero bytes"));
	snprintf(path, sizeof(path), "%s/missing.png", folder);
	CU_ASSERT_EQUAL(image_read_file(&image, path), NN_ERR_DATA);
	CU_ASSERT(message_has("/missing.png: cannot open"));
	CU_ASSERT_EQUAL(image_read_file(&image, folder), NN_ERR_DATA);
	CU_ASSERT(message_has("not a regular file"));
	image_release(&image);
	scratch_remove(folder);
}

static void written_pngs_read_back_and_large_buffers_are_used_again(void)
{
	char folder[SCRATCH_PATH], path[SCRATCH_PATH + 32];
	struct image image = {0}, again = {0};
	long before;

	scratch_make(folder);
	snprintf(path, sizeof(path), "%s/a.png", folder);
	CU_ASSERT_EQUAL_FATAL(image_set_size(&image, 50, 40), NN_OK);
	for (int i = 0; i < 50 * 40 * 3; i++)
		image.pixels[i] = (uint8_t)(i * i / 7);
	CU_ASSERT_EQUAL(png_write(path, &image), NN_OK);
	CU_ASSERT_EQUAL_FATAL(image_read_file(&again, path), NN_OK);
	CU_ASSERT(again.width == 50 && again.height == 40);
	CU_ASSERT_EQUAL(memcmp(image.pixels, again.pixels, 50 * 40 * 3), 0);
	before = nn_alloc_count();
	CU_ASSERT_EQUAL(image_read_file(&again, path), NN_OK);
	CU_ASSERT_EQUAL(nn_alloc_count(), before);
	snprintf(path, sizeof(path), "%s/none/a.png", folder);
	CU_ASSERT_EQUAL(png_write(path, &image), NN_ERR_IO);
	image_release(&image);
	image_release(&again);
	scratch_remove(folder);
}

static void a_failed_allocation_is_not_blamed_on_the_file(void)
{
	struct encoded files[2];
	struct image image = {0};

	maker_png(&files[0], &(struct png_spec){9, 7, PNG_COLOR_TYPE_RGB, 8, true, false});
	maker_jpeg(&files[1], &(struct jpeg_spec){19, 17, JCS_YCCK, true, false, false, {200, 100, 50, 0}});
	for (int i = 0; i < 2; i++) {
		nn_alloc_fail_at(1);
		CU_ASSERT_EQUAL(image_read_memory(&image, files[i].bytes, files[i].size, "made"), NN_ERR_MEMORY);
		nn_alloc_fail_at(0);
		CU_ASSERT_EQUAL(image_read_memory(&image, files[i].bytes, files[i].size, "made"), NN_OK);
		free(files[i].bytes);
		image_release(&image);
	}
}

void suite_images(void)
{
	static const struct test_row rows[] = {
	    TEST(every_kind_of_png_becomes_rgb),
	    TEST(a_png_cut_anywhere_is_an_error),
	    TEST(a_jpeg_cut_anywhere_is_an_error),
	    TEST(a_jpeg_of_any_colour_space_becomes_rgb),
	    TEST(a_claim_of_a_huge_size_fails_at_once),
	    TEST(memory_follows_what_is_decoded_not_what_is_claimed),
	    TEST(files_are_told_apart_by_their_first_bytes),
	    TEST(written_pngs_read_back_and_large_buffers_are_used_again),
	    TEST(a_failed_allocation_is_not_blamed_on_the_file),
	};

	ADD_SUITE("images", rows);
}
