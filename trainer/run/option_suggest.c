#include <stdlib.h>
#include <string.h>

#include "trainer/run/option_table.h"

enum { WORD_MAX = 31 };

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, substitutions, and swaps of neighbours that make `a` into `b`. */
static int distance(const char *a, int a_length, const char *b, int b_length)
{
	int cost[WORD_MAX + 1][WORD_MAX + 1];

	for (int i = 0; i <= a_length; i++)
		cost[i][0] = i;
	for (int j = 0; j <= b_length; j++)
		cost[0][j] = j;
	for (int i = 1; i <= a_length; i++)
		for (int j = 1; j <= b_length; j++) {
			int best = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			best = min_int(best, min_int(cost[i - 1][j], cost[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = min_int(best, cost[i - 2][j - 2] + 1);
			cost[i][j] = best;
		}
	return cost[a_length][b_length];
}

/* An option that has the whole wrong name inside, as global-batch has batch. */
static const char *containing(const char *word)
{
	for (int i = 0; i < option_count; i++)
		if (strstr(option_table[i].name, word))
			return option_table[i].name;
	return NULL;
}

/* What other trainers call it. */
static const char *elsewhere(const char *word)
{
	static const char *const names[][2] = {
	    {"learning-rate", "lr"},  {"batch-size", "global-batch"}, {"bs", "global-batch"}, {"wd", "weight-decay"},
	    {"model", "arch"},	      {"workers", "loader-threads"},  {"output", "out"},      {"output-dir", "out"},
	    {"num-epochs", "epochs"}, {"amp", "precision"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(word, names[i][0]) == 0)
			return names[i][1];
	return NULL;
}

const char *option_suggest(const char *wrong, size_t length)
{
	const char *nearest = NULL;
	int least = length < 6 ? 2 : 3; /* one error in a short name, two in a long one */
	char word[WORD_MAX + 1];

	if (length < 2 || length > WORD_MAX)
		return NULL;
	memcpy(word, wrong, length);
	word[length] = '\0';
	if (elsewhere(word))
		return elsewhere(word);
	for (int i = 0; i < option_count; i++) {
		const char *name = option_table[i].name;
		int d = distance(word, (int)length, name, min_int(WORD_MAX, (int)strlen(name)));

		if (d < least) {
			least = d;
			nearest = name;
		}
	}
	return nearest || length < 4 ? nearest : containing(word);
}
