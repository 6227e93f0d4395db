/* What the scheduler of libuv costs: the same things, under the same names, as the program `micro`.
 *
 * libuv has no queue of callbacks. What its users take instead: for a callback that queues the next, an idle handle,
 * which runs once a turn; for many callbacks at once, a timer without a delay for each; for a call from another
 * thread, a list behind a mutex and an async handle.
 *
 *     micro_uv       prints a line of JSON for each figure
 *
 * One thread: CPU time. Where a second thread takes part: wall time.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

enum { N = 1000000, POSTS = 300000, TRIPS = 30000 };

static uv_loop_t *loop;
static long calls;

static uint64_t nanoseconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t cpu(void) { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }
static uint64_t wall(void) { return nanoseconds(CLOCK_MONOTONIC); }

static void report(const char *bench, long count, uint64_t took) {
    printf("{\"peer\":\"libuv\",\"bench\":\"%s\",\"n\":%ld,\"ns_per_op\":%.1f}\n", bench, count,
           (double)took / (double)count);
    fflush(stdout);
}

static cpu_set_t allowed;

/* Keeps the calling thread on the first or the second (1) of the cores that are allowed; on the last of them if there
 * are fewer. */
static void pin(int place) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (int core = 0; core < CPU_SETSIZE && place >= 0; core++) {
        if (!CPU_ISSET(core, &allowed)) continue;
        CPU_ZERO(&cores);
        CPU_SET(core, &cores);
        place--;
    }
    (void)sched_setaffinity(0, sizeof cores, &cores);
}

/* Milliseconds below a second, from the numbers that every program uses (xorshift). */
static uint64_t number = 42;

static uint64_t delay(void) {
    number ^= number << 13;
    number ^= number >> 7;
    number ^= number << 17;
    return number % 1000000000 / 1000000;
}

static void idle(uv_idle_t *handle) {
    if (++calls == N) uv_idle_stop(handle);
}

static void fired(uv_timer_t *timer) {
    (void)timer;
    calls++;
}

static void run_until_done(void) {
    uv_run(loop, UV_RUN_DEFAULT);
    if (calls != N) abort();
    calls = 0;
}

static void callbacks_and_timers(void) {
    uv_idle_t chain;
    uv_idle_init(loop, &chain);
    uint64_t start = cpu();
    uv_idle_start(&chain, idle);
    run_until_done();
    report("call_soon chain", N, cpu() - start);

    uv_timer_t *timers = malloc(N * sizeof *timers);
    if (!timers) abort();
    for (int i = 0; i < N; i++) uv_timer_init(loop, &timers[i]);
    const char *bursts[] = {"call_soon burst", "call_soon burst, warm"};
    for (int burst = 0; burst < 2; burst++) {
        start = cpu();
        for (int i = 0; i < N; i++) uv_timer_start(&timers[i], fired, 0, 0);
        run_until_done();
        report(bursts[burst], N, cpu() - start);
    }

    uv_update_time(loop);
    start = cpu();
    for (int i = 0; i < N; i++) uv_timer_start(&timers[i], fired, delay(), 0);
    run_until_done();
    report("timers arm+fire, CPU", N, cpu() - start);

    number = 42;
    start = cpu();
    for (int i = 0; i < N; i++) uv_timer_start(&timers[i], fired, 10000 + delay(), 0);
    report("timers arm (then cancelled)", N, cpu() - start);
    start = cpu();
    for (int i = 0; i < N; i++) uv_timer_stop(&timers[i]);
    report("timers cancel", N, cpu() - start);
    /* The loop keeps a list of the timers, so they are there until the end. */
}

/* Posted by another thread, the latest first. */
struct post {
    struct post *next;
};

static struct post *posts;
static pthread_mutex_t posts_mutex = PTHREAD_MUTEX_INITIALIZER;
static uv_async_t posted;
static sem_t answered;
static long expected;
static int answers;

static void take_posts(uv_async_t *handle) {
    pthread_mutex_lock(&posts_mutex);
    struct post *post = posts;
    posts = NULL;
    pthread_mutex_unlock(&posts_mutex);
    while (post) {
        struct post *next = post->next;
        free(post);
        post = next;
        calls++;
        if (answers) sem_post(&answered);
    }
    if (calls == expected) uv_close((uv_handle_t *)handle, NULL);
}

static void *poster(void *nothing) {
    pin(1);
    for (long i = 0; i < expected; i++) {
        struct post *post = malloc(sizeof *post);
        if (!post) abort();
        pthread_mutex_lock(&posts_mutex);
        post->next = posts;
        posts = post;
        pthread_mutex_unlock(&posts_mutex);
        uv_async_send(&posted);
        if (answers) sem_wait(&answered);
    }
    return nothing;
}

static void thread(const char *bench, long count, int and_back) {
    expected = count;
    answers = and_back;
    calls = 0;
    uv_async_init(loop, &posted, take_posts);
    pthread_t thread;
    uint64_t start = wall();
    if (pthread_create(&thread, NULL, poster, NULL)) abort();
    uv_run(loop, UV_RUN_DEFAULT);
    report(bench, count, wall() - start);
    pthread_join(thread, NULL);
}

int main(void) {
    sched_getaffinity(0, sizeof allowed, &allowed);
    pin(0);
    loop = uv_default_loop();
    callbacks_and_timers();
    sem_init(&answered, 0, 0);
    thread("threadsafe throughput", POSTS, 0);
    thread("threadsafe round trip", TRIPS, 1);
    return 0;
}
