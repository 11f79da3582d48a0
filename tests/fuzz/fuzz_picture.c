/* PNG and JPEG files. */
#include <string.h>

#include "tests/fuzz/targets.h"
#include "trainer/data/image.h"
#include "trainer/data/jpeg.h"
#include "trainer/data/png.h"

/* A picture that was read is there as a whole: the sum touches every byte of it. */
static void check_picture(const struct image *image)
{
	size_t size = (size_t)image->width * (size_t)image->height * 3;
	unsigned sum = 0;

	FUZZ_CHECK(image->width >= 1 && image->width <= IMAGE_SIDE_MAX);
	FUZZ_CHECK(image->height >= 1 && image->height <= IMAGE_SIDE_MAX);
	FUZZ_CHECK(size <= image->capacity);
	for (size_t i = 0; i < size; i++)
		sum += image->pixels[i];
	FUZZ_CHECK(sum <= size * 255);
}

static void check_refusal(enum nn_status status)
{
	const char *message = nn_error_message();

	FUZZ_CHECK(status == NN_ERR_DATA || status == NN_ERR_MEMORY);
	for (const char *at = message; *at; at++)
		FUZZ_CHECK((unsigned char)*at >= ' ' && *at != 127);
	FUZZ_CHECK(strncmp(message, "fuzz: ", 6) == 0 || status == NN_ERR_MEMORY);
}

static void read_picture(const uint8_t *bytes, size_t size)
{
	struct image image = {0};
	enum nn_status status = image_read_memory(&image, bytes, size, "fuzz");

	if (status == NN_OK)
		check_picture(&image);
	else
		check_refusal(status);
	image_release(&image);
}

void fuzz_png(const uint8_t *bytes, size_t size)
{
	if (png_is(bytes, size))
		read_picture(bytes, size);
}

void fuzz_jpeg(const uint8_t *bytes, size_t size)
{
	if (jpeg_is(bytes, size))
		read_picture(bytes, size);
}
