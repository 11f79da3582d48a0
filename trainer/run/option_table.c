#include "trainer/run/option_table.h"

#include <limits.h>
#include <string.h>

static const char *const archs[] = {"resnet18",	 "resnet34",	 "resnet50",	 "resnet101",	  "resnet152", "plain18",
				    "plain34",	 "vgg19",	 "resnet20",	 "resnet32",	  "resnet44",  "resnet56",
				    "resnet110", "resnet1202",	 "plain20",	 "plain32",	  "plain44",   "plain56",
				    "plain110",	 "preresnet110", "preresnet164", "preresnet1001", NULL};
enum { IMAGENET_ARCHS = 8 }; /* so many of them, at the front, are for large images */

static const char *const shortcuts[] = {"default", "A", "B", "C", NULL};
static const char *const strides[] = {"3x3", "1x1", NULL};
static const char *const optimizers[] = {"sgd", "lars", NULL};
static const char *const schedules[] = {"constant", "step", "cosine", "poly", NULL};
static const char *const augments[] = {"none", "cifar", "inception", "paper", NULL};
static const char *const normalizations[] = {"channel", "imagenet", "pixel-mean", NULL};
static const char *const allreduces[] = {"own", "mpi", "pairwise", "ring", "doubling", "halving", NULL};
static const char *const precisions[] = {"fp32", "bf16", NULL};
static const char *const syncs[] = {"global", "node", "off", NULL};
static const char *const protocols[] = {"single", "10-crop", "multi-scale", NULL};
static const char *const save_words[] = {"epoch", NULL};
static const char *const plan_words[] = {"job", NULL};

#define FIELD(field)	   .offset = offsetof(struct options, field), .bytes = sizeof(((struct options *)0)->field)
#define ALWAYS(text)	   .fallback = {text, text}
#define NETS(cifar, other) .fallback = {other, cifar}
#define RANGE(low, high)   .min = (low), .max = (high)
#define MATHEMATICS	   .class = OPTION_MATHEMATICS
#define OPERATION	   .class = OPTION_OPERATION

static const char network[] = "Network", data[] = "Data", duration[] = "Length and report", optimiser[] = "Optimiser",
		  rate[] = "Learning rate", ranks[] = "Ranks and threads", folder[] = "Run folder";

