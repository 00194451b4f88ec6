/* How many different hashes there were, in 16 KiB: HyperLogLog (Flajolet et al., 2007) with linear counting below 2.5
 * times its registers. Standard error 0.8 %. A union is exact whatever its order, so results do not depend on threads.
 */
#ifndef LENS_RECAPTION_SKETCH_H
#define LENS_RECAPTION_SKETCH_H

#include <stdint.h>

enum { SKETCH_BITS = 14, SKETCH_REGISTERS = 1 << SKETCH_BITS };

typedef struct {
    uint8_t at[SKETCH_REGISTERS]; /* zero: nothing seen */
} sketch_t;

void sketch_add(sketch_t *s, uint64_t hash);
void sketch_join(sketch_t *to, const sketch_t *from);
double sketch_count(const sketch_t *s);

#endif
