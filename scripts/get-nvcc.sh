#!/usr/bin/env bash
# Prints the path of a CUDA compiler that works, and installs one into .cuda/ where the machine has none.
#
#   scripts/get-nvcc.sh             any that compiles for all our architectures, looked for as build.rs does
#   scripts/get-nvcc.sh --pinned    the release of kernels/resources.txt with its disassembler, for .ci/run
#
# It is installed from PyPI by pip: 110 MB to fetch, 280 MB on disk, no rights needed. What it says goes to stderr.
set -euo pipefail
cd "$(dirname "$0")/.."

release=13.0
# The meta-package pins the parts of one release; nvcc's own package would take the newest of its parts, which do not
# fit together. The disassembler is not among them, and its oldest package is newer.
packages=("cuda-toolkit[nvcc,cccl]==$release.*" nvidia-cuda-cuobjdump==13.2.51 nvidia-cuda-nvdisasm==13.2.51)
home=$PWD/.cuda
ours=$home/nvidia/cu13/bin/nvcc

pinned=false
case ${1:-} in
"") ;;
--pinned) pinned=true ;;
*) echo "usage: scripts/get-nvcc.sh [--pinned]" >&2; exit 2 ;;
esac

say() { echo "get-nvcc: $*" >&2; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Whether nvcc $1 is what is wanted. Only a compilation shows a part that is missing, or a host compiler that is.
suits() {
    local nvcc=$1 tool
    [[ -x $nvcc ]] || return 1
    if $pinned; then
        "$nvcc" --version 2> /dev/null | grep -q "release $release," || return 1
        for tool in cuobjdump nvdisasm; do "${nvcc%nvcc}$tool" --version > /dev/null 2>&1 || return 1; done
    fi
    echo '__global__ void probe(float* x) { x[threadIdx.x] *= 2.0f; }' > "$scratch/probe.cu"
    "$nvcc" -gencode=arch=compute_80,code=compute_80 -gencode=arch=compute_90a,code=sm_90a \
        -gencode=arch=compute_120,code=sm_120 -fatbin "$scratch/probe.cu" -o "$scratch/probe" > "$scratch/log" 2>&1 &&
        return
    say "$nvcc does not work:"
    cat "$scratch/log" >&2
    return 1
}

candidates() {
    local home folder
    if [[ -n ${NVCC:-} ]]; then echo "$NVCC"; fi
    for home in "${CUDA_HOME:-}" "${CUDA_PATH:-}"; do
        if [[ -n $home ]]; then echo "$home/bin/nvcc"; fi
    done
    type -aP nvcc || true
    echo /usr/local/cuda/bin/nvcc
    if [[ -n ${VIRTUAL_ENV:-} ]]; then
        for folder in "$VIRTUAL_ENV"/lib/*/; do echo "${folder}site-packages/nvidia/cu13/bin/nvcc"; done
    fi
    echo "$ours"
}

while read -r nvcc; do
    if suits "$nvcc"; then
        echo "$nvcc"
        exit
    fi
done < <(candidates)

command -v g++ > /dev/null || { say "nvcc needs g++ beside it (Debian: apt-get install g++)"; exit 1; }
python=${PYTHON:-python3}
command -v "$python" > /dev/null || { say "python3 with pip is needed to install nvcc from PyPI"; exit 1; }
mkdir -p "$home"
find "$home" -maxdepth 1 -name 'new.*' -mmin +60 -exec rm -rf {} + # of an install that was killed
new=$(mktemp -d "$home/new.XXXX")
trap 'rm -rf "$scratch" "$new"' EXIT
pip=("$python" -m pip)
if ! "${pip[@]}" --version > /dev/null 2>&1; then
    # A Python without pip may still make an environment that has it.
    "$python" -m venv "$new/python" > /dev/null 2>&1 ||
        { say "$python has no pip (Debian: apt-get install python3-pip)"; exit 1; }
    pip=("$new/python/bin/python" -m pip)
fi
say "installing ${packages[*]} into .cuda/"
export PIP_ROOT_USER_ACTION=ignore
for try in 1 2 3; do
    "${pip[@]}" install --quiet --disable-pip-version-check --only-binary=:all: --upgrade --target "$new/site" \
        "${packages[@]}" >&2 && break
    ((try < 3)) || { say "pip could not install it: is PyPI within reach?"; exit 1; }
    sleep $((5 * try))
done
# Only what is whole gets its final name. Another install may have been faster.
rm -rf "$home/nvidia"
mv -T "$new/site/nvidia" "$home/nvidia" || true
suits "$ours" || { say "what was installed does not work"; exit 1; }
touch kernels # cargo shall look for nvcc again
echo "$ours"
