/* Tells torq-conformance what a relay reaches, while it runs: link this file to the relay, in C, C++ or Rust.
 *
 *   gcc -c torq_coverage.c                              without any -fsanitize-coverage, or it would call itself
 *   gcc   -fsanitize-coverage=trace-pc       ...        blocks, and the block before: an edge is a byte of the map
 *   clang -fsanitize-coverage=trace-pc-guard ...        numbered edges, so that their number is known too
 *   rustc -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3
 *         -Cllvm-args=-sanitizer-coverage-trace-pc-guard -Clink-arg=torq_coverage.o ...
 *
 * The map is a file of one-byte counters, which the environment names (CONFORMANCE_COVERAGE_MAP): a byte that is not 0 is
 * something that was reached. Without the variable nothing happens but a few instructions for each edge.
 * A relay that is built with --coverage (gcov) and that SIGTERM ends by its default action writes its .gcda files first.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern char __executable_start;
extern void __gcov_exit(void) __attribute__((weak));  /* what a build with --coverage has linked already */

static unsigned char unseen[1];                   /* the map while there is none */
static unsigned char *map = unseen;
static size_t map_bytes = 1;
static uint32_t guards;
static __thread uintptr_t block_before;

static void write_gcov_and_end(int number) {
    __gcov_exit();
    signal(number, SIG_DFL);
    raise(number);
}

__attribute__((constructor(101))) static void open_map(void) {
    const char *path = getenv("CONFORMANCE_COVERAGE_MAP");
    struct stat found;
    struct sigaction term;
    if (__gcov_exit && getenv("GCOV_PREFIX") && !sigaction(SIGTERM, NULL, &term) && term.sa_handler == SIG_DFL) {
        signal(SIGTERM, write_gcov_and_end);
    }
    int fd = path && map == unseen ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    if (!fstat(fd, &found) && found.st_size > 0) {
        void *shared = mmap(NULL, found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED) {
            map = shared;
            map_bytes = found.st_size;
        }
    }
    close(fd);
}

/* gcc: an edge is a block and the one before it in its thread, wherever the program was loaded. */
void __sanitizer_cov_trace_pc(void) {
    uintptr_t block = (uintptr_t)__builtin_return_address(0) - (uintptr_t)&__executable_start;
    block = (block >> 1) * 0x9E3779B1u;
    block ^= block >> 15;
    map[(block ^ block_before) % map_bytes] = 1;
    block_before = block >> 1;
}

/* clang, rustc: edges have numbers, the same in each process of the relay. */
void __sanitizer_cov_trace_pc_guard_init(uint32_t *start, uint32_t *stop) {
    open_map();
    if (start == stop || *start) return;
    uint32_t first = guards;
    for (uint32_t *guard = start; guard < stop; guard++) *guard = ++guards;
    const char *path = getenv("CONFORMANCE_COVERAGE_THINGS");
    char program[4096] = {0}, row[4200], line[4200];
    if (!path || guards > map_bytes || readlink("/proc/self/exe", program, sizeof program - 1) < 0) return;
    FILE *things = fopen(path, "a+");
    if (!things) return;
    flock(fileno(things), LOCK_EX);
    snprintf(row, sizeof row, "%u\t%u\t\t\t%s\n", first, guards - first, program);
    rewind(things);
    int told = 0;
    while (!told && fgets(line, sizeof line, things)) told = !strcmp(line, row);
    if (!told) fputs(row, things);
    fclose(things);
}

void __sanitizer_cov_trace_pc_guard(uint32_t *guard) {
    if (*guard) map[(*guard - 1) % map_bytes] = 1;
}
