#include "comm/agree.h"
#include "nn/core/alloc.h"
#include "trainer/data/colours.h"
#include "trainer/run/normalization.h"

/* Sums over pictures, exact in 64 bits. */
struct sums {
	struct colour_sums colours;
	int64_t images;
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
static enum nn_status add_images(struct sums *sums, int size, const struct normalization_images *images, size_t begin, size_t end)
{
	struct fit_scratch scratch = {0};
	struct image image = {0};
	enum nn_status status = NN_OK;

	for (size_t i = begin; i < end && status == NN_OK; i++) {
		status = dataset_read(images->dataset, images->images[i], &image);
		if (status == NN_ERR_DATA && images->leave_out) {
			status = images->leave_out(images->context, images->images[i]);
			continue;
		}
		if (status != NN_OK)
			break;
		sums->images++;
		colours_add(&sums->colours, &image);
		if (sums->fitted)
			status = add_fitted(sums->fitted, &image, size, &scratch);
	}
	image_release(&image);
	fit_scratch_release(&scratch);
	return status;
}

static void finish(struct augment *augment, float *pixel_mean, struct normalization_parts wanted, const struct sums *sums)
{
	size_t floats = (size_t)augment->size * (size_t)augment->size * 3;

	if (wanted.channels)
		colours_moments(augment->normal.mean, augment->normal.inverse_std, &sums->colours);
	if (wanted.colour_axes)
		colours_axes(augment->colour_axes, &sums->colours);
	if (!sums->fitted || !pixel_mean)
		return;
	for (size_t i = 0; i < floats; i++)
		pixel_mean[i] = (float)((double)sums->fitted[i] / (double)sums->images / 255);
	augment->normal.pixel_mean = pixel_mean;
}

/* Whether every rank's data set keeps the sums over all its images; they are then rank 0's. */
static bool find_colours(struct colour_sums *colours, struct comm *comm, const struct normalization_images *images)
{
	int64_t known = images->count == dataset_count(images->dataset) && dataset_colours(images->dataset, colours);

	comm_sum_int64(comm, &known, 1);
	if (known == comm_size(comm))
		comm_broadcast(comm, colours, sizeof(*colours), 0);
	return known == comm_size(comm);
}

enum nn_status normalization_measure(struct augment *augment, float **pixel_mean, struct normalization_parts wanted,
				     struct comm *comm, const struct normalization_images *images)
{
	size_t floats = (size_t)augment->size * (size_t)augment->size * 3, count = images->count;
	size_t ranks = (size_t)comm_size(comm), rank = (size_t)comm_rank(comm);
	struct sums sums = {.fitted = NULL};
	enum nn_status status = NN_OK;

	if (!wanted.pixel_mean && find_colours(&sums.colours, comm, images)) {
		finish(augment, NULL, wanted, &sums);
		return NN_OK;
	}
	sums.colours = (struct colour_sums){0};
	if (wanted.pixel_mean)
		status = nn_alloc(&sums.fitted, floats * sizeof(*sums.fitted));
	if (status == NN_OK && wanted.pixel_mean)
		status = nn_alloc(pixel_mean, floats * sizeof(**pixel_mean));
	if (status == NN_OK)
		status = add_images(&sums, augment->size, images, rank * count / ranks, (rank + 1) * count / ranks);
	status = comm_agree(comm, status);
	if (status == NN_OK) {
		comm_sum_int64(comm, (int64_t *)&sums.colours, sizeof(sums.colours) / sizeof(int64_t));
		comm_sum_int64(comm, &sums.images, 1);
		if (sums.fitted)
			comm_sum_int64(comm, sums.fitted, (int)floats);
		if (sums.images == 0)
			status = nn_error(NN_ERR_DATA, "none of the %zu training images can be read; log.txt names them", count);
		else
			finish(augment, *pixel_mean, wanted, &sums);
	}
	nn_free(sums.fitted);
	return status;
}
