/* The program of a pod's first container: it waits, and takes in the processes that lose their parent. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void reap(int signal) {
	(void)signal;
	while (waitpid(-1, 0, WNOHANG) > 0) {
	}
}

static void end(int signal) {
	(void)signal;
	_exit(0);
}

int main(int argc, char **argv) {
	/* kubeadm runs it with -v, in a job, before an upgrade. */
	if (argc > 1 && argv[1][0] == '-') return 0;
	signal(SIGINT, end);
	signal(SIGTERM, end);
	signal(SIGCHLD, reap);
	for (;;) pause();
}
