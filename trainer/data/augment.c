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
static struct rectangle central_crop(int width, int height, double least_ratio, double most_ratio)
{
	double ratio = (double)width / height;
	struct rectangle crop = {0, 0, width, height};

	if (ratio < least_ratio)
		crop.height = round_to_even(crop.width / least_ratio);
	else if (ratio > most_ratio)
		crop.width = round_to_even(crop.height * most_ratio);
	crop.x = (width - crop.width) / 2;
	crop.y = (height - crop.height) / 2;
	return crop;
}

/* Source: torchvision.transforms.RandomResizedCrop.get_params with scale (0.08, 1) and ratio (3/4, 4/3). */
static struct rectangle random_crop(int width, int height, struct rng *rng)
{
	const double least_area = 0.08, least_ratio = 3.0 / 4, most_ratio = 4.0 / 3;

	for (int i = 0; i < TRIES; i++) {
		double area = (double)width * height * (least_area + (1 - least_area) * rng_uniform(rng));
		double ratio = exp(log(least_ratio) + (log(most_ratio) - log(least_ratio)) * rng_uniform(rng));
		struct rectangle crop = {.width = round_to_even(sqrt(area * ratio)), .height = round_to_even(sqrt(area / ratio))};

		if (crop.width < 1 || crop.width > width || crop.height < 1 || crop.height > height)
			continue;
		crop.y = (int)rng_below(rng, (uint64_t)(height - crop.height) + 1);
		crop.x = (int)rng_below(rng, (uint64_t)(width - crop.width) + 1);
		return crop;
	}
	return central_crop(width, height, least_ratio, most_ratio);
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

/* One side of a crop of the full picture in the reduced one, which has `size` pixels: whole pixels [*first, *first + *count), and
 * in them the exact [*from, *to). */
static void reduce_side(int *first, int *count, float *from, float *to, int begin, int length, int by, int size)
{
	int end = (begin + length + by - 1) / by;

	*first = begin / by;
	*count = (end < size ? end : size) - *first;
	*from = (float)begin / (float)by - (float)*first;
	*to = (float)(begin + length) / (float)by - (float)*first;
}

static enum nn_status cut_inception(struct cut *cut, const struct image *image, const struct augment *augment, struct rng *rng,
				    struct augment_scratch *scratch)
{
	struct image_size full = image_full_size(image);
	struct rectangle crop = random_crop(full.width, full.height, rng);
	int size = augment->size, by = full.reduced;
	struct resize plan = {.width = size, .height = size, .crop_width = size, .crop_height = size};
	struct image *scaled = &scratch->fit.scaled;
	struct rectangle part;
	enum nn_status status;

	reduce_side(&part.x, &part.width, &plan.left, &plan.right, crop.x, crop.width, by, image->width);
	reduce_side(&part.y, &part.height, &plan.top, &plan.bottom, crop.y, crop.height, by, image->height);
	status = resize_bilinear(scaled, pixels_crop(image, part.x, part.y, part.width, part.height), &plan, &scratch->fit.resize);
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

static int paper_short_side(int size, struct rng *rng)
{
	int least = paper_side(PAPER_LEAST, size), most = paper_side(PAPER_MOST, size);

	return least + (int)rng_below(rng, (uint64_t)(most - least) + 1);
}

static enum nn_status cut_paper(struct cut *cut, const struct image *image, const struct augment *augment, struct rng *rng,
				struct augment_scratch *scratch)
{
	int size = augment->size;
	struct fit fit = fit_centre(image, paper_short_side(size, rng), size);

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

/* The most by which a picture may be reduced so that what is scaled to the network's size is not enlarged. */
static int choose_reduction(void *context, int width, int height)
{
	const struct augment_scratch *scratch = context;
	const struct augment *augment = scratch->augment;
	struct rng rng = scratch->rng;
	int wanted = augment->size, by = 8;

	if (augment->kind == AUGMENT_INCEPTION) {
		struct rectangle crop = random_crop(width, height, &rng);

		width = crop.width;
		height = crop.height;
	} else if (augment->kind == AUGMENT_PAPER) {
		wanted = paper_short_side(augment->size, &rng);
	}
	while (by > 1 && (width < height ? width : height) / by < wanted)
		by /= 2;
	return by;
}

void augment_before_reading(struct image *image, const struct augment *augment, struct rng rng, struct augment_scratch *scratch)
{
	scratch->augment = augment;
	scratch->rng = rng;
	scratch->reduction = (struct image_reduction){.choose = choose_reduction, .context = scratch, .by = 1};
	image->reduction = augment->reduced_decode ? &scratch->reduction : NULL;
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
