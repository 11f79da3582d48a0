#include "trainer/data/jpeg_write.h"

#include <assert.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

struct writer {
	struct jpeg_error_mgr errors; /* first: the library hands back a pointer to it */
	struct jpeg_compress_struct codec;
	jmp_buf jump;
	char message[JMSG_LENGTH_MAX];
};

static void on_error(j_common_ptr codec)
{
	struct writer *writer = (struct writer *)(void *)codec->err;

	codec->err->format_message(codec, writer->message);
	longjmp(writer->jump, 1);
}

static enum nn_status write_picture(struct jpeg_file *file, struct writer *writer, struct pixels picture, int quality)
{
	struct jpeg_compress_struct *codec = &writer->codec;

	if (setjmp(writer->jump))
		return nn_error(NN_ERR_MEMORY, "cannot encode a JPEG of %d x %d pixels: %s", picture.width, picture.height,
				writer->message);
	jpeg_create_compress(codec);
	jpeg_mem_dest(codec, &file->bytes, &file->size);
	codec->image_width = (JDIMENSION)picture.width;
	codec->image_height = (JDIMENSION)picture.height;
	codec->input_components = 3;
	codec->in_color_space = JCS_RGB;
	jpeg_set_defaults(codec);
	jpeg_set_quality(codec, quality, TRUE);
	jpeg_start_compress(codec, TRUE);
	while (codec->next_scanline < codec->image_height) {
		/* the library does not write there */
		JSAMPROW row = (JSAMPROW)(uintptr_t)(picture.data + codec->next_scanline * picture.stride);

		jpeg_write_scanlines(codec, &row, 1);
	}
	jpeg_finish_compress(codec);
	return NN_OK;
}

enum nn_status jpeg_write(struct jpeg_file *file, struct pixels picture, int quality)
{
	struct writer writer = {.message = ""};
	enum nn_status status;

	assert(picture.width <= JPEG_WRITE_SIDE_MAX && picture.height <= JPEG_WRITE_SIDE_MAX);
	jpeg_file_release(file);
	writer.codec.err = jpeg_std_error(&writer.errors);
	writer.errors.error_exit = on_error;
	status = write_picture(file, &writer, picture, quality);
	jpeg_destroy_compress(&writer.codec);
	/* after an error the library may have given the buffer back already, without saying so */
	if (status != NN_OK)
		*file = (struct jpeg_file){0};
	return status;
}

void jpeg_file_release(struct jpeg_file *file)
{
	free(file->bytes);
	*file = (struct jpeg_file){0};
}
