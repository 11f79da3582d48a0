#include "trainer/data/augment.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "trainer/data/erase.h"

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

/* A picture that is cut to size, and how it becomes numbers. */
struct cut {
	struct pixels picture; /* size x size */
	struct placement placement;
	struct normal normal;
};

static enum nn_status cut_cifar(struct cut *cut, const struct image *image, const struct augment *augment, struct rng *rng,
				struct augment_scratch *scratch)
{
	struct fit fit = fit_centre(image, augment->size, augment->size);

	cut->placement.dx = (int)rng_below(rng, 2 * PADDING + 1) - PADDING;
	cut->placement.dy = (int)rng_below(rng, 2 * PADDING + 1) - PADDING;
	cut->placement.mirrored = coin(rng);
	return fit_crop(&cut->picture, image, &fit, &scratch->fit);
}

static enum nn_status cut_inception(struct cut *cut, const struct image *image, const struct augment *augment, struct rng *rng,
				    struct augment_scratch *scratch)
{
	struct rectangle crop = random_crop(image, rng);
	int size = augment->size;
	struct resize plan = {0, 0, (float)crop.width, (float)crop.height, size, size, 0, 0, size, size};
	struct pixels source = pixels_crop(image, crop.x, crop.y, crop.width, crop.height);
	struct image *scaled = &scratch->fit.scaled;
	enum nn_status status = resize_bilinear(scaled, source, &plan, &scratch->fit.resize);

	cut->placement.mirrored = coin(rng);
	if (status == NN_OK)
		cut->picture = pixels_crop(scaled, 0, 0, size, size);
	return status;
}

/* Moves every pixel along the axes of the data set's colours. */
static void add_colour_noise(struct normal *normal, const struct augment *augment, struct rng *rng)
{
	for (int i = 0; i < 3; i++) {
		float alpha = (float)(colour_deviation * rng_normal(rng));

		for (int c = 0; c < 3; c++)
			normal->shift[c] += alpha * augment->colour_axes[i][c];
	}
}

/* The paper's sizes in proportion to the crop's. */
static int paper_side(int pixels, int size)
{
	return (pixels * size + PAPER_CROP / 2) / PAPER_CROP;
}

static enum nn_status cut_paper(struct cut *cut, const struct image *image, const struct augment *augment, struct rng *rng,
				struct augment_scratch *scratch)
{
	int size = augment->size, least = paper_side(PAPER_LEAST, size), most = paper_side(PAPER_MOST, size);
	struct fit fit = fit_centre(image, least + (int)rng_below(rng, (uint64_t)(most - least) + 1), size);

	fit.x = (int)rng_below(rng, (uint64_t)(fit.width - size) + 1);
	fit.y = (int)rng_below(rng, (uint64_t)(fit.height - size) + 1);
	cut->placement.mirrored = coin(rng);
	add_colour_noise(&cut->normal, augment, rng);
	return fit_crop(&cut->picture, image, &fit, &scratch->fit);
}

static enum nn_status cut_centre(struct cut *cut, const struct image *image, const struct augment *augment,
				 struct augment_scratch *scratch)
{
	struct fit fit = fit_centre(image, augment->size, augment->size);

	return fit_crop(&cut->picture, image, &fit, &scratch->fit);
}

static enum nn_status cut_out(struct cut *cut, const struct image *image, const struct augment *augment, struct rng *rng,
			      struct augment_scratch *scratch)
{
	switch (augment->kind) {
	case AUGMENT_CIFAR:
		return cut_cifar(cut, image, augment, rng, scratch);
	case AUGMENT_INCEPTION:
		return cut_inception(cut, image, augment, rng, scratch);
	case AUGMENT_PAPER:
		return cut_paper(cut, image, augment, rng, scratch);
	case AUGMENT_NONE:
		break;
	}
	return cut_centre(cut, image, augment, scratch);
}

/* The picture may lie in the image, which is not ours to change. */
static enum nn_status change_colours(struct cut *cut, const struct augment *augment, struct rng *rng, struct image *changed)
{
	size_t row = (size_t)augment->size * 3;
	enum nn_status status = image_set_size(changed, augment->size, augment->size);

	if (status != NN_OK)
		return status;
	for (size_t y = 0; y < (size_t)augment->size; y++)
		memcpy(changed->pixels + y * row, cut->picture.data + y * cut->picture.stride, row);
	jitter_apply(changed->pixels, (size_t)augment->size * (size_t)augment->size, &augment->jitter, rng);
	cut->picture = pixels_crop(changed, 0, 0, augment->size, augment->size);
	return NN_OK;
}

enum nn_status augment_train(float *out, const struct image *image, const struct augment *augment, struct rng rng,
			     struct augment_scratch *scratch)
{
	struct cut cut = {.normal = augment->normal};
	enum nn_status status = cut_out(&cut, image, augment, &rng, scratch);

	if (status == NN_OK && jitter_is_on(&augment->jitter))
		status = change_colours(&cut, augment, &rng, &scratch->changed);
	if (status != NN_OK)
		return status;
	normalise(out, augment->size, augment->size, cut.picture, &cut.normal, cut.placement);
	if (augment->erasing > 0)
		erase_random(out, augment->size, augment->erasing, &rng);
	return NN_OK;
}

void augment_scratch_release(struct augment_scratch *scratch)
{
	fit_scratch_release(&scratch->fit);
	image_release(&scratch->changed);
}
