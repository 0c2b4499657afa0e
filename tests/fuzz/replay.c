// replay: main for fuzz targets in ordinary builds: runs every file of the given folders through
// the target once.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) return -1;
    struct stat st;
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) return fclose(f), 0;
    // Exactly as many bytes as the file has, so that a sanitizer sees one byte too far.
    uint8_t *data = malloc((size_t)st.st_size + (st.st_size == 0));
    size_t n = data == NULL ? 0 : fread(data, 1, (size_t)st.st_size, f);
    fclose(f);
    if (data == NULL || n != (size_t)st.st_size) return free(data), -1;
    LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

static int folder_replay(const char *folder)
{
    DIR *d = opendir(folder);
    if (d == NULL) return -1;
    int count = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[4096];
        if (e->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path)
            continue;
        int n = file_replay(path);
        if (n < 0) return closedir(d), fprintf(stderr, "%s: cannot be read\n", path), -1;
        count += n;
    }
    closedir(d);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int n = folder_replay(argv[i]);
        if (n <= 0) return fprintf(stderr, "%s: no corpus to replay\n", argv[i]), 1;
        total += n;
    }
    printf("%d inputs replayed\n", total);
    return total > 0 ? 0 : 1;
}
