/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <pcap/pcap.h>

struct capture {
    char *name; /* for messages */
    pcap_t *pcap;
    enum pol_link link;
    enum capture_status status; /* CAPTURE_FRAME while there may be more */
    uint64_t size;              /* 0: not a regular file */
    uint64_t frames;            /* handed out so far */
    char error[CAPTURE_ERROR_TEXT];
};

static const struct {
    int dlt;
    enum pol_link link;
} links[] = {
    {DLT_EN10MB, POL_LINK_ETHERNET},     {DLT_RAW, POL_LINK_RAW_IP},
    {DLT_IPV4, POL_LINK_RAW_IP},         {DLT_IPV6, POL_LINK_RAW_IP},
    {DLT_LINUX_SLL, POL_LINK_LINUX_SLL}, {DLT_LINUX_SLL2, POL_LINK_LINUX_SLL2},
};

static bool set_link(struct capture *capture, char *reterr_text, size_t capacity)
{
    int dlt = pcap_datalink(capture->pcap);
    const char *name = pcap_datalink_val_to_name(dlt);

    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        if (links[i].dlt == dlt) {
            capture->link = links[i].link;
            return true;
        }
    }

    snprintf(reterr_text, capacity,
             "%s: link type %d (%s) is not supported; record Ethernet, Linux cooked (tcpdump -i "
             "any) or raw IP",
             capture->name, dlt, name ? name : "unknown");
    return false;
}

/* Opens and checks the file itself, so that a missing or empty one is not called a bad capture. */
static FILE *open_file(const char *path, uint64_t *ret_size, char *reterr_text, size_t capacity)
{
    struct stat status;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");

    if (!file || fstat(fileno(file), &status) < 0) {
        snprintf(reterr_text, capacity, "%s: %s", path, strerror(errno));
        return NULL;
    }

    if (S_ISDIR(status.st_mode) || (S_ISREG(status.st_mode) && status.st_size == 0)) {
        snprintf(reterr_text, capacity, "%s: %s", path,
                 S_ISDIR(status.st_mode) ? "is a directory" : "the file is empty");
        if (file != stdin)
            fclose(file);
        return NULL;
    }

    *ret_size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    return file;
}

static bool open_pcap(struct capture *capture, FILE *file, char *reterr_text, size_t capacity)
{
    char reason[PCAP_ERRBUF_SIZE] = "";

    capture->pcap =
        pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, reason);
    if (capture->pcap)
        return true;

    if (file != stdin)
        fclose(file);
    snprintf(
        reterr_text, capacity,
        "%s: not a readable pcap or pcapng file (%s); if it is compressed, decompress it first",
        capture->name, reason);
    return false;
}

static struct capture *capture_new(const char *path)
{
    struct capture *capture = calloc(1, sizeof(*capture));

    if (!capture)
        return NULL;

    capture->name = strdup(strcmp(path, "-") == 0 ? "standard input" : path);
    if (!capture->name) {
        free(capture);
        return NULL;
    }
    return capture;
}

bool capture_open(const char *path, struct capture **ret_capture, char *reterr_text,
                  size_t capacity)
{
    struct capture *capture = capture_new(path);
    FILE *file;

    if (!capture) {
        snprintf(reterr_text, capacity, "%s: out of memory", path);
        return false;
    }

    file = open_file(path, &capture->size, reterr_text, capacity);
    if (!file || !open_pcap(capture, file, reterr_text, capacity) ||
        !set_link(capture, reterr_text, capacity)) {
        capture_close(capture);
        return false;
    }

    *ret_capture = capture;
    return true;
}

void capture_close(struct capture *capture)
{
    if (!capture)
        return;

    if (capture->pcap)
        pcap_close(capture->pcap);
    free(capture->name);
    free(capture);
}

/* libpcap knows the kind of trouble only as words. */
static const char *explain(const char *reason)
{
    if (strncmp(reason, "truncated", 9) == 0)
        return "is cut off: the recording was interrupted or the copy is incomplete";
    if (strstr(reason, "different from"))
        return "belongs to an interface that differs from the first one; keep one interface with "
               "\"tshark -Y frame.interface_id==0 -r FILE -w NEW\"";
    return "cannot be read: the file is damaged here";
}

static void describe_failure(struct capture *capture)
{
    const char *reason = pcap_geterr(capture->pcap);

    snprintf(capture->error, sizeof(capture->error),
             "%s: packet %" PRIu64 " %s (near byte %" PRIu64 ": %s); what precedes it stands, and "
             "\"tcpdump -r FILE -w NEW\" keeps just that",
             capture->name, capture->frames + 1, explain(reason), capture_position(capture),
             reason);
}

/* A time before 1970 or with more nanoseconds than fit can only come from a damaged file; the
 * worker never lets time run backwards, so clamping is enough. */
static uint64_t time_of(const struct pcap_pkthdr *header)
{
    uint64_t seconds = header->ts.tv_sec > 0 ? (uint64_t)header->ts.tv_sec : 0;
    uint64_t rest = header->ts.tv_usec > 0 ? (uint64_t)header->ts.tv_usec : 0;

    return seconds < UINT64_MAX / POL_SECONDS ? seconds * POL_SECONDS + rest : 0;
}

static enum capture_status deliver(struct capture *capture, const struct pcap_pkthdr *header,
                                   const uint8_t *data, struct capture_frame *ret_frame)
{
    *ret_frame = (struct capture_frame){
        .data = {data, header->caplen},
        .wire_len = header->len > header->caplen ? header->len : header->caplen,
        .time_ns = time_of(header),
        .number = ++capture->frames,
    };
    return CAPTURE_FRAME;
}

enum capture_status capture_next(struct capture *capture, struct capture_frame *ret_frame,
                                 char *reterr_text, size_t capacity)
{
    struct pcap_pkthdr *header;
    const uint8_t *data;
    int rc;

    if (capture->status == CAPTURE_FRAME) {
        rc = pcap_next_ex(capture->pcap, &header, &data);
        if (rc == 1)
            return deliver(capture, header, data, ret_frame);

        capture->status = rc == PCAP_ERROR_BREAK ? CAPTURE_END : CAPTURE_ERROR;
        if (capture->status == CAPTURE_ERROR)
            describe_failure(capture);
    }

    if (capture->status == CAPTURE_ERROR)
        snprintf(reterr_text, capacity, "%s", capture->error);
    return capture->status;
}

enum pol_link capture_link(const struct capture *capture)
{
    return capture->link;
}

uint64_t capture_size(const struct capture *capture)
{
    return capture->size;
}

uint64_t capture_position(const struct capture *capture)
{
    off_t offset = ftello(pcap_file(capture->pcap));

    return offset > 0 ? (uint64_t)offset : 0;
}
