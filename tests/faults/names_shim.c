/* Stands before the C library's getaddrinfo (LD_PRELOAD) and answers for names that end in ".test". What it
 * answers stands in the file that TULIPA_NAMES names, which is read whenever somebody asks:
 *
 *     ADDRESS...        these addresses, which must be numeric
 *     fail CODE         this error
 *     hang              nothing, until the file says something else
 *     late MS ADDRESS   after so many milliseconds, what else the file may say by then notwithstanding
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int look_up(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int answer(look_up *real, char *words, const char *service, const struct addrinfo *hints,
                  struct addrinfo **result)
{
    struct addrinfo **end = result;
    char *rest = NULL;
    *result = NULL;
    for (char *word = strtok_r(words, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
        int code = real(word, service, hints, end);
        if (code != 0) {
            if (*result)
                freeaddrinfo(*result);
            return code;
        }
        while (*end)
            end = &(*end)->ai_next;
    }
    return *result ? 0 : EAI_NONAME;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    look_up *real = (look_up *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("TULIPA_NAMES");
    size_t length = name ? strlen(name) : 0;
    if (!path || length < 5 || strcmp(name + length - 5, ".test") != 0)
        return real(name, service, hints, result);
    for (;;) {
        char text[1024] = "";
        FILE *file = fopen(path, "r");
        if (!file || !fgets(text, sizeof text, file))
            strcpy(text, "hang"); /* it is just being written */
        if (file)
            fclose(file);
        int code = 0, delay = 0, used = 0;
        if (strncmp(text, "hang", 4) == 0) {
            usleep(20 * 1000);
        } else if (sscanf(text, "fail %d", &code) == 1) {
            return code;
        } else {
            if (sscanf(text, "late %d %n", &delay, &used) == 1)
                usleep(delay * 1000);
            return answer(real, text + used, service, hints, result);
        }
    }
}
