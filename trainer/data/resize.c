#include "trainer/data/resize.h"

#include <assert.h>
#include <math.h>

#include "nn/core/alloc.h"
#include "trainer/data/resize_rows.h"

/* How the axis is scaled: [from, to) of `size` inputs onto `outputs`, of which `count` from `begin` are wanted. */
struct span {
	float from, to;
	int size;
	int outputs, begin, count;
};

static double span_scale(const struct span *span)
{
	return (double)(span->to - span->from) / span->outputs;
}

/* The triangle reaches one output pixel to each side, or one input pixel when enlarging. */
static double span_support(const struct span *span)
{
	return fmax(span_scale(span), 1.0);
}

static int span_taps(const struct span *span)
{
	return (int)ceil(span_support(span)) * 2 + 1;
}

static double triangle(double x)
{
	x = fabs(x);
	return x < 1.0 ? 1.0 - x : 0.0;
}

static void fill_output(struct resize_axis *axis, int i, const struct span *span)
{
	double support = span_support(span), inverse = 1.0 / support;
	double center = span->from + (span->begin + i + 0.5) * span_scale(span);
	int first = (int)fmax(center - support + 0.5, 0.0);
	int used = (int)fmin(center + support + 0.5, span->size) - first;
	int32_t *weights = axis->weights + (size_t)i * (size_t)axis->taps;
	double sum = 0;

	for (int k = 0; k < used; k++)
		sum += triangle((k + first - center + 0.5) * inverse);
	for (int k = 0; k < used; k++) {
		double weight = triangle((k + first - center + 0.5) * inverse);

		weights[k] = (int32_t)(0.5 + weight / sum * (1 << RESIZE_PRECISION));
	}
	axis->first[i] = first;
	axis->used[i] = used;
}

static void axis_fill(struct resize_axis *axis, int32_t *memory, const struct span *span)
{
	axis->taps = span_taps(span);
	axis->count = span->count;
	axis->first = memory;
	axis->used = axis->first + span->count;
	axis->weights = axis->used + span->count;
	for (int i = 0; i < span->count; i++)
		fill_output(axis, i, span);
}

static size_t span_numbers(const struct span *span)
{
	return (size_t)span->count * (2 + (size_t)span_taps(span));
}

static enum nn_status make_filters(struct resize_axis axes[2], struct resize_scratch *scratch, const struct span spans[2])
{
	size_t first = span_numbers(&spans[0]), numbers = first + span_numbers(&spans[1]);

	if (numbers > scratch->capacity) {
		enum nn_status status;

		nn_free(scratch->filters);
		scratch->capacity = 0;
		status = nn_alloc(&scratch->filters, numbers * sizeof(*scratch->filters));
		if (status != NN_OK)
			return status;
		scratch->capacity = numbers;
	}
	axis_fill(&axes[0], scratch->filters, &spans[0]);
	axis_fill(&axes[1], scratch->filters + first, &spans[1]);
	return NN_OK;
}

enum nn_status resize_bilinear(struct image *dst, struct pixels source, const struct resize *plan, struct resize_scratch *scratch)
{
	const struct span spans[2] = {
	    {plan->left, plan->right, source.width, plan->width, plan->crop_x, plan->crop_width},
	    {plan->top, plan->bottom, source.height, plan->height, plan->crop_y, plan->crop_height},
	};
	struct resize_axis axes[2];
	size_t stride = (size_t)plan->crop_width * 3;
	int first, last;
	enum nn_status status;

	assert(plan->crop_x >= 0 && plan->crop_y >= 0 && plan->crop_width > 0 && plan->crop_height > 0);
	assert(plan->crop_x + plan->crop_width <= plan->width && plan->crop_y + plan->crop_height <= plan->height);
	status = make_filters(axes, scratch, spans);
	if (status != NN_OK)
		return status;
	first = axes[1].first[0];
	last = axes[1].first[plan->crop_height - 1] + axes[1].used[plan->crop_height - 1];
	status = image_set_size(&scratch->rows, plan->crop_width, last - first);
	if (status == NN_OK)
		status = image_set_size(dst, plan->crop_width, plan->crop_height);
	if (status != NN_OK)
		return status;
	for (int y = first; y < last; y++)
		resize_scale_row(scratch->rows.pixels + (size_t)(y - first) * stride, source.data + (size_t)y * source.stride,
				 source.width, &axes[0]);
	for (int y = 0; y < plan->crop_height; y++)
		resize_mix_rows(dst->pixels + (size_t)y * stride,
				scratch->rows.pixels + (size_t)(axes[1].first[y] - first) * stride, stride,
				axes[1].weights + (size_t)y * (size_t)axes[1].taps, axes[1].used[y]);
	return NN_OK;
}

struct pixels pixels_crop(const struct image *image, int x, int y, int width, int height)
{
	size_t stride = (size_t)image->width * 3;

	return (struct pixels){image->pixels + (size_t)y * stride + (size_t)x * 3, width, height, stride};
}

void resize_scratch_release(struct resize_scratch *scratch)
{
	nn_free(scratch->filters);
	image_release(&scratch->rows);
	*scratch = (struct resize_scratch){0};
}
