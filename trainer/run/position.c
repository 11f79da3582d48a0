#include "trainer/run/position.h"

#include <limits.h>
#include <math.h>
#include <stddef.h>

enum field_kind { FIELD_INT64, FIELD_INT, FIELD_DOUBLE, FIELD_BOOL };

/* One row per key, for both directions. */
static const struct field {
	const char *key;
	enum field_kind kind;
	size_t offset;
} fields[] = {
    {"epoch", FIELD_INT, offsetof(struct position, epoch)},
    {"epoch_step", FIELD_INT64, offsetof(struct position, epoch_step)},
    {"samples", FIELD_INT64, offsetof(struct position, samples)},
    {"epoch_loss_sum", FIELD_DOUBLE, offsetof(struct position, loss_sum)},
    {"epoch_wrong_sum", FIELD_DOUBLE, offsetof(struct position, wrong_sum)},
    {"epoch_sample_sum", FIELD_DOUBLE, offsetof(struct position, sample_sum)},
    {"val_loss", FIELD_DOUBLE, offsetof(struct position, val_loss)},
    {"val_error", FIELD_DOUBLE, offsetof(struct position, val_error)},
    {"val_error_top5", FIELD_DOUBLE, offsetof(struct position, val_error_top5)},
    {"val_images", FIELD_INT64, offsetof(struct position, val_images)},
    {"best_error", FIELD_DOUBLE, offsetof(struct position, best_error)},
    {"epoch_due", FIELD_BOOL, offsetof(struct position, epoch_due)},
    {"steps_per_epoch", FIELD_INT64, offsetof(struct position, steps_per_epoch)},
    {"metrics_bytes", FIELD_INT64, offsetof(struct position, metrics_bytes)},
    {"metrics_bytes_open", FIELD_INT64, offsetof(struct position, metrics_bytes_open)},
};

enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

struct position position_start(void)
{
	return (struct position){.val_loss = NAN, .val_error = NAN, .val_error_top5 = NAN, .best_error = NAN};
}

/* A double that is not finite is null. */
static json_t *field_value(const struct field *field, const struct position *position)
{
	const char *at = (const char *)position + field->offset;
	double real;

	if (field->kind == FIELD_INT64)
		return json_integer(*(const int64_t *)(const void *)at);
	if (field->kind == FIELD_INT)
		return json_integer(*(const int *)(const void *)at);
	if (field->kind == FIELD_BOOL)
		return json_boolean(*(const bool *)(const void *)at);
	real = *(const double *)(const void *)at;
	return isfinite(real) ? json_real(real) : json_null();
}

enum nn_status position_write(json_t *state, const struct position *position)
{
	for (int i = 0; i < FIELDS; i++)
		if (json_object_set_new(state, fields[i].key, field_value(&fields[i], position)) != 0)
			return nn_error(NN_ERR_MEMORY, "out of memory while describing the checkpoint");
	return NN_OK;
}

static bool read_field(struct position *position, const struct field *field, const json_t *value)
{
	char *at = (char *)position + field->offset;

	if (field->kind == FIELD_DOUBLE) {
		if (!json_is_number(value) && !json_is_null(value))
			return false;
		*(double *)(void *)at = json_is_null(value) ? NAN : json_number_value(value);
		return true;
	}
	if (field->kind == FIELD_BOOL) {
		*(bool *)(void *)at = json_is_true(value);
		return json_is_boolean(value);
	}
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	if (field->kind == FIELD_INT && json_integer_value(value) > INT_MAX)
		return false;
	if (field->kind == FIELD_INT64)
		*(int64_t *)(void *)at = json_integer_value(value);
	else
		*(int *)(void *)at = (int)json_integer_value(value);
	return true;
}

enum nn_status position_read(struct position *position, const json_t *state, const char *folder)
{
	const json_t *step = json_object_get(state, "step");

	*position = position_start();
	if (!json_is_integer(step) || json_integer_value(step) < 0)
		return nn_error(NN_ERR_CHECKPOINT, "%s/state.json has no step; resume from another checkpoint", folder);
	position->step = json_integer_value(step);
	for (int i = 0; i < FIELDS; i++)
		if (!read_field(position, &fields[i], json_object_get(state, fields[i].key)))
			return nn_error(NN_ERR_CHECKPOINT, "%s/state.json has no usable '%s'; resume from another checkpoint",
					folder, fields[i].key);
	return NN_OK;
}
