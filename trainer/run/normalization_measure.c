#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "trainer/data/colours.h"
#include "trainer/run/normalization.h"

/* Sums over pictures, exact in 64 bits. */
struct sums {
	struct colour_sums colours;
	int64_t *fitted; /* (size, size, 3): sums of the fitted pictures; NULL: not wanted */
};

static enum nn_status add_fitted(int64_t *sums, const struct image *image, int size, struct fit_scratch *scratch)
{
	struct fit fit = fit_centre(image, size, size);
	struct pixels picture;
	enum nn_status status = fit_crop(&picture, image, &fit, scratch);
	size_t row = (size_t)size * 3;

	for (size_t y = 0; status == NN_OK && y < (size_t)size; y++)
		for (size_t i = 0; i < row; i++)
			sums[y * row + i] += picture.data[y * picture.stride + i];
	return status;
}

/* Adds up images [begin, end) of the list. */
static enum nn_status add_images(struct sums *sums, int size, const struct dataset *dataset, const uint32_t *images, size_t begin,
				 size_t end)
{
	struct fit_scratch scratch = {0};
	struct image image = {0};
	enum nn_status status = NN_OK;

	for (size_t i = begin; i < end && status == NN_OK; i++) {
		status = dataset_read(dataset, images[i], &image);
		if (status == NN_OK)
			colours_add(&sums->colours, &image);
		if (status == NN_OK && sums->fitted)
			status = add_fitted(sums->fitted, &image, size, &scratch);
	}
	image_release(&image);
	fit_scratch_release(&scratch);
	return status;
}

static void finish(struct augment *augment, float *pixel_mean, struct normalization_parts wanted, const struct sums *sums,
		   size_t count)
{
	size_t floats = (size_t)augment->size * (size_t)augment->size * 3;

	if (wanted.channels)
		colours_moments(augment->normal.mean, augment->normal.inverse_std, &sums->colours);
	if (wanted.colour_axes)
		colours_axes(augment->colour_axes, &sums->colours);
	if (!sums->fitted)
		return;
	for (size_t i = 0; i < floats; i++)
		pixel_mean[i] = (float)((double)sums->fitted[i] / (double)count / 255);
	augment->normal.pixel_mean = pixel_mean;
}

enum nn_status normalization_measure(struct augment *augment, float **pixel_mean, struct normalization_parts wanted,
				     struct comm *comm, const struct dataset *dataset, const uint32_t *images, size_t count)
{
	size_t floats = (size_t)augment->size * (size_t)augment->size * 3;
	size_t ranks = (size_t)comm_size(comm), rank = (size_t)comm_rank(comm);
	struct sums sums = {.fitted = NULL};
	enum nn_status status = NN_OK;

	if (wanted.pixel_mean)
		status = nn_alloc(&sums.fitted, floats * sizeof(*sums.fitted));
	if (status == NN_OK && wanted.pixel_mean)
		status = nn_alloc(pixel_mean, floats * sizeof(**pixel_mean));
	if (status == NN_OK)
		status = add_images(&sums, augment->size, dataset, images, rank * count / ranks, (rank + 1) * count / ranks);
	status = comm_agree(comm, status);
	if (status == NN_OK) {
		comm_sum_int64(comm, (int64_t *)&sums.colours, sizeof(sums.colours) / sizeof(int64_t));
		if (sums.fitted)
			comm_sum_int64(comm, sums.fitted, (int)floats);
		finish(augment, *pixel_mean, wanted, &sums, count);
	}
	nn_free(sums.fitted);
	return status;
}
