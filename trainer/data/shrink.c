#include "trainer/data/shrink.h"

#include "trainer/data/jpeg.h"

enum nn_status shrink_image(bool *shrunk, const struct image *image, const uint8_t *encoded, size_t size,
			    const struct shrink *shrink, struct shrink_scratch *scratch)
{
	int shorter = image->width < image->height ? image->width : image->height;
	struct pixels picture;
	struct fit fit;
	enum nn_status status;

	*shrunk = false;
	if (shrink->shorter_side == 0 || shorter <= shrink->shorter_side || !jpeg_is(encoded, size))
		return NN_OK;
	fit = fit_whole(image, shrink->shorter_side);
	if (fit.width > JPEG_WRITE_SIDE_MAX || fit.height > JPEG_WRITE_SIDE_MAX)
		return NN_OK;
	status = fit_crop(&picture, image, &fit, &scratch->fit);
	if (status == NN_OK)
		status = jpeg_write(&scratch->file, picture, shrink->quality);
	*shrunk = status == NN_OK;
	return status;
}

void shrink_scratch_release(struct shrink_scratch *scratch)
{
	fit_scratch_release(&scratch->fit);
	jpeg_file_release(&scratch->file);
}
