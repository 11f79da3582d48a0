#include "trainer/data/augment.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { PADDING = 4, TRIES = 10 };

/* A rectangle of a picture, in whole pixels. */
struct rectangle {
	int x, y, width, height;
};

/* out (size, size, 3) = the picture moved by (-dx, -dy), mirrored when asked, normalised; zeros where the picture does not reach.
 */
static void normalise(float *out, struct pixels picture, const struct augment *augment, int dx, int dy, bool mirrored)
{
	int size = augment->size;

	for (int y = 0; y < size; y++)
		for (int x = 0; x < size; x++, out += 3) {
			int from_x = (mirrored ? size - 1 - x : x) + dx, from_y = y + dy;
			const uint8_t *pixel;

			if (from_x < 0 || from_y < 0 || from_x >= picture.width || from_y >= picture.height) {
				memset(out, 0, 3 * sizeof(*out));
				continue;
			}
			pixel = picture.data + (size_t)from_y * picture.stride + (size_t)from_x * 3;
			for (int c = 0; c < 3; c++)
				out[c] = ((float)pixel[c] / 255.0f - augment->mean[c]) * augment->inverse_std[c];
		}
}

/* Python's round(): halves go to the even neighbour. */
static int round_to_even(double x)
{
	return (int)nearbyint(x);
}

/* *fitted = the central size x size pixels of the image after its short side was scaled to short_side. */
static enum nn_status fit(struct pixels *fitted, const struct image *image, int size, int short_side,
			  struct augment_scratch *scratch)
{
	bool wide = image->width > image->height;
	int short_now = wide ? image->height : image->width, long_now = wide ? image->width : image->height;
	int long_side = (int)((double)short_side * long_now / short_now);
	int width = wide ? long_side : short_side, height = wide ? short_side : long_side;
	int x = round_to_even((width - size) / 2.0), y = round_to_even((height - size) / 2.0);
	struct resize plan = {0, 0, (float)image->width, (float)image->height, width, height, x, y, size, size};
	enum nn_status status;

	if (width == image->width && height == image->height) {
		*fitted = pixels_crop(image, x, y, size, size);
		return NN_OK;
	}
	status = resize_bilinear(&scratch->scaled, pixels_crop(image, 0, 0, image->width, image->height), &plan, &scratch->resize);
	if (status == NN_OK)
		*fitted = pixels_crop(&scratch->scaled, 0, 0, size, size);
	return status;
}

/* Where torchvision's RandomResizedCrop falls back to when no try fits: the largest central part of an allowed shape. */
static struct rectangle central_crop(const struct image *image, double least_ratio, double most_ratio)
{
	double ratio = (double)image->width / image->height;
	struct rectangle crop = {0, 0, image->width, image->height};

	if (ratio < least_ratio)
		crop.height = round_to_even(crop.width / least_ratio);
	else if (ratio > most_ratio)
		crop.width = round_to_even(crop.height * most_ratio);
	crop.x = (image->width - crop.width) / 2;
	crop.y = (image->height - crop.height) / 2;
	return crop;
}

/* Source: torchvision.transforms.RandomResizedCrop.get_params with scale (0.08, 1) and ratio (3/4, 4/3). */
static struct rectangle random_crop(const struct image *image, struct rng *rng)
{
	const double least_area = 0.08, least_ratio = 3.0 / 4, most_ratio = 4.0 / 3;

	for (int i = 0; i < TRIES; i++) {
		double area = (double)image->width * image->height * (least_area + (1 - least_area) * rng_uniform(rng));
		double ratio = exp(log(least_ratio) + (log(most_ratio) - log(least_ratio)) * rng_uniform(rng));
		struct rectangle crop = {.width = round_to_even(sqrt(area * ratio)), .height = round_to_even(sqrt(area / ratio))};

		if (crop.width < 1 || crop.width > image->width || crop.height < 1 || crop.height > image->height)
			continue;
		crop.y = (int)rng_below(rng, (uint64_t)(image->height - crop.height) + 1);
		crop.x = (int)rng_below(rng, (uint64_t)(image->width - crop.width) + 1);
		return crop;
	}
	return central_crop(image, least_ratio, most_ratio);
}

static bool coin(struct rng *rng)
{
	return rng_next(rng) >> 63;
}

static enum nn_status train_cifar(float *out, const struct image *image, const struct augment *augment, struct rng *rng,
				  struct augment_scratch *scratch)
{
	struct pixels fitted;
	enum nn_status status = fit(&fitted, image, augment->size, augment->size, scratch);
	int dx = (int)rng_below(rng, 2 * PADDING + 1) - PADDING;
	int dy = (int)rng_below(rng, 2 * PADDING + 1) - PADDING;

	if (status == NN_OK)
		normalise(out, fitted, augment, dx, dy, coin(rng));
	return status;
}

static enum nn_status train_inception(float *out, const struct image *image, const struct augment *augment, struct rng *rng,
				      struct augment_scratch *scratch)
{
	struct rectangle crop = random_crop(image, rng);
	int size = augment->size;
	struct resize plan = {0, 0, (float)crop.width, (float)crop.height, size, size, 0, 0, size, size};
	struct pixels source = pixels_crop(image, crop.x, crop.y, crop.width, crop.height);
	enum nn_status status = resize_bilinear(&scratch->scaled, source, &plan, &scratch->resize);

	if (status == NN_OK)
		normalise(out, pixels_crop(&scratch->scaled, 0, 0, size, size), augment, 0, 0, coin(rng));
	return status;
}

static enum nn_status centred(float *out, const struct image *image, const struct augment *augment, int short_side,
			      struct augment_scratch *scratch)
{
	struct pixels fitted;
	enum nn_status status = fit(&fitted, image, augment->size, short_side, scratch);

	if (status == NN_OK)
		normalise(out, fitted, augment, 0, 0, false);
	return status;
}

enum nn_status augment_train(float *out, const struct image *image, const struct augment *augment, struct rng rng,
			     struct augment_scratch *scratch)
{
	switch (augment->kind) {
	case AUGMENT_CIFAR:
		return train_cifar(out, image, augment, &rng, scratch);
	case AUGMENT_INCEPTION:
		return train_inception(out, image, augment, &rng, scratch);
	case AUGMENT_NONE:
		break;
	}
	return centred(out, image, augment, augment->size, scratch);
}

enum nn_status augment_eval(float *out, const struct image *image, const struct augment *augment, struct augment_scratch *scratch)
{
	return centred(out, image, augment, (int)lround((double)augment->size * (double)augment->eval_scale), scratch);
}

void augment_scratch_release(struct augment_scratch *scratch)
{
	image_release(&scratch->scaled);
	resize_scratch_release(&scratch->resize);
}
