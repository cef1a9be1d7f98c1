# A checkpoint is read once and only as far as it is wanted; verify works on all ranks and names what is damaged; a bit that
# turns on one rank alone, on its way or in memory, is everybody's error.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=8 --set ckpt.every=4)
says 0 1 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}" --set run.dir=run
step=run/ckpt/step-00000008

# ---- verify: the same words on any number of ranks, the fingerprint from the tensors ----
says 0 0 verify $step
head -1 out >one
grep -qE '^   step 8, [0-9]+ tensors, 3\.5 MB read in [0-9.]+ s: [0-9.]+ GB/s$' out || { cat out; fail "it does not say what it read"; }
for n in 1 3; do
    says 0 $n verify $step
    grep -qxF "$(cat one)" out || { cat out; fail "another word on $n ranks"; }
    grep -q ' 3.5 MB read' out || { cat out; fail "$n ranks read more than the file once"; }
done

# name BYTE TENSOR RANKS: a flipped byte is named by its block, and the tensor in it
named() {
    flip $step/tensors.h5 $1
    says 65 $3 verify $step
    blames "damaged between byte $(($1 / 1048576 * 1048576)) and " "$2"
    flip $step/tensors.h5 $1
}
named 3000 ', in weights/vision.patch.w, ' 0
named 1300000 ', in weights/' 2
named 3400000 ', in v/' 3
cp -r run/ckpt/step-00000004 short
truncate -s -1 short/tensors.h5
says 65 2 verify short
blames 'the file has not the size that the manifest says'

# ---- chat reads the weights once and no moments: what it read more for a model that is larger ----
big=(--set model.decoder.width=256 --set model.decoder.ffn=1024)
printf 'P6\n32 32\n255\n%3072s' >picture.ppm
says 0 2 train "$config" "${small[@]}" "${big[@]}" --set run.dir=large --set train.steps=1 --set ckpt.every=0
weights() { tr -d ' \n' <"$1/manifest.json" | sed 's/{"name"/\n&/g' | sed -nE 's/^\{"name":"weights\/[^"]*","shape":\[([0-9]+),?([0-9]*)\].*/\1 \2/p' |
    awk '{ s += 4 * $1 * ($2 ? $2 : 1) } END { printf "%d", s }'; }
# chatted RUN ARGS...: the bytes that a conversation has read once it has answered
chatted() {
    mkfifo asks
    "$ASVR" chat "$config" "${small[@]}" --set run.dir="$@" --set chat.image=picture.ppm <asks >answer 2>err &
    local p=$!
    exec 9>asks
    echo what >&9
    for _ in $(seq 600); do
        [ -s answer ] || sleep 0.1
    done
    [ -s answer ] || { cat err; fail "chat did not answer"; }
    sed -n 's/^rchar: //p' /proc/$p/io
    exec 9>&-
    wait $p
    rm asks
}
few=$(($(chatted run) - $(weights $step)))
many=$(($(chatted large "${big[@]}") - $(weights large/ckpt/step-00000001)))
# Blocks are of 1 MiB: at either end of the weights there may be some bytes more.
[ $((many - few)) -lt 2097152 ] && [ $((few - many)) -lt 2097152 ] || fail "it reads more than its weights: $many and $few bytes"
[ $(weights large/ckpt/step-00000001) -gt 8000000 ] || fail "too small to tell"

# ---- one rank alone: what pread brings, or what lies in memory once it was hashed, is wrong there ----
cat >wrong.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int here(const char *what)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *want = getenv(what);
    return want && rank && !strcmp(rank, "1") ? atoi(want) : 0;
}
ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
    static ssize_t (*real)(int, void *, size_t, off_t);
    char link[64], path[512] = "";
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pread");
    const ssize_t got = real(fd, buf, n, at);
    strcpy(link, "/proc/self/fd/");
    char *d = link + strlen(link);
    for (int k = 1000; k; k /= 10)
        if (fd >= k || k == 1)
            *d++ = (char)('0' + fd / k % 10);
    *d = 0;
    if (here("WRONG_READ") && readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/step-00000008/tensors.h5"))
        ((char *)buf)[got / 2] ^= 1;
    return got;
}
unsigned long long XXH64(const void *data, size_t n, unsigned long long seed)
{
    static unsigned long long (*real)(const void *, size_t, unsigned long long);
    static int block;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "XXH64");
    const unsigned long long hash = real(data, n, seed);
    if (n == 1 << 20 && ++block == here("WRONG_MEMORY"))
        ((char *)data)[n / 2] ^= 1;
    return hash;
}
C
${CC:-cc} -shared -fPIC -o wrong.so wrong.c -ldl
wrong() { local what=$1; shift; LD_PRELOAD=$PWD/wrong.so says "$@"; }
export WRONG_READ=1
wrong read 65 2 verify $step
blames 'damaged between byte'
wrong read 0 2 train "$config" "${small[@]}" --set run.dir=run
grep -q '^resumes from run/ckpt/step-00000004' out || { cat out; fail "one rank's damage is not everybody's"; }
grep -q 'warning: checkpoint run/ckpt/step-00000008 is not valid' err || { cat err; fail "it does not say what it passed over"; }
unset WRONG_READ
export WRONG_MEMORY=1
wrong memory 74 2 train "$config" "${small[@]}" --set run.dir=run
blames 'the loaded parameters differ from those that were saved'
WRONG_MEMORY=3
wrong memory 74 2 train "$config" "${small[@]}" --set run.dir=run
blames 'the loaded moments differ from those that were saved'
WRONG_MEMORY=1
wrong memory 65 2 verify $step
blames 'the moments in the file have another fingerprint'          # rank 1 reads the upper half
unset WRONG_MEMORY
says 0 2 train "$config" "${small[@]}" --set run.dir=run
says 0 0 verify $step
cmp one <(head -1 out) || fail "another end"
