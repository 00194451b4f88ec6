#include "recaption/sketch.h"

#include <math.h>

void sketch_add(sketch_t *s, uint64_t hash) {
    const uint64_t rest = hash << SKETCH_BITS;
    const uint8_t rank = (uint8_t)(rest ? __builtin_clzll(rest) + 1 : 64 - SKETCH_BITS + 1);
    uint8_t *at = &s->at[hash >> (64 - SKETCH_BITS)];
    if (*at < rank) *at = rank;
}

void sketch_join(sketch_t *to, const sketch_t *from) {
    for (int i = 0; i < SKETCH_REGISTERS; i++)
        if (to->at[i] < from->at[i]) to->at[i] = from->at[i];
}

double sketch_count(const sketch_t *s) {
    const double m = SKETCH_REGISTERS;
    double sum = 0;
    int n_empty = 0;
    for (int i = 0; i < SKETCH_REGISTERS; i++) {
        sum += ldexp(1, -s->at[i]);
        n_empty += s->at[i] == 0;
    }
    const double estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum;
    return estimate <= 2.5 * m && n_empty > 0 ? m * log(m / n_empty) : estimate;
}
