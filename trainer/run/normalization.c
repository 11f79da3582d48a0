#include "trainer/run/normalization.h"

#include <string.h>

#include "nn/core/alloc.h"
#include "trainer/state/float_text.h"

static size_t picture_floats(const struct augment *augment)
{
	return (size_t)augment->size * (size_t)augment->size * 3;
}

/* Three numbers of an array. */
static bool read_three(float values[3], const json_t *array)
{
	for (size_t c = 0; c < 3; c++) {
		const json_t *value = json_array_get(array, c);

		if (!json_is_number(value))
			return false;
		values[c] = (float)json_number_value(value);
	}
	return json_array_size(array) == 3;
}

static enum nn_status unusable(const char *folder, const char *key)
{
	return nn_error(NN_ERR_CHECKPOINT, "%s/state.json has no usable '%s'; use another checkpoint", folder, key);
}

static enum nn_status read_pixel_mean(struct augment *augment, float **pixel_mean, const json_t *text, const char *folder)
{
	enum nn_status status;

	if (!json_is_string(text) || augment->size > PIXEL_MEAN_SIDE_MAX)
		return unusable(folder, "pixel_mean");
	status = nn_alloc(pixel_mean, picture_floats(augment) * sizeof(float));
	if (status != NN_OK)
		return status;
	augment->normal.pixel_mean = *pixel_mean;
	return float_text_read(*pixel_mean, picture_floats(augment), json_string_value(text)) == NN_OK
		   ? NN_OK
		   : unusable(folder, "pixel_mean");
}

enum nn_status normalization_read(struct augment *augment, float **pixel_mean, struct normalization_parts *found,
				  const json_t *state, const char *folder)
{
	const json_t *stored = json_object_get(state, "normalization"), *axes = json_object_get(stored, "colour_axes");
	const json_t *pixels = json_object_get(stored, "pixel_mean");

	*found = (struct normalization_parts){.channels = true, .pixel_mean = pixels != NULL, .colour_axes = axes != NULL};
	if (!read_three(augment->normal.mean, json_object_get(stored, "mean")) ||
	    !read_three(augment->normal.inverse_std, json_object_get(stored, "inverse_std")))
		return unusable(folder, "normalization");
	for (size_t i = 0; axes && i < 3; i++)
		if (!read_three(augment->colour_axes[i], json_array_get(axes, i)))
			return unusable(folder, "colour_axes");
	return pixels ? read_pixel_mean(augment, pixel_mean, pixels, folder) : NN_OK;
}

static json_t *three(const float values[3])
{
	return json_pack("[f, f, f]", (double)values[0], (double)values[1], (double)values[2]);
}

static int set_pixel_mean(json_t *object, const struct augment *augment)
{
	char *text;
	int failed;

	if (float_text_write(&text, augment->normal.pixel_mean, picture_floats(augment)) != NN_OK)
		return -1;
	failed = json_object_set_new(object, "pixel_mean", json_string(text));
	nn_free(text);
	return failed;
}

enum nn_status normalization_write(json_t *state, const struct augment *augment)
{
	json_t *object =
	    json_pack("{s:o, s:o}", "mean", three(augment->normal.mean), "inverse_std", three(augment->normal.inverse_std));
	int failed = object ? 0 : -1;

	if (!failed && augment->kind == AUGMENT_PAPER)
		failed = json_object_set_new(object, "colour_axes",
					     json_pack("[o, o, o]", three(augment->colour_axes[0]), three(augment->colour_axes[1]),
						       three(augment->colour_axes[2])));
	if (!failed && augment->normal.pixel_mean)
		failed = set_pixel_mean(object, augment);
	if (json_object_set_new(state, "normalization", object) != 0 || failed)
		return nn_error(NN_ERR_MEMORY, "out of memory while describing the checkpoint");
	return NN_OK;
}
