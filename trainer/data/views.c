#include "trainer/data/views.h"

#include <assert.h>
#include <math.h>

const char *const protocol_names[] = {"single", "10-crop", "multi-scale", NULL};

enum nn_status protocol_check(const struct protocol *protocol)
{
	if (protocol->kind == PROTOCOL_TEN_CROP && protocol->flip)
		return nn_error(NN_ERR_USAGE, "10-crop has the mirrored crops already; leave the flip away");
	return NN_OK;
}

int views_count(const struct protocol *protocol)
{
	if (protocol->kind == PROTOCOL_TEN_CROP)
		return 10;
	return (protocol->kind == PROTOCOL_MULTI_SCALE ? VIEW_SCALES : 1) * (protocol->flip ? 2 : 1);
}

/* Crop i of the picture's four corners and its centre, or of the mirrored picture's: torchvision mirrors before it crops, and an
 * odd margin is then split the other way round. */
static struct fit ten_crop(struct fit centre, int i)
{
	int right = centre.width - centre.crop_width, bottom = centre.height - centre.crop_height;

	if (i % 5 < 4) {
		centre.x = i % 5 % 2 ? right : 0;
		centre.y = i % 5 / 2 ? bottom : 0;
	}
	if (i >= 5)
		centre.x = right - centre.x;
	return centre;
}

enum nn_status views_crops(float *out, const struct image *image, const struct augment *augment, const struct protocol *protocol,
			   struct augment_scratch *scratch)
{
	int size = augment->size, short_side = (int)lround((double)size * (double)augment->eval_scale);
	bool ten = protocol->kind == PROTOCOL_TEN_CROP;
	struct fit centre = fit_centre(image, short_side, size);
	enum nn_status status = NN_OK;

	assert(protocol->kind != PROTOCOL_MULTI_SCALE);
	for (int i = 0; i < views_count(protocol) && status == NN_OK; i++) {
		struct fit fit = ten ? ten_crop(centre, i) : centre;
		struct placement placement = {0, 0, ten ? i >= 5 : i == 1};
		struct pixels crop;

		status = fit_crop(&crop, image, &fit, &scratch->fit);
		if (status == NN_OK)
			normalise(out + (size_t)i * (size_t)size * (size_t)size * 3, size, size, crop, &augment->normal, placement);
	}
	return status;
}

struct fit views_scale(const struct image *image, const struct augment *augment, int scale)
{
	static const int sides[VIEW_SCALES] = {224, 256, 384, 480, 640};

	assert(scale >= 0 && scale < VIEW_SCALES);
	return fit_whole(image, (sides[scale] * augment->size + 112) / 224);
}

enum nn_status views_whole(float *out, const struct image *image, const struct augment *augment, const struct fit *fit,
			   bool mirrored, struct augment_scratch *scratch)
{
	struct normal normal = augment->normal;
	struct pixels whole;
	enum nn_status status = fit_crop(&whole, image, fit, &scratch->fit);

	normal.pixel_mean = NULL;
	if (status == NN_OK)
		normalise(out, fit->width, fit->height, whole, &normal, (struct placement){0, 0, mirrored});
	return status;
}
