#include "trainer/data/colours.h"

#include <math.h>
#include <string.h>

void colours_add(struct colour_sums *sums, const struct image *image)
{
	size_t count = (size_t)image->width * (size_t)image->height;

	for (size_t i = 0; i < count; i++) {
		const uint8_t *pixel = image->pixels + i * 3;

		for (int c = 0; c < 3; c++) {
			sums->sums[c] += pixel[c];
			for (int d = 0; d < 3; d++)
				sums->products[c][d] += (int64_t)pixel[c] * pixel[d];
		}
	}
	sums->pixels += (int64_t)count;
}

bool colours_join(struct colour_sums *sums, const struct colour_sums *more)
{
	/* no sum is larger than that of so many white pixels */
	if (more->pixels > INT64_MAX / (255 * 255) - sums->pixels)
		return false;
	sums->pixels += more->pixels;
	for (int c = 0; c < 3; c++) {
		sums->sums[c] += more->sums[c];
		for (int d = 0; d < 3; d++)
			sums->products[c][d] += more->products[c][d];
	}
	return true;
}

/* The sum of products of deviations from the mean. */
static double deviations(const struct colour_sums *sums, int c, int d)
{
	double average = (double)sums->sums[c] / (double)sums->pixels;

	return (double)sums->products[c][d] - average * (double)sums->sums[d];
}

void colours_moments(float mean[3], float inverse_std[3], const struct colour_sums *sums)
{
	double count = (double)sums->pixels;

	for (int c = 0; c < 3; c++) {
		double variance = sums->pixels > 1 ? deviations(sums, c, c) / (count - 1) : 0;

		mean[c] = (float)((double)sums->sums[c] / count / 255);
		inverse_std[c] = variance > 0 ? (float)(255 / sqrt(variance)) : 1.0f;
	}
}

/* One rotation in the plane of p and q that makes matrix[p][q] zero; the columns of vectors turn with it. */
static void rotate(double matrix[3][3], double vectors[3][3], int p, int q)
{
	double apart = (matrix[q][q] - matrix[p][p]) / (2 * matrix[p][q]);
	double tangent = copysign(1, apart) / (fabs(apart) + sqrt(apart * apart + 1));
	double cosine = 1 / sqrt(tangent * tangent + 1), sine = tangent * cosine;

	for (int k = 0; k < 3; k++) {
		double kp = matrix[k][p], kq = matrix[k][q], vp = vectors[k][p], vq = vectors[k][q];

		matrix[k][p] = cosine * kp - sine * kq;
		matrix[k][q] = sine * kp + cosine * kq;
		vectors[k][p] = cosine * vp - sine * vq;
		vectors[k][q] = sine * vp + cosine * vq;
	}
	for (int k = 0; k < 3; k++) {
		double pk = matrix[p][k], qk = matrix[q][k];

		matrix[p][k] = cosine * pk - sine * qk;
		matrix[q][k] = sine * pk + cosine * qk;
	}
}

/* matrix becomes diagonal. Ten sweeps are more than doubles need. */
static void diagonalise(double matrix[3][3], double vectors[3][3])
{
	for (int sweep = 0; sweep < 10; sweep++)
		for (int p = 0; p < 2; p++)
			for (int q = p + 1; q < 3; q++)
				if (matrix[p][q] != 0)
					rotate(matrix, vectors, p, q);
}

static void write_axis(float axis[3], double eigenvalue, double vectors[3][3], int column)
{
	int greatest = 0;

	for (int c = 1; c < 3; c++)
		if (fabs(vectors[c][column]) > fabs(vectors[greatest][column]))
			greatest = c;
	for (int c = 0; c < 3; c++)
		axis[c] = (float)(eigenvalue * vectors[c][column] * copysign(1, vectors[greatest][column]));
}

void colours_axes(float axes[3][3], const struct colour_sums *sums)
{
	double matrix[3][3], vectors[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
	double divisor = (sums->pixels > 1 ? (double)sums->pixels - 1 : 1) * 255 * 255;
	int order[3] = {0, 1, 2};

	for (int c = 0; c < 3; c++)
		for (int d = 0; d < 3; d++)
			matrix[c][d] = deviations(sums, c < d ? c : d, c < d ? d : c) / divisor;
	diagonalise(matrix, vectors);
	for (int i = 0; i < 2; i++)
		for (int j = i + 1; j < 3; j++)
			if (matrix[order[j]][order[j]] > matrix[order[i]][order[i]]) {
				int swap = order[i];

				order[i] = order[j];
				order[j] = swap;
			}
	for (int i = 0; i < 3; i++)
		write_axis(axes[i], fmax(matrix[order[i]][order[i]], 0), vectors, order[i]);
}
