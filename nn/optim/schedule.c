#include "nn/optim/schedule.h"

#include <math.h>

static double share_done(const struct schedule *schedule, long long step)
{
	long long rest = schedule->total_steps - schedule->warmup_steps;
	double share = rest > 0 ? (double)(step - schedule->warmup_steps) / (double)rest : 1;

	return share > 1 ? 1 : share;
}

double schedule_rate(const struct schedule *schedule, long long step)
{
	double rate = schedule->lr;

	if (step < schedule->warmup_steps)
		return schedule->warmup_lr + (rate - schedule->warmup_lr) * (double)(step + 1) / (double)schedule->warmup_steps;
	switch (schedule->kind) {
	case SCHEDULE_CONSTANT:
		break;
	case SCHEDULE_STEP:
		for (int i = 0; i < schedule->milestone_count; i++)
			if (step >= schedule->milestones[i])
				rate *= schedule->gamma;
		break;
	case SCHEDULE_COSINE:
		rate *= 0.5 * (1 + cos(3.14159265358979323846 * share_done(schedule, step)));
		break;
	case SCHEDULE_POLY:
		rate *= pow(1 - share_done(schedule, step), schedule->power);
		break;
	}
	return rate;
}
