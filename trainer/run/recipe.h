/* Recipes: INI files of options that come with the program, known by name (jobs/recipes/cifar10-resnet20.ini). */
#ifndef TRAINER_RUN_RECIPE_H
#define TRAINER_RUN_RECIPE_H

#include <stddef.h>

#include "nn/core/status.h"

/* path = the file of the recipe `name`, in the folder $RESNET_RECIPES, else in the one that belongs to the running program: of an
 * installation ../share/resnet-train/recipes beside its folder, of a build the source's jobs/recipes.
 * Errors: NN_ERR_USAGE with the names of all recipes, or with the folders looked for when there are none; NN_ERR_MEMORY. */
enum nn_status recipe_find(char *path, size_t size, const char *name);

#endif
