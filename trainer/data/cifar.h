/* CIFAR-10 and CIFAR-100 in their binary version: records of label bytes and 32 x 32 pixels, one colour plane after the other.
 * Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html. */
#ifndef TRAINER_DATA_CIFAR_H
#define TRAINER_DATA_CIFAR_H

#include "trainer/data/source.h"

extern const struct source_kind cifar10_kind;
extern const struct source_kind cifar100_kind;

#endif
