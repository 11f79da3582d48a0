/* Precise statistics of batch norm: the weights of the finished network are shown more training batches, and the running
 * statistics, which still remember older weights, become the means over those batches. Source: He et al.'s release of their models
 * ("mean and variance are computed by averages on a sufficiently large training batch after the training procedure");
 * torch.nn.BatchNorm2d with momentum=None. */
#include "trainer/run/internal.h"

/* One pass over the batch that training would take `pass` steps from now; or sets run->stop and does nothing. */
static enum nn_status show_batch(struct run *run, int pass)
{
	struct loader_batch batch = {0};
	size_t step = (size_t)((run->position.epoch_step + pass) % run->length.steps_per_epoch);
	const float *logits;
	bool left_out;
	enum nn_status status = loader_next(run->loader, &batch);

	status = agree_on_batch(run, &left_out, status, &batch);
	if (status != NN_OK || run->stop)
		return status;
	status = begin_batch(run, &batch, step, left_out);
	network_set_momentum(run->network, 1.0 / (pass + 1));
	if (status == NN_OK)
		status = network_forward(&logits, run->network, batch.images, true);
	network_set_momentum(run->network, 0);
	loader_done(run->loader);
	return status;
}

enum nn_status recalibrate(struct run *run)
{
	double start = run_seconds();
	enum nn_status status = NN_OK;

	run->position.epoch_due = true; /* whoever goes on from here begins with the recalibration */
	for (int pass = 0; pass < run->options.bn_recalibrate && status == NN_OK && !run->stop; pass++)
		status = show_batch(run, pass);
	if (status == NN_OK && !run->stop)
		run_note(run, "batch norm's statistics are those of %d more batches, shown in %.2f s", run->options.bn_recalibrate,
			 run_seconds() - start);
	pause_clock(run, run_seconds() - start);
	return status;
}
