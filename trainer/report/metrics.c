#include "trainer/report/metrics.h"

#include <jansson.h>
#include <math.h>

enum { LINE_MAX_BYTES = 4096 };

enum nn_status metrics_open(struct metrics *metrics, const char *path, int64_t resume_offset)
{
	return lines_open(&metrics->lines, path, resume_offset < 0 ? 0 : resume_offset);
}

int64_t metrics_offset(const struct metrics *metrics)
{
	return metrics->lines.bytes + (int64_t)metrics->lines.waiting_bytes;
}

/* Not-a-number and infinity have no form in JSON. */
static json_t *real(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *real_if(int known, double value)
{
	return known ? real(value) : json_null();
}

static json_t *integer_if(int known, int64_t value)
{
	return known ? json_integer((json_int_t)value) : json_null();
}

/* Takes over `event`; NULL: jansson could not make it. */
static enum nn_status append(struct metrics *metrics, json_t *event)
{
	char line[LINE_MAX_BYTES];
	size_t bytes;

	if (!event)
		return nn_error(NN_ERR_MEMORY, "%s: cannot make an event: out of memory, or a text that is not UTF-8",
				metrics->lines.path);
	bytes = json_dumpb(event, line, sizeof(line), JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(event);
	if (bytes == 0 || bytes >= sizeof(line))
		return nn_error(NN_ERR_IO, "%s: an event does not fit into a line of %d bytes", metrics->lines.path,
				LINE_MAX_BYTES);
	line[bytes] = '\n';
	return lines_append(&metrics->lines, line, bytes + 1);
}

enum nn_status metrics_write_start(struct metrics *metrics, const struct metrics_start *start)
{
	return append(metrics,
		      json_pack("{s:s, s:s, s:s, s:I, s:i, s:i, s:s, s:s, s:I, s:I, s:i, s:I, s:i, s:s, s:s}", "event", "start",
				"version", start->version, "arch", start->arch, "parameters", (json_int_t)start->parameters,
				"ranks", start->ranks, "threads", start->threads, "isa", start->isa, "precision", start->precision,
				"train_images", (json_int_t)start->train_images, "val_images", (json_int_t)start->val_images,
				"classes", start->classes, "resumed_step", (json_int_t)start->resumed_step, "shards", start->shards,
				"allreduce", start->allreduce, "tuned", start->tuned));
}

enum nn_status metrics_write_step(struct metrics *metrics, const struct metrics_step *step)
{
	return append(metrics, json_pack("{s:s, s:I, s:i, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "event", "step", "step",
					 (json_int_t)step->step, "epoch", step->epoch, "loss", real(step->loss), "lr",
					 real(step->lr), "images_per_second", real(step->images_per_second), "comm_exposed",
					 real(step->comm_exposed), "data_wait", real(step->data_wait), "gradient_bytes",
					 (json_int_t)step->gradient_bytes, "bus_bandwidth", real(step->bus_bandwidth)));
}

enum nn_status metrics_write_epoch(struct metrics *metrics, const struct metrics_epoch *epoch)
{
	int known = epoch->val_images > 0;

	return append(metrics,
		      json_pack("{s:s, s:i, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "event", "epoch", "epoch", epoch->epoch,
				"step", (json_int_t)epoch->step, "train_loss", real(epoch->train_loss), "train_error",
				real(epoch->train_error), "val_loss", real_if(known, epoch->val_loss), "val_error",
				real_if(known, epoch->val_error), "val_error_top5", real_if(known, epoch->val_error_top5),
				"val_images", integer_if(known, epoch->val_images), "seconds", real(epoch->seconds)));
}

enum nn_status metrics_write_final(struct metrics *metrics, const struct metrics_final *final)
{
	return append(metrics,
		      json_pack("{s:s, s:s, s:b, s:I, s:o, s:o, s:o, s:I, s:o}", "event", "final", "protocol", final->protocol,
				"flip", final->flip, "step", (json_int_t) final->step, "val_loss", real(final->val_loss),
				"val_error", real(final->val_error), "val_error_top5", real(final->val_error_top5), "val_images",
				(json_int_t) final->val_images, "seconds", real(final->seconds)));
}

enum nn_status metrics_write_end(struct metrics *metrics, const struct metrics_end *end)
{
	return append(metrics, json_pack("{s:s, s:s, s:I, s:s}", "event", "end", "status", end->status, "step",
					 (json_int_t)end->step, "weights", end->weights));
}

enum nn_status metrics_flush(struct metrics *metrics)
{
	return lines_flush(&metrics->lines);
}

enum nn_status metrics_sync(const struct metrics *metrics)
{
	return lines_sync(&metrics->lines);
}

enum nn_status metrics_close(struct metrics *metrics)
{
	return lines_close(&metrics->lines);
}