/* clang-format off */
const struct option_spec option_table[] = {
	{network, "arch", "NAME", "resnet18 34 50 101 152, plain18 34 or vgg19 for ImageNet; resnet20 32 44 56 110 1202, plain20 32 44 56 110 "
	 "or preresnet110 164 1001 for CIFAR (whole words: resnet18, resnet34, ...)",
	 OPTION_NAME, MATHEMATICS, FIELD(arch), ALWAYS("resnet50"), .words = archs},
	{network, "shortcut", "A|B|C", "where shapes change: A pads with zeros, B projects; C projects everywhere (default: A for CIFAR nets, else B)",
	 OPTION_WORD, MATHEMATICS, FIELD(shortcut), ALWAYS("default"), .words = shortcuts},
	{network, "stride-in", "3x3|1x1", "the convolution of a bottleneck that has the stride: v1.5 or v1",
	 OPTION_WORD, MATHEMATICS, FIELD(stride_in), ALWAYS("3x3"), .words = strides},
	{network, "zero-gamma", "on|off", "begin with gamma 0 in each block's last batch norm",
	 OPTION_SWITCH, MATHEMATICS, FIELD(zero_gamma), ALWAYS("off"), .alone = "on"},
	{network, "precision", "fp32|bf16", "how activations are kept and convolutions multiply; weights, sums and statistics are fp32 always",
	 OPTION_WORD, MATHEMATICS, FIELD(precision), ALWAYS("fp32"), .words = precisions},
	{network, "winograd", "on|off", "Winograd's algorithm in 3x3 convolutions of fp32 where it is faster; its rounding error is larger",
	 OPTION_SWITCH, MATHEMATICS, FIELD(winograd), ALWAYS("on"), .alone = "on"},
	{network, "init-from", "FILE", "begin with the weights of this safetensors file",
	 OPTION_PATH, OPERATION, FIELD(init_from), ALWAYS("")},
	{network, "reset-head", "on|off", "leave the last layer of --init-from out, for other classes",
	 OPTION_SWITCH, OPERATION, FIELD(reset_head), ALWAYS("off"), .alone = "on"},

	{data, "data", "DIR", "image folder (train/CLASS/*, val/ or test/), CIFAR binary folder or packed folder",
	 OPTION_PATH, OPERATION, FIELD(data), ALWAYS("")},
	{data, "global-batch", "N", "images per step over all ranks",
	 OPTION_INT, MATHEMATICS, FIELD(global_batch), NETS("128", "256"), RANGE(1, INT_MAX)},
	{data, "augment", "none|cifar|inception|paper", "how training images are varied",
	 OPTION_WORD, MATHEMATICS, FIELD(augment), NETS("cifar", "inception"), .words = augments},
	{data, "normalize", "channel|imagenet|pixel-mean", "what images are shifted and scaled by: mean and deviation of this data set's channels, or ImageNet's; or a mean of each pixel",
	 OPTION_WORD, MATHEMATICS, FIELD(normalize), NETS("channel", "imagenet"), .words = normalizations},
	{data, "color-jitter", "B,C,S,H", "vary brightness, contrast and saturation by these parts, and hue by H turns (at most 0.5)",
	 OPTION_FACTORS, MATHEMATICS, FIELD(color_jitter), ALWAYS("0,0,0,0"), RANGE(0, 100)},
	{data, "reduced-decode", "on|off", "reduce large JPEGs to 1/2, 1/4 or 1/8 while they are decoded where no crop is enlarged for it",
	 OPTION_SWITCH, MATHEMATICS, FIELD(reduced_decode), ALWAYS("off")},
	{data, "random-erasing", "P", "probability that a rectangle of an image is erased",
	 OPTION_REAL, MATHEMATICS, FIELD(random_erasing), ALWAYS("0"), RANGE(0, 1)},
	{data, "mixup", "ALPHA", "mix each image with the next one of the batch, in shares from Beta(ALPHA, ALPHA); 0: off",
	 OPTION_REAL, MATHEMATICS, FIELD(mixup), ALWAYS("0"), RANGE(0, 1000)},
	{data, "cutmix", "ALPHA", "paste a part of the next image of the batch; with --mixup too, each image gets one of both; 0: off",
	 OPTION_REAL, MATHEMATICS, FIELD(cutmix), ALWAYS("0"), RANGE(0, 1000)},
	{data, "bn-recalibrate", "N", "when training is complete, replace batch norm's running statistics by means over N more batches; 0: keep them",
	 OPTION_INT, MATHEMATICS, FIELD(bn_recalibrate), ALWAYS("0"), RANGE(0, INT_MAX)},
	{data, "image-size", "N", "height and width of the network's input in pixels",
	 OPTION_INT, MATHEMATICS, FIELD(image_size), NETS("32", "224"), RANGE(8, 4096)},
	{data, "shuffle", "on|off", "another order of images in every epoch",
	 OPTION_SWITCH, MATHEMATICS, FIELD(shuffle), ALWAYS("on"), .alone = "on"},
	{data, "shuffle-window", "N", "shuffle in two levels, blocks of 32 images and then N images at a time, for disks that read neighbours faster; 0: all",
	 OPTION_INT, MATHEMATICS, FIELD(shuffle_window), ALWAYS("0"), RANGE(0, INT_MAX)},
	{data, "drop-last", "on|off", "leave out an epoch's last batch when it is not full",
	 OPTION_SWITCH, MATHEMATICS, FIELD(drop_last), ALWAYS("off"), .alone = "on"},
	{data, "holdout", "N", "use so many training images for validation instead",
	 OPTION_INT, MATHEMATICS, FIELD(holdout), ALWAYS("0"), RANGE(0, INT_MAX)},
	{data, "max-bad", "N", "leave out up to N images that cannot be read, and name them at the end; 0: stop at the first",
	 OPTION_INT, OPERATION, FIELD(max_bad), ALWAYS("0"), RANGE(0, INT_MAX)},
	{data, "seed", "N", "of all random numbers",
	 OPTION_SEED, MATHEMATICS, FIELD(seed), ALWAYS("0")},

	{duration, "epochs", "N", "train for N epochs; 0: not given",
	 OPTION_INT, OPERATION, FIELD(epochs), NETS("164", "90"), RANGE(0, INT_MAX)},
	{duration, "steps", "N", "train for N steps instead; 0: not given",
	 OPTION_INT, OPERATION, FIELD(steps), ALWAYS("0"), RANGE(0, INT_MAX)},
	{duration, "eval-every", "N", "evaluate after every N epochs; 0: never",
	 OPTION_INT, OPERATION, FIELD(eval_every), ALWAYS("1"), RANGE(0, INT_MAX)},
	{duration, "final-protocol", "single|10-crop|multi-scale", "how images are shown in one more evaluation when training is complete; single: none",
	 OPTION_WORD, OPERATION, FIELD(final_protocol), ALWAYS("single"), .words = protocols},
	{duration, "final-flip", "on|off", "show them mirrored too, then",
	 OPTION_SWITCH, OPERATION, FIELD(final_flip), ALWAYS("off"), .alone = "on"},
	{duration, "log-every", "N", "a step event in metrics.jsonl every N steps; 0: none",
	 OPTION_INT, OPERATION, FIELD(log_every), ALWAYS("50"), RANGE(0, INT_MAX)},

	{duration, "time-limit", "SECONDS", "save in time to end within so many seconds, with exit code 85; 0: none",
	 OPTION_REAL, OPERATION, FIELD(time_limit), ALWAYS("0"), RANGE(0, 1e9)},

	{optimiser, "optimizer", "sgd|lars", "update rule",
	 OPTION_WORD, MATHEMATICS, FIELD(optimizer), ALWAYS("sgd"), .words = optimizers},
	{optimiser, "momentum", "X", "momentum",
	 OPTION_REAL, MATHEMATICS, FIELD(momentum), ALWAYS("0.9"), RANGE(0, 1)},
	{optimiser, "nesterov", "on|off", "Nesterov's form of momentum",
	 OPTION_SWITCH, MATHEMATICS, FIELD(nesterov), ALWAYS("off"), .alone = "on"},
	{optimiser, "weight-decay", "X", "weight decay",
	 OPTION_REAL, MATHEMATICS, FIELD(weight_decay), ALWAYS("0.0001"), RANGE(0, 1)},
	{optimiser, "decay-bn", "on|off", "decay biases and the gamma and beta of batch norm too",
	 OPTION_SWITCH, MATHEMATICS, FIELD(decay_bn), ALWAYS("on"), .alone = "on"},
	{optimiser, "label-smoothing", "X", "share of the target spread evenly over all classes",
	 OPTION_REAL, MATHEMATICS, FIELD(label_smoothing), ALWAYS("0"), RANGE(0, 1)},
	{optimiser, "trust", "X", "trust coefficient of lars",
	 OPTION_REAL, MATHEMATICS, FIELD(trust), ALWAYS("0.001"), RANGE(0, 1e6)},

	{rate, "lr", "X", "learning rate after the warm-up",
	 OPTION_REAL, MATHEMATICS, FIELD(lr), ALWAYS("0.1"), RANGE(0, 1e6)},
	{rate, "lr-schedule", "constant|step|cosine|poly", "how the learning rate falls",
	 OPTION_WORD, MATHEMATICS, FIELD(lr_schedule), ALWAYS("step"), .words = schedules},
	{rate, "lr-milestones", "A,B,...", "epochs, also fractions of them, at which the step schedule multiplies by --lr-gamma",
	 OPTION_REALS, MATHEMATICS, FIELD(lr_milestones), NETS("82,123", "30,60"), RANGE(0, 1e9)},
	{rate, "lr-gamma", "X", "factor of the step schedule",
	 OPTION_REAL, MATHEMATICS, FIELD(lr_gamma), ALWAYS("0.1"), RANGE(0, 1)},
	{rate, "lr-power", "X", "exponent of the poly schedule",
	 OPTION_REAL, MATHEMATICS, FIELD(lr_power), ALWAYS("2"), RANGE(0, 100)},
	{rate, "warmup-epochs", "X", "length of the linear warm-up, also a fraction",
	 OPTION_REAL, MATHEMATICS, FIELD(warmup_epochs), ALWAYS("0"), RANGE(0, 1e9)},
	{rate, "warmup-lr", "X", "learning rate that the warm-up begins with",
	 OPTION_REAL, MATHEMATICS, FIELD(warmup_lr), ALWAYS("0"), RANGE(0, 1e6)},

	{ranks, "shards", "V", "cut each batch into V parts; equal V, equal bits on any number of ranks; 0: as many as ranks",
	 OPTION_INT, MATHEMATICS, FIELD(shards), ALWAYS("0"), RANGE(0, INT_MAX)},
	{ranks, "sync-bn", "global|node|off", "whose images share the statistics of batch norm",
	 OPTION_WORD, MATHEMATICS, FIELD(sync_bn), ALWAYS("global"), .words = syncs},
	{ranks, "threads", "N", "threads of each rank that compute; 0: as many as it has cores",
	 OPTION_INT, OPERATION, FIELD(threads), ALWAYS("0"), RANGE(0, 4096)},
	{ranks, "loader-threads", "N", "threads of each rank that read images; 0: chosen by the program",
	 OPTION_INT, OPERATION, FIELD(loader_threads), ALWAYS("1"), RANGE(0, 4096)},
	{ranks, "plan", "RANKS", "train nothing: print the memory that each rank of this job, or of one with RANKS ranks, would need",
	 OPTION_INT, OPERATION, FIELD(plan), ALWAYS("0"), RANGE(0, INT_MAX), .words = plan_words, .alone = "job", .command_only = true},
	{ranks, "allreduce", "own|mpi|NAME", "how gradients are summed over nodes: own chooses by size between pairwise, ring, doubling and halving, whose "
	 "bits are the same; mpi is MPI_Allreduce, where they depend on the ranks",
	 OPTION_WORD, MATHEMATICS, FIELD(allreduce), ALWAYS("own"), .words = allreduces},
	{ranks, "tune", "on|off", "time these at the start on several nodes, in half a second, and keep the choice in ~/.cache/resnet-train; off: a fixed one",
	 OPTION_SWITCH, OPERATION, FIELD(tune), ALWAYS("on"), .alone = "on"},
	{ranks, "gradient-dtype", "fp32|bf16", "how gradients are summed over shards: bf16 rounds every sum, and halves what nodes send",
	 OPTION_WORD, MATHEMATICS, FIELD(gradient_dtype), ALWAYS("fp32"), .words = precisions},
	{ranks, "overlap", "on|off", "sum gradients over ranks while the backward pass goes on",
	 OPTION_SWITCH, OPERATION, FIELD(overlap), ALWAYS("on"), .alone = "on"},
	{ranks, "recompute", "on|off", "keep only blocks' outputs and compute the rest again going back: less memory, more time, the same bits",
	 OPTION_SWITCH, OPERATION, FIELD(recompute), ALWAYS("off"), .alone = "on"},
	{ranks, "bucket-mb", "X", "megabytes of gradients that are summed at once; the first ones are smaller",
	 OPTION_REAL, OPERATION, FIELD(bucket_mb), ALWAYS("4"), RANGE(0.001, 1e6)},
	{ranks, "watchdog", "SECONDS", "end the job, naming them, when other ranks are silent for so long; 0: wait for ever",
	 OPTION_REAL, OPERATION, FIELD(watchdog), ALWAYS("300"), RANGE(0, 1e9)},
	{ranks, "audit-every", "N", "compare the weights of all ranks every N steps, and end when they differ; 0: never",
	 OPTION_INT, OPERATION, FIELD(audit_every), ALWAYS("0"), RANGE(0, INT_MAX)},

	{folder, "out", "RUN", "run folder: settings, metrics, log and checkpoints",
	 OPTION_PATH, OPERATION, FIELD(out), ALWAYS("run")},
	{folder, "config", "FILE", "INI file with any of these options, in a section [train] or none; the command line wins",
	 OPTION_PATH, OPERATION, FIELD(config), ALWAYS(""), .command_only = true},
	{folder, "recipe", "NAME", "begin with the options of this recipe (a wrong name shows all); --config and the command line win",
	 OPTION_PATH, OPERATION, FIELD(recipe), ALWAYS(""), .command_only = true},
	{folder, "save-every", "N", "save after every N steps; epoch: after every epoch; 0: only at the end",
	 OPTION_INT, OPERATION, FIELD(save_every), ALWAYS("epoch"), RANGE(0, INT_MAX), .words = save_words},
	{folder, "trace", "FILE", "write a timeline of all ranks, for https://ui.perfetto.dev, when training has ended well; long ones end early",
	 OPTION_PATH, OPERATION, FIELD(trace), ALWAYS("")},
	{folder, "keep", "N", "checkpoints to keep",
	 OPTION_INT, OPERATION, FIELD(keep), ALWAYS("3"), RANGE(1, INT_MAX)},
	{folder, "resume", "auto|never|PATH", "go on from the run folder's last checkpoint if there is one; never; or from this checkpoint",
	 OPTION_PATH, OPERATION, FIELD(resume), ALWAYS("auto")},
	{folder, "allow-change", "NAME[,NAME]", "options that may differ from those of the run that is resumed",
	 OPTION_NAMES, OPERATION, FIELD(allow_change), ALWAYS("")},
};
/* clang-format on */

const int option_count = sizeof(option_table) / sizeof(option_table[0]);
_Static_assert(sizeof(option_table) / sizeof(option_table[0]) <= OPTION_MAX, "options.source has a place for every row");
_Static_assert(sizeof(enum option_schedule) == sizeof(int), "words are stored through a pointer to int");

const struct option_spec *option_find(const char *name, size_t length)
{
	for (int i = 0; i < option_count; i++)
		if (strlen(option_table[i].name) == length && strncmp(option_table[i].name, name, length) == 0)
			return &option_table[i];
	return NULL;
}

void *option_field(struct options *options, const struct option_spec *spec)
{
	return (char *)options + spec->offset;
}

enum option_source option_source(const struct options *options, const struct option_spec *spec)
{
	return (enum option_source)options->source[spec - option_table];
}

bool options_cifar_net(const char *arch)
{
	for (int i = IMAGENET_ARCHS; archs[i]; i++)
		if (strcmp(archs[i], arch) == 0)
			return true;
	return false;
}
