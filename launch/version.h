/* `lens --version`: what was built, and the libraries it runs with. */
#ifndef LENS_LAUNCH_VERSION_H
#define LENS_LAUNCH_VERSION_H

void version_print(void); /* to stdout */

#endif
