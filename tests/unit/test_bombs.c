#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>

#include "nn/core/alloc.h"
#include "tests/unit/image_maker.h"
#include "tests/unit/scratch_folder.h"
#include "tests/unit/suites.h"
#include "trainer/data/image.h"

static bool message_has(const char *text)
{
	return strstr(nn_error_message(), text) != NULL;
}

static enum nn_status decode(struct image *image, const struct encoded *file)
{
	return image_read_memory(image, file->bytes, file->size, "made");
}

static void metadata_is_passed_over_however_long_or_damaged_it_is(void)
{
	static const char names[][5] = {"eXIf", "iCCP", "zTXt", "iTXt", "tEXt", "tIME", "gAMA", "prVt"};
	const struct png_spec spec = {9, 7, PNG_COLOR_TYPE_RGB, 8, false, false};
	struct image image = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct encoded file;

		maker_png(&file, &spec);
		maker_add_chunk(&file, names[i], NULL, 9 << 20);
		maker_add_chunk(&file, names[i], (const uint8_t *)"key\0\0not deflated", 17);
		CU_ASSERT_EQUAL(decode(&image, &file), NN_OK);
		CU_ASSERT_EQUAL(image.pixels[(3 * 9 + 4) * 3 + 1], maker_png_rgb(&spec, 4, 3, 1));
		free(file.bytes);
	}
	image_release(&image);
}

static void a_chunk_that_claims_more_than_the_file_has_is_an_error(void)
{
	static const uint8_t lengths[][4] = {{0x7f, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff}, {0, 1, 0, 0}};
	struct image image = {0};

	for (int i = 0; i < 3; i++) {
		struct encoded file;

		maker_png(&file, &(struct png_spec){9, 7, PNG_COLOR_TYPE_RGB, 8, false, false});
		maker_add_chunk(&file, "tEXt", NULL, 10);
		memcpy(file.bytes + 33, lengths[i], 4);
		CU_ASSERT_EQUAL(decode(&image, &file), NN_ERR_DATA);
		CU_ASSERT(message_has("made: damaged PNG"));
		free(file.bytes);
	}
	image_release(&image);
}

/* Overwrites the size in the frame header of a JPEG. */
static void claim_jpeg_size(struct encoded *file, unsigned side)
{
	for (size_t i = 2; i + 9 < file->size; i++)
		if (file->bytes[i] == 0xff && (file->bytes[i + 1] == 0xc0 || file->bytes[i + 1] == 0xc2)) {
			for (int k = 5; k < 9; k += 2) {
				file->bytes[i + (size_t)k] = (uint8_t)(side >> 8);
				file->bytes[i + (size_t)k + 1] = (uint8_t)side;
			}
			return;
		}
}

static void a_small_jpeg_that_claims_a_large_picture_fails_before_it_takes_memory(void)
{
	struct image image = {0};

	for (int progressive = 0; progressive < 2; progressive++) {
		struct encoded file;
		long before = nn_alloc_count();

		maker_jpeg(&file, &(struct jpeg_spec){19, 17, JCS_YCbCr, false, progressive, false, {200, 100, 50}});
		claim_jpeg_size(&file, 13000);
		CU_ASSERT_EQUAL(decode(&image, &file), NN_ERR_DATA);
		CU_ASSERT(message_has("claims 13000 x 13000 pixels in"));
		claim_jpeg_size(&file, 65000);
		CU_ASSERT_EQUAL(decode(&image, &file), NN_ERR_DATA);
		CU_ASSERT(message_has("claims 65000 x 65000 pixels (allowed"));
		CU_ASSERT_EQUAL(nn_alloc_count(), before);
		free(file.bytes);
	}
	image_release(&image);
}

static void a_jpeg_of_more_scans_than_any_photograph_has_is_an_error(void)
{
	struct jpeg_spec spec = {19, 17, JCS_GRAYSCALE, false, true, true, {120, 130, 140}};
	struct image image = {0};
	struct encoded file;

	maker_jpeg(&file, &spec); /* 64 scans */
	CU_ASSERT_EQUAL(decode(&image, &file), NN_OK);
	CU_ASSERT_EQUAL(image.pixels[100], 120);
	free(file.bytes);
	spec.stored = JCS_YCbCr;
	maker_jpeg(&file, &spec);
	CU_ASSERT_EQUAL(decode(&image, &file), NN_ERR_DATA);
	CU_ASSERT(message_has("made: damaged JPEG (more than 100 scans)"));
	free(file.bytes);
	image_release(&image);
}

static void a_file_of_gigabytes_is_refused_unread(void)
{
	char folder[SCRATCH_PATH], path[SCRATCH_PATH + 32];
	struct image image = {0};

	scratch_make(folder);
	scratch_write(folder, "sparse.png", "\x89PNG\r\n\x1a\n", 8);
	snprintf(path, sizeof(path), "%s/sparse.png", folder);
	CU_ASSERT_EQUAL(truncate(path, (off_t)3 << 30), 0);
	CU_ASSERT_EQUAL(image_read_file(&image, path), NN_ERR_DATA);
	CU_ASSERT(message_has("/sparse.png: 3221225472 bytes (allowed: 1073741824)"));
	CU_ASSERT_EQUAL(image.encoded_capacity, 0);
	image_release(&image);
	scratch_remove(folder);
}

static void a_pipe_in_the_place_of_a_picture_is_refused_without_waiting(void)
{
	char folder[SCRATCH_PATH], path[SCRATCH_PATH + 32];
	struct image image = {0};

	scratch_make(folder);
	snprintf(path, sizeof(path), "%s/pipe.png", folder);
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	CU_ASSERT_EQUAL(image_read_file(&image, path), NN_ERR_DATA);
	CU_ASSERT(message_has("/pipe.png: not a regular file"));
	image_release(&image);
	scratch_remove(folder);
}

void suite_bombs(void)
{
	static const struct test_row rows[] = {
	    TEST(metadata_is_passed_over_however_long_or_damaged_it_is),
	    TEST(a_chunk_that_claims_more_than_the_file_has_is_an_error),
	    TEST(a_small_jpeg_that_claims_a_large_picture_fails_before_it_takes_memory),
	    TEST(a_jpeg_of_more_scans_than_any_photograph_has_is_an_error),
	    TEST(a_file_of_gigabytes_is_refused_unread),
	    TEST(a_pipe_in_the_place_of_a_picture_is_refused_without_waiting),
	};

	ADD_SUITE("bombs", rows);
}
