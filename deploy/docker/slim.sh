#!/bin/sh
# slim.sh ENVIRONMENT: takes out of its packages what the product never loads. Needs binutils.
set -eu
tools=$(cd "$(dirname "$0")" && pwd)
python=$1/bin/python
cd "$1"/lib/python3*/site-packages

# Tests, sources and types of compiled modules, and their debug symbols.
find . -type d \( -name tests -o -name test -o -name testing \) -prune -exec rm -rf {} +
find . -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.pyx' -o -name '*.pxd' \
  -o -name '*.pxi' -o -name '*.pyi' -o -name '*.a' \) -delete
find av -name '*.abi3.so' | sed 's/\.abi3\.so$/.py/' | xargs rm -f
# Not those in *.libs: they were made to be found where they are, and stripping breaks that.
find . -path '*.libs' -prune -o -type f -name '*.so' -exec strip --strip-unneeded {} +

# What packages bring for others: of pymongo only `bson` is used, of pogo not the squashing of migrations, of numpy neither
# builds nor random numbers, of fonts neither serifs nor italics; the command shows no code but Python's, in tracebacks.
rm -rf pymongo gridfs dns sqlglot babel/messages
"$python" -B "$tools/locales.py" babel/locale-data
rm -rf numpy/distutils numpy/f2py numpy/random numpy/fft numpy/polynomial numpy/_core/_simd.*.so numpy/_core/*_tests.*.so
find pygments/lexers -type f ! -name '__init__.py' ! -name '_mapping.py' ! -name 'python.py' ! -name 'special.py' -delete
rm -f pylopdf_fonts_*/NotoSerif* fontpkg_noto_sans/files/NotoSans-Italic*
# Pictures in PDFs are none of these kinds, and no text is drawn into them.
rm -f PIL/_avif.*.so PIL/_webp.*.so PIL/_imagingft.*.so PIL/_imagingcms.*.so PIL/_imagingtk.*.so
(cd pillow.libs && rm -f libavif-* libwebp* libharfbuzz-* libfreetype-* libbrotli* libpng16-* liblcms2-*)

[ "$(uname -m)" = x86_64 ] || exit 0

# stub LIBRARY BODY [OWN]: a library of that name with the symbols of the one that is there. Each function is BODY, in the
# language of the assembler, but those that the text OWN defines.
stub() {
  nm --dynamic --defined-only "$1" | awk -v body="$2" -v own="$3" '
    BEGIN { print ".section .note.GNU-stack, \"\", @progbits\n.text\n" own }
    $3 ~ /^_(Z|init$|fini$)/ || index(own, "\n" $3 ":") { next }
    { print ".globl " $3 }
    $2 == "T" { print ".text\n.type " $3 ", @function\n" $3 ": " body }
    $2 != "T" { print ".data\n.type " $3 ", @object\n" $3 ": .zero 64" }' | as -o stub.o
  ld -shared -soname "${1##*/}" -o "$1" stub.o
  rm stub.o
}

# Videos are looked into, never made, but the loader wants the encoders that libavcodec was linked with: functions that return
# nothing. (libavcodec asks x265 for its depths when it is loaded, and hears of none; of VP8, VP9 and WebP it has decoders of
# its own.) Only the demo makes videos, and it needs servers that no image has.
for name in x264 x265 SvtAv1Enc vpx mp3lame webp webpmux; do
  stub "$(echo "av.libs/lib$name"-*)" 'xorl %eax, %eax
ret' ''
done

# No matrix is multiplied and no equation solved (a test holds the code to it): whoever does ends the process. Only numpy itself
# looks whether a dot product of two floats is right, when it is loaded.
stub "$(echo numpy.libs/libscipy_openblas64_-*)" ud2 '
.globl scipy_cblas_sdot64_
.type scipy_cblas_sdot64_, @function
scipy_cblas_sdot64_:
pxor %xmm0, %xmm0
testq %rdi, %rdi
jle 2f
1: movss (%rsi), %xmm1
mulss (%rcx), %xmm1
addss %xmm1, %xmm0
leaq (%rsi, %rdx, 4), %rsi
leaq (%rcx, %r8, 4), %rcx
decq %rdi
jnz 1b
2: ret'
rm numpy.libs/libgfortran-* numpy.libs/libquadmath-*
