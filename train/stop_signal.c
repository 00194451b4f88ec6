#include "train/stop_signal.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t received;

static void remember(int number) {
    received = number;
}

void stop_signal_install(void) {
    struct sigaction action = {.sa_handler = remember, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    received = 0;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags |= (int)SA_RESETHAND;
    sigaction(SIGTERM, &action, NULL);
}

int stop_signal_received(void) {
    return received;
}

const char *stop_signal_name(int number) {
    return number == SIGTERM ? "SIGTERM" : "SIGUSR1";
}
