/* The learning rate as a pure function of the step. */
#ifndef NN_OPTIM_SCHEDULE_H
#define NN_OPTIM_SCHEDULE_H

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_COSINE, SCHEDULE_POLY };

enum { SCHEDULE_MILESTONES_MAX = 16 };

/* All positions in steps. */
struct schedule {
	enum schedule_kind kind;
	double lr;	  /* after the warm-up */
	double warmup_lr; /* where the warm-up starts from */
	long long warmup_steps;
	long long total_steps;
	long long milestones[SCHEDULE_MILESTONES_MAX];
	int milestone_count;
	double gamma; /* SCHEDULE_STEP: factor at each milestone */
	double power; /* SCHEDULE_POLY */
};

/* Learning rate of the step with this number, the first being 0.
 * Warm-up (Goyal et al. 2017, section 2.2): warmup_lr + (lr - warmup_lr) (step + 1) / warmup_steps. Behind it, with t the share of
 * the remaining steps that is done: cosine lr (1 + cos(pi t)) / 2 (Loshchilov and Hutter 2017), poly lr (1 - t)^power,
 * step lr gamma^(milestones reached). */
double schedule_rate(const struct schedule *schedule, long long step);

#endif
