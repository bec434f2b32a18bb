/* What bindgen reads: the kernel's own headers, found on the include path. An older set lacks some of them. */
#include <linux/types.h>
#include <linux/time_types.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#if __has_include(<linux/io_uring/query.h>)
#include <linux/io_uring/query.h>
#endif
#if __has_include(<linux/io_uring/zcrx.h>)
#include <linux/io_uring/zcrx.h>
#endif
#if __has_include(<linux/io_uring/bpf_filter.h>)
#include <linux/io_uring/bpf_filter.h>
#endif
