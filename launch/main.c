/* `lens`: finds the subcommand and runs it. */
#include <stdio.h>

int main(void) {
    puts("lens " LENS_VERSION);
    return 0;
}
