/* `lens --version`: what was built, and the libraries it runs with. */
#ifndef LENS_LAUNCH_VERSION_H
#define LENS_LAUNCH_VERSION_H

#include "base/str.h"

void version_text(str_t *out);
void version_print(void); /* to stdout */

#endif
