#include "trainer/data/fit.h"

#include <math.h>
#include <stdbool.h>

int round_to_even(double x)
{
	return (int)nearbyint(x);
}

struct fit fit_whole(const struct image *image, int short_side)
{
	struct image_size size = image_full_size(image);
	bool wide = size.width > size.height;
	int short_now = wide ? size.height : size.width, long_now = wide ? size.width : size.height;
	int long_side = (int)((double)short_side * long_now / short_now);
	int width = wide ? long_side : short_side, height = wide ? short_side : long_side;

	return (struct fit){width, height, 0, 0, width, height};
}

struct fit fit_centre(const struct image *image, int short_side, int size)
{
	struct fit fit = fit_whole(image, short_side);

	fit.x = round_to_even((fit.width - size) / 2.0);
	fit.y = round_to_even((fit.height - size) / 2.0);
	fit.crop_width = size;
	fit.crop_height = size;
	return fit;
}

enum nn_status fit_crop(struct pixels *crop, const struct image *image, const struct fit *fit, struct fit_scratch *scratch)
{
	struct image_size size = image_full_size(image);
	float right = (float)size.width / (float)size.reduced, bottom = (float)size.height / (float)size.reduced;
	struct resize plan = {0, 0, right, bottom, fit->width, fit->height, fit->x, fit->y, fit->crop_width, fit->crop_height};
	enum nn_status status;

	if (size.reduced == 1 && fit->width == image->width && fit->height == image->height) {
		*crop = pixels_crop(image, fit->x, fit->y, fit->crop_width, fit->crop_height);
		return NN_OK;
	}
	status = resize_bilinear(&scratch->scaled, pixels_crop(image, 0, 0, image->width, image->height), &plan, &scratch->resize);
	if (status == NN_OK)
		*crop = pixels_crop(&scratch->scaled, 0, 0, fit->crop_width, fit->crop_height);
	return status;
}

void fit_scratch_release(struct fit_scratch *scratch)
{
	image_release(&scratch->scaled);
	resize_scratch_release(&scratch->resize);
}
