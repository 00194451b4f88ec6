/* DIR/.recaption, where work on layers is kept while it is under way: one process or one job at a time. */
#ifndef LENS_RECAPTION_RECAPTION_LOCK_H
#define LENS_RECAPTION_RECAPTION_LOCK_H

#include "base/error.h"

/* Makes the folder. STATE where another process holds it. *lock is -1 on failure. */
LENS_CHECKED lens_status recaption_lock(int *lock, const char *dir);
/* Removes the folder where nothing is left in it. -1 is allowed. */
void recaption_unlock(int lock, const char *dir);

#endif
