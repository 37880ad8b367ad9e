/*
 * A clock for a test kernel (User Mode Linux) that a busy machine cannot disturb. Preloaded into linux.uml.
 *
 * While the guest computes, its clock runs SLOWNESS times slower than the machine's: what needs a second of the
 * processor, or waits a second for one, costs the guest a few milliseconds. When the guest is idle, its clock jumps to
 * the next timer. So nothing in the guest is late because of what else the machine does, and waiting costs nothing.
 * That begins with the guest's first program: its kernel measures itself while it boots, for a fixed time.
 *
 * The kernel of the guest has one timer and asks for the time in one way; these are the functions in between.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

#define SECOND 1000000000LL

static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_settime)(timer_t, int, const struct itimerspec *, struct itimerspec *);
static int (*real_create)(clockid_t, struct sigevent *, timer_t *);
static int (*real_suspend)(const sigset_t *);
static long (*real_ptrace)(int, pid_t, void *, void *);

static int64_t slowness = 1, wanted_slowness = 20;
/* Guest's time was `guest_ns` when the machine's was `real_ns`. */
static int64_t guest_ns, real_ns;
static timer_t timer;
static int has_timer;
/* The guest's time at which the timer ends (0: it does not run), and its interval. */
static int64_t due_ns, interval_ns;

static int64_t real_now(void)
{
	struct timespec now;

	real_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

static int64_t guest_now(void)
{
	return guest_ns + (real_now() - real_ns) / slowness;
}

static struct timespec span(int64_t ns)
{
	struct timespec result = {.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
	return result;
}

__attribute__((constructor)) static void begin(void)
{
	const char *wanted = getenv("GUEST_SLOWNESS");

	real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	real_settime = dlsym(RTLD_NEXT, "timer_settime");
	real_create = dlsym(RTLD_NEXT, "timer_create");
	real_suspend = dlsym(RTLD_NEXT, "sigsuspend");
	real_ptrace = dlsym(RTLD_NEXT, "ptrace");
	if (wanted && atoi(wanted) > 0)
		wanted_slowness = atoi(wanted);
	guest_ns = real_ns = real_now();
}

int clock_gettime(clockid_t clock, struct timespec *result)
{
	if (clock != CLOCK_MONOTONIC)
		return real_gettime(clock, result);
	*result = span(guest_now());
	return 0;
}

int timer_create(clockid_t clock, struct sigevent *event, timer_t *result)
{
	int failed = real_create(clock, event, result);

	timer = *result;
	has_timer = !failed;
	return failed;
}

static void run_timer(int64_t first_ns)
{
	struct itimerspec times = {.it_value = span(first_ns), .it_interval = span(interval_ns * slowness)};

	real_settime(timer, 0, &times, NULL);
}

int timer_settime(timer_t which, int flags, const struct itimerspec *wanted, struct itimerspec *old)
{
	int64_t first_ns = wanted->it_value.tv_sec * SECOND + wanted->it_value.tv_nsec;

	if (flags || which != timer)
		return real_settime(which, flags, wanted, old);
	interval_ns = wanted->it_interval.tv_sec * SECOND + wanted->it_interval.tv_nsec;
	due_ns = first_ns ? guest_now() + first_ns : 0;
	run_timer(first_ns * slowness);
	return 0;
}

/* The guest is idle: the kernel calls this only when its timer runs. */
int sigsuspend(const sigset_t *mask)
{
	int64_t now = guest_now();

	if (due_ns) {
		while (interval_ns && due_ns < now)
			due_ns += interval_ns;
		if (due_ns > now) {
			guest_ns = due_ns;
			real_ns = real_now();
		}
		run_timer(1);
	}
	return real_suspend(mask);
}

/* The guest runs a program. */
long ptrace(int request, pid_t pid, void *address, void *data)
{
	if (has_timer && slowness != wanted_slowness) {
		guest_ns = guest_now();
		real_ns = real_now();
		slowness = wanted_slowness;
		if (due_ns)
			run_timer(due_ns > guest_ns ? (due_ns - guest_ns) * slowness : 1);
	}
	return real_ptrace(request, pid, address, data);
}
