/* The tree over shards as nodes of the job climb it together: one stage for each node of the tree whose shards lie on several nodes
 * of the job, children before parents. A stage joins the sums of its left and right child. Who takes part is worked out from the
 * covers alone, so that all agree without a message.
 *
 * Holders of a tree node are the nodes of the job that hold some of its shards. They stand in an order in which those of its
 * children take turns: left, right, left, right. With equal ranges of a vector for each in that order, a holder's range in the
 * parent is half of its range in the child when the children have equally many holders, and about half otherwise. */
#ifndef COMM_STAGES_H
#define COMM_STAGES_H

#include "comm/covers.h"

/* The holders of a tree node, in their order. */
struct stage_side {
	const int *holders; /* nodes of the job */
	int count;
	int place; /* of this node among them; -1: it is none of them */
	int row;   /* of this node's cover: where it keeps that sum; -1 likewise */
};

struct stage {
	struct stage_side child[2]; /* left, right */
	struct stage_side parent;
	int straddler;		/* the one node of the job that holds shards of both children; -1: none */
	int straddler_place[2]; /* among the left's and the right's holders */
};

struct stages {
	struct stage *stage; /* those that this node takes part in */
	int count;
	struct stage_side root; /* all nodes of the job that hold shards */
	int *order;		/* room of all holders' lists */
	int used;
};

/* `covers` has the nodes of the job, of which this is `mine`. A zeroed struct before. Ownership: the caller's, freed by
 * stages_release, also after an error. Errors: NN_ERR_MEMORY. Not collective. */
enum nn_status stages_init(struct stages *stages, const struct covers *covers, int mine, int shard_count);
void stages_release(struct stages *stages);

#endif
