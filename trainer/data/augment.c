#include "trainer/data/augment.h"

#include <math.h>
#include <stdbool.h>

enum { PADDING = 4, TRIES = 10 };

/* Short sides of the paper's scale augmentation, for its crop of 224 pixels. */
enum { PAPER_CROP = 224, PAPER_LEAST = 256, PAPER_MOST = 480 };

static const double colour_deviation = 0.1;

/* A rectangle of a picture, in whole pixels. */
struct rectangle {
	int x, y, width, height;
};

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
	struct fit fit = fit_centre(image, augment->size, augment->size);
	struct pixels fitted;
	enum nn_status status = fit_crop(&fitted, image, &fit, &scratch->fit);
	int dx = (int)rng_below(rng, 2 * PADDING + 1) - PADDING;
	int dy = (int)rng_below(rng, 2 * PADDING + 1) - PADDING;

	if (status == NN_OK)
		normalise(out, augment->size, augment->size, fitted, &augment->normal, (struct placement){dx, dy, coin(rng)});
	return status;
}

static enum nn_status train_inception(float *out, const struct image *image, const struct augment *augment, struct rng *rng,
				      struct augment_scratch *scratch)
{
	struct rectangle crop = random_crop(image, rng);
	int size = augment->size;
	struct resize plan = {0, 0, (float)crop.width, (float)crop.height, size, size, 0, 0, size, size};
	struct pixels source = pixels_crop(image, crop.x, crop.y, crop.width, crop.height);
	struct image *scaled = &scratch->fit.scaled;
	enum nn_status status = resize_bilinear(scaled, source, &plan, &scratch->fit.resize);

	if (status == NN_OK)
		normalise(out, size, size, pixels_crop(scaled, 0, 0, size, size), &augment->normal,
			  (struct placement){0, 0, coin(rng)});
	return status;
}

/* Adding noise to every pixel is taking less off it. */
static struct normal with_colour_noise(const struct augment *augment, struct rng *rng)
{
	struct normal normal = augment->normal;

	for (int i = 0; i < 3; i++) {
		float alpha = (float)(colour_deviation * rng_normal(rng));

		for (int c = 0; c < 3; c++)
			normal.shift[c] += alpha * augment->colour_axes[i][c];
	}
	return normal;
}

/* The paper's sizes in proportion to the crop's. */
static int paper_side(int pixels, int size)
{
	return (pixels * size + PAPER_CROP / 2) / PAPER_CROP;
}

static enum nn_status train_paper(float *out, const struct image *image, const struct augment *augment, struct rng *rng,
				  struct augment_scratch *scratch)
{
	int size = augment->size, least = paper_side(PAPER_LEAST, size), most = paper_side(PAPER_MOST, size);
	struct fit fit = fit_centre(image, least + (int)rng_below(rng, (uint64_t)(most - least) + 1), size);
	struct pixels crop;
	enum nn_status status;

	fit.x = (int)rng_below(rng, (uint64_t)(fit.width - size) + 1);
	fit.y = (int)rng_below(rng, (uint64_t)(fit.height - size) + 1);
	status = fit_crop(&crop, image, &fit, &scratch->fit);
	if (status == NN_OK) {
		bool mirrored = coin(rng);
		struct normal normal = with_colour_noise(augment, rng);

		normalise(out, size, size, crop, &normal, (struct placement){0, 0, mirrored});
	}
	return status;
}

static enum nn_status train_fitted(float *out, const struct image *image, const struct augment *augment,
				   struct augment_scratch *scratch)
{
	struct fit fit = fit_centre(image, augment->size, augment->size);
	struct pixels fitted;
	enum nn_status status = fit_crop(&fitted, image, &fit, &scratch->fit);

	if (status == NN_OK)
		normalise(out, augment->size, augment->size, fitted, &augment->normal, (struct placement){0, 0, false});
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
	case AUGMENT_PAPER:
		return train_paper(out, image, augment, &rng, scratch);
	case AUGMENT_NONE:
		break;
	}
	return train_fitted(out, image, augment, scratch);
}

void augment_scratch_release(struct augment_scratch *scratch)
{
	fit_scratch_release(&scratch->fit);
}
