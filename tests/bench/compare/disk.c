/*
 * disk.c - what the disk allows: records appended to a preallocated file,
 * with one fdatasync for each batch.
 *
 *     disk FILE RECORD_BYTES BATCH SECONDS
 *
 * Prints one JSON object: records a second.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/time.h"

#define FILE_BYTES (64u << 20)

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("disk: FILE RECORD_BYTES BATCH SECONDS\n", stderr);
        return 64;
    }
    size_t record_bytes = strtoull(argv[2], NULL, 10);
    size_t records = strtoull(argv[3], NULL, 10);
    size_t bytes = 0;
    double seconds = strtod(argv[4], NULL);
    static const char zeros[1 << 20];
    if (__builtin_mul_overflow(record_bytes, records, &bytes) || bytes == 0 ||
        bytes > FILE_BYTES) {
        fputs("disk: a batch has from 1 byte to 64 MiB\n", stderr);
        return 64;
    }
    static char batch[FILE_BYTES];
    int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror("disk");
        return 74;
    }
    memset(batch, 'x', bytes);
    for (size_t at = 0; at < FILE_BYTES; at += sizeof zeros) {
        if (pwrite(fd, zeros, sizeof zeros, (off_t)at) < 0) {
            perror("disk: pwrite");
            return 74;
        }
    }
    fdatasync(fd);
    uint64_t begin_us = bao_time_monotonic_us();
    uint64_t now_us = begin_us;
    uint64_t count = 0;
    size_t at = 0;
    while ((double)(now_us - begin_us) < seconds * 1e6) {
        at = at + bytes > FILE_BYTES ? 0 : at;
        if (pwrite(fd, batch, bytes, (off_t)at) < 0 || fdatasync(fd) != 0) {
            perror("disk: fdatasync");
            return 74;
        }
        at += bytes;
        count++;
        now_us = bao_time_monotonic_us();
    }
    double rate = (double)count * strtod(argv[3], NULL) /
                  ((double)(now_us - begin_us) * 1e-6);
    printf("{\"records_a_second\": %.1f, \"syncs\": %llu}\n",
           rate,
           (unsigned long long)count);
    close(fd);
    unlink(argv[1]);
    return 0;
}
