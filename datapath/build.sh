#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Compiles the kernel program to the object given (default: the one that is kept beside it). The same source gives the same bytes wherever it lies.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-"$here/portcullis.bpf.o"}
case $out in /*) ;; *) out=$PWD/$out ;; esac
clang=${CLANG:-clang-14}
strip=${LLVM_STRIP:-llvm-strip-14}
for tool in "$clang" "$strip"; do
	command -v "$tool" >/dev/null || { echo "datapath/build.sh: \`$tool\` is missing (apt install clang-14 llvm-14)" >&2; exit 1; }
done
cd "$here"
"$clang" -O2 -g -target bpf -mcpu=v3 -Wall -Werror -Wno-unused-function \
	-ffile-prefix-map="$here"=. -fdebug-compilation-dir=. \
	-idirafter "/usr/include/$(uname -m)-linux-gnu" -c portcullis.bpf.c -o "$out"
"$strip" -g "$out"
