/* watchdog.c - in each test program: one that hangs says where and after which
 * failure, and ends, before ctest ends it without a word. TEST_SECONDS
 * (tests/CMakeLists.txt) says how long it may take. */
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TEXT_MAX = 2048, DEPTH_MAX = 64 };

static char said[TEXT_MAX];

/* cmocka's, which keeps what a failed assertion says until the teardown is
 * over: a teardown that hangs would hide it. */
void cm_print_error(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

void cm_print_error(const char *format, ...)
{
    void (*its)(const char *, ...);
    char text[TEXT_MAX];
    size_t len = strlen(said);
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    (void)snprintf(said + len, sizeof said - len, "%s", text);
    *(void **)&its = dlsym(RTLD_NEXT, "cm_print_error");
    its("%s", text);
}

/* The sanitizers' knows the names of functions. */
void __sanitizer_print_stack_trace(void) __attribute__((weak));

static void say(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n;
}

static void print_stack(void)
{
    void *at[DEPTH_MAX];
    if (__sanitizer_print_stack_trace != NULL) {
        __sanitizer_print_stack_trace();
    } else {
        backtrace_symbols_fd(at, backtrace(at, DEPTH_MAX), STDERR_FILENO);
    }
}

static void on_alarm(int number)
{
    if (syscall(SYS_gettid) != getpid()) { /* it is the test's own to tell */
        (void)syscall(SYS_tgkill, getpid(), getpid(), number);
        return;
    }
    say("\nThis program hangs");
    say(said[0] != '\0' ? "; what failed in it until then:\n" : "\n");
    say(said);
    say("\nThe test is here:\n");
    print_stack();
    _exit(1);
}

static void __attribute__((constructor)) begin(void)
{
    const char *seconds = getenv("TEST_SECONDS");
    if (seconds != NULL) {
        (void)signal(SIGALRM, on_alarm);
        (void)alarm((unsigned)strtoul(seconds, NULL, 10));
    }
}
