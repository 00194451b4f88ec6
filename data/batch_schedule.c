#include "data/batch_schedule.h"

#include <stdlib.h>

/* The node of the smallest weight among those without a parent, the first of equals; taken out. */
static int take_lightest(const batch_schedule_t *s, bool *is_root, int n_nodes) {
    int best = -1;
    for (int i = 0; i < n_nodes; i++) {
        if (is_root[i] && (best < 0 || s->node[i].weight < s->node[best].weight)) best = i;
    }
    is_root[best] = false;
    return best;
}

lens_status batch_schedule_init(batch_schedule_t *out, const uint64_t *weight, int n) {
    bool is_root[2 * BUCKET_MAX - 1] = {false};
    uint64_t total = 0;
    LENS_ASSERT(n >= 1 && n <= BUCKET_MAX, "%d buckets", n);
    out->n = n;
    for (int i = 0; i < n; i++) {
        LENS_ASSERT(weight[i] >= 1, "bucket %d has no weight", i);
        if (weight[i] >> 62 || (total += weight[i]) >> 62)
            return lens_fail(LENS_ARGUMENT, "buckets: more than 2^62 samples, counted in common batches");
        out->node[i] = (batch_node_t){.weight = weight[i], .left = -1, .right = -1};
        is_root[i] = true;
    }
    out->root = 0;
    for (int i = n; i < 2 * n - 1; i++) {
        int left = take_lightest(out, is_root, i), right = take_lightest(out, is_root, i);
        out->node[i] =
            (batch_node_t){.weight = out->node[left].weight + out->node[right].weight, .left = left, .right = right};
        is_root[i] = true;
        out->root = i;
    }
    return LENS_OK;
}

/* round(m weight / total), halves up; m below 2^63, the weights below 2^62. */
static int64_t share(int64_t m, uint64_t weight, uint64_t total) {
    return (int64_t)((2 * (unsigned __int128)m * weight + total) / (2 * (unsigned __int128)total));
}

int batch_schedule_at(const batch_schedule_t *s, int64_t m, int64_t *k) {
    int at = s->root;
    while (s->node[at].left >= 0) {
        const batch_node_t *node = &s->node[at];
        uint64_t left_weight = s->node[node->left].weight;
        int64_t of_left = share(m, left_weight, node->weight);
        bool goes_left = share(m + 1, left_weight, node->weight) > of_left;
        at = goes_left ? node->left : node->right;
        m = goes_left ? of_left : m - of_left;
    }
    *k = m;
    return at;
}
